"""Uploads in parts on S3: the store's own multipart uploads, whose parts clients may send to it directly."""

import base64
import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress

from modelkeep.artifacts.blobs import (
    UNKNOWN_SIZE,
    Joined,
    Link,
    Part,
    PartStaging,
    PartUploads,
    check_upload_id,
    is_upload_id,
)
from modelkeep.artifacts.stores.s3.buffers import Budget, Buffer
from modelkeep.artifacts.stores.s3.large import Large
from modelkeep.artifacts.stores.s3.names import SMALL, Names
from modelkeep.artifacts.stores.s3.objects import Objects
from modelkeep.artifacts.stores.s3.reader import S3Reader
from modelkeep.artifacts.stores.s3.requests import KeptPart, Requests, SentPart
from modelkeep.artifacts.stores.s3.staging import Senders
from modelkeep.core.errors import Conflict, NotFound
from modelkeep.db.clock import now_ms


class S3Parts(PartUploads):
    """The `PartUploads` of S3. A `Part` whose size the caller cannot know has the size `UNKNOWN_SIZE`."""

    def __init__(
        self, names: Names, requests: Requests, objects: Objects, senders: Senders, large: Callable[[str], Large]
    ) -> None:
        self._names = names
        self._requests = requests
        self._objects = objects
        self._senders = senders
        self._make_large = large

    def begin(self, upload: str) -> str:
        return self._requests.begin_parts(self._key(upload), checked=False)

    def link(self, upload: str, handle: str, number: int, seconds: int) -> Link | None:
        return self._requests.part_link(self._key(upload), handle, number, seconds)

    def stage(self, upload: str, handle: str, number: int) -> "S3Part":
        return S3Part(self._requests, self._senders, self._key(upload), handle, number)

    def blocks(self, upload: str, _handle: str, _part: Part) -> Generator[bytes, None, None]:
        self._key(upload)
        raise NotFound("An object store gives out no part before they are joined")

    def join(self, upload: str, handle: str, parts: Sequence[Part]) -> "S3Joined":
        self._key(upload)
        ordered = sorted(parts)
        large = self._make_large(upload)
        try:
            self._complete(large.key, handle, ordered)
            size = self._objects.head(large.key)
            if size is None:
                raise NotFound("There is no such upload in the artifact store")
            expected = [part.size for part in ordered]
            if UNKNOWN_SIZE not in expected and sum(expected) != size:
                raise Conflict("The joined parts have not the size that the parts had")
        except BaseException:
            large.close()
            raise
        return S3Joined(S3Reader(self._requests, large.key, size), large, self._names, self._senders.budget)

    def abort(self, upload: str, handle: str) -> None:
        key = self._key(upload)
        handles = [handle] if handle else [found.handle for found in self._requests.open_uploads(key)]
        for known in handles:
            with suppress(NotFound):
                self._requests.abort_parts(key, known)

    def uploads(self) -> Iterator[tuple[str, float]]:
        prefix = self._names.large_key("")
        for found in self._requests.open_uploads(prefix):
            upload = found.key.removeprefix(prefix)
            if is_upload_id(upload):
                yield upload, youngest_age(self._requests, found.key, found.handle, found.begun.timestamp())

    def _key(self, upload: str) -> str:
        check_upload_id(upload)
        return self._names.large_key(upload)

    def _complete(self, key: str, handle: str, parts: Sequence[Part]) -> None:
        """Join the parts, unless that was done before and the answer was lost."""
        try:
            kept = self._requests.parts(key, handle)
            for part in parts:
                _check(part, [one for one in kept if one.number == part.number])
            self._requests.complete(key, handle, [SentPart(part.number, _bare(part.etag)) for part in parts])
        except NotFound:
            if self._objects.head(key) is None:
                raise


class S3Part(PartStaging):
    """The `PartStaging` of S3: it is sent when all of it is there, and again if it was cut off on the way."""

    def __init__(self, requests: Requests, senders: Senders, key: str, handle: str, number: int) -> None:
        self._requests = requests
        self._senders = senders
        self._key = key
        self._handle = handle
        self._number = number
        self._buffer = Buffer(senders.budget)
        self._check = hashlib.md5(usedforsecurity=False)

    def write(self, chunk: bytes | memoryview) -> None:
        self._buffer.append(chunk)
        self._check.update(chunk)

    def commit(self) -> Part:
        # Not by CRC32: then parts that clients send directly would need one too.
        headers = {"content-md5": base64.b64encode(self._check.digest()).decode()}
        sent = self._senders.backoff.call(lambda: self._send(headers))
        self.abort()
        return Part(self._number, self._buffer.size, sent.etag)

    def abort(self) -> None:
        self._buffer.close()

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _send(self, headers: dict[str, str]) -> SentPart:
        return self._requests.put_part(self._key, self._handle, self._number, self._buffer, headers)


class S3Joined(Joined):
    """The `Joined` of S3: one object that has no name yet."""

    def __init__(self, reader: S3Reader, large: Large, names: Names, budget: Budget) -> None:
        self.size = reader.size
        self._reader = reader
        self._large = large
        self._names = names
        self._budget = budget

    def read_at(self, offset: int, length: int) -> bytes:
        return self._reader.read_at(offset, length)

    def close(self) -> None:
        self._reader.close()
        self._large.close()

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        if self.size > SMALL:
            self._large.name(sha256, self.size, replace=replace)
        else:
            self._copy(sha256, replace=replace)

    def abort(self) -> None:
        self._reader.close()
        if self.size > SMALL:
            self._large.forget()
        else:  # no name ever stands for it
            self._large.remove()

    def _copy(self, sha256: str, *, replace: bool) -> None:
        """Few bytes are found under their name alone."""
        buffer = Buffer(self._budget)
        try:
            buffer.append(self._reader.read_at(0, self.size))
            self._names.put(sha256, buffer, replace=replace)
        finally:
            buffer.close()


def youngest_age(requests: Requests, key: str, handle: str, begun: float) -> float:
    """Seconds since an upload that was begun then got its last part."""
    try:
        kept = requests.parts(key, handle)
    except NotFound:
        kept = []
    return now_ms() / 1000 - max([begun, *(part.modified.timestamp() for part in kept)])


def _check(part: Part, kept: Sequence[KeptPart]) -> None:
    if not kept:
        raise NotFound(f"Part {part.number} of the upload is missing")
    if not any(one.etag == _bare(part.etag) and part.size in {one.size, UNKNOWN_SIZE} for one in kept):
        raise Conflict(f"Part {part.number} of the upload is not the one that was sent last")


def _bare(etag: str) -> str:
    return etag.strip('"')
