"""How much a workspace holds: as its clients see it, as it lies in the store, and against its quota.

A quota counts what the workspace keeps in the store: every blob that its runs, logged models and versions name, once.
So neither registering nor copying a version counts, nor does uploading what is there already. While bytes arrive it is
not known which those are: an upload needs room for all it sends, and one in parts holds it until it is a file or gone.
"""

import threading
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from modelkeep.access import lock_workspace
from modelkeep.artifacts.deletion.service import Amount
from modelkeep.artifacts.events import QuotaLifted, QuotaSet
from modelkeep.artifacts.usage import store
from modelkeep.core.errors import TooLarge
from modelkeep.core.types import Caller, Piece
from modelkeep.db import Database, Tx

# Counting what is kept takes time where there is much; it is counted again after this many times as long.
_COUNTED_SHARE = 20
_COUNTED_AT_LEAST_S = 2.0


class Usage(NamedTuple):
    """What a workspace holds. Files are those of runs and logged models, and of versions whose bytes are kept."""

    files: Amount
    versions: int
    version_files: Amount
    stored: Amount


def workspace_usage(tx: Tx) -> Usage:
    """What the caller's workspace holds."""
    versions = store.versions(tx)
    return Usage(
        _amount(store.files(tx)),
        int(versions.versions),
        Amount(int(versions.files), int(versions.size)),
        stored_amount(tx),
    )


def stored_amount(tx: Tx) -> Amount:
    """The blobs that the workspace's trees and versions name, each once."""
    row = store.stored(tx)
    return Amount(int(row.blobs), int(row.size))


def blob_amounts(tx: Tx) -> tuple[Amount, Amount]:
    """All blobs of all workspaces, and those of them that are in the trash."""
    everything, trash = store.everything(tx), store.trash(tx)
    return Amount(int(everything.blobs), int(everything.size)), Amount(int(trash.blobs), int(trash.size))


def sole_sizes(tx: Tx, digests: list[str]) -> dict[str, int]:
    """For each of these manifests, the bytes that come free when the one version that serves it is released.

    What other versions, runs or logged models name too is not among them.
    """
    shared = store.shares(tx, digests)
    return {digest: size for digest, size in store.sole_sizes(tx, digests).items() if shared.get(digest, 0) <= 1}


def get_quota(tx: Tx, workspace: str) -> int | None:
    """How many bytes a workspace may keep in the store; None without a limit."""
    return store.quota(tx, workspace)


def set_quota(tx: Tx, workspace: str, size: int) -> None:
    """Limit what a workspace may keep in the store; what it holds already stays. Raises NotFound."""
    lock_workspace(tx, workspace)
    before = store.quota(tx, workspace)
    if before != size:
        store.set_quota(tx, workspace, size)
        tx.emit(QuotaSet(workspace, size, before))


def lift_quota(tx: Tx, workspace: str) -> None:
    """Lift a workspace's limit; without one nothing happens. Raises NotFound."""
    lock_workspace(tx, workspace)
    before = store.delete_quota(tx, workspace)
    if before is not None:
        tx.emit(QuotaLifted(workspace, before))


@dataclass(slots=True)
class _Count:
    """What a workspace kept when it was counted, and what was sent to it since (or is being sent now)."""

    size: int = 0
    added: int = 0
    under_way: int = 0
    until: float = 0.0


class _Counts:
    """The counts of a process, by workspace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}

    def of(self, workspace: str) -> _Count:
        """A workspace's count."""
        with self._lock:
            return self._counts.setdefault(workspace, _Count())

    def reserve(self, count: _Count, size: int, quota: int) -> bool:
        """Take room for bytes that are about to come; False if there is not as much."""
        with self._lock:
            if count.size + count.added + size > quota:
                return False
            count.added += size
            count.under_way += size
            return True

    def settle(self, count: _Count, size: int, *, kept: bool) -> None:
        """The bytes came, or did not."""
        with self._lock:
            count.under_way -= size
            if not kept:
                count.added -= min(size, count.added)

    def recount(self, count: _Count, size: int, before: _Count, took_s: float) -> None:
        """What is kept was counted anew; `before` is a copy of the count from when that began."""
        with self._lock:
            # What was under way then may be in neither or in both: it counts until the next time.
            count.size, count.added = size, before.under_way + max(0, count.added - before.added)
            count.until = time.monotonic() + max(_COUNTED_AT_LEAST_S, took_s * _COUNTED_SHARE)


_COUNTS: "weakref.WeakKeyDictionary[Database, _Counts]" = weakref.WeakKeyDictionary()


class Allowance:
    """The room that one upload has; it takes more as it goes."""

    def __init__(self, counts: _Counts, count: _Count, quota: int) -> None:
        self._counts = counts
        self._count = count
        self._quota = quota
        self.taken = 0

    def take(self, size: int, held: int = 0) -> None:
        """Take room for so many further bytes, `held` of which count already. Raises TooLarge."""
        if not self._counts.reserve(self._count, size - held, self._quota):
            raise TooLarge(
                f"The workspace's quota of {self._quota} bytes has no room for {self.taken + size} more bytes: "
                f"{self._count.size + self._count.added - self.taken - held} are in use. Delete files or versions and "
                "have them reclaimed (modelkeep gc), give up unfinished uploads, or ask for a greater quota."
            )
        self.taken += size - held

    async def counted(self, chunks: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        """The chunks, each after there was room for it. Raises TooLarge."""
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self.taken:
                self.take(size - self.taken)
            yield chunk


@asynccontextmanager
async def within_quota(
    database: Database, caller: Caller, quota: int | None, declared: int | None, held: int = 0
) -> AsyncIterator[Allowance | None]:
    """Hold an upload to the workspace's quota, from its start to when it is named; None where there is none.

    Of what is declared, `held` bytes count already: those of an unfinished upload in parts.

    Raises TooLarge, before any byte is taken if the declared ones are too many.
    """
    if quota is None:
        yield None
        return
    counts = _COUNTS.setdefault(database, _Counts())
    count = counts.of(caller.workspace)
    if count.until < time.monotonic():
        await _recount(database, caller, counts, count)
    allowance = Allowance(counts, count, quota)
    allowance.take(declared or 0, held)
    kept = False
    try:
        yield allowance
        kept = True
    finally:
        counts.settle(count, allowance.taken, kept=kept)


async def _recount(database: Database, caller: Caller, counts: _Counts, count: _Count) -> None:
    began, before = time.monotonic(), replace(count)
    size = await database.read(caller, lambda tx: stored_amount(tx).size + store.unfinished(tx))
    counts.recount(count, size, before, time.monotonic() - began)


def _amount(row: object) -> Amount:
    return Amount(int(row.files), int(row.size))  # type: ignore[attr-defined]
