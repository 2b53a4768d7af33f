"""Hashes of bytes as they pass: SHA-256 of the whole, which names them, and BLAKE3 of each chunk, which guards reads.

A wrong byte must be noticed before it leaves. One digest of a large file tells only at its end, so files also have a
digest a chunk; BLAKE3 for those, as it is ten times as fast where the processor has no SHA extensions.
"""

import hashlib
from dataclasses import dataclass

from blake3 import blake3

CHUNK = 1 << 20
CHUNK_DIGEST = 32
# Blobs up to this length are checked by their name: digests of their own would cost more than they save.
GUARDED_BY_NAME = 16 << 10


@dataclass(frozen=True, slots=True)
class Chunks:
    """The BLAKE3-256 of each `length` bytes of a blob, one behind the other; the last chunk may be shorter."""

    length: int
    digests: bytes

    def of(self, index: int) -> bytes:
        """The digest of a chunk, counted from 0."""
        return self.digests[index * CHUNK_DIGEST : (index + 1) * CHUNK_DIGEST]


@dataclass(frozen=True, slots=True)
class Content:
    """What some bytes are: their name, how many, and the digests of their chunks unless they are few."""

    sha256: str
    size: int
    chunks: Chunks | None


def chunk_digest(block: bytes | memoryview) -> bytes:
    """The digest of one chunk."""
    return blake3(block).digest()


class Digests:
    """All hashes of bytes that come in pieces of any length, in order.

    Two threads may share the work: one that calls `hash_whole` with each piece, one that calls `hash_chunks`.
    """

    def __init__(self) -> None:
        self.size = 0
        self._whole = hashlib.sha256()
        self._chunk = blake3()
        self._filled = 0
        self._done: list[bytes] = []

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.hash_whole(piece)
        self.hash_chunks(piece)

    def hash_whole(self, piece: bytes | memoryview) -> None:
        """Take the next bytes for the name."""
        self._whole.update(piece)

    def hash_chunks(self, piece: bytes | memoryview) -> None:
        """Take the next bytes for the chunks, and count them."""
        view = memoryview(piece).cast("B")
        self.size += view.nbytes
        while view.nbytes:
            step = view[: CHUNK - self._filled]
            self._chunk.update(step)
            self._filled += step.nbytes
            view = view[step.nbytes :]
            if self._filled == CHUNK:
                self._done.append(self._chunk.digest())
                self._chunk, self._filled = blake3(), 0

    def content(self) -> Content:
        """What the bytes so far are."""
        if self.size <= GUARDED_BY_NAME:
            return Content(self._whole.hexdigest(), self.size, None)
        last = [self._chunk.digest()] if self._filled else []
        return Content(self._whole.hexdigest(), self.size, Chunks(CHUNK, b"".join([*self._done, *last])))
