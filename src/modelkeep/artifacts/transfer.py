"""Bytes from a client into the blob store, without holding up the event loop, and the transaction that names them.

The loop receives the next bytes while one thread hashes and another writes. A small body takes one visit of a thread.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from modelkeep.artifacts.blobs import BLOCK, BlobStore, Staging
from modelkeep.artifacts.digests import Content, Digests
from modelkeep.artifacts.service import Naming, check_writable, deletion_epoch, put_file
from modelkeep.artifacts.threads import HASHING, MOVING, Lane, Window, in_thread, settled
from modelkeep.artifacts.usage.service import within_quota
from modelkeep.core.errors import Corrupt, InvalidInput, Unavailable
from modelkeep.core.types import Caller, Piece
from modelkeep.db import Database, Tx

_AGAIN_AFTER_S = 0.05
_AGAIN_FOR_S = 30.0
_WINDOW = Window(16, 4)


async def store_file(
    database: Database,
    caller: Caller,
    blobs: BlobStore,
    segments: Sequence[str],
    chunks: AsyncIterator[Piece],
    declared: int | None,
    *,
    sha256: str | None = None,
) -> Content:
    """Take a body as the file at a path: it is there, whole and durable, or nothing has changed.

    Raises what `put_file` and the store raise, and InvalidInput if it has not the size or SHA-256 that was declared.
    """

    def begin(tx: Tx) -> tuple[int | None, int]:
        return check_writable(tx, segments), deletion_epoch(tx)

    quota, epoch = await database.read_quickly(caller, begin)
    async with within_quota(database, caller, quota, declared) as allowance:
        counted = chunks if allowance is None else allowance.counted(chunks)
        received = await receive(blobs, counted, declared, sha256=sha256, epoch=epoch)
        try:
            await commit_and_name(
                database,
                caller,
                received,
                lambda tx, epoch, healed: put_file(tx, segments, received.content, epoch, healed=healed),
            )
        finally:
            received.forget()
    return received.content


class Committable(Protocol):
    """Bytes that are staged, or joined from parts, and can be given a name."""

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        """As `Staging.commit`."""

    def abort(self) -> None:
        """As `Staging.abort`."""


class Received:
    """Bytes that are staged and hashed. `forget` ends the staging; what was committed stays.

    `epoch` was read before they were committed, if they are.
    """

    def __init__(self, staged: Committable, content: Content, epoch: int | None = None) -> None:
        self.content = content
        self.epoch = epoch
        self._staged = staged

    async def commit(self, *, replace: bool) -> bool:
        """Make the bytes a blob, durably; may be repeated. Whether they replaced what the store held.

        That they do, too, where the store notices by itself that it holds something else under this name.
        """
        if not replace:
            with contextlib.suppress(Corrupt):
                await in_thread(lambda: self._staged.commit(self.content.sha256))
                return False
        await in_thread(lambda: self._staged.commit(self.content.sha256, replace=True))
        return True

    def forget(self) -> None:
        """End the staging; nobody waits for it."""
        if not isinstance(self._staged, _Held):
            MOVING.submit(self._staged.abort)


async def commit_and_name(
    database: Database, caller: Caller, received: Received, name: Callable[[Tx, int, bool], Naming]
) -> None:
    """Make received bytes a blob and run the transaction that names it, until both hold together.

    Deleting a blob and storing the same bytes may happen at once; then the bytes are committed again. Raises
    Unavailable if that does not come to an end.
    """
    healed, epoch = False, received.epoch
    deadline = time.monotonic() + _AGAIN_FOR_S
    while True:
        if epoch is None:
            epoch = await database.read_quickly(caller, deletion_epoch)
            healed = await received.commit(replace=healed)
        naming = await _named(database, caller, lambda tx, epoch=epoch, healed=healed: name(tx, epoch, healed))  # type: ignore[misc]
        if naming is Naming.DONE:
            return
        if time.monotonic() > deadline:
            raise Unavailable("The same bytes are being deleted from the artifact store; try again.")
        healed, epoch = naming is Naming.DAMAGED, None
        if not healed:
            await asyncio.sleep(_AGAIN_AFTER_S)


class _NotNamed(Exception):
    """The transaction is rolled back: what it wrote of the blob would stay, should its bytes never come."""

    def __init__(self, naming: Naming) -> None:
        super().__init__(naming)
        self.naming = naming


async def _named(database: Database, caller: Caller, name: Callable[[Tx], Naming]) -> Naming:
    """Run a transaction that names a blob; it changes nothing unless the answer is DONE."""

    def work(tx: Tx) -> None:
        naming = name(tx)
        if naming is not Naming.DONE:
            raise _NotNamed(naming)

    try:
        await database.write(caller, work)
    except _NotNamed as error:
        return error.naming
    return Naming.DONE


async def receive(
    store: BlobStore,
    chunks: AsyncIterator[Piece],
    declared: int | None = None,
    *,
    sha256: str | None = None,
    epoch: int | None = None,
) -> Received:
    """Take a body into the staging of the store and hash it; nothing is left if it breaks off or the store refuses.

    With an `epoch`, read before this, a small body is committed at once. Raises InvalidInput if the body has not the
    size or SHA-256 that was declared, and what the store raises.
    """
    arriving = batches(chunks)
    nothing: list[Piece] = []
    first = await anext(arriving, nothing)
    second = await anext(arriving, None)
    if second is None:
        _check_size(sum(map(len, first)), declared)
        return await in_thread(lambda: _received_whole(store, b"".join(first), sha256, epoch))
    received = await _received_stream(store, _chained(first, second, arriving), declared)
    try:
        _check_sha256(received.content, sha256)
    except InvalidInput:
        received.forget()
        raise
    return received


class _Held:
    """A small body, which is staged and forgotten within each commit."""

    def __init__(self, store: BlobStore, body: bytes) -> None:
        self._store = store
        self._body = body

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        with self._store.begin() as staging:
            staging.write(self._body)
            staging.commit(sha256, replace=replace)

    def abort(self) -> None:
        """Nothing is staged."""


def _received_whole(store: BlobStore, body: bytes, sha256: str | None, epoch: int | None) -> Received:
    """A body of one batch: one visit of a thread instead of many."""
    digests = Digests()
    digests.update(body)
    content, held = digests.content(), _Held(store, body)
    _check_sha256(content, sha256)
    if epoch is not None:
        with contextlib.suppress(Corrupt):  # the store holds something else under this name, which is to be replaced
            held.commit(content.sha256)
            return Received(held, content, epoch)
    return Received(held, content)


async def _received_stream(store: BlobStore, batches: AsyncIterator[list[Piece]], declared: int | None) -> Received:
    upload = _Upload(await in_thread(store.begin))
    try:
        with _WINDOW:
            async for batch in batches:
                await upload.write(batch)
            await upload.written()
        _check_size(upload.digests.size, declared)
    except BaseException:
        await upload.abandon()
        raise
    return Received(upload.staging, upload.digests.content())


def _check_size(size: int, declared: int | None) -> None:
    if declared is not None and size != declared:
        raise InvalidInput(f"The body has {size} bytes, not the {declared} that were declared.")


def _check_sha256(content: Content, declared: str | None) -> None:
    if declared is not None and content.sha256 != declared:
        raise InvalidInput(
            f"The body has the SHA-256 {content.sha256}, not the {declared} that was declared; send it again.",
            "content-digest",
        )


class _Upload:
    """A staging that one thread writes to while another one hashes, each batch after the other."""

    def __init__(self, staging: Staging) -> None:
        self.staging = staging
        self.digests = Digests()
        self._naming = Lane(HASHING)
        self._writing = Lane(MOVING)
        self._under_way: deque[tuple[Future[None], Future[None]]] = deque()

    async def write(self, batch: list[Piece]) -> None:
        """Have a batch written and hashed, once those that are under way are few."""
        while len(self._under_way) >= _WINDOW.blocks:
            await self._oldest()
        self._under_way.append(
            (self._naming.submit(lambda: self._name(batch)), self._writing.submit(lambda: self._write(batch)))
        )

    async def written(self) -> None:
        """Wait until all batches are written and hashed."""
        while self._under_way:
            await self._oldest()

    async def abandon(self) -> None:
        """Forget the bytes, after the thread that may still be writing; that happens even if nobody waits for it."""
        await asyncio.wrap_future(self._writing.submit(self.staging.abort))

    async def _oldest(self) -> None:
        for work in self._under_way.popleft():
            await settled(work)

    def _name(self, batch: Sequence[Piece]) -> None:
        for piece in batch:
            self.digests.hash_whole(piece)

    def _write(self, batch: Sequence[Piece]) -> None:
        for piece in batch:
            self.staging.write(piece)
            self.digests.hash_chunks(piece)


async def batches(chunks: AsyncIterator[Piece]) -> AsyncIterator[list[Piece]]:
    """A body's pieces, as many at a time as are worth a visit of a thread."""
    batch: list[Piece] = []
    size, enough = 0, BLOCK
    async for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= enough:
            yield batch
            batch, size, enough = [], 0, _WINDOW.gathered
    if batch:
        yield batch


async def _chained(
    first: list[Piece], second: list[Piece], rest: AsyncIterator[list[Piece]]
) -> AsyncIterator[list[Piece]]:
    yield first
    yield second
    async for batch in rest:
        yield batch
