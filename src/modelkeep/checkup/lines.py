"""Whether each part works: one line each, with what to do where it does not."""

import shutil
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from modelkeep.artifacts import LEFT_OVER_AFTER_S, BlobStore, count_damaged, known_uploads
from modelkeep.checkup import store
from modelkeep.checkup.probe import KEY, PROBE, send_probe
from modelkeep.core.errors import DomainError
from modelkeep.core.types import Caller
from modelkeep.db import Database
from modelkeep.db.jobs import standing, waits
from modelkeep.db.migrate import SchemaState, check

_LATE_MS = 10 * 60 * 1000
_CLOCK_MS = 60 * 1000
# A day more than the chore waits.
_LEFT_OVER_S = LEFT_OVER_AFTER_S + 24 * 3600.0
_ABANDONED_S = 14 * 24 * 3600.0
_LOW_SHARE, _LOW_BYTES = 0.05, 5 << 30
_NONE_LEFT = 256 << 20
_PROBED_S = 5.0
_SLOW_S = 1.0


class Status(StrEnum):
    """How a part does."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Line(NamedTuple):
    """What was found of one part, and what to do about it."""

    name: str
    status: Status
    text: str
    remedy: str = ""


def look_at_parts(
    database: Database, caller: Caller, blobs: BlobStore, database_url: str, artifacts_url: str
) -> list[Line]:
    """Everything that is quickly said. Ends with sending a probe to the workers. Raises Unavailable."""
    lines = [_database(database, caller), _schema(database_url), _clock(database, caller)]
    lines += [_store(blobs), *_space(database_url, artifacts_url)]
    lines += [_damage(database, caller), _deletions(database, caller), *_jobs(database, caller)]
    database.write_now(caller, send_probe)
    return lines


def look_at_worker(database: Database, caller: Caller) -> Line:
    """Whether a worker took the probe that `look_at_parts` sent; waits some seconds for one."""
    ends = time.monotonic() + _PROBED_S
    while database.read_now(caller, lambda tx: waits(tx, PROBE, KEY)):
        if time.monotonic() > ends:
            return _no_answer(database, caller)
        time.sleep(0.1)
    return Line("workers", Status.OK, "a worker is alive")


def _no_answer(database: Database, caller: Caller) -> Line:
    if database.read_now(caller, lambda tx: standing(tx, _LATE_MS)).claimed:
        return Line("workers", Status.OK, "all workers are busy")
    return Line(
        "workers", Status.BAD, "no worker takes jobs", "Restart the server; its log says why its worker stopped."
    )


def _database(database: Database, caller: Caller) -> Line:
    began = time.monotonic()
    database.read_now(caller, store.last_entry)
    seconds = time.monotonic() - began
    if seconds > _SLOW_S:
        return Line(
            "database", Status.WARN, f"answers after {seconds:.1f} s", "See what else burdens its disk or server."
        )
    return Line("database", Status.OK, f"answers after {seconds * 1000:.1f} ms")


def _schema(url: str) -> Line:
    report = check(url)
    if report.state is SchemaState.CURRENT:
        return Line("schema", Status.OK, f"is {report.found}")
    return Line(
        "schema",
        Status.BAD,
        f"is {report.found or 'absent'}, this program needs {report.needed}",
        "Run `modelkeep db check`, and what it says.",
    )


def _clock(database: Database, caller: Caller) -> Line:
    ahead = database.read_now(caller, lambda tx: (store.last_entry(tx) or 0) - tx.now)
    if ahead > _CLOCK_MS:
        return Line(
            "clock",
            Status.WARN,
            f"the journal's last entry is {ahead // 1000} s in the future",
            "Set the clocks of all servers (NTP); times that were written meanwhile stay wrong.",
        )
    return Line("clock", Status.OK, "no entry of the journal is in the future")


def _store(blobs: BlobStore) -> Line:
    try:
        blobs.check()
    except DomainError as error:
        return Line("store", Status.BAD, error.message, "See to its disk or bucket; reads and uploads fail until then.")
    return Line("store", Status.OK, "takes, keeps and returns bytes")


def _space(database_url: str, artifacts_url: str) -> Iterator[Line]:
    folders = {"artifacts": artifacts_url.removeprefix("file://")} if artifacts_url.startswith("file://") else {}
    if database_url.startswith("sqlite:///"):
        folders["database"] = str(Path(database_url.removeprefix("sqlite:///")).parent)
    for name, folder in folders.items():
        disk = shutil.disk_usage(folder)
        text = f"{disk.free / 1e9:.1f} GB of {disk.total / 1e9:.1f} GB are free for the {name}"
        if disk.free < _NONE_LEFT:
            yield Line("space", Status.BAD, text, "Make room at once: uploads are refused.")
        elif disk.free < min(_LOW_BYTES, disk.total * _LOW_SHARE):
            yield Line("space", Status.WARN, text, "Make room, or run `modelkeep gc`.")
        else:
            yield Line("space", Status.OK, text)


def look_at_left_overs(database: Database, blobs: BlobStore) -> list[Line]:
    """What uploads that broke off left in the store. In a large bucket that takes its time."""
    return [_staging(database, blobs), _uploads(blobs)]


def _staging(database: Database, blobs: BlobStore) -> Line:
    try:
        left = blobs.left_over(_LEFT_OVER_S, known_uploads(database))
    except DomainError as error:
        return Line("staging", Status.WARN, f"cannot be listed: {error.message}", "See to the store's disk or bucket.")
    if left:
        return Line(
            "staging",
            Status.WARN,
            f"pieces of uploads that broke off days ago: {left}",
            "The worker's hourly chore `sweep_staging` removes them; is it alive?",
        )
    return Line("staging", Status.OK, "nothing is left of uploads that broke off")


def _uploads(blobs: BlobStore) -> Line:
    try:
        old = sum(1 for _, age in blobs.parts.uploads() if age > _ABANDONED_S)
    except DomainError as error:
        return Line("uploads", Status.WARN, f"cannot be listed: {error.message}", "See to the store's disk or bucket.")
    if old:
        return Line(
            "uploads",
            Status.WARN,
            f"uploads in parts that have rested for two weeks: {old}",
            "The worker removes them; is it alive?",
        )
    return Line("uploads", Status.OK, "none in parts was forgotten")


def _damage(database: Database, caller: Caller) -> Line:
    damaged = database.read_now(caller, count_damaged)
    if damaged:
        return Line(
            "damage",
            Status.BAD,
            f"blobs that are known to be damaged and are not served: {damaged}",
            "`modelkeep artifacts verify --all` says what they belong to; upload the same bytes again.",
        )
    return Line("damage", Status.OK, "no damaged blob is known")


def _deletions(database: Database, caller: Caller) -> Line:
    count = database.read_now(caller, store.being_deleted)
    if count:
        return Line(
            "deletions",
            Status.WARN,
            f"blobs that are being deleted: {count}",
            "If they still are in some minutes: `modelkeep gc --apply` goes on where a server stopped.",
        )
    return Line("deletions", Status.OK, "none was broken off")


def _jobs(database: Database, caller: Caller) -> Iterator[Line]:
    jobs = database.read_now(caller, lambda tx: standing(tx, _LATE_MS))
    if jobs.late:
        yield Line(
            "jobs",
            Status.BAD,
            f"jobs that have waited for more than ten minutes: {jobs.late}",
            "Is a worker alive? Restart the server.",
        )
    if jobs.failing:
        text = f"jobs that failed and are tried again: {jobs.failing}, one because: {jobs.error}"
        yield Line("jobs", Status.WARN, text, "The server's log says why they fail.")
    if not jobs.late and not jobs.failing:
        yield Line("jobs", Status.OK, "none is late or failing")
