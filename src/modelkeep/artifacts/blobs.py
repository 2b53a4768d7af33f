"""Bytes addressed by their SHA-256: the port that every store of them implements."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """The name of some bytes, and how many they are."""

    sha256: str
    size: int


class Staging(AbstractContextManager["Staging"], Protocol):
    """Bytes on their way in, for one thread at a time. Leaving its `with` block without a commit aborts it."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises StorageFull or Unavailable; then nothing is left behind and only `abort` is allowed."""

    def so_far(self) -> Blob:
        """What has been written, to compare with what the sender declared before `commit`."""

    def commit(self) -> Blob:
        """Make the bytes a blob that survives a power loss; bytes the store already holds are kept once.

        Raises StorageFull or Unavailable, or Corrupt if damaged bytes have this name; then nothing is left behind.
        """

    def abort(self) -> None:
        """Forget the bytes; allowed at any time, any number of times, and without effect after `commit`."""


class BlobReader(Protocol):
    """One blob opened for reading, by any number of threads. It stays readable if the blob is deleted meanwhile."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end of the blob. Raises Corrupt if bytes are missing."""

    def close(self) -> None:
        """Give the blob back; allowed any number of times."""


class BlobStore(Protocol):
    """Where bytes are kept. Calls block, and any thread may make them.

    Every `sha256` is 64 lower-case hex digits, or InvalidInput is raised before anything is touched. A store that does
    not answer raises Unavailable; one that holds what it did not write raises Corrupt. Whether stored bytes still hash
    to their name is for the reader of all of them to check.
    """

    def begin(self) -> Staging:
        """Start writing a blob."""

    def open(self, sha256: str) -> BlobReader:
        """Open a blob. Raises NotFound."""

    def exists(self, sha256: str) -> bool:
        """Whether the store holds this blob."""

    def size(self, sha256: str) -> int:
        """How many bytes the blob has. Raises NotFound."""

    def delete(self, sha256: str) -> None:
        """Remove a blob; one that is absent is fine. The caller sees to it that nobody is committing the same bytes."""

    def digests(self) -> Iterator[str]:
        """The name of every blob, in order; blobs that come or go meanwhile may or may not be among them."""

    def sweep_staging(self, older_than_seconds: float) -> int:
        """Remove what dead writers left, at most 10,000 pieces a call, and say how many; live ones are not touched."""

    def check(self) -> None:
        """Write, sync, read back and remove a few bytes. Raises StorageFull, Unavailable or Corrupt."""
