"""Servers of either database for tests of the native API, each with one caller and room for any number of models."""

from collections.abc import Iterator

import pytest

import postgres
from faces.native.pushing import Registry
from security.raw import Raw
from servers import RunningServer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry on a server of its own, once on each database."""
    data = tmp_path_factory.mktemp("registry") / "data"
    if request.param == "sqlite":
        with RunningServer(data) as server, Raw(server.port, server.token) as raw:
            yield Registry(server, raw)
        return
    with (
        postgres.empty_database(request.getfixturevalue("postgres_server")) as url,
        RunningServer(data, database=url) as server,
        Raw(server.port, server.token) as raw,
    ):
        yield Registry(server, raw)
