"""Measures `mlflow.sklearn.log_model` from inside a process of its own: the whole call, and its part spent in HTTP.

The only module that imports mlflow. The server is named by MLFLOW_TRACKING_URI.
"""

import json
import statistics
import sys
import time
from typing import Any

import mlflow
import mlflow.sklearn
import requests
from sklearn.linear_model import LogisticRegression

WARM_UP = 2


class Stopwatch:
    """Adds up the time and number of the requests of this process."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._send = requests.Session.send

    def install(self) -> None:
        """Time every request from now on."""
        watch = self

        def send(session: requests.Session, *args: Any, **options: Any) -> requests.Response:
            began = time.perf_counter()
            try:
                return watch._send(session, *args, **options)
            finally:
                watch.seconds += time.perf_counter() - began
                watch.calls += 1

        requests.Session.send = send  # type: ignore


def log_model(model: LogisticRegression, watch: Stopwatch) -> tuple[float, float, int]:
    """One whole call: its seconds, those in HTTP, and how many requests it made."""
    with mlflow.start_run():
        watch.seconds, watch.calls = 0.0, 0
        began = time.perf_counter()
        # Named requirements: otherwise the client spends ten seconds of its own on guessing them.
        mlflow.sklearn.log_model(
            model, name="model", registered_model_name="bench-client", pip_requirements=["scikit-learn"]
        )
        return time.perf_counter() - began, watch.seconds, watch.calls


def main() -> None:
    """Warm up, measure, print the medians in milliseconds."""
    watch = Stopwatch()
    watch.install()
    mlflow.set_experiment("bench-client")
    model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    measured = [log_model(model, watch) for _ in range(WARM_UP + int(sys.argv[1]))][WARM_UP:]
    whole, http, calls = (statistics.median(column) for column in zip(*measured, strict=True))
    print(json.dumps({"whole": whole * 1000, "http": http * 1000, "calls": calls}))


if __name__ == "__main__":
    main()
