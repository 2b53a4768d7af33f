"""A client's connection: uvicorn's own, with bounds on heads and on waiting, and fewer and larger pieces of bodies.

What is refused here never becomes a request: a head beyond 64 KiB would be held in memory however long it grew, and an
address with a host of its own (RFC 9112, 3.2.2) would go around the check of the Host header.
"""

import asyncio
import secrets
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from modelkeep.core.errors import InvalidInput
from modelkeep.faces.http import ANSWER_AT_ONCE, COMMON_HEADERS
from modelkeep.faces.mlflow.wire import MLFLOW

_LONGEST_HEAD = 64 * 1024
# Sockets are read into one buffer, which everything is copied out of before the next socket is.
_READ = memoryview(bytearray(256 * 1024))
_BODY_AHEAD = 256 * 1024
_ANSWER_AHEAD = 256 * 1024
_LOOK_EACH_S = 5.0
# What a client has to send on average while we wait for its request: less keeps its place for hours.
_LEAST_RATE = 1024


class NotTaken(Exception):
    """The head of this request is refused; the text says why."""


class Pieces(list[bytes]):
    """What arrived of a body and was not fetched yet. Uvicorn's own, one growing array, copies each byte twice more."""

    size = 0

    def __bytes__(self) -> bytes:
        return self[0] if len(self) == 1 else b"".join(self)


class Reader(asyncio.BufferedProtocol):
    """Reads a socket for a connection, up to a quarter of a MiB at a time where others take 64 KiB."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def pause_writing(self) -> None:
        """As the connection does."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """As the connection does."""
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """As the connection does."""
        self._connection.connection_lost(exc)

    def eof_received(self) -> None:
        """As the connection does."""
        self._connection.eof_received()

    def get_buffer(self, _size: int) -> memoryview:
        """Where the next bytes go."""
        return _READ

    def buffer_updated(self, count: int) -> None:
        """So many bytes arrived."""
        self._connection.data_received(_READ[:count])


class Connection(HttpToolsProtocol):
    """One client's connection.

    `idle_s` is how long a client that has to send, or to take, the next byte of a request or an answer may do nothing,
    or may send a request slower than anybody does.
    """

    idle_s = 60.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head = 0
        self._in_head = True
        self._why = ""
        self._moved_at = 0.0
        self._unsent = 0
        self._watch: asyncio.TimerHandle | None = None
        self._awaited_since: float | None = None
        self._arrived = 0

    def connection_made(self, transport: Any) -> None:
        """A client is there."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(_ANSWER_AHEAD)
        transport.set_protocol(Reader(self))
        self._moved_at = self.loop.time()
        self._watch = self.loop.call_later(min(self.idle_s, _LOOK_EACH_S), self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes | memoryview) -> None:
        """Take what arrived, unless it is the head of a request that has grown too long."""
        self._moved_at = self.loop.time()
        self._arrived += len(data)
        super().data_received(data)  # type: ignore[arg-type]
        self._head = self._head + len(data) if self._in_head else 0
        if self._head > _LONGEST_HEAD and not self.transport.is_closing():
            self._why = "The head of the request is too long."
            self.send_400_response(self._why)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the head as a whole before it becomes a request."""
        self._in_head = False
        if not self.url.startswith((b"/", b"*")):
            self._refuse("The address must be a path; the host stands in the Host header.")
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > _LONGEST_HEAD:
            self._refuse("The head of the request is too long.")
        super().on_headers_complete()
        self.scope["extensions"] = {ANSWER_AT_ONCE: {"write": partial(answer_at_once, self.cycle)}}

    def on_body(self, body: bytes) -> None:
        """A piece of a body arrived."""
        cycle: Any = self.cycle
        if cycle.response_complete:
            return
        if not isinstance(cycle.body, Pieces):
            cycle.body = Pieces()
        cycle.body.append(body)
        cycle.body.size += len(body)
        if cycle.body.size > _BODY_AHEAD:
            self.flow.pause_reading()
        cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request and hang up."""
        request_id = secrets.token_hex(8)
        reply = MLFLOW.refuse(InvalidInput(self._why or msg), request_id)
        assert isinstance(reply.body, bytes)
        headers = [*reply.headers, *COMMON_HEADERS, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        headers.append((b"content-length", b"%d" % len(reply.body)))
        lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", reply.body]))
        self.transport.close()

    def _look(self) -> None:
        """Hang up on a client that has kept us waiting for too long; look again later otherwise."""
        now = self.loop.time()
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent or not (unsent or self._awaits_request()):
            self._unsent, self._moved_at = unsent, now
        if now - self._moved_at >= self.idle_s or self._is_too_slow(now):
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(min(self.idle_s, _LOOK_EACH_S), self._look)

    def _is_too_slow(self, now: float) -> bool:
        """Whether a request has come too slowly ever since it was waited for, or during the last such stretch."""
        if not self._awaits_request():
            self._awaited_since = None
            return False
        if self._awaited_since is None:
            self._awaited_since, self._arrived = now, 0
        waited = now - self._awaited_since
        if waited < self.idle_s:
            return False
        too_slow = self._arrived < waited * _LEAST_RATE
        self._awaited_since = None
        return too_slow

    def _awaits_request(self) -> bool:
        """Whether it is the client's turn to send: the rest of a request that it began, or its first one."""
        if self.cycle is None or self.cycle.response_complete:
            return self.cycle is None or (self._in_head and self._head > 0)
        return bool(self.cycle.more_body and not self.flow.read_paused)

    def _refuse(self, why: str) -> None:
        self._why = why
        raise NotTaken(why)


def answer_at_once(cycle: RequestResponseCycle, answer: bytes) -> bool:
    """Write a whole answer, which ends its request; False, and nothing written, where the server's own way is needed.

    That is where a client is slow, hangs up after this answer, or is gone. Uvicorn's way looks through every header of
    every answer, which takes a tenth of a small request.
    """
    if cycle.disconnected or cycle.response_started or cycle.flow.write_paused or not cycle.keep_alive:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(answer)
    cycle.message_event.set()
    cycle.on_response()
    return True
