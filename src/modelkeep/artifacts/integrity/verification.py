"""Verification of stored blobs, a stretch of time at a time, by whoever asks next: what is known lies in the place.

Blobs are compared with the digests of their chunks where those are kept, else, or if it is asked for, with their name.
A wrong one is marked as damaged, with what holds it; a marked one that is right again is unmarked.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from modelkeep.artifacts.blobs import BlobStore
from modelkeep.artifacts.deletion.service import Amount
from modelkeep.artifacts.digests import Content
from modelkeep.artifacts.integrity import store
from modelkeep.artifacts.integrity.damage import Holder, holders_here, holders_of, note_damage, note_healed
from modelkeep.artifacts.integrity.rehashing import STRETCH, Fault, Problem, Rehashed, Stretch, has_sound_chunks, rehash
from modelkeep.artifacts.store import chunks_of
from modelkeep.core.types import Caller
from modelkeep.db import Database, Tx

# What one call may read: clients see progress, and another replica may go on.
_SECONDS = 2.0
_BYTES = 1 << 30
_ROWS = 500
# Two blobs at a time in this process, however many ask: reading for clients goes first.
_AT_ONCE = 2
_AHEAD = 8
_THREADS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="verify")


class Scope(NamedTuple):
    """Which blobs: those of the store, or those that the versions of a model name, or one of these."""

    model_id: str | None = None
    version: int | None = None

    @property
    def owners(self) -> tuple[str, str]:
        """The first and the last owner of the trees that these versions are."""
        if self.version is not None:
            return (f"version/{self.model_id}/{self.version}",) * 2
        return f"version/{self.model_id}/", f"version/{self.model_id}0"


class Place(NamedTuple):
    """Where to go on: the first blob with this name or a greater one, and if it is this one, from `offset` on.

    `hashed`: at this offset the blob is being hashed whole, and has been so far.
    """

    sha256: str = ""
    offset: int = 0
    hashed: int = 0


class WrongBlob(NamedTuple):
    """A blob that is not what it was: `found` is the other known blob whose bytes it has.

    It is marked as damaged if that `is_certain`; if the store only failed to read it, it is not.
    """

    sha256: str
    size: int
    problem: Problem
    detail: str
    found: str | None
    holders: list[Holder]
    is_certain: bool


@dataclass(slots=True)
class Verified:
    """What a call came to: how many blobs it finished, how many bytes it looked at, and where to go on, if anywhere."""

    checked: int = 0
    size: int = 0
    wrong: list[WrongBlob] = field(default_factory=list)
    following: Place | None = None


def amount_to_verify(tx: Tx, scope: Scope) -> Amount:
    """How many blobs there are in a scope, and their bytes together."""
    row = store.sums(tx) if scope.model_id is None else store.sums_of_versions(tx, *scope.owners)
    return Amount(int(row.blobs), int(row.size or 0))


def verify_blobs(
    database: Database, caller: Caller, blobs: BlobStore, scope: Scope, place: Place, *, deep: bool = False
) -> Verified:
    """Compare the next blobs, for about two seconds. Raises Unavailable if the store does not answer."""
    round_ = _Round(Verified())
    ends = time.monotonic() + _SECONDS
    begun = 0
    for stretch in _stretches(database, caller, scope, place, deep):
        if stretch.takes_long:  # alone: it may end the round, and what came behind it would be read again
            round_.settle()
        if round_.is_over or begun >= _BYTES or time.monotonic() > ends:
            round_.stop(Place(stretch.sha256, stretch.start, stretch.hashed))
            break
        if round_.is_wanted(stretch):
            round_.add(stretch, _THREADS.submit(rehash, blobs, stretch))
            begun += stretch.end - stretch.start
        if stretch.takes_long:
            round_.settle()
    round_.finish()
    if round_.right or round_.wrong:
        round_.result.wrong = database.write_now(caller, lambda tx: _write_down(tx, scope, round_))
    return round_.result


class _Round:
    """The stretches that are being read, in order, and what was found out about their blobs."""

    def __init__(self, result: Verified) -> None:
        self.result = result
        self.right: list[tuple[Stretch, Content | None]] = []
        self.wrong: dict[str, tuple[Stretch, Fault]] = {}
        self.is_over = False
        self._under_way: deque[tuple[Stretch, Future[Rehashed]]] = deque()

    def is_wanted(self, stretch: Stretch) -> bool:
        """Whether anything is still to be learned about this blob."""
        return stretch.sha256 not in self.wrong

    def add(self, stretch: Stretch, future: "Future[Rehashed]") -> None:
        """Take one more, after waiting for the oldest if there are many."""
        if len(self._under_way) == _AHEAD:
            self._settle(*self._under_way.popleft())
        self._under_way.append((stretch, future))

    def stop(self, place: Place) -> None:
        """Leave the rest to the next call, from this place on, unless it begins earlier already."""
        if not self.is_over:
            self.result.following = place

    def settle(self) -> None:
        """Wait for all that is under way."""
        while self._under_way:
            self._settle(*self._under_way.popleft())

    def finish(self) -> None:
        """Wait for all, and see where the next call begins."""
        self.settle()
        following = self.result.following
        if following is not None and following.sha256 in self.wrong:
            self.result.following = Place(following.sha256 + "0")

    def _settle(self, stretch: Stretch, future: "Future[Rehashed]") -> None:
        found = future.result()
        if self.is_over or not self.is_wanted(stretch):
            return
        if found.hashed is not None:
            self._leave(stretch, found.hashed)
        elif found.fault is not None:
            self.wrong[stretch.sha256] = stretch, found.fault
            self._count(stretch.size - stretch.start - _told(stretch))
        elif stretch.is_last:
            self.right.append((stretch, found.content))
            self._count(stretch.end - stretch.start - _told(stretch))
        else:
            self.result.size += stretch.end - stretch.start

    def _leave(self, stretch: Stretch, hashed: int) -> None:
        """The next call goes on with this stretch; who began anew has not come as far as others before."""
        reached = max(hashed, stretch.hashed)
        self.result.size += reached - stretch.hashed if stretch.chunks is None else 0
        self.result.following, self.is_over = Place(stretch.sha256, stretch.start, reached), True

    def _count(self, size: int) -> None:
        self.result.checked += 1
        self.result.size += size


def _told(stretch: Stretch) -> int:
    """How many bytes of a stretch earlier calls have counted."""
    return stretch.hashed if stretch.chunks is None else 0


def _stretches(database: Database, caller: Caller, scope: Scope, place: Place, deep: bool) -> Iterator[Stretch]:
    first = place.sha256
    while rows := database.read_now(caller, lambda tx, first=first: _page(tx, scope, first)):  # type: ignore[misc]
        for row in rows:
            here = place if row.sha256 == place.sha256 else Place()
            if row.corrupt_at is not None or deep:
                yield _whole(row, here, was_damaged=row.corrupt_at is not None)
            else:
                yield from _of_blob(database, caller, row, here)
        first = rows[-1].sha256 + "0"


def _page(tx: Tx, scope: Scope, first: str) -> list[Any]:
    if scope.model_id is None:
        return store.page(tx, first, _ROWS)
    return store.page_of_versions(tx, *scope.owners, first, _ROWS)


def _whole(row: Any, place: Place, *, was_damaged: bool = False) -> Stretch:
    hashed = min(place.hashed, row.size)
    return Stretch(row.sha256, row.size, 0, row.size, None, was_damaged, row.sound_at, hashed)


def _of_blob(database: Database, caller: Caller, row: Any, place: Place) -> Iterator[Stretch]:
    sha256, size = row.sha256, row.size
    chunks = database.read_now(caller, lambda tx: chunks_of(tx, sha256)) if size else None
    if chunks is None or not has_sound_chunks(size, chunks):
        yield _whole(row, place)
        return
    first = min(place.offset, size - 1) // STRETCH * STRETCH
    for start in range(first, size, STRETCH):
        hashed = place.hashed if start == first else 0
        end = min(start + STRETCH, size)
        yield Stretch(sha256, size, start, end, chunks, was_damaged=False, seen=row.sound_at, hashed=hashed)


def _write_down(tx: Tx, scope: Scope, found: _Round) -> list[WrongBlob]:
    if found.right:
        store.verified(tx, [stretch.sha256 for stretch, _ in found.right])
    for stretch, content in found.right:
        if stretch.was_damaged:
            note_healed(tx, stretch.sha256)
        if content is not None and content.chunks is not None and content.chunks != stretch.chunks:
            store.put_chunks(tx, stretch.sha256, content.chunks)
    wrong = [_wrong(tx, scope, stretch, fault) for stretch, fault in found.wrong.values()]
    return [blob for blob in wrong if blob is not None]


def _wrong(tx: Tx, scope: Scope, stretch: Stretch, fault: Fault) -> WrongBlob | None:
    """The fault in full, marked; None if the blob was deleted meanwhile, as it may be where nothing names it, or has
    come anew: then other bytes were looked at.
    """
    sha256 = stretch.sha256
    holders = holders_of(tx, sha256) if scope.model_id is None else holders_here(tx, sha256)
    if not holders and not store.known(tx, [sha256]):
        return None
    now = store.soundness(tx, sha256)
    if now is not None and stretch.seen not in (None, now.sound_at):
        return None
    if fault.is_certain:
        note_damage(tx, sha256, stretch.seen)
    other = fault.actual if fault.actual and _may_know(tx, scope, fault.actual) else None
    problem = Problem.SWAPPED if other else fault.problem
    detail = f"it has the bytes of blob {other}" if other else fault.detail
    return WrongBlob(sha256, stretch.size, problem, detail, other, holders, fault.is_certain)


def _may_know(tx: Tx, scope: Scope, sha256: str) -> bool:
    """Whether to say that there is such a blob: of another workspace's, a caller in this one is told nothing."""
    if scope.model_id is None:
        return bool(store.known(tx, [sha256]))
    return bool(holders_here(tx, sha256))
