"""Servers that share one registry: one process on SQLite, two on PostgreSQL."""

import contextlib
from collections.abc import Iterator

import pytest

import postgres
from races.crowd import Crowd
from servers import RunningServer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Clients of one server on SQLite, and of two servers on one PostgreSQL database and one folder of files."""
    data = tmp_path_factory.mktemp("races") / "data"
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            yield Crowd([stack.enter_context(RunningServer(data))])
            return
        server = request.getfixturevalue("postgres_server")
        url = stack.enter_context(postgres.empty_database(server))
        first = stack.enter_context(RunningServer(data, database=url))
        second = stack.enter_context(RunningServer(data, database=url))
        yield Crowd([first, second])
