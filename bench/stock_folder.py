"""Registers a folder, or fetches a version's folder, with the stock client, and prints how long that took.

From inside a process of its own, so that loading mlflow does not count: `python -m bench.stock_folder push DIR NAME`.
The server is named by MLFLOW_TRACKING_URI.
"""

import json
import sys
import time

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


def push(folder: str, name: str) -> None:
    """Log a folder in a run and make a version of it."""
    client = MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_artifacts(folder, "model")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id)


def pull(folder: str, name: str) -> None:
    """Fetch the newest version of a model."""
    mlflow.artifacts.download_artifacts(f"models:/{name}/latest", dst_path=folder)


def main() -> None:
    """Do it once and print the seconds."""
    mlflow.set_experiment("bench-folders")
    work = {"push": push, "pull": pull}[sys.argv[1]]
    began = time.perf_counter()
    work(sys.argv[2], sys.argv[3])
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
