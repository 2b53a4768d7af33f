"""Bytes on their way into S3: few are one object, many are sent in parts while more arrive."""

import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

from modelkeep.artifacts.blobs import Staging
from modelkeep.artifacts.stores.backoff import Backoff, Refused
from modelkeep.artifacts.stores.s3.buffers import Budget, Buffer
from modelkeep.artifacts.stores.s3.large import Large
from modelkeep.artifacts.stores.s3.names import SMALL, Names
from modelkeep.artifacts.stores.s3.requests import Requests, SentPart
from modelkeep.core.errors import Conflict, DomainError, NotFound, Unavailable

# An object has at most 10,000 parts: they double in size from time to time, so that 5 TiB fit.
_PART = SMALL
_PARTS_OF_A_SIZE = 1_000
_SENT_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Senders:
    """What all uploads of a process share: memory, threads, and how patient they are with a store that is away."""

    budget: Budget
    threads: ThreadPoolExecutor
    backoff: Backoff


class S3Staging(Staging):
    """The `Staging` of S3. A part that was cut off or arrived damaged is sent again, as the caller cannot."""

    def __init__(self, names: Names, requests: Requests, senders: Senders, large: Callable[[str], Large]) -> None:
        self._names = names
        self._requests = requests
        self._senders = senders
        self._make_large = large
        self._buffer = Buffer(senders.budget)
        self._size = 0
        self._large: Large | None = None
        self._handle = ""
        self._sending: deque[Future[SentPart]] = deque()
        self._parts: list[SentPart] = []
        self._is_complete = False
        self._is_over = False

    def write(self, chunk: bytes | memoryview) -> None:
        self._check_live()
        try:
            self._take(chunk)
        except BaseException:
            self.abort()
            raise

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        self._check_live()
        if self._large is None:
            self._names.put(sha256, self._buffer, replace=replace)
        else:
            self._complete(self._large)
            self._large.name(sha256, self._size, replace=replace)

    def abort(self) -> None:
        if self._is_over:
            return
        self._is_over = True  # parts that wait for the store are not sent again
        wait(self._sending)
        self._buffer.close()
        if self._large is not None:
            if self._handle and not self._is_complete:
                with suppress(DomainError):
                    self._requests.abort_parts(self._large.key, self._handle)
            self._large.forget_nameless()

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _check_live(self) -> None:
        if self._is_over:
            raise ValueError("This staging was committed or aborted")

    def _take(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk).cast("B")
        while view.nbytes:
            room = self._part_size() - self._buffer.size
            if not room:
                self._send_buffer()
                continue
            piece = view[:room]
            while self._sending and not self._senders.budget.has(piece.nbytes):
                self._collect()
            # Bytes that fit as they are need not be copied.
            self._buffer.append(chunk if isinstance(chunk, bytes) and piece.nbytes == len(chunk) else piece)
            self._size += piece.nbytes
            view = view[room:]

    def _part_size(self) -> int:
        return _PART << (len(self._parts) + len(self._sending)) // _PARTS_OF_A_SIZE

    def _send_buffer(self) -> None:
        if self._large is None:
            self._large = self._make_large(f"put-{secrets.token_hex(16)}")
        if not self._handle:
            key = self._large.key
            self._handle = self._senders.backoff.call(lambda: self._requests.begin_parts(key, checked=True))
        while len(self._sending) >= _SENT_AT_ONCE:
            self._collect()
        number = len(self._parts) + len(self._sending) + 1
        buffer, self._buffer = self._buffer, Buffer(self._senders.budget)
        self._sending.append(self._senders.threads.submit(self._send, self._large.key, number, buffer))

    def _send(self, key: str, number: int, buffer: Buffer) -> SentPart:
        try:
            return self._senders.backoff.call(
                lambda: self._requests.put_part(key, self._handle, number, buffer), lambda: self._is_over
            )
        finally:
            buffer.close()

    def _collect(self) -> None:
        """Wait until the oldest part is sent."""
        try:
            self._parts.append(self._sending[0].result())
        except (Unavailable, NotFound) as error:
            raise Refused(error.message) from error  # its bytes are gone: nothing that is tried again would help
        self._sending.popleft()

    def _complete(self, large: Large) -> None:
        if self._is_complete:
            return
        if self._buffer.size:
            self._send_buffer()
        while self._sending:
            self._collect()
        try:
            self._requests.complete(large.key, self._handle, self._parts)
        except NotFound:
            pass  # completed before, and the answer was lost; or gone, which naming it will find
        except Conflict as error:
            raise Refused(error.message) from error
        self._is_complete = True
