"""Reclaiming bytes: what nothing names goes to the trash, and what has been there long enough is deleted.

Deleting may race uploads, registrations and other servers without losing a byte that something names: a blob is marked
in a transaction that checks that nothing names it, then removed from the store, then its row. Whoever names a blob
clears its trash mark, and waits or is refused while it is marked. A run that was broken off is finished by the next.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from modelkeep.artifacts.blobs import BlobStore
from modelkeep.artifacts.deletion import store
from modelkeep.artifacts.events import BlobsDeleted, BlobsTrashed
from modelkeep.artifacts.store import delete_under
from modelkeep.artifacts.stores.backoff import Backoff
from modelkeep.core.errors import Conflict, NotFound, Unavailable
from modelkeep.core.types import Caller
from modelkeep.db import Database, Tx

# Blobs a transaction: few enough that uploads never wait long for it.
_BATCH = 500
# Blobs that are removed from the store at once, between two looks at whether we are still the only ones who do.
_AT_ONCE = 16
_RECLAIMING = "reclaiming"
# With a store that does not answer.
_PATIENCE = Backoff(give_up_after_s=15)


class Unnamed(NamedTuple):
    """Bytes that nothing names; `trashed_at` tells since when, if they are in the trash already."""

    sha256: str
    size: int
    trashed_at: int | None


@dataclass(frozen=True, slots=True)
class Amount:
    """How many blobs or files, and their bytes together."""

    count: int = 0
    size: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.count + other.count, self.size + other.size)

    def plus(self, sizes: Sequence[int]) -> "Amount":
        """This much and these."""
        return Amount(self.count + len(sizes), self.size + sum(sizes))


class Progress(NamedTuple):
    """What a walk over all blobs did, and behind which of them the next call goes on: None if it is through."""

    amount: Amount
    following: str | None


class Orphans(NamedTuple):
    """Bytes that the database does not know, and behind which blob to look for more: None if there are none."""

    found: list[Unnamed]
    following: str | None


Going = Callable[[], bool]


def _always() -> bool:
    return True


def unnamed_blobs(tx: Tx, after: str, most: int) -> list[Unnamed]:
    """Blobs that nothing names, by digest, at most so many after that one."""
    return [Unnamed(row.sha256, row.size, row.trashed_at) for row in store.unnamed(tx, after, most)]


def orphans(
    database: Database, caller: Caller, blobs: BlobStore, after: str, most: int, going: Going = _always
) -> Orphans:
    """Bytes in the store that the database does not know, by digest: at most so many, as long as `going` says so."""
    found: list[Unnamed] = []
    names = blobs.digests(after)
    while batch := list(islice(names, _BATCH)):
        for name, size in _unknown(database, caller, blobs, batch):
            found.append(Unnamed(name, size, None))
            if len(found) == most or not going():
                return Orphans(found, name)
        if not going():
            return Orphans(found, batch[-1])
    return Orphans(found, None)


def trash_unnamed(database: Database, caller: Caller, after: str = "", going: Going = _always) -> Progress:
    """Put every blob behind this one that nothing names into the trash, as long as `going` says so."""
    total = Amount()
    while True:
        # As long as it may take to find them, nobody waits for that: it is a read.
        found = database.read_now(caller, lambda tx, after=after: store.untrashed(tx, after, _BATCH))  # type: ignore[misc]
        if not found:
            return Progress(total, None)
        digests = [row.sha256 for row in found]
        total = total.plus(database.write_now(caller, lambda tx, digests=digests: trash(tx, digests)))  # type: ignore[misc]
        after = digests[-1]
        if not going():
            return Progress(total, after)


def trash(tx: Tx, digests: Sequence[str]) -> list[int]:
    """Put those of these blobs into the trash that nothing names; their sizes."""
    sizes = store.trash(tx, digests)
    if sizes:
        tx.emit(BlobsTrashed(len(sizes), sum(sizes)))
    return sizes


def adopt_orphans(
    database: Database, caller: Caller, blobs: BlobStore, after: str = "", going: Going = _always
) -> Progress:
    """Put bytes behind this blob that the database does not know into the trash, as long as `going` says so.

    Their next upload takes them out of it.
    """
    total, names = Amount(), blobs.digests(after)
    while batch := list(islice(names, _BATCH)):
        unknown = list(_unknown(database, caller, blobs, batch))
        if unknown:
            total = total.plus(database.write_now(caller, lambda tx, unknown=unknown: _adopt(tx, unknown)))  # type: ignore[misc]
        if not going():
            return Progress(total, batch[-1])
    return Progress(total, None)


def _adopt(tx: Tx, unknown: Sequence[tuple[str, int]]) -> list[int]:
    sizes = [size for sha256, size in unknown if store.adopt(tx, sha256, size)]
    if sizes:
        tx.emit(BlobsTrashed(len(sizes), sum(sizes)))
    return sizes


def _unknown(database: Database, caller: Caller, blobs: BlobStore, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    known = database.read_now(caller, lambda tx: store.known(tx, names))
    for name in names:
        if name not in known and (size := _size(blobs, name)) is not None:
            yield name, size


def _size(blobs: BlobStore, sha256: str) -> int | None:
    try:
        return blobs.size(sha256)
    except NotFound:
        return None


def is_interrupted(tx: Tx) -> bool:
    """Whether a deletion was begun and is not finished."""
    return store.is_any_deleting(tx)


def empty_trash(
    database: Database, caller: Caller, blobs: BlobStore, older_than_ms: int | None, going: Going = _always
) -> Amount:
    """Delete what has been in the trash for so long, after what an earlier run left half-deleted (only that: None).

    Raises Conflict while somebody else does, Unavailable if the store does not answer; then the next run goes on.
    """
    total = Amount()
    with database.alone(_RECLAIMING) as check_alone, ThreadPoolExecutor(_AT_ONCE) as threads:
        if check_alone is None:
            raise Conflict("The trash is being emptied already; try again in a while.")
        for batch in _batches(database, caller, older_than_ms, going):
            digests = [row.sha256 for row in batch]
            for start in range(0, len(digests), _AT_ONCE):
                _remove(database, caller, blobs, digests[start : start + _AT_ONCE], check_alone, threads)
            sizes = [row.size for row in batch]
            database.write_now(caller, lambda tx, digests=digests, sizes=sizes: _forget(tx, digests, sizes))  # type: ignore[misc]
            total = total.plus(sizes)
    return total


def _remove(
    database: Database,
    caller: Caller,
    blobs: BlobStore,
    digests: Sequence[str],
    check_alone: Callable[[], None],
    threads: ThreadPoolExecutor,
) -> None:
    """Remove marked blobs from the store, each as long as we are the only ones who do.

    That we were about to is written down first: whoever comes after us waits until even a removal that was on its way
    when we were lost must have come to its end.
    """

    def remove(sha256: str) -> None:
        check_alone()
        blobs.delete(sha256)

    if not database.write_now(caller, lambda tx: store.beat(tx, digests)):
        raise Unavailable("Somebody else empties the trash; try again.")
    list(threads.map(lambda sha256: _PATIENCE.call(lambda: remove(sha256)), digests))


def _batches(database: Database, caller: Caller, older_than_ms: int | None, going: Going) -> Iterator[list[Any]]:
    """Blobs that are marked as being deleted: first those of a broken-off run, then those in the trash for so long."""
    lingers = database.lingers_ms
    while left := database.read_now(caller, lambda tx: store.left_deleting(tx, tx.now - lingers, _BATCH)):
        yield left
        if not going():
            return
    while older_than_ms is not None:
        digests = database.read_now(caller, lambda tx: store.due(tx, tx.now - older_than_ms, _BATCH))
        if not digests:
            return
        yield database.write_now(
            caller,
            lambda tx, digests=digests: store.mark(tx, digests, tx.now - older_than_ms),  # type: ignore[misc]
        )
        if not going():
            return


def _forget(tx: Tx, digests: Sequence[str], sizes: Sequence[int]) -> None:
    store.forget(tx, digests)
    if digests:
        tx.emit(BlobsDeleted(len(sizes), sum(sizes)))


def keep_manifest_files(tx: Tx, digest: str) -> None:
    """Keep the bytes of a manifest that a version is about to serve. Raises Conflict if some of them are gone."""
    if store.keep_listed(tx, digest):
        raise Conflict(
            "Files of this source were removed from the artifact store meanwhile; upload them again, then register.",
            "source",
        )


def release_version(tx: Tx, model_id: str, number: int) -> Amount:
    """Stop keeping the bytes of a published version; what nothing else names goes to the trash at once (so much)."""
    digest = store.release(tx, f"version/{model_id}/{number}")
    if digest is None:
        return Amount()
    return Amount().plus(trash(tx, store.listed(tx, digest)))


def hold_tree(tx: Tx, owner: str) -> bool:
    """Let nothing come into a tree or go from it until this transaction ends; False if there is no such tree."""
    return store.lock_tree(tx, owner) is not None


def clear_tree(tx: Tx, owner: str) -> Amount:
    """Remove all files of a run's or logged model's tree; how much that was."""
    tree_id = store.lock_tree(tx, owner)
    if tree_id is None:
        return Amount()
    sums = store.tree_sums(tx, tree_id)
    delete_under(tx, tree_id, "")
    return Amount(int(sums.files), int(sums.size))
