"""Databases of either kind with the same small world in them, made once."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

import postgres
from modelkeep.bootstrap import open_database
from modelkeep.db import Database
from modelkeep.db.migrate import create_schema
from search.world import Thing, make_runs, make_versions

NewDatabase = Callable[[str], Database]


@dataclass(frozen=True, repr=False)
class World:
    """A database, and what is in it."""

    database: Database
    runs: list[Thing]
    versions: list[Thing]


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewDatabase]:
    """A function that makes an empty database of a kind, with the schema in it; all are gone at the end."""
    with contextlib.ExitStack() as made:

        def new(kind: str) -> Database:
            url = f"sqlite:///{tmp_path_factory.mktemp('search') / 'modelkeep.db'}"
            if kind == "postgresql":
                url = made.enter_context(postgres.empty_database(request.getfixturevalue("postgres_server")))
            create_schema(url)
            return made.enter_context(contextlib.closing(open_database(url, ())))

        yield new


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, new_database: NewDatabase) -> World:
    """The world on each kind of database."""
    database = new_database(request.param)
    return World(database, make_runs(database), make_versions(database))
