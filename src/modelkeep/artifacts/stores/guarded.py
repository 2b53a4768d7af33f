"""Any blob store, with every call counted and timed; one behind a network also with patience and a limit.

All calls but writing may be repeated; of what is written, the store alone knows how much it has. The metrics are in
prometheus_client's own registry, which the server shows beside its own.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from prometheus_client import Counter, Histogram

from modelkeep.artifacts.blobs import (
    BlobReader,
    BlobStore,
    Joined,
    Known,
    Link,
    Part,
    PartStaging,
    PartUploads,
    Staging,
    nothing_known,
)
from modelkeep.artifacts.stores.backoff import Backoff
from modelkeep.core.errors import DomainError, Unavailable

T = TypeVar("T")

_WAIT_S = 30.0
_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 75)
_CALLS = Counter("modelkeep_blob_calls", "Calls of the blob store, by how they ended", ["store", "call", "outcome"])
_SECONDS = Histogram("modelkeep_blob_call_seconds", "Time in the blob store", ["store", "call"], buckets=_BUCKETS)
_AGAIN = Counter("modelkeep_blob_calls_repeated", "Calls of the blob store made again", ["store", "call"])
_BYTES = Counter("modelkeep_blob_bytes", "Bytes into and out of the blob store", ["store", "direction"])


class _Places(AbstractContextManager[None]):
    """So many calls at once; the others wait for their turn, but not for ever."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    def __enter__(self) -> None:
        if not self._free.acquire(timeout=_WAIT_S):
            raise Unavailable("The artifact store is busy; try again")

    def __exit__(self, *exc: object) -> None:
        self._free.release()


class Guard:
    """What stands before every call of one store."""

    def __init__(self, store: str, patience: Backoff | None = None, at_once: int | None = None) -> None:
        self.taken = _BYTES.labels(store, "in")
        self.given = _BYTES.labels(store, "out")
        self._store = store
        self._patience = patience
        self._place: AbstractContextManager[None] = _Places(at_once) if at_once else nullcontext()
        self._seconds: dict[str, Histogram] = {}
        self._calls: dict[tuple[str, str], Counter] = {}

    def once(self, call: str, work: Callable[[], T]) -> T:
        """A call that cannot be made again."""
        began, outcome = time.perf_counter(), "ok"
        try:
            with self._place:
                return work()
        except DomainError as error:
            outcome = error.code
            raise
        except BaseException:
            outcome = "error"
            raise
        finally:
            self._count(call, outcome, time.perf_counter() - began)

    def call(self, call: str, work: Callable[[], T]) -> T:
        """A call that may be made again while the store does not answer."""
        if self._patience is None:
            return self.once(call, work)
        return self._patience.call(lambda: self.once(call, work), again=lambda: _AGAIN.labels(self._store, call).inc())

    def _count(self, call: str, outcome: str, seconds: float) -> None:
        if (call, outcome) not in self._calls:
            self._seconds[call] = _SECONDS.labels(self._store, call)
            self._calls[call, outcome] = _CALLS.labels(self._store, call, outcome)
        self._seconds[call].observe(seconds)
        self._calls[call, outcome].inc()


