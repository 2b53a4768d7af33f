"""Whether database and store agree, a page at a time: bytes without rows, rows without bytes, versions without files.

What is looked at changes meanwhile: whatever seems to be missing is looked for again before it is said.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, IntEnum
from itertools import islice
from typing import Any, NamedTuple

from modelkeep.artifacts import BlobStore, manifest_digest, manifest_files
from modelkeep.checkup import store
from modelkeep.checkup.lines import Status
from modelkeep.core.errors import Corrupt, InvalidInput, NotFound
from modelkeep.core.types import Caller
from modelkeep.db import Database, Tx

_SECONDS = 2.0
_BATCH = 500
_VERSIONS = 100
_BEHIND_ALL = "g"
_NO_FILE = -1
_UPLOAD_AGAIN = (
    "`modelkeep artifacts verify --all` says what they belong to; upload the same bytes again, or restore them."
)
_RESTORE = "The database was changed by something else, or restored badly: restore a backup of it."
_SIZING = ThreadPoolExecutor(8, thread_name_prefix="checkup")


class Kind(Enum):
    """How the two can disagree: how bad that is, what it is, and what to do."""

    BYTES_MISSING = (Status.BAD, "blobs with a row and no bytes", _UPLOAD_AGAIN)
    BYTES_OTHER = (Status.BAD, "blobs of another size than was stored", _UPLOAD_AGAIN)
    BYTES_UNKNOWN = (Status.WARN, "blobs with bytes and no row", "`modelkeep gc --apply` puts them into the trash.")
    ROW_MISSING = (Status.BAD, "files that are blobs without a row", _RESTORE)
    ROW_OTHER = (Status.BAD, "files of another size than their blobs", _RESTORE)
    FILES_MISSING = (Status.BAD, "versions that do not serve the files that they were made of", _RESTORE)
    MANIFEST_ALTERED = (Status.BAD, "versions whose list of files is not what its digest says", _RESTORE)
    VERSION_MISSING = (Status.WARN, "lists of files that are served for versions that do not exist", _RESTORE)


class Disagreement(NamedTuple):
    """Something that is in one place and not, or otherwise, in the other."""

    kind: Kind
    what: str


class Stage(IntEnum):
    """What is compared, in this order."""

    BYTES = 1
    VERSIONS = 2
    TREES = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """What a call found, how many things it looked at, and behind which it stopped: None if there is no more."""

    found: list[Disagreement]
    checked: int
    following: tuple[str, int] | None


def compare(database: Database, caller: Caller, blobs: BlobStore, stage: Stage, after: tuple[str, int]) -> Compared:
    """Compare what comes behind a place, for about two seconds. Raises Unavailable if the store does not answer."""
    total = Compared([], 0, after)
    ends = time.monotonic() + _SECONDS
    while total.following is not None and time.monotonic() < ends:
        page = _page(database, caller, blobs, stage, total.following)
        total = Compared(total.found + page.found, total.checked + page.checked, page.following)
    return total


def _page(database: Database, caller: Caller, blobs: BlobStore, stage: Stage, after: tuple[str, int]) -> Compared:
    if stage is Stage.BYTES:
        return _compared_bytes(database, caller, blobs, after[0])
    compared = _compared_versions if stage is Stage.VERSIONS else _compared_trees
    return database.read_now(caller, lambda tx: compared(tx, after))


def _compared_bytes(database: Database, caller: Caller, blobs: BlobStore, after: str) -> Compared:
    names = list(islice(blobs.digests(after), _BATCH))
    rows = database.read_now(caller, lambda tx: store.rows(tx, after, _BATCH))
    ends = [found[-1] for found in (names, [row.sha256 for row in rows]) if len(found) == _BATCH]
    last = min(ends, default=_BEHIND_ALL)
    rows = [row for row in rows if row.sha256 <= last]
    known = {row.sha256 for row in rows}
    orphans = [name for name in names if name <= last and name not in known]
    wrong = list(_wrong_sizes(blobs, rows))
    still, named = database.read_now(
        caller,
        lambda tx: (
            store.kept(tx, [sha256 for sha256, _ in wrong]),
            store.wrongly_named(tx, after, last, _BATCH),
        ),
    )
    found = [Disagreement(Kind.BYTES_UNKNOWN, f"blob {name}") for name in orphans]
    found += [disagreement for sha256, disagreement in wrong if sha256 in still]
    found += [_named(row) for row in named]
    return Compared(found, len(rows) + len(orphans), (last, 0) if ends else None)


def _wrong_sizes(blobs: BlobStore, rows: Sequence[Any]) -> Iterator[tuple[str, Disagreement]]:
    wanted = [row for row in rows if row.deleting == 0]
    for row, size in zip(wanted, _SIZING.map(lambda row: _size(blobs, row.sha256), wanted), strict=True):
        if size is None:
            yield row.sha256, Disagreement(Kind.BYTES_MISSING, f"blob {row.sha256} ({row.size} bytes)")
        elif size != row.size:
            has = "is no plain file" if size == _NO_FILE else f"has {size} bytes, not {row.size}"
            yield row.sha256, Disagreement(Kind.BYTES_OTHER, f"blob {row.sha256} ({has})")


def _size(blobs: BlobStore, sha256: str) -> int | None:
    try:
        return blobs.size(sha256)
    except NotFound:
        return None
    except Corrupt:
        return _NO_FILE


def _named(row: Any) -> Disagreement:
    what = f"'{row.path}' of {row.owner} in workspace {row.workspace}"
    if row.stored is None:
        return Disagreement(Kind.ROW_MISSING, f"{what}: blob {row.sha256}")
    return Disagreement(Kind.ROW_OTHER, f"{what}: {row.size} bytes, blob {row.sha256} has {row.stored}")


def _compared_versions(tx: Tx, after: tuple[str, int]) -> Compared:
    rows = store.stored_versions(tx, *after, _VERSIONS)
    whole = {digest: _is_whole(tx, digest) for digest in sorted({row.digest for row in rows})}
    found = []
    for row in rows:
        what = f"{row.name} version {row.version} in workspace {row.workspace}"
        if row.served != row.digest or row.released_at is not None:
            found.append(Disagreement(Kind.FILES_MISSING, what))
        elif not whole[row.digest]:
            found.append(Disagreement(Kind.MANIFEST_ALTERED, f"{what}: {row.digest}"))
    return Compared(found, len(rows), (rows[-1].model_id, rows[-1].version) if len(rows) == _VERSIONS else None)


def _is_whole(tx: Tx, digest: str) -> bool:
    """Whether a manifest's lines still are those that it is named by."""
    try:
        return manifest_digest(manifest_files(tx, digest)) == digest
    except InvalidInput:
        return False


def _compared_trees(tx: Tx, after: tuple[str, int]) -> Compared:
    rows = store.version_trees(tx, after[1], _BATCH)
    known = store.owners_of_models(tx, sorted({row.owner.split("/")[1] for row in rows}))
    left = [row for row in rows if row.owner not in known]
    found = [Disagreement(Kind.VERSION_MISSING, f"{row.owner} in workspace {row.workspace}") for row in left]
    return Compared(found, len(rows), ("", rows[-1].id) if len(rows) == _BATCH else None)
