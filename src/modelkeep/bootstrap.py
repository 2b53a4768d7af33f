"""The composition root: which adapter stands behind a URL, who listens to which event, and the app made of them."""

import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from modelkeep import artifacts, audit, checkup, inspection, promotion, retention, runs, tables
from modelkeep.access import (
    GroupDeleted,
    HeaderIdentity,
    Identity,
    KnownRights,
    MemberAdded,
    MemberRemoved,
    NewToken,
    OpenDoor,
    RolePermissionAdded,
    RolePermissionChanged,
    Sessions,
    UserDeleted,
    UserDisabled,
    adopt_token_owners,
    assignments,
    forget_sessions,
    forget_sign_in_failures,
    make_first_token,
    make_providers,
    prepare_default_workspace,
    prepare_link_key,
)
from modelkeep.app import App
from modelkeep.artifacts import Backoff, BlobStore, Guard, GuardedBlobs, LocalBlobs
from modelkeep.config import BadSetting, Settings, environment, s3_settings
from modelkeep.core.errors import DomainError, WrongSchema
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Listener, Tx
from modelkeep.db.migrate import SchemaState, check, create_schema
from modelkeep.db.sqlite import SqliteDatabase
from modelkeep.models import VersionRegistered, VersionRestored, VersionRetired
from modelkeep.worker import Chore, Going, Handler, Worker

__all__ = ["LISTENERS", "WrongSchema", "build", "build_worker", "dispatch", "open_blobs", "open_database", "tables"]

# Who reacts to which event, in this order, inside the event's transaction. Event itself means all of them.
LISTENERS: tuple[tuple[type[Event], Listener], ...] = (
    (VersionRegistered, cast(Listener, promotion.place_new_version)),
    (VersionRegistered, cast(Listener, inspection.queue_new_version)),
    (VersionRestored, cast(Listener, promotion.place_new_version)),
    (VersionRetired, cast(Listener, promotion.remove_placement)),
    (UserDeleted, cast(Listener, assignments.forget_user)),
    (GroupDeleted, cast(Listener, assignments.forget_group)),
    *(
        (kind, cast(Listener, assignments.keep_administered))
        for kind in (UserDeleted, UserDisabled, GroupDeleted, MemberRemoved)
    ),
    (MemberAdded, cast(Listener, assignments.keep_administered_by_group)),
    *(
        (kind, cast(Listener, assignments.keep_administered_by_roles))
        for kind in (RolePermissionAdded, RolePermissionChanged)
    ),
    (Event, audit.record),
)

# On a local disk the files of live writers are locked, but for the moment between making and locking one.
_UNLOCKED_S = 60.0


def _sweep_staging(app: App) -> None:
    is_local = app.settings.artifacts_url.startswith("file://")
    grace_s = _UNLOCKED_S if is_local else artifacts.LEFT_OVER_AFTER_S
    app.blobs.sweep_staging(grace_s, artifacts.known_uploads(app.database))


def _sweep_uploads(app: App) -> None:
    artifacts.sweep_uploads(app.database, app.blobs)


def _drop_pushes(app: App, going: Going) -> None:
    artifacts.drop_abandoned_pushes(app.database, going=going)


def _in_one_go(run: Callable[[App], None]) -> Callable[[App, Going], None]:
    """A chore that is too short to ask whether it is to go on."""
    return lambda app, _going: run(app)


# What the worker does for queued jobs, by their kind.
HANDLERS: dict[str, Handler] = {inspection.JOB: inspection.inspect_files, checkup.PROBE: checkup.answer_probe}


def _note_token_uses(app: App) -> None:
    app.identity.note_uses(app.database)


def _forget_failures(app: App) -> None:
    app.database.write_now(SYSTEM, forget_sign_in_failures)
    app.database.write_now(SYSTEM, forget_sessions)


def _send_audit(app: App, going: Going) -> None:
    if app.sink is not None:
        app.sink.send(app.database, going)


def _note_hidden_refusals(app: App) -> None:
    app.hidden_refusals.write(app.database)


def _note_unknown_callers(app: App) -> None:
    app.unknown_callers.write(app.database)


# What the worker does by itself.
CHORES: tuple[Chore, ...] = (
    Chore("sequence_audit", 0.4, lambda app, going: app.sequencer.run(app.database, going), apart="audit"),
    Chore("copy_checkpoints", 1.0, lambda app, going: app.copies.send(app.database, going), apart="audit-copies"),
    Chore("send_audit", 0.5, _send_audit, apart="audit-sink"),
    Chore("note_hidden_refusals", 0.5, _in_one_go(_note_hidden_refusals), apart="audit-unknown"),
    Chore("note_unknown_callers", 5.0, _in_one_go(_note_unknown_callers), apart="audit-unknown"),
    Chore("sweep_staging", 3600.0, _in_one_go(_sweep_staging)),
    Chore("sweep_uploads", 600.0, _in_one_go(_sweep_uploads)),
    Chore("drop_pushes", 3600.0, _drop_pushes),
    Chore("note_token_uses", 20.0, _in_one_go(_note_token_uses)),
    Chore("forget_failures", 3600.0, _in_one_go(_forget_failures)),
    Chore("queue_unjudged", 3600.0, _in_one_go(inspection.queue_unjudged)),
    *(
        Chore(name, every_s, lambda app, going, run=run: run(app.database, app.blobs, going))  # type: ignore[misc]
        for name, every_s, run in retention.CHORES
    ),
)

