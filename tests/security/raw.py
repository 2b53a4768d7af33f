"""HTTP/1.1 over a bare socket: what is sent is exactly what the test wrote, with no client to tidy it up."""

import json
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

_WAIT = 60
_BROKEN = (ConnectionError, EOFError)

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Reply:
    """An answer, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def refused(self, status: int) -> Any:
        """The JSON of an answer that must be this refusal, in either face's words, and name its request."""
        assert self.status == status, f"{self.status}: {self.body[:500]!r}"
        return self.problem()

    def problem(self) -> Any:
        """The JSON of an answer that must be a refusal, whichever."""
        assert 400 <= self.status < 500 or self.status == 501, f"{self.status}: {self.body[:500]!r}"
        assert self.headers["content-type"] in {"application/json", "application/problem+json"}, self.headers
        problem = self.json
        assert problem["request_id"] == self.headers["x-request-id"]
        assert problem.get("error_code") or problem["code"]
        return problem


class Raw:
    """A connection to a server on this machine, kept while the server keeps it and opened anew where it does not."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.token = token
        self._socket: socket.socket | None = None
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""

    def request(self, method: str, target: str | bytes, body: bytes = b"", headers: Headers = ()) -> Reply:
        """Send one well-formed request for this target, exactly as spelled, and wait for the answer."""
        return self.exchange(self.written(method, target, body, headers), has_body=method != "HEAD")

    def json(self, method: str, target: str, fields: Any, headers: Headers = ()) -> Reply:
        """Send a JSON body."""
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        return self.request(method, target, body, [(b"Content-Type", b"application/json"), *headers])

    def written(self, method: str, target: str | bytes, body: bytes = b"", headers: Headers = ()) -> bytes:
        """The bytes of a request; Host, Authorization and Content-Length are added where `headers` have none."""
        given = {name.lower() for name, _ in headers}
        lines = [method.encode() + b" " + (target.encode() if isinstance(target, str) else target) + b" HTTP/1.1"]
        if b"host" not in given:
            lines.append(b"Host: 127.0.0.1:%d" % self.port)
        if self.token and b"authorization" not in given:
            lines.append(b"Authorization: Bearer " + self.token.encode())
        if body and not given & {b"content-length", b"transfer-encoding"}:
            lines.append(b"Content-Length: %d" % len(body))
        lines += [name + b": " + value for name, value in headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def exchange(self, request: bytes, *, has_body: bool = True) -> Reply:
        """Send these bytes and wait for one answer. A kept connection that turns out to be closed is opened anew."""
        kept = self._socket is not None
        try:
            self._send(request)
            return self._receive(has_body)
        except _BROKEN:
            self.close()
            if not kept:
                raise
        self._send(request)
        return self._receive(has_body)

    def _send(self, request: bytes) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=_WAIT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)

    def _receive(self, has_body: bool) -> Reply:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        if has_body and headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self._take(int(headers.get("content-length", "0")) if has_body and status not in {204, 304} else 0)
        if headers.get("connection") == "close":
            self.close()
        return Reply(status, headers, body)

    def _chunk(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        size, _, self._buffer = self._buffer.partition(b"\r\n")
        return self._take(int(size, 16) + 2)[:-2]

    def _take(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._more()
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def _more(self) -> None:
        assert self._socket is not None
        piece = self._socket.recv(1 << 16)
        if not piece:
            raise EOFError("the server closed the connection")
        self._buffer += piece


@contextmanager
def raw_pieces(raw: Raw, head: bytes, pieces: Iterable[bytes]) -> Iterator[Reply]:
    """The answer to a request whose body is sent piece by piece, for as long as the server takes it."""
    with socket.create_connection(("127.0.0.1", raw.port), timeout=_WAIT) as connection:
        reader = Raw(raw.port)
        reader._socket = connection
        connection.sendall(head)
        try:
            for piece in pieces:
                connection.sendall(piece)
        except ConnectionError:
            pass  # the server has answered and hung up: that answer is what the test is about
        yield reader._receive(has_body=True)
