"""What the server does by itself about storage: rules that are automatic, the trash, and figures for monitoring."""

from contextlib import suppress

from prometheus_client import Gauge

from modelkeep import artifacts
from modelkeep.artifacts import BlobStore
from modelkeep.core.errors import Conflict
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db import Database
from modelkeep.retention.reclaiming import Going, apply_automatic_rules
from modelkeep.retention.rules import DAY_MS, TRASH_DAYS

_CALLER = Caller(SYSTEM.actor, request_id="chore-trash")

# Counted from time to time, for whoever monitors: counting reads a row for each blob.
_BLOBS = Gauge("modelkeep_store_blobs", "Blobs in the artifact store, those in the trash among them")
_BYTES = Gauge("modelkeep_store_bytes", "Bytes of the blobs in the artifact store")
_TRASH_BLOBS = Gauge("modelkeep_trash_blobs", "Blobs that nothing names, waiting to be deleted")
_TRASH_BYTES = Gauge("modelkeep_trash_bytes", "Bytes of the blobs that wait to be deleted")


def apply_rules(database: Database, _blobs: BlobStore, going: Going) -> None:
    """Let go of what automatic rules no longer keep."""
    apply_automatic_rules(database, going)


def empty_old_trash(database: Database, blobs: BlobStore, going: Going = lambda: True) -> None:
    """Delete what has been in the trash for seven days, unless somebody else is at it."""
    with suppress(Conflict):
        artifacts.empty_trash(database, _CALLER, blobs, TRASH_DAYS * DAY_MS, going)


def finish_deletions(database: Database, blobs: BlobStore, going: Going = lambda: True) -> None:
    """Go on where a server stopped while it deleted: until then nobody can store the bytes in question."""
    if database.read_now(SYSTEM, artifacts.is_interrupted):
        with suppress(Conflict):
            artifacts.empty_trash(database, _CALLER, blobs, None, going)


def count_blobs(database: Database, _blobs: BlobStore, _going: Going = lambda: True) -> None:
    """Bring the figures up to date."""
    everything, trash = database.read_now(SYSTEM, artifacts.blob_amounts)
    _BLOBS.set(everything.count)
    _BYTES.set(everything.size)
    _TRASH_BLOBS.set(trash.count)
    _TRASH_BYTES.set(trash.size)


# By name: how often, and what. Each asks whether it is to go on.
CHORES = (
    ("finish_deletions", 60.0, finish_deletions),
    ("count_blobs", 300.0, count_blobs),
    ("apply_retention_rules", 3600.0, apply_rules),
    ("empty_trash", 3600.0, empty_old_trash),
)
