"""Bytes from the blob store to a client: read and checked by threads, a block or two ahead of what is being sent.

What leaves has been checked: a small file against its name, others chunk by chunk against the digests of their chunks.
"""

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from enum import Enum
from functools import partial
from typing import Any, Protocol, TypeVar

from modelkeep.artifacts.blobs import BLOCK, BlobReader, BlobStore
from modelkeep.artifacts.digests import CHUNK, Content, Digests, chunk_digest
from modelkeep.artifacts.integrity.damage import Damaged
from modelkeep.artifacts.service import StoredFile, keep_chunks
from modelkeep.artifacts.threads import MOVING, POURING, Lane, Window, in_thread
from modelkeep.core.errors import Corrupt, NotFound
from modelkeep.core.types import Caller
from modelkeep.db import Database

T = TypeVar("T")
OnDamage = Callable[[Damaged], Awaitable[None]]

_WINDOW = Window(8, 3)
# A visit of a thread costs more than to read and check so many bytes that memory holds.
_SMALL = 256 << 10
# How many blocks a thread pours before it turns to the next who waits for one.
_POURED_AT_ONCE = 8
# Whole blobs are hashed apart, which takes minutes for large ones: the threads that serve are not used for it.
_WHOLE = ThreadPoolExecutor(2, thread_name_prefix="whole")
_ONE_ASKS = threading.Lock()
_UNDER_WAY: dict[tuple[BlobStore, str], Future[Content]] = {}


class _Now(Enum):
    """How a file that is poured into a sink stands."""

    POURING = 0
    WAITING = 1
    DONE = 2


class Sink(Protocol):
    """Where threads, one at a time, can pour bytes, which is cheaper than to hand each block to the event loop."""

    def write(self, block: bytes = b"") -> bool:
        """Take a block; False if some of it could not go on yet: then `ready` is waited for before anything else."""

    async def ready(self) -> None:
        """Wait until more can go on."""

    def close(self) -> None:
        """Called once, by a thread, when nothing more comes."""


async def open_file(
    database: Database,
    caller: Caller,
    store: BlobStore,
    file: StoredFile,
    start: int,
    end: int,
    on_damage: OnDamage,
) -> "FileBody | bytes":
    """Bytes `start` to `end` of a file: at once, and checked, where they fit into one block, else to be streamed.

    Raises Damaged if the store has lost or damaged them, now or while they are streamed, after `on_damage`.
    """
    whole = _at_hand(store, file)
    if whole is not None:
        return whole[start:end]
    try:
        if _lacks_chunks(file):
            # What others wait for too goes on if this client goes away.
            hashing = asyncio.wrap_future(_hashing(database, caller, store, file))
            hashing.add_done_callback(_looked_at)
            with _worded(file):
                file = file._replace(chunks=(await asyncio.shield(hashing)).chunks)
        return await in_thread(lambda: _opened(store, file, start, end, on_damage))
    except Damaged as error:
        await on_damage(error)
        raise


