"""The schema's life: made at once for a new database, compared at every start, upgraded by Alembic when asked.

A new database is created from the declared tables and stamped; an older one is brought up by the chain of migrations.
A test holds the two ways to the same result.
"""

import importlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from modelkeep.core.errors import InvalidInput, Unavailable
from modelkeep.db.dialect import SQLITE
from modelkeep.db.schema import metadata
from modelkeep.db.sqlite import PRAGMAS, connect, lock

# The newest revision in migrations/versions; a test compares the two.
HEAD = "0004"
_HISTORY = ("0001", "0002", "0003", HEAD)
_VERSION_TABLE = "alembic_version"
_FOUND = f"SELECT version_num FROM {_VERSION_TABLE}"  # noqa: S608
_STAMP = (
    f"CREATE TABLE {_VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    f"INSERT INTO {_VERSION_TABLE} VALUES ('{HEAD}')",  # noqa: S608
)
_SQLITE = "sqlite:///"


class SchemaState(Enum):
    """How a database's schema compares with what this program needs."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """What `db check` found: the state, and both revisions."""

    state: SchemaState
    found: str
    needed: str = HEAD


def sync_engine(url: str) -> Engine:
    """A SQLAlchemy engine for schema work. Raises InvalidInput for what is no address of a database."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        engine = create_engine(url, poolclass=NullPool)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput("--database is no address: sqlite:///PATH or postgresql://USER@HOST/NAME.") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


@contextmanager
def _explained() -> Iterator[None]:
    """The drivers' errors in one line, without the address and its password."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        told = error.orig if isinstance(error, DBAPIError) else error
        raise Unavailable(f"The database cannot be used: {str(told).partition(chr(10))[0]}") from error


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Keep servers away from a SQLite file meanwhile. Raises Unavailable if one is running."""
    held = lock(Path(url.removeprefix(_SQLITE))) if url.startswith(_SQLITE) else None
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def check(url: str) -> SchemaReport:
    """Compare the database's schema with ours; changes nothing. Raises Unavailable where it does not answer."""
    if url.startswith(_SQLITE):
        return _check_sqlite(url.removeprefix(_SQLITE))
    with _explained(), sync_engine(url).connect() as connection:
        return _report(connection)


def _check_sqlite(path: str) -> SchemaReport:
    """The same by the driver alone: every start waits for it, and an engine takes many times as long."""
    if not Path(path).exists():
        return SchemaReport(SchemaState.EMPTY, "")
    with _explained(), closing(connect(path)) as connection:
        return _compared(_found_in_sqlite(connection))


def _found_in_sqlite(connection: sqlite3.Connection) -> str | None:
    known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    if connection.execute(known, (_VERSION_TABLE,)).fetchone() is None:
        return None
    found = connection.execute(_FOUND).fetchone()
    return str(found[0]) if found else ""


def _report(connection: Connection) -> SchemaReport:
    if _VERSION_TABLE not in inspect(connection).get_table_names():
        return _compared(None)
    return _compared(connection.execute(text(_FOUND)).scalar() or "")


def _compared(found: str | None) -> SchemaReport:
    if found is None:
        return SchemaReport(SchemaState.EMPTY, "")
    if found == HEAD:
        return SchemaReport(SchemaState.CURRENT, found)
    return SchemaReport(SchemaState.OLDER if found in _HISTORY else SchemaState.NEWER, found)


def create_schema(url: str) -> None:
    """Make all tables in an empty database and stamp it, in one transaction; nothing if another process just did."""
    if url.startswith(_SQLITE):
        _create_in_sqlite(Path(url.removeprefix(_SQLITE)))
        return
    with _explained(), sync_engine(url).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7270021)"))
        if _report(connection).state is SchemaState.EMPTY:
            for statement in _declared(connection.dialect):
                connection.exec_driver_sql(statement)


def _create_in_sqlite(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _explained(), closing(connect(str(path))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        if _found_in_sqlite(connection) is None:
            for statement in _declared(SQLITE):
                connection.execute(statement)
        connection.execute("COMMIT")


def _declared(dialect: Dialect) -> list[str]:
    """Everything declared as CREATE TABLE and CREATE INDEX, and the stamp."""
    wanted: list[CreateTable | CreateIndex] = []
    for table in metadata.sorted_tables:
        wanted.append(CreateTable(table))
        wanted += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
    return [*(str(one.compile(dialect=dialect)) for one in wanted), *_STAMP]


def upgrade(url: str, backup: Path | None = None) -> SchemaReport:
    """Bring an older database up to HEAD; with `backup`, copy a SQLite database there first.

    Raises Unavailable where it does not answer, or where a server has a SQLite file open.
    """
    if backup is not None:
        back_up(url, backup)
    report = check(url)
    if report.state is SchemaState.CURRENT:
        return report
    if report.state is SchemaState.EMPTY:
        create_schema(url)
        return check(url)
    # Alembic takes a tenth of a second to import and the server never needs it: only this command loads it.
    command = importlib.import_module("alembic.command")
    with _explained(), _alone(url):
        command.upgrade(alembic_config(url), "head")
    return check(url)


def alembic_config(url: str) -> Any:
    """Alembic's configuration for our chain of migrations on this database."""
    config = importlib.import_module("alembic.config").Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    return config


def back_up(url: str, target: Path) -> None:
    """Copy a SQLite database, whole and consistent, to a new file (PostgreSQL has pg_dump for that)."""
    source = url.removeprefix(_SQLITE)
    target.touch(mode=0o600, exist_ok=False)
    with closing(connect(source)) as old, closing(connect(str(target))) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")
