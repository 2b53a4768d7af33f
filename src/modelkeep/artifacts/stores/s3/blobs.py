"""The store of bytes in an S3 bucket: conditional writes, checksums on everything sent, no copies to give a name.

Small reads, listings and deletions go through the general client (`s3_objects`), bodies through `s3_requests`.
"""

import secrets
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from modelkeep.artifacts.blobs import BlobStore, Known, Link, nothing_known
from modelkeep.artifacts.rules import content_disposition
from modelkeep.artifacts.stores.backoff import Backoff
from modelkeep.artifacts.stores.s3.buffers import Budget, Buffer
from modelkeep.artifacts.stores.s3.large import Large
from modelkeep.artifacts.stores.s3.names import Names
from modelkeep.artifacts.stores.s3.objects import Objects
from modelkeep.artifacts.stores.s3.parts import S3Parts
from modelkeep.artifacts.stores.s3.reader import S3Reader
from modelkeep.artifacts.stores.s3.requests import Requests
from modelkeep.artifacts.stores.s3.staging import S3Staging, Senders
from modelkeep.artifacts.stores.s3.sweep import Sweep
from modelkeep.config import S3Settings
from modelkeep.core.errors import Corrupt, NotFound

SWEEP_LIMIT = 10_000
# What all uploads of the process together keep in memory; a thread sends one part at a time.
_MEMORY = 32 << 20
_THREADS = 8
# An upload outlives a store that is away for a minute.
_PATIENCE = Backoff(give_up_after_s=75)


class S3Blobs(BlobStore):
    """The `BlobStore` in a bucket; its methods do what the port says.

    Nobody but this process knows which whole bodies it is writing, so a sweep must be given more seconds than it takes
    other processes to write one. A blob of more than one block that is deleted is not readable any more: NotFound.
    """

    def __init__(self, settings: S3Settings, patience: Backoff = _PATIENCE, memory: int = _MEMORY) -> None:
        self._requests = Requests(settings)
        self._objects = Objects(settings)
        self._names = Names(settings.prefix, self._requests, self._objects)
        self._live: set[str] = set()
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3-send")
        self._senders = Senders(Budget(memory), threads, patience)
        self._sweep = Sweep(self._names, self._requests, self._objects, self._live)
        self.parts = S3Parts(self._names, self._requests, self._objects, self._senders, self._large)

    def close(self) -> None:
        self._senders.threads.shutdown(wait=True, cancel_futures=True)
        self._requests.close()

    def begin(self) -> S3Staging:
        return S3Staging(self._names, self._requests, self._senders, self._large)

    def open(self, sha256: str) -> S3Reader:
        place = self._names.find(sha256)
        if place is None:
            raise self._absent(sha256)
        return S3Reader(self._requests, place.key, place.size, place.head)

    def at_hand(self, _sha256: str, _size: int) -> bytes | None:
        return None

    def exists(self, sha256: str) -> bool:
        if self._names.size(sha256) is not None:
            return True
        self._requests.check_bucket()
        return False

    def size(self, sha256: str) -> int:
        size = self._names.size(sha256)
        if size is None:
            raise self._absent(sha256)
        return size

    def delete(self, sha256: str) -> None:
        self._names.remove(sha256)

    def digests(self, after: str = "") -> Iterator[str]:
        self._requests.check_bucket()
        yield from self._names.all(after)

    def link(self, sha256: str, name: str, seconds: int) -> Link | None:
        place = self._names.find(sha256)
        if place is None:
            raise self._absent(sha256)
        answer = {"content-disposition": content_disposition(name), "content-type": "application/octet-stream"}
        return self._requests.link(place.key, answer, seconds)

    def sweep_staging(self, older_than_seconds: float, known: Known = nothing_known) -> int:
        return self._sweep.run(older_than_seconds, SWEEP_LIMIT, known)

    def left_over(self, older_than_seconds: float, known: Known = nothing_known) -> int:
        return self._sweep.count(older_than_seconds, SWEEP_LIMIT, known)

    def check(self) -> None:
        self._requests.check_bucket()
        key, probe = self._names.large_key(f"check-{secrets.token_hex(16)}"), secrets.token_bytes(64)
        body = Buffer(self._senders.budget)
        body.append(probe)
        self._live.add(key)
        try:
            self._requests.put(key, body, create=True)
            found = self._objects.begin_of(key, len(probe))
            self._objects.delete(key)
        finally:
            self._live.discard(key)
            body.close()
        if found is None or zlib.crc32(found[0]) != body.crc32:
            raise Corrupt("The artifact store does not give back what was written to it")

    def _large(self, name: str) -> Large:
        return Large(self._names, self._objects, self._live, name)

    def _absent(self, sha256: str) -> NotFound:
        """What a blob that is not there means, if the bucket is."""
        self._requests.check_bucket()
        return NotFound(f"There is no blob {sha256}")