# How long a request waits for a store behind a network that does not answer, and how many calls it gets at once.
_S3_PATIENCE = Backoff(give_up_after_s=15)
_S3_CALLS_AT_ONCE = 64

_log = logging.getLogger("modelkeep.bootstrap")


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


def open_local(url: str) -> BlobStore:
    """The folder at `file://DIR`."""
    store = LocalBlobs(Path(url.removeprefix("file://")))
    store.sweep_staging(_UNLOCKED_S)
    return GuardedBlobs(store, Guard("local"))


def open_s3(url: str) -> BlobStore:
    """The place `s3://BUCKET/PREFIX`. It may be away now: then /ready says so, and what needs no bytes works."""
    # Its client takes a tenth of a second to import: only who uses it waits for it.
    module = importlib.import_module("modelkeep.artifacts.stores.s3.blobs")
    store = cast(BlobStore, module.S3Blobs(s3_settings(url, environment())))
    try:
        store.check()
    except DomainError as error:
        _log.error("the artifact store does not work yet: %s", error.message)
    return GuardedBlobs(store, Guard("s3", _S3_PATIENCE, _S3_CALLS_AT_ONCE))


BLOB_STORES: dict[str, Callable[[str], BlobStore]] = {"file": open_local, "s3": open_s3}


def open_blobs(url: str) -> BlobStore:
    """The blob store behind a URL: `file://DIR` or `s3://BUCKET/PREFIX`."""
    factory = BLOB_STORES.get(url.partition("://")[0])
    if factory is None:
        raise BadSetting("--artifacts is file://DIR or s3://BUCKET/PREFIX.")
    return factory(url)


def open_audit_keys(settings: Settings) -> audit.Keys:
    """What signs the audit log. Raises BadSetting."""
    if settings.audit_key is not None:
        return audit.load_keys(settings.audit_key)
    return audit.load_or_make_keys(settings.data / "audit-key")


def open_copies(settings: Settings) -> audit.Copies:
    """Where checkpoints are sent. Raises BadSetting."""
    return audit.Copies([_open_place(text, settings) for text in settings.audit_copies])


def _open_place(text: str, settings: Settings) -> audit.Outside:
    if text.startswith("https://"):
        return audit.Webhook(text, may_be_private=settings.audit_private_copies)
    if text.startswith("s3://"):
        place = s3_settings(text, environment())
        objects = importlib.import_module("modelkeep.artifacts.stores.s3.objects").Objects(place)
        return audit.ObjectOutside(text, place.prefix, objects.put)
    if "://" in text:
        raise BadSetting("--audit-copy is the path of a file, s3://BUCKET/PREFIX or https://HOST/PATH.")
    return audit.FileOutside(Path(text))


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
    prepare_link_key(tx)
    audit.prepare_log(tx)
    artifacts.adopt_pushes(tx, adopt_token_owners(tx))
    artifacts.prepare_artifacts(tx)
    runs.prepare_default_experiment(tx)


def identity_of(settings: Settings, database: Database) -> tuple[Identity, NewToken | None]:
    """How callers are told apart, and the administrator's token if this is the first start."""
    if settings.auth == "none":
        return OpenDoor(), None
    return HeaderIdentity(database), database.write_now(SYSTEM, make_first_token)


def build(settings: Settings) -> tuple[App, NewToken | None]:
    """The running parts for these settings, and the first administrator's token if it was made now.

    Raises `BadSetting`, `WrongSchema`, or `Unavailable` (another process holds the database).
    """
    require_schema(settings.database_url)
    keys, copies = open_audit_keys(settings), open_copies(settings)
    database = open_database(settings.database_url)
    blobs = open_blobs(settings.artifacts_url)
    database.write_now(SYSTEM, prepare)
    identity, first_token = identity_of(settings, database)
    audit.tell_unknown_key(database, keys)
    app = App(
        settings,
        database,
        blobs,
        identity,
        KnownRights(database),
        sequencer=audit.Sequencer(keys),
        copies=copies,
        sink=audit.open_sink(settings.audit_sink) if settings.audit_sink else None,
        sessions=Sessions(database),
        providers=make_providers(settings),
    )
    return app, first_token


def build_worker(app: App) -> Worker:
    """What does the app's queued jobs and chores."""
    return Worker(app, HANDLERS, CHORES, inspection.interrupt)