class GuardedBlobs(BlobStore):
    """A store behind a guard; `inner` is the store."""

    def __init__(self, inner: BlobStore, guard: Guard) -> None:
        self.inner = inner
        self.parts = _Parts(inner.parts, guard)
        self._guard = guard

    def begin(self) -> Staging:
        return _Staging(self._guard.call("begin", self.inner.begin), self._guard)

    def open(self, sha256: str) -> BlobReader:
        return _Reader(self._guard.call("open", lambda: self.inner.open(sha256)), self._guard)

    def at_hand(self, sha256: str, size: int) -> bytes | None:
        content = self._guard.once("at_hand", lambda: self.inner.at_hand(sha256, size))
        self._guard.given.inc(len(content or b""))
        return content

    def exists(self, sha256: str) -> bool:
        return self._guard.call("exists", lambda: self.inner.exists(sha256))

    def size(self, sha256: str) -> int:
        return self._guard.call("size", lambda: self.inner.size(sha256))

    def delete(self, sha256: str) -> None:
        # Not again by itself: who deletes must make sure each time that it is still the only one who does.
        self._guard.once("delete", lambda: self.inner.delete(sha256))

    def digests(self, after: str = "") -> Iterator[str]:
        return self.inner.digests(after)

    def link(self, sha256: str, name: str, seconds: int) -> Link | None:
        return self._guard.call("link", lambda: self.inner.link(sha256, name, seconds))

    def sweep_staging(self, older_than_seconds: float, known: Known = nothing_known) -> int:
        return self._guard.once("sweep", lambda: self.inner.sweep_staging(older_than_seconds, known))

    def left_over(self, older_than_seconds: float, known: Known = nothing_known) -> int:
        return self._guard.once("left_over", lambda: self.inner.left_over(older_than_seconds, known))

    def check(self) -> None:
        self._guard.once("check", self.inner.check)

    def close(self) -> None:
        self.inner.close()


class _Staging(Staging):
    def __init__(self, inner: Staging, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def write(self, chunk: bytes | memoryview) -> None:
        self._guard.once("write", lambda: self._inner.write(chunk))
        self._guard.taken.inc(memoryview(chunk).nbytes)

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        self._guard.call("commit", lambda: self._inner.commit(sha256, replace=replace))

    def abort(self) -> None:
        self._inner.abort()

    def __exit__(self, *exc: object) -> None:
        self._inner.abort()


class _PartStaging(PartStaging):
    def __init__(self, inner: PartStaging, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def write(self, chunk: bytes | memoryview) -> None:
        self._guard.once("write_part", lambda: self._inner.write(chunk))
        self._guard.taken.inc(memoryview(chunk).nbytes)

    def commit(self) -> Part:
        return self._guard.once("commit_part", self._inner.commit)

    def abort(self) -> None:
        self._inner.abort()

    def __exit__(self, *exc: object) -> None:
        self._inner.abort()


class _Reader(BlobReader):
    def __init__(self, inner: BlobReader, guard: Guard) -> None:
        self.size = inner.size
        self._inner = inner
        self._guard = guard

    def read_at(self, offset: int, length: int) -> bytes:
        block = self._guard.call("read", lambda: self._inner.read_at(offset, length))
        self._guard.given.inc(len(block))
        return block

    def close(self) -> None:
        self._inner.close()


class _Joined(_Reader, Joined):
    def __init__(self, inner: Joined, guard: Guard) -> None:
        super().__init__(inner, guard)
        self._joined = inner

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        self._guard.call("commit", lambda: self._joined.commit(sha256, replace=replace))

    def abort(self) -> None:
        self._joined.abort()


class _Parts(PartUploads):
    def __init__(self, inner: PartUploads, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def begin(self, upload: str) -> str:
        return self._guard.call("begin_parts", lambda: self._inner.begin(upload))

    def link(self, upload: str, handle: str, number: int, seconds: int) -> Link | None:
        return self._guard.call("link_part", lambda: self._inner.link(upload, handle, number, seconds))

    def stage(self, upload: str, handle: str, number: int) -> PartStaging:
        return _PartStaging(
            self._guard.call("stage_part", lambda: self._inner.stage(upload, handle, number)), self._guard
        )

    def blocks(self, upload: str, handle: str, part: Part) -> Generator[bytes, None, None]:
        return self._inner.blocks(upload, handle, part)

    def join(self, upload: str, handle: str, parts: Sequence[Part]) -> Joined:
        return _Joined(self._guard.call("join", lambda: self._inner.join(upload, handle, parts)), self._guard)

    def abort(self, upload: str, handle: str) -> None:
        self._guard.call("abort", lambda: self._inner.abort(upload, handle))

    def uploads(self) -> Iterator[tuple[str, float]]:
        return self._inner.uploads()
