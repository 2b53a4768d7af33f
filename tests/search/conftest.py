"""Databases of either kind with the same small world in them, made once."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from modelkeep.bootstrap import open_database
from modelkeep.db import Database
from modelkeep.db.migrate import create_schema
from search.world import Thing, make_runs, make_versions


@dataclass(frozen=True, repr=False)
class World:
    """A database, and what is in it."""

    database: Database
    runs: list[Thing]
    versions: list[Thing]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world on each kind of database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('world') / 'modelkeep.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    create_schema(url)
    database = open_database(url, ())
    yield World(database, make_runs(database), make_versions(database))
    database.close()
