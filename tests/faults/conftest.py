"""A server for each test of faults, on either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.whole import Served
from servers import RunningServer


@pytest.fixture(params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A started server on each database. What a test kills is the server, never PostgreSQL."""
    on_postgres = request.param == "postgresql"
    url = request.getfixturevalue("fresh_postgres")() if on_postgres else None
    with RunningServer(tmp_path / "data", database=url) as server:
        yield Served(server, url or f"sqlite:///{tmp_path / 'data' / 'modelkeep.db'}")
