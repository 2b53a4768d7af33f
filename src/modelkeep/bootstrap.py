"""The composition root: which adapter stands behind a URL, who listens to which event, and the app made of them."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from modelkeep import audit, promotion, runs, tables
from modelkeep.access import (
    Identity,
    NewToken,
    OpenDoor,
    TokenIdentity,
    make_first_token,
    prepare_default_workspace,
)
from modelkeep.app import App
from modelkeep.artifacts import BlobStore, LocalBlobs
from modelkeep.config import BadSetting, Settings
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Listener, Tx
from modelkeep.db.migrate import SchemaState, check, create_schema
from modelkeep.db.sqlite import SqliteDatabase
from modelkeep.models import VersionRegistered, VersionRestored, VersionRetired

__all__ = ["LISTENERS", "build", "dispatch", "open_blobs", "open_database", "tables"]

# Who reacts to which event, in this order, inside the event's transaction. Event itself means all of them.
LISTENERS: tuple[tuple[type[Event], Listener], ...] = (
    (VersionRegistered, cast(Listener, promotion.place_new_version)),
    (VersionRestored, cast(Listener, promotion.place_new_version)),
    (VersionRetired, cast(Listener, promotion.remove_placement)),
    (Event, audit.record),
)

# Uploads that a stopped server left behind are swept when they are older than this.
_STAGING_GRACE_S = 0.0


class WrongSchema(Exception):
    """The database's schema is not the one this program needs; the text says what to do."""


def dispatch(tx: Tx, event: Event) -> None:
    """Hand an event to everybody who listens to its kind."""
    for kind, listener in LISTENERS:
        if isinstance(event, kind):
            listener(tx, event)


def open_sqlite(url: str, listeners: Sequence[Listener]) -> Database:
    """The SQLite file at `sqlite:///PATH`."""
    return SqliteDatabase(Path(url.removeprefix("sqlite:///")), listeners)


def open_postgres(url: str, listeners: Sequence[Listener]) -> Database:
    """The PostgreSQL database at `postgresql+psycopg://...`."""
    # The driver takes a quarter of a second to import: only who uses it waits for it.
    module = importlib.import_module("modelkeep.db.postgres")
    return cast(Database, module.PostgresDatabase(url, listeners))


DATABASES: dict[str, Callable[[str, Sequence[Listener]], Database]] = {
    "sqlite": open_sqlite,
    "postgresql": open_postgres,
    "postgresql+psycopg": open_postgres,
}


def open_database(url: str, listeners: Sequence[Listener] = (dispatch,)) -> Database:
    """The database behind a URL. Its schema must be there (`require_schema`)."""
    factory = DATABASES.get(url.partition(":")[0])
    if factory is None:
        raise BadSetting(f"--database {url.partition(':')[0]}: is not one of {', '.join(DATABASES)}.")
    return factory(url, listeners)


def open_blobs(url: str) -> BlobStore:
    """The blob store behind a URL: `file://DIR`."""
    if not url.startswith("file://"):
        raise BadSetting("--artifacts is file://DIR.")
    return LocalBlobs(Path(url.removeprefix("file://")))


def require_schema(url: str) -> None:
    """Make the schema of an empty database; `WrongSchema` where it is older or newer than ours."""
    report = check(url)
    if report.state is SchemaState.EMPTY:
        create_schema(url)
    elif report.state is SchemaState.OLDER:
        raise WrongSchema(
            f"The database has schema {report.found}, this program needs {report.needed}: "
            "run `modelkeep db upgrade --backup FILE`."
        )
    elif report.state is SchemaState.NEWER:
        raise WrongSchema(
            f"The database has schema {report.found}, newer than {report.needed}, the newest this program knows: "
            "run the newer modelkeep."
        )


def prepare(tx: Tx) -> None:
    """What every registry has from the start."""
    prepare_default_workspace(tx)
    runs.prepare_default_experiment(tx)


def identity_of(settings: Settings, database: Database) -> tuple[Identity, NewToken | None]:
    """How callers are told apart, and the administrator's token if this is the first start."""
    if settings.auth == "none":
        return OpenDoor(), None
    return TokenIdentity(database), database.write_now(SYSTEM, make_first_token)


def build(settings: Settings) -> tuple[App, NewToken | None]:
    """The running parts for these settings, and the first administrator's token if it was made now.

    Raises `BadSetting`, `WrongSchema`, or `Unavailable` (another process holds the database).
    """
    require_schema(settings.database_url)
    database = open_database(settings.database_url)
    blobs = open_blobs(settings.artifacts_url)
    blobs.sweep_staging(_STAGING_GRACE_S)
    database.write_now(SYSTEM, prepare)
    identity, first_token = identity_of(settings, database)
    return App(settings, database, blobs, identity), first_token
