"""Fixtures of the MLflow wire: one server for all tests on each database, the stock client, raw HTTP, a trained model.

MODELKEEP_TEST_PEER=mlflow runs the tests against MLflow's own server, without those marked `beyond_mlflow`.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import postgres
from faces.mlflow import served
from faces.mlflow.build import Build, unused
from faces.mlflow.wire import Wire

DATABASES = ["sqlite", "postgresql"] if served.PEER == "modelkeep" else ["sqlite"]
LEFT_BEHIND = ["MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI", "MLFLOW_ACTIVE_MODEL_ID"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "beyond_mlflow: states what Modelkeep does and MLflow's own server does not")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Against MLflow's own server, leave out what goes beyond it."""
    if served.PEER == "modelkeep":
        return
    beyond = [item for item in items if item.get_closest_marker("beyond_mlflow")]
    items[:] = [item for item in items if item not in beyond]
    config.hook.pytest_deselected(items=beyond)


@contextmanager
def running(folder: Path, database: str | None) -> Iterator[served.Served]:
    """A started server, stopped at the end."""
    server = served.start(folder, database)
    try:
        yield server
    finally:
        served.stop(server.process)


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[served.Served]:
    """The one server on SQLite."""
    with running(tmp_path_factory.mktemp("served"), None) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[served.Served]:
    """The one server on PostgreSQL, with a database of its own."""
    with postgres.empty_database(postgres_server) as url, running(tmp_path_factory.mktemp("served"), url) as server:
        yield server


@pytest.fixture(scope="session", params=DATABASES)
def server(request: pytest.FixtureRequest) -> served.Served:
    """A started server with its URL and the first administrator's token, on each database.

    pytest sets the parameter anew with every file; the servers behind it stay.
    """
    found: served.Served = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(scope="session")
def wire(server: served.Served) -> Wire:
    """Raw HTTP to the server as its administrator."""
    return Wire(server.url, server.token)


@pytest.fixture(scope="session")
def build(wire: Wire) -> Build:
    """Makes models, versions, experiments, runs and logged models."""
    return Build(wire)


def connect(server: served.Served, environment: pytest.MonkeyPatch) -> MlflowClient:
    """The stock client, configured as its user would: by environment variables, in an experiment of its own."""
    environment.setenv("MLFLOW_TRACKING_URI", server.url)
    environment.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    environment.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    environment.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    if server.token:
        environment.setenv("MLFLOW_TRACKING_TOKEN", server.token)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    mlflow.set_experiment(unused("experiment"))
    return MlflowClient()


@pytest.fixture
def client(server: served.Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """The stock client with nothing left from other tests."""
    yield connect(server, monkeypatch)
    forget()


def forget() -> None:
    """End what a test left open in the client, which keeps its state in the process."""
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.clear_active_model()
    for variable in LEFT_BEHIND:
        os.environ.pop(variable, None)


@pytest.fixture
def name() -> str:
    """A name of this test's own."""
    return unused()


@dataclass(frozen=True)
class Trained:
    """A fitted scikit-learn model, rows to ask it about, and what it says itself."""

    model: LogisticRegression
    rows: Any
    answers: list[int]


@pytest.fixture(scope="session")
def trained() -> Trained:
    """A classifier of irises."""
    rows, kinds = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=500).fit(rows, kinds)
    return Trained(model, rows, list(model.predict(rows)))


@pytest.fixture
def log_trained(client: MlflowClient, trained: Trained) -> Callable[..., Any]:
    """Logs the trained model in a run of its own and gives MLflow's record of it."""

    def log(name: str = "model", **options: Any) -> Any:
        with mlflow.start_run():
            return mlflow.sklearn.log_model(trained.model, name=name, pip_requirements=["scikit-learn"], **options)

    return log
