"""Bytes between a client and the blob store, without holding up the event loop: blocks of 1 MiB, moved by threads.

The loop receives or sends one block while a thread writes, reads or hashes the next. A whole file of one block is
hashed before it is sent. Hashing costs several times as much as reading, so larger files are hashed (while they are
sent) only if this process has neither written nor checked them within the last hour; parts of files never are.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from modelkeep.artifacts.blobs import BLOCK, Blob, BlobReader, BlobStore, Staging
from modelkeep.artifacts.service import StoredFile
from modelkeep.core.errors import Corrupt, InvalidInput, NotFound

T = TypeVar("T")

_THREADS = ThreadPoolExecutor(8, thread_name_prefix="transfer")
_TRUSTED_S = 3600.0
_MOST_REMEMBERED = 10_000
# When the bytes of which blob of a store were last seen to be right.
_seen_right: WeakKeyDictionary[BlobStore, dict[str, float]] = WeakKeyDictionary()


async def receive(store: BlobStore, chunks: AsyncIterator[bytes], declared: int | None = None) -> Blob:
    """Take a body into the store and make it durable; nothing of it is left if it breaks off or the store refuses.

    Raises InvalidInput if it has not the size that was declared, and what the store raises.
    """
    batches = _batches(chunks)
    nothing: list[bytes] = []
    first = await anext(batches, nothing)
    second = await anext(batches, None)
    if second is None:
        _check_size(sum(map(len, first)), declared)
        blob = await _in_thread(lambda: _store_whole(store, b"".join(first)))
    else:
        blob = await _store_stream(store, _chained(first, second, batches), declared)
    _remember(store, blob.sha256)
    return blob


def _store_whole(store: BlobStore, body: bytes) -> Blob:
    """A body of one batch: one visit of a thread instead of three."""
    with store.begin() as staging:
        staging.write(body)
        return staging.commit()


async def _store_stream(store: BlobStore, batches: AsyncIterator[list[bytes]], declared: int | None) -> Blob:
    upload = _Upload(await _in_thread(store.begin))
    try:
        async for batch in batches:
            await upload.write(batch)
        await upload.written()
        _check_size(upload.size, declared)
        return await upload.commit()
    except BaseException:
        await upload.abandon()
        raise


def _check_size(size: int, declared: int | None) -> None:
    if declared is not None and size != declared:
        raise InvalidInput(f"The body has {size} bytes, not the {declared} that were declared.")


class FileBody:
    """Bytes `start` to `end` of an opened blob, to be sent; hashed meanwhile if there is a digest to meet."""

    def __init__(self, reader: BlobReader, start: int, end: int, digest: "_Expected | None") -> None:
        self.size = end - start
        self._reader = reader
        self._start = start
        self._end = end
        self._digest = digest
        self._one_at_a_time = threading.Lock()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes in blocks. Raises Corrupt, before the last block, if they are found damaged."""
        offset = self._start
        ahead = self._read_ahead(offset)
        while offset < self._end:
            block = await ahead
            offset += len(block)
            if offset < self._end:
                ahead = self._read_ahead(offset)
            yield block

    def read_all(self) -> bytes:
        """All the bytes at once, by the calling thread; for small ones."""
        return self._read(self._start, self.size)

    def close(self) -> None:
        """Give the blob back, once nobody reads it any more."""
        _THREADS.submit(self._close)

    def _read_ahead(self, offset: int) -> "asyncio.Future[bytes]":
        future = asyncio.wrap_future(_THREADS.submit(self._read, offset, min(BLOCK, self._end - offset)))
        future.add_done_callback(_looked_at)
        return future

    def _read(self, offset: int, length: int) -> bytes:
        with self._one_at_a_time:
            block = self._reader.read_at(offset, length)
            if self._digest is not None:
                self._digest.add(block, last=offset + length == self._end)
            return block

    def _close(self) -> None:
        with self._one_at_a_time:
            self._reader.close()


async def open_file(store: BlobStore, file: StoredFile, start: int, end: int) -> FileBody | bytes:
    """Bytes `start` to `end` of a file: at once, and checked, where they fit into one block, else to be streamed.

    Raises Corrupt if the store has lost or damaged them.
    """
    return await _in_thread(lambda: _opened(store, file, start, end))


def _opened(store: BlobStore, file: StoredFile, start: int, end: int) -> FileBody | bytes:
    try:
        reader = store.open(file.sha256)
    except NotFound as error:
        raise Corrupt(f"The stored blob {file.sha256} of '{file.name}' is missing") from error
    if reader.size != file.size:
        reader.close()
        raise Corrupt(f"The stored blob {file.sha256} of '{file.name}' has not the size it was stored with")
    whole, small = end - start == file.size, end - start <= BLOCK
    expected = _Expected(store, file.sha256) if whole and (small or not _is_remembered(store, file.sha256)) else None
    body = FileBody(reader, start, end, expected)
    if not small:
        return body
    with closing(reader):
        return body.read_all()


class _Expected:
    """The digest that the bytes of a blob must have, compared once they have all been read."""

    def __init__(self, store: BlobStore, sha256: str) -> None:
        self._store = store
        self._sha256 = sha256
        self._hash = hashlib.sha256()

    def add(self, block: bytes, *, last: bool) -> None:
        """Hash a block. Raises Corrupt at the last one, if the bytes are not what was stored."""
        self._hash.update(block)
        if last and self._hash.hexdigest() != self._sha256:
            _seen_right.get(self._store, {}).pop(self._sha256, None)
            raise Corrupt(f"The stored blob {self._sha256} is damaged; it is not served")
        if last:
            _remember(self._store, self._sha256)


def _remember(store: BlobStore, sha256: str) -> None:
    known = _seen_right.setdefault(store, {})
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[sha256] = time.monotonic()


def _is_remembered(store: BlobStore, sha256: str) -> bool:
    seen = _seen_right.get(store, {}).get(sha256)
    return seen is not None and time.monotonic() - seen < _TRUSTED_S


class _Upload:
    """A staging that threads write to, one after the other, while the next bytes arrive."""

    def __init__(self, staging: Staging) -> None:
        self.size = 0
        self._staging = staging
        self._last: Future[Any] | None = None

    async def write(self, batch: list[bytes]) -> None:
        """Have a batch written, as soon as the one before it is."""
        await self.written()
        self.size += sum(map(len, batch))
        self._last = _THREADS.submit(_write, self._staging, batch)

    async def written(self) -> None:
        """Wait until all batches are written."""
        if self._last is not None:
            await asyncio.wrap_future(self._last)

    async def commit(self) -> Blob:
        """Make the bytes a blob."""
        self._last = done = _THREADS.submit(self._staging.commit)
        return await asyncio.wrap_future(done)

    async def abandon(self) -> None:
        """Forget the bytes, after the thread that may still be writing; that happens even if nobody waits for it."""
        await asyncio.wrap_future(_THREADS.submit(_abort, self._staging, self._last))


def _write(staging: Staging, batch: list[bytes]) -> None:
    staging.write(b"".join(batch))


def _abort(staging: Staging, last: Future[Any] | None) -> None:
    if last is not None:
        wait([last])
    staging.abort()


async def _batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    async for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= BLOCK:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _chained(
    first: list[bytes], second: list[bytes], rest: AsyncIterator[list[bytes]]
) -> AsyncIterator[list[bytes]]:
    yield first
    yield second
    async for batch in rest:
        yield batch


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.wrap_future(_THREADS.submit(work))


def _looked_at(future: "asyncio.Future[bytes]") -> None:
    """A block that nobody waits for any more failed for nobody."""
    if not future.cancelled():
        future.exception()
