"""One object of S3 opened for reading: block after block from one answer, anything else by a request of its own."""

import re
import threading
from contextlib import suppress

import urllib3

from modelkeep.artifacts.blobs import BlobReader
from modelkeep.artifacts.stores.s3.requests import Requests
from modelkeep.core.errors import Corrupt, Unavailable


class S3Reader(BlobReader):
    """The `BlobReader` of S3.

    An answer is opened for the rest of the object when a read begins where the last one ended, so that a reader costs
    as much memory as the network's buffers hold. `head` is what came of the object's first bytes when it was found.
    """

    def __init__(self, requests: Requests, key: str, size: int, head: bytes = b"") -> None:
        self.size = size
        self._requests = requests
        self._key = key
        self._head = head
        self._next = 0
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._in_turn = threading.Lock()
        self._is_closed = False

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or self._is_closed:
            raise ValueError("A range of an open blob begins at 0 or later and is not negative")
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        head = self._head
        if end <= len(head):
            self._next = end
            if end == len(head):
                self._head = b""  # given out once: whoever finds it wrong and reads again asks the store
            return head[offset:end]
        if not self._in_turn.acquire(blocking=False):  # another thread reads: this one does not wait for it
            return self._range(offset, end)
        try:
            return self._next_block(offset, end)
        finally:
            self._in_turn.release()

    def close(self) -> None:
        with self._in_turn:
            self._is_closed = True
            self._head = b""
            self._drop()

    def _next_block(self, offset: int, end: int) -> bytes:
        if offset != self._next:
            self._drop()
            self._next = end
            return self._range(offset, end)
        if self._answer is None:
            self._answer = self._open(offset, self.size)
        try:
            block = _read(self._answer, end - offset)
        except BaseException:
            self._drop()
            raise
        self._next = end
        if end == self.size:
            self._drop()
        return block

    def _range(self, offset: int, end: int) -> bytes:
        answer = self._open(offset, end)
        try:
            return _read(answer, end - offset)
        finally:
            answer.close()

    def _open(self, start: int, end: int) -> urllib3.BaseHTTPResponse:
        answer = self._requests.open(self._key, start, end)
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("content-range", ""))
        if found is None or int(found[1]) != start or int(found[2]) != self.size:
            answer.close()
            raise Corrupt("An object of the artifact store has another size than when it was opened")
        return answer

    def _drop(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            with suppress(urllib3.exceptions.HTTPError, OSError):
                answer.close() if answer.length_remaining else answer.release_conn()


def _read(answer: urllib3.BaseHTTPResponse, length: int) -> bytes:
    blocks = []
    try:
        while length and (block := answer.read(length)):
            length -= len(block)
            blocks.append(block)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"The artifact store broke off within an object ({type(error).__name__})") from error
    if length:
        raise Unavailable("The artifact store broke off within an object")
    return b"".join(blocks)  # of one block, the block itself
