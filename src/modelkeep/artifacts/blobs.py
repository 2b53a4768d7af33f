"""Bytes addressed by their SHA-256: the port that every store of them implements.

Stores do not hash: whoever moves the bytes does (`digests`), and names the blob when it commits.
"""

import re
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from modelkeep.core.errors import InvalidInput

BLOCK = 1 << 20
# The size of a part that went around the server.
UNKNOWN_SIZE = -1
# As many as S3 takes.
MOST_PARTS = 10_000
# An upload in parts is kept so long without progress, or after its end; links to its parts hold as long, so that none
# outlives what it is for.
ABANDONED_AFTER_S = 24 * 3600.0
# What writers left in a store is taken for left over after this: two days more than the above, as a bucket may count
# from the first byte of an upload, not from its last, and does not tell whether another process is writing to it.
LEFT_OVER_AFTER_S = 3 * ABANDONED_AFTER_S

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UPLOAD = re.compile(r"[0-9a-f]{32}")

# Those of these uploads in parts, by id, that somebody still knows.
Known = Callable[[Sequence[str]], Set[str]]


def blob_key(sha256: str) -> tuple[str, str, str, str]:
    """The places a blob's name leads through, outermost first. Raises InvalidInput."""
    if not _SHA256.fullmatch(sha256):
        raise InvalidInput("A blob is named by 64 lower-case hex digits", "sha256")
    return "sha256", sha256[:2], sha256[2:4], sha256


def is_upload_id(name: str) -> bool:
    """Whether this can name an upload in parts."""
    return _UPLOAD.fullmatch(name) is not None


def check_upload_id(upload: str) -> None:
    """Refuse what cannot name an upload in parts. Raises InvalidInput."""
    if not is_upload_id(upload):
        raise InvalidInput("An upload is named by 32 lower-case hex digits", "upload")


def nothing_known(_uploads: Sequence[str]) -> Set[str]:
    """Nobody knows of any upload in parts."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class Blob:
    """The name of some bytes, and how many they are."""

    sha256: str
    size: int


class Staging(AbstractContextManager["Staging"], Protocol):
    """Bytes on their way in, for one thread at a time. Leaving its `with` block forgets what is not committed."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises StorageFull or Unavailable; then nothing is left behind and only `abort` is allowed."""

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        """Make what was written the blob of this name, so that it survives a power loss.

        Bytes the store already holds under the name are kept, or with `replace` (they are known to be damaged)
        exchanged at once for these. May be repeated until the staging is left: that brings back a blob deleted
        meanwhile. Raises StorageFull or Unavailable, or Corrupt if bytes of another size have this name.
        """

    def abort(self) -> None:
        """Forget the bytes; allowed at any time, any number of times. A committed blob stays."""


class BlobReader(Protocol):
    """One blob opened for reading, by any number of threads. It stays readable if the blob is deleted meanwhile."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end of the blob. Raises Corrupt if bytes are missing."""

    def close(self) -> None:
        """Give the blob back; allowed any number of times."""


class Link(NamedTuple):
    """An address that gives whoever has it one request, for a while, with the headers to send along."""

    url: str
    headers: dict[str, str]


class Part(NamedTuple):
    """A part of an upload as the store took it: its number from 1, its length, and the store's tag of it.

    The length is UNKNOWN_SIZE, and the tag what its sender says, where the part was not written through the server.
    """

    number: int
    size: int
    etag: str


class PartStaging(AbstractContextManager["PartStaging"], Protocol):
    """A part on its way in, for one thread at a time. Leaving its `with` block forgets it if it is not committed."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises StorageFull or Unavailable; then nothing is left behind and only `abort` is allowed."""

    def commit(self) -> Part:
        """Let it be the part, durably; once. Raises what `write` does, and NotFound if the upload is gone."""

    def abort(self) -> None:
        """Forget the bytes; allowed at any time, any number of times. A committed part stays."""


class Joined(BlobReader, Protocol):
    """The parts of an upload put together, to be read and hashed before they get a name; best in order, and once.

    Reading raises Conflict where a part is not the one it is said to be. `close` leaves the parts as they are, so that
    they can be joined again.
    """

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        """As `Staging.commit`."""

    def abort(self) -> None:
        """Forget the bytes and the parts; a committed blob stays. Allowed any number of times."""


class PartUploads(Protocol):
    """Uploads in parts, each sent on its own, in any order, and again if need be.

    `upload` is 32 hex digits that the caller made up; `handle` is what `begin` gave back, kept by the caller.
    Calls block, and any thread may make them; errors are those of `BlobStore`.
    """

    def begin(self, upload: str) -> str:
        """Open an upload; the store's handle for it."""

    def link(self, upload: str, handle: str, number: int, seconds: int) -> Link | None:
        """Where a client may PUT a part without passing through the server; None where it has to."""

    def stage(self, upload: str, handle: str, number: int) -> PartStaging:
        """Start to take a part through the server; the same number again replaces it, whole or not at all."""

    def blocks(self, upload: str, handle: str, part: Part) -> Generator[bytes, None, None]:
        """The bytes of a part before it is joined to others. Raises Conflict, at their end, if they are other ones.

        Raises NotFound for a part that is not there, and for each in a store that gives out nothing before the joining.
        """

    def join(self, upload: str, handle: str, parts: Sequence[Part]) -> Joined:
        """Put these parts together in their order. Raises NotFound or Conflict if one is missing or another one."""

    def abort(self, upload: str, handle: str) -> None:
        """Forget an upload and its parts; one that is absent is fine."""

    def uploads(self) -> Iterator[tuple[str, float]]:
        """Every upload that the store has parts of, and the age in seconds of the youngest."""


class BlobStore(Protocol):
    """Where bytes are kept. Calls block, and any thread may make them.

    Every `sha256` is 64 lower-case hex digits, or InvalidInput is raised before anything is touched. A store that does
    not answer raises Unavailable; one that holds what it did not write raises Corrupt. Whether stored bytes still hash
    to their name is for the reader of all of them to check.
    """

    parts: PartUploads

    def begin(self) -> Staging:
        """Start writing a blob."""

    def open(self, sha256: str) -> BlobReader:
        """Open a blob. Raises NotFound."""

    def at_hand(self, sha256: str, size: int) -> bytes | None:
        """All bytes of a small blob of this size if no disk or network has to be waited for; otherwise None.

        The event loop may ask this. Nothing is raised: what is wrong comes out where the blob is opened.
        """

    def exists(self, sha256: str) -> bool:
        """Whether the store holds this blob."""

    def size(self, sha256: str) -> int:
        """How many bytes the blob has. Raises NotFound."""

    def delete(self, sha256: str) -> None:
        """Remove a blob; one that is absent is fine."""

    def digests(self, after: str = "") -> Iterator[str]:
        """The name of every blob behind this one, in order; those that come or go meanwhile may be among them."""

    def link(self, sha256: str, name: str, seconds: int) -> Link | None:
        """Where a client may GET a blob, as a file of this name, without passing through the server; None where not."""

    def sweep_staging(self, older_than_seconds: float, known: Known = nothing_known) -> int:
        """Remove what dead writers left, at most 10,000 pieces a call, and say how many; live ones are not touched.

        Nor is what belongs to an upload in parts that is `known`, which is asked after everything else was looked at.
        """

    def left_over(self, older_than_seconds: float, known: Known = nothing_known) -> int:
        """How many pieces `sweep_staging` would remove; nothing is."""

    def check(self) -> None:
        """Write, sync, read back and remove a few bytes. Raises StorageFull, Unavailable or Corrupt."""

    def close(self) -> None:
        """Let go of everything; the store cannot be used afterwards."""
