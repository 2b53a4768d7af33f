"""Reads a stored blob, or a stretch of it, and says whether it still is what it was, else what it is instead."""

import hashlib
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from modelkeep.artifacts.blobs import BlobReader, BlobStore
from modelkeep.artifacts.digests import CHUNK_DIGEST, GUARDED_BY_NAME, Chunks, Content, chunk_digest
from modelkeep.artifacts.integrity.hashing import Blob, hash_on
from modelkeep.core.errors import Corrupt, NotFound, Unavailable

# A stretch of a large blob that one thread reads in a fraction of a second.
STRETCH = 64 << 20
# What is hashed whole in the time of a call, with others beside it.
_QUICKLY_HASHED = 256 << 20
# What is wrong is hashed whole, to say which other bytes it is; of more than this, nobody would wait for it.
_LONGEST_IDENTIFIED = 16 << 30


class Problem(StrEnum):
    """What can be wrong with a stored blob; `swapped` has the bytes of another one."""

    MISSING = "missing"
    TRUNCATED = "truncated"
    LONGER = "longer"
    FLIPPED = "flipped"
    SWAPPED = "swapped"
    UNREADABLE = "unreadable"


class Stretch(NamedTuple):
    """Bytes `start` to `end` of a blob that is said to have `size`; without `chunks` it is all of it.

    `was_damaged`: it is known as damaged, so that nothing less than its name tells that it is right again. `seen` tells
    its bytes from those that may come in their place meanwhile. `hashed`: of the whole blob so much was hashed before.
    """

    sha256: str
    size: int
    start: int
    end: int
    chunks: Chunks | None
    was_damaged: bool
    seen: int | None = None
    hashed: int = 0

    @property
    def takes_long(self) -> bool:
        """Whether it may need more than one call."""
        return self.chunks is None and self.size > _QUICKLY_HASHED

    @property
    def is_last(self) -> bool:
        """Whether the blob ends with it."""
        return self.end == self.size


@dataclass(frozen=True, slots=True)
class Fault:
    """Why bytes are not right. `actual`: the name that they really have, if all of them could be read.

    `is_certain` is false where the store only failed to read them, which may pass.
    """

    problem: Problem
    detail: str
    actual: str | None = None
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class Rehashed:
    """What became of a stretch: a fault, or none. `content` is there if all of the blob was hashed and found right.

    Or nothing is known yet, as there was the time to hash only the first `hashed` bytes of the blob.
    """

    fault: Fault | None = None
    content: Content | None = None
    hashed: int | None = None


def has_sound_chunks(size: int, chunks: Chunks | None) -> bool:
    """Whether there is a digest for each chunk of a blob of this size."""
    return chunks is not None and len(chunks.digests) == CHUNK_DIGEST * -(-size // chunks.length)


def rehash(store: BlobStore, stretch: Stretch) -> Rehashed:
    """Read a stretch and compare. Raises Unavailable while the store as a whole does not answer."""
    try:
        with closing(store.open(stretch.sha256)) as reader:
            return _compared(reader, stretch)
    except NotFound:
        return Rehashed(Fault(Problem.MISSING, "the store does not have it"))
    except Corrupt as error:
        return Rehashed(_unreadable(store, stretch, error.message))
    except Unavailable as error:
        store.check()
        return Rehashed(Fault(Problem.UNREADABLE, error.message, is_certain=False))


def _unreadable(store: BlobStore, stretch: Stretch, why: str) -> Fault:
    """Why there are no bytes to compare: often as there are fewer than the store believed until it was to give them."""
    try:
        found = store.size(stretch.sha256)
    except (Corrupt, NotFound):
        found = stretch.size
    return Fault(Problem.UNREADABLE, why) if found == stretch.size else Fault(*_difference(stretch.size, found))


def _compared(reader: BlobReader, stretch: Stretch) -> Rehashed:
    if reader.size == stretch.size and stretch.chunks is not None and _are_right(reader, stretch, stretch.chunks):
        return Rehashed()
    if reader.size == stretch.size <= GUARDED_BY_NAME:
        return _named(stretch, _of_few(reader))
    if reader.size == stretch.size and stretch.chunks is None:
        return _hashed(reader, stretch)
    return _identified(reader, stretch)


def _identified(reader: BlobReader, stretch: Stretch) -> Rehashed:
    """What wrong bytes are instead. They may have been healed since, or it was the digests of their chunks."""
    if reader.size > _LONGEST_IDENTIFIED:
        return Rehashed(Fault(*_difference(stretch.size, reader.size)))
    return _hashed(reader, stretch)


def _hashed(reader: BlobReader, stretch: Stretch) -> Rehashed:
    blob = Blob(stretch.sha256, stretch.seen, reader.size)
    found = hash_on(reader, blob, begun=stretch.hashed > 0)
    return Rehashed(hashed=found) if isinstance(found, int) else _named(stretch, found)


def _named(stretch: Stretch, content: Content) -> Rehashed:
    if content.sha256 == stretch.sha256:
        return Rehashed(content=content)
    return Rehashed(Fault(*_difference(stretch.size, content.size), actual=content.sha256))


def _difference(size: int, found: int) -> tuple[Problem, str]:
    if found < size:
        return Problem.TRUNCATED, f"it has {found} of {size} bytes"
    if found > size:
        return Problem.LONGER, f"it has {found} bytes, not {size}"
    return Problem.FLIPPED, "its bytes are others than were stored"


def _are_right(reader: BlobReader, stretch: Stretch, chunks: Chunks) -> bool:
    return all(
        chunk_digest(reader.read_at(offset, chunks.length)) == chunks.of(offset // chunks.length)
        for offset in range(stretch.start, stretch.end, chunks.length)
    )


def _of_few(reader: BlobReader) -> Content:
    return Content(hashlib.sha256(reader.read_at(0, reader.size)).hexdigest(), reader.size, None)
