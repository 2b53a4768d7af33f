"""One part of an upload on its way from a client into the store.

The event loop receives the next bytes while a thread writes those before: no thread waits for a client.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from modelkeep.artifacts.blobs import BlobStore, Part, PartStaging
from modelkeep.artifacts.threads import Lane, settled
from modelkeep.artifacts.transfer import batches
from modelkeep.artifacts.uploads.ahead import BEGINNINGS
from modelkeep.artifacts.uploads.service import LARGEST_PART, Upload, note_part, open_upload
from modelkeep.artifacts.usage.service import get_quota, within_quota
from modelkeep.core.errors import InvalidInput
from modelkeep.core.types import Caller, Piece
from modelkeep.db import Database, Tx

# Apart from those that move whole files: a part that an object store takes its time for holds up parts only.
_PARTS = ThreadPoolExecutor(32, thread_name_prefix="part")


@dataclass(frozen=True, slots=True)
class PartBody:
    """A part as it arrives, and what its sender says of it: its length, and its SHA-256."""

    chunks: AsyncIterator[Piece]
    declared: int | None = None
    sha256: bytes | None = None


async def receive_part(
    database: Database, caller: Caller, blobs: BlobStore, upload_id: str, number: int, body: PartBody
) -> Part:
    """Take a part of an upload, durably; the same number again replaces it.

    Raises NotFound, Conflict, InvalidInput where the bytes are not what was said of them, TooLarge for the quota, and
    what the store raises; then nothing has changed.
    """
    upload, quota = await database.read_quickly(caller, lambda tx: _asked(tx, upload_id, number))
    _check_length(body.declared, upload.plan.length_of(number), f"Part {number}")
    async with within_quota(database, caller, quota, body.declared) as allowance:
        chunks = body.chunks if allowance is None else allowance.counted(body.chunks)
        part = await _written(blobs, upload, number, body, chunks)
        await database.write(caller, lambda tx: note_part(tx, upload_id, part))
        BEGINNINGS.add(blobs, upload, part)
    return part


def _asked(tx: Tx, upload_id: str, number: int) -> tuple[Upload, int | None]:
    """The upload, and the quota that its parts are held to: where the size was said, it has had room since then."""
    upload = open_upload(tx, upload_id, number)
    return upload, get_quota(tx, tx.workspace) if upload.plan.size is None else None


async def _written(blobs: BlobStore, upload: Upload, number: int, body: PartBody, chunks: AsyncIterator[Piece]) -> Part:
    expected = upload.plan.length_of(number)
    writing = _Writing(lambda: blobs.parts.stage(upload.id, upload.handle, number), body.sha256)
    try:
        size = 0
        async for batch in batches(chunks):
            size += sum(map(len, batch))
            if size > (LARGEST_PART if expected is None else expected):
                raise InvalidInput("The part is longer than it may be.", "Content-Length")
            await writing.take(batch)
        _check_length(size, body.declared if expected is None else expected, "The body")
        return await writing.committed()
    except BaseException:
        await writing.abandon()
        raise


def _check_length(found: int | None, expected: int | None, what: str) -> None:
    if found is not None and expected is not None and found != expected:
        raise InvalidInput(f"{what} has {found} bytes, not the {expected} that it must have.", "Content-Length")


class _Writing:
    """A part that is written by threads, batch after batch, held against its SHA-256 if there is one."""

    def __init__(self, stage: Callable[[], PartStaging], sha256: bytes | None) -> None:
        self._stage = stage
        self._staging: PartStaging | None = None
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self._lane = Lane(_PARTS)
        self._last: Future[None] = self._lane.submit(self._open)

    async def take(self, batch: Sequence[Piece]) -> None:
        """Have a batch written, once the one before it is."""
        await settled(self._last)
        self._last = self._lane.submit(partial(self._write, batch))

    async def committed(self) -> Part:
        """The part, durably. Raises InvalidInput if it has another SHA-256."""
        await settled(self._last)
        return await asyncio.wrap_future(self._lane.submit(self._commit))

    async def abandon(self) -> None:
        """Forget the bytes, after the thread that may still be writing; that happens even if nobody waits for it."""
        await asyncio.shield(asyncio.wrap_future(self._lane.submit(self._abort)))

    def _open(self) -> None:
        self._staging = self._stage()

    def _write(self, batch: Sequence[Piece]) -> None:
        assert self._staging is not None
        for piece in batch:
            self._staging.write(piece)
            if self._sha256 is not None:
                self._digest.update(piece)

    def _commit(self) -> Part:
        assert self._staging is not None
        if self._sha256 is not None and self._digest.digest() != self._sha256:
            raise InvalidInput("The body is not what its digest says; send the part again.", "Repr-Digest")
        return self._staging.commit()

    def _abort(self) -> None:
        if self._staging is not None:
            self._staging.abort()
