"""The server of the 2.x client's tests: one of its own on each database, whose searches meet nobody else's models."""

import contextlib
from collections.abc import Iterator

import pytest

import postgres
from faces.mlflow import served
from faces.mlflow.conftest import DATABASES


@pytest.fixture(scope="module", params=DATABASES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[served.Served]:
    """A started server with its URL and the first administrator's token, on each database."""
    with contextlib.ExitStack() as ending:
        database = None
        if request.param == "postgresql":
            database = ending.enter_context(postgres.empty_database(request.getfixturevalue("postgres_server")))
        running = served.start(tmp_path_factory.mktemp("served"), database)
        ending.callback(served.stop, running.process)
        yield running
