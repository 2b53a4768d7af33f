"""The founding journey as a 2.x client makes it: run by that client's own Python, it prints what it saw as JSON.

A 2.x client puts a model's files among its run's artifacts, notes them by runs/log-model, and registers that path.
"""

import json
import sys
import warnings
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
ROWS, KINDS = load_iris(return_X_y=True, as_frame=True)


def train_and_log(name: str) -> tuple[str, LogisticRegression]:
    """Train, log and register a version; the run's id and the model."""
    model = LogisticRegression(max_iter=500).fit(ROWS, KINDS)
    with mlflow.start_run() as run:
        mlflow.log_param("max_iter", 500)
        mlflow.log_metric("accuracy", 0.97)
        mlflow.sklearn.log_model(
            model, artifact_path="model", registered_model_name=name, pip_requirements=["scikit-learn"]
        )
    return run.info.run_id, model


def predictions(name: str, run_id: str, model: LogisticRegression) -> dict[str, bool]:
    """Whether the model loaded by each URI answers what the local one does."""
    ends = ["/latest", "/1", "/2", "/Production", "/production", "@champion"]
    uris = {f"models:/NAME{end}": f"models:/{name}{end}" for end in ends} | {"runs:/RUN/model": f"runs:/{run_id}/model"}
    local = list(model.predict(ROWS))
    return {shown: list(mlflow.pyfunc.load_model(uri).predict(ROWS)) == local for shown, uri in uris.items()}


def promote(client: MlflowClient, name: str) -> dict[str, str]:
    """Move both versions to production in turn; where each stands at the end."""
    for number in ("1", "2"):
        for stage in ("Staging", "Production"):
            client.transition_model_version_stage(name, number, stage, archive_existing_versions=True)
    return {version.version: version.current_stage for version in client.search_model_versions(f"name='{name}'")}


def describe(client: MlflowClient, name: str) -> dict[str, Any]:
    """Write description, tag and alias of a version; what is read back."""
    client.update_model_version(name, "2", description="better")
    client.set_model_version_tag(name, "2", "validation_status", "approved")
    client.set_registered_model_alias(name, "champion", "2")
    version = client.get_model_version_by_alias(name, "champion")
    return {
        "version": version.version,
        "description": version.description,
        "tag": version.tags["validation_status"],
        "aliases": list(version.aliases),
        "run_id": version.run_id,
        "source": version.source,
    }


def search(client: MlflowClient, name: str, run_id: str) -> dict[str, Any]:
    """What the searches find."""
    experiment = client.get_run(run_id).info.experiment_id
    model = client.get_registered_model(name)
    return {
        "models": [found.name for found in client.search_registered_models(f"name='{name}'")],
        "by run": [found.version for found in client.search_model_versions(f"run_id='{run_id}'")],
        "runs": len(client.search_runs([experiment], "metrics.accuracy > 0.9 AND params.max_iter = '500'")),
        "latest": {version.current_stage: version.version for version in model.latest_versions},
    }


def main(name: str) -> dict[str, Any]:
    """The whole journey."""
    client = MlflowClient()
    mlflow.set_experiment(name)
    train_and_log(name)
    run_id, model = train_and_log(name)
    registered = mlflow.register_model(f"runs:/{run_id}/model", name + "-again")
    seen = {"client": mlflow.__version__, "run_id": run_id, "registered": [registered.name, str(registered.version)]}
    seen["stages"] = promote(client, name)
    seen["champion"] = describe(client, name)
    seen["predictions"] = predictions(name, run_id, model)
    seen["search"] = search(client, name, run_id)
    seen["files"] = sorted(entry.path for entry in client.list_artifacts(run_id, "model"))
    seen["history"] = json.loads(client.get_run(run_id).data.tags["mlflow.log-model.history"])[0]["artifact_path"]
    seen["artifact_uri"] = client.get_run(run_id).info.artifact_uri
    return seen | leave(client, name)


def leave(client: MlflowClient, name: str) -> dict[str, Any]:
    """Copy, rename and delete; what is left."""
    copied = client.copy_model_version(f"models:/{name}@champion", name + "-copy")
    client.rename_registered_model(name, name + "-new")
    client.delete_model_version(name + "-new", "2")
    left = client.get_registered_model(name + "-new")
    client.delete_registered_model(name + "-new")
    return {
        "copied": [copied.version, copied.source.replace(name, "NAME")],
        "aliases left": dict(left.aliases),
        "models left": [
            found.name.replace(name, "NAME") for found in client.search_registered_models(f"name LIKE '{name}%'")
        ],
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