class FileBody:
    """Bytes `start` to `end` of a blob, to be sent; none leaves before its chunk was found to be right.

    A reader that the caller has opened already is used; otherwise Damaged may be raised at once.
    """

    def __init__(
        self,
        store: BlobStore,
        file: StoredFile,
        start: int,
        end: int,
        on_damage: OnDamage,
        reader: BlobReader | None = None,
    ) -> None:
        self.size = end - start
        self._store = store
        self._reader = reader or _reader(store, file)
        self._file = file
        self._start = start
        self._end = end
        self._on_damage = on_damage
        self._step = file.chunks.length if file.chunks else BLOCK
        self._lane = Lane(MOVING)
        self._first = b""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes in blocks. Raises Damaged instead of a block that is not what was stored."""
        ahead: deque[asyncio.Future[bytes]] = deque()
        following = self._start // self._step
        if self._first:
            yield self._first
            self._first = b""
            following += 1
        with _WINDOW:
            while ahead or following * self._step < self._end:
                while following * self._step < self._end and len(ahead) < _WINDOW.blocks:
                    ahead.append(self._in_order(partial(self._read, following)))
                    following += 1
                yield await self._arrived(ahead.popleft())

    async def pour(self, sink: Sink) -> None:
        """All the bytes into a sink. Raises Damaged instead of pouring a block that is not what was stored."""
        # What follows is done in order also where this here ends in the middle of it.
        self._lane = Lane(POURING)
        blocks = self._blocks()
        try:
            while (now := await self._arrived(self._in_order(lambda: _pour(blocks, sink)))) is not _Now.DONE:
                if now is _Now.WAITING:
                    await sink.ready()
        finally:
            self._lane.submit(sink.close)

    def read_first(self) -> None:
        """Read the first block now, by the calling thread, so that a file that is damaged there is not begun with."""
        self._first = self._read(self._start // self._step)

    def read_all(self) -> bytes:
        """All the bytes at once, by the calling thread; for few."""
        first, last = self._start // self._step, max(self._start, self._end - 1) // self._step
        return b"".join(self._read(index) for index in range(first, last + 1))

    def close(self) -> None:
        """Give the blob back, once nobody reads it any more."""
        self._lane.submit(self._reader.close)

    def let_go(self) -> None:
        """`close` for the thread that alone has read it."""
        self._reader.close()

    def _blocks(self) -> Iterator[bytes]:
        following = self._start // self._step
        if self._first:
            yield self._first
            self._first = b""
            following += 1
        for index in range(following, -(-self._end // self._step)):
            yield self._read(index)

    async def _arrived(self, awaited: "asyncio.Future[T]") -> T:
        try:
            return await awaited
        except Damaged as error:
            await self._on_damage(error)
            raise

    def _in_order(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        future = asyncio.wrap_future(self._lane.submit(work))
        future.add_done_callback(_looked_at)
        return future

    def _read(self, index: int) -> bytes:
        offset = index * self._step
        block = _block(self._reader, self._file, offset, self._step)
        if not _is_right(self._file, index, block):
            block = self._read_anew(index)
        first, last = max(0, self._start - offset), self._end - offset
        return block if first == 0 and last >= len(block) else block[first:last]

    def _read_anew(self, index: int) -> bytes:
        """A block that came wrong, once more: bits may flip on the way from a store, too. Raises Damaged."""
        with closing(_reader(self._store, self._file)) as reader:
            block = _block(reader, self._file, index * self._step, self._step)
        if not _is_right(self._file, index, block):
            raise _damaged(self._file, "is damaged")
        return block


def _pour(blocks: Iterator[bytes], sink: Sink) -> _Now:
    """Some of the blocks into a sink, as far as it takes them now; by a thread."""
    if not sink.write():
        return _Now.WAITING
    for _ in range(_POURED_AT_ONCE):
        block = next(blocks, None)
        if block is None:
            return _Now.DONE
        if not sink.write(block):
            return _Now.WAITING
    return _Now.POURING


def _block(reader: BlobReader, file: StoredFile, offset: int, length: int) -> bytes:
    try:
        return reader.read_at(offset, length)
    except Corrupt as error:
        raise _damaged(file, "has lost bytes") from error


def _is_right(file: StoredFile, index: int, block: bytes) -> bool:
    if file.chunks is None:
        return hashlib.sha256(block).hexdigest() == file.sha256
    return chunk_digest(block) == file.chunks.of(index)


def _damaged(file: StoredFile, how: str) -> Damaged:
    return Damaged(f"The stored blob {file.sha256} of '{file.name}' {how}; it is not served", file.sha256, file.seen)


def _opened(store: BlobStore, file: StoredFile, start: int, end: int, on_damage: OnDamage) -> FileBody | bytes:
    body = FileBody(store, file, start, end, on_damage)
    try:
        if end - start > BLOCK:
            body.read_first()
            return body
        whole = body.read_all()
    except BaseException:
        body.let_go()
        raise
    body.let_go()
    return whole


def _reader(store: BlobStore, file: StoredFile) -> BlobReader:
    try:
        reader = store.open(file.sha256)
    except NotFound as error:
        raise _damaged(file, "is missing") from error
    except Corrupt as error:
        raise _damaged(file, "is not what was stored") from error
    if reader.size != file.size:
        reader.close()
        raise _damaged(file, "has not the size it was stored with")
    return reader


def with_chunks(database: Database, caller: Caller, store: BlobStore, file: StoredFile) -> StoredFile:
    """A file as it can be read in pieces, by a thread: a large one without digests of its chunks is hashed whole once.

    Raises Damaged.
    """
    if not _lacks_chunks(file):
        return file
    with _worded(file):
        return file._replace(chunks=_hashing(database, caller, store, file).result().chunks)


def _hashing(database: Database, caller: Caller, store: BlobStore, file: StoredFile) -> Future[Content]:
    """The hashing of a whole blob, whose chunks then have digests: one for all who ask while it goes on."""
    key = store, file.sha256
    with _ONE_ASKS:
        if key not in _UNDER_WAY:
            _UNDER_WAY[key] = _WHOLE.submit(_hashed_and_kept, database, caller, store, file)
        return _UNDER_WAY[key]


def _hashed_and_kept(database: Database, caller: Caller, store: BlobStore, file: StoredFile) -> Content:
    try:
        content = _hashed(store, file)
        database.write_now(caller, lambda tx: keep_chunks(tx, content))
        return content
    finally:
        with _ONE_ASKS:
            del _UNDER_WAY[store, file.sha256]


@contextmanager
def _worded(file: StoredFile) -> Iterator[None]:
    """Damage that was found for whoever asked first, in words that name the file of this one."""
    try:
        yield
    except Damaged as error:
        raise _damaged(file, "is damaged or missing") from error


def _at_hand(store: BlobStore, file: StoredFile) -> bytes | None:
    """A small file, checked, if it takes no thread to read it; what is wrong with it comes out where one does."""
    if file.size > _SMALL:
        return None
    whole = store.at_hand(file.sha256, file.size)
    return whole if whole is not None and _is_right(file, 0, whole) else None


def _lacks_chunks(file: StoredFile) -> bool:
    return file.size > CHUNK and file.chunks is None


def _hashed(store: BlobStore, file: StoredFile) -> Content:
    digests = Digests()
    with closing(_reader(store, file)) as reader:
        for offset in range(0, reader.size, BLOCK):
            digests.update(_block(reader, file, offset, BLOCK))
    content = digests.content()
    if content.sha256 != file.sha256:
        raise _damaged(file, "is damaged")
    return content


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """What nobody waits for any more failed for nobody."""
    if not future.cancelled():
        future.exception()
