"""A client's connection: uvicorn's own, with bounds on heads and on waiting, and bodies that are not copied.

What is refused here never becomes a request: a head beyond 64 KiB would be held in memory however long it grew, and an
address with a host of its own (RFC 9112, 3.2.2) would go around the check of the Host header.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Iterable
from functools import partial
from typing import Any

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from modelkeep.cli.bodies import Pieces, Rest, take
from modelkeep.cli.outlet import Outlet
from modelkeep.core.errors import InvalidInput
from modelkeep.core.types import Piece
from modelkeep.faces.mlflow.wire import MLFLOW
from modelkeep.faces.sending import ANSWER_AT_ONCE, ANSWER_BY_THREADS, BODY_PIECES

_LONGEST_HEAD = 64 * 1024
_MOST_HEADERS = 100
_BAD, _HEAD_TOO_LARGE = b"400 Bad Request", b"431 Request Header Fields Too Large"
_TOO_LONG = "The head of the request is too long."
# Sockets are read into one buffer, which everything is copied out of before the next socket is.
_READ = memoryview(bytearray(256 * 1024))
_BODY_AHEAD = 256 * 1024
_ANSWER_AHEAD = 256 * 1024
# What is left of a body, but so little that it costs less to copy it.
_NOT_WORTH_IT = 16 * 1024
_LOOK_EACH_S = 2.5
# What a client has to send on average while we wait for its request: less keeps its place for hours.
_LEAST_RATE = 1024


class NotTaken(Exception):
    """The head of this request is refused; the text says why."""


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
        rest = self._connection.rest
        return _READ if rest is None else rest.room()

    def buffer_updated(self, count: int) -> None:
        """So many bytes arrived."""
        if self._connection.rest is None:
            self._connection.data_received(_READ[:count])
            self._connection.begin_rest()
        else:
            self._connection.rest_received(count)


class Connection(HttpToolsProtocol):
    """One client's connection.

    `idle_s` is how long a client that has to send, or to take, the next byte of a request or an answer may do nothing;
    `head_s` how long it may take for the head of a request, and `slow_s` for how long it may send one slower than
    anybody does.
    """

    idle_s = 60.0
    head_s = 10.0
    slow_s = 30.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.rest: Rest | None = None
        self._left = 0
        self._head = 0
        self._in_head = True
        self._in_body = False
        self._got_body = False
        self._why = ""
        self._status = _BAD
        self._head_since = 0.0
        self._moved_at = 0.0
        self._unsent = 0
        self._watch: asyncio.TimerHandle | None = None
        self._awaited_since: float | None = None
        self._arrived = 0
        self._outlet: Outlet | None = None
        self._answered: RequestResponseCycle | None = None

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
        if self.rest is not None:
            self.rest.end()
        super().connection_lost(exc)
        if self._answered is not None:  # which need not be the last one that came, the only one that uvicorn tells
            self._answered.disconnected = not self._answered.response_complete
            self._answered.message_event.set()
        if self._outlet is not None:
            self._outlet.lost()

    def data_received(self, data: bytes | memoryview) -> None:
        """Take what arrived, unless it is the head of a request that has grown too long."""
        self._moved_at = self.loop.time()
        self._arrived += len(data)
        self._got_body = False
        super().data_received(data)  # type: ignore[arg-type]
        # What is neither head nor body, the frames of chunks and what follows the last one, counts as a head does.
        goes_on = self._in_head or (self._in_body and not self._got_body)
        self._head = self._head + len(data) if goes_on else 0
        if self._head > _LONGEST_HEAD and not self.transport.is_closing():
            self._why, self._status = _TOO_LONG, _HEAD_TOO_LARGE
            self.send_400_response(self._why)

    def begin_rest(self) -> None:
        """From here to its end, receive the body that has begun past the parser, which would copy it."""
        if self._left > _NOT_WORTH_IT and not self.transport.is_closing():
            self.rest, self._left = Rest(self._left), 0

    def rest_received(self, count: int) -> None:
        """Take what arrived of a body past the parser."""
        assert self.rest is not None
        self._moved_at = self.loop.time()
        self._arrived += count
        self._unset_keepalive_if_required()
        block = self.rest.came(count)
        if block is not None:
            self._hand_on(block, self.rest.ahead)
        if self.rest.is_over:
            self.rest.end()
            self.rest = None
            self.parser = request_parser(self)  # the other one still waits for the body
            self.on_message_complete()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._head_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the head as a whole before it becomes a request."""
        self._in_head = False
        self._check_framing()
        if not self.url.startswith((b"/", b"*")):
            self._refuse("The address must be a path; the host stands in the Host header.")
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > _LONGEST_HEAD:
            self._refuse(_TOO_LONG, _HEAD_TOO_LARGE)
        if len(self.headers) > _MOST_HEADERS:
            self._refuse(f"The request has more than {_MOST_HEADERS} headers.", _HEAD_TOO_LARGE)
        self._in_body = True
        super().on_headers_complete()
        self._left = 0 if self.parser.should_upgrade() else declared_length(self.headers)
        # What looks like a header from here on follows the body: it must not become part of what was checked.
        self.headers = []
        self.scope["extensions"] = {
            ANSWER_AT_ONCE: {"write": partial(answer_at_once, self.cycle)},
            ANSWER_BY_THREADS: {"begin": partial(self._begin_outlet, self.cycle)},
            BODY_PIECES: {"take": partial(take, self.cycle)},
        }

    def on_body(self, body: bytes) -> None:
        """A piece of a body arrived."""
        self._got_body = True
        self._left -= len(body)
        self._hand_on(body, _BODY_AHEAD)

    def _hand_on(self, piece: Piece, ahead: int) -> None:
        cycle: Any = self.cycle
        if cycle.response_complete:
            return
        if not isinstance(cycle.body, Pieces):
            cycle.body = Pieces()
        cycle.body.add(piece)
        if cycle.body.size > ahead:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is there."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request and hang up. Answers that are due are sent first; this one is left out then."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or (cycle is self._answered and _lacks_body(cycle)):
            self._answer_400(msg)
        elif cycle.more_body:
            self.transport.abort()
        else:
            cycle.keep_alive = False
            self.flow.pause_reading()

    def on_response_complete(self) -> None:
        """A request is answered; what it could be answered by goes, for it would hold the request, which holds it."""
        if self._answered is not None:
            self._answered.scope["extensions"] = {}
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _answer_400(self, msg: str) -> None:
        request_id = secrets.token_hex(8)
        reply = MLFLOW.refuse(InvalidInput(self._why or msg), request_id)
        assert isinstance(reply.body, bytes)
        application: Any = self.config.app
        headers = [*reply.headers, *application.common_headers, (b"x-request-id", request_id.encode())]
        headers.append((b"connection", b"close"))
        headers.append((b"content-length", b"%d" % len(reply.body)))
        lines = [b"HTTP/1.1 " + self._status, *(name + b": " + value for name, value in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", reply.body]))
        self.transport.close()

    def _look(self) -> None:
        """Hang up on a client that has kept us waiting for too long; look again later otherwise."""
        now = self.loop.time()
        unsent = self.transport.get_write_buffer_size() + (self._outlet.waiting if self._outlet is not None else 0)
        if unsent != self._unsent or not (unsent or self._awaits_request()):
            self._unsent, self._moved_at = unsent, now
        if now - self._moved_at >= self.idle_s or self._is_late(now) or self._is_too_slow(now):
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(min(self.idle_s, _LOOK_EACH_S), self._look)

    def _is_late(self, now: float) -> bool:
        """Whether the head of a request is not complete when it should be, however steadily it comes."""
        return self._in_head and self._head > 0 and now - self._head_since >= self.head_s

    def _is_too_slow(self, now: float) -> bool:
        """Whether a request has come too slowly ever since it was waited for, or during the last such stretch."""
        if not self._awaits_request():
            self._awaited_since = None
            return False
        if self._awaited_since is None:
            self._awaited_since, self._arrived = now, 0
        waited = now - self._awaited_since
        if waited < self.slow_s:
            return False
        too_slow = self._arrived < waited * _LEAST_RATE
        self._awaited_since = None
        return too_slow

    def _awaits_request(self) -> bool:
        """Whether it is the client's turn to send: the rest of what it began, or its first request."""
        if self.cycle is None or self.cycle.response_complete:
            # Without that timer something came since the last answer: of a body that was refused, or of a next head.
            return self.timeout_keep_alive_task is None or (self._in_head and self._head > 0)
        return bool(self.cycle.more_body and not self.flow.read_paused)

    def _check_framing(self) -> None:
        """Refuse what another server could take for a message of another length (RFC 9112, 6.1)."""
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            self._refuse("This server speaks HTTP/1.1.")
        for name, value in self.headers:
            if name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                self._refuse("The only Transfer-Encoding is chunked, and that in HTTP/1.1.")

    def _begin_outlet(self, cycle: RequestResponseCycle, head: bytes) -> Outlet | None:
        """Where threads write the answer to this request; None, and nothing done, where that cannot be."""
        if not _takes_answer(cycle) or self.transport.is_closing() or self.transport.get_write_buffer_size():
            return None
        with contextlib.suppress(OSError):  # too many files are open
            self._outlet = Outlet(cycle, head if cycle.keep_alive else head[:-2] + b"connection: close\r\n\r\n")
            return self._outlet
        return None

    def _refuse(self, why: str, status: bytes = _BAD) -> None:
        self._why, self._status = why, status
        raise NotTaken(why)


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """How long a body is, if its head says so; 0 if not. The parser has let at most one of these headers pass."""
    known = {name: value for name, value in headers if name in {b"content-length", b"transfer-encoding"}}
    return 0 if b"transfer-encoding" in known else int(known.get(b"content-length", 0))


def request_parser(connection: HttpToolsProtocol) -> HttpRequestParser:
    """A parser that is as uvicorn makes them for a new connection."""
    parser = HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def answer_at_once(cycle: RequestResponseCycle, answer: bytes) -> bool:
    """Write a whole answer, which ends its request; False, and nothing written, where the server's own way is needed.

    That is where a client is slow, hangs up after this answer, or is gone. Uvicorn's way looks through every header of
    every answer, which takes a tenth of a small request.
    """
    if not (_takes_answer(cycle) and cycle.keep_alive):
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(answer)
    cycle.message_event.set()
    cycle.on_response()
    return True


def _lacks_body(cycle: RequestResponseCycle) -> bool:
    """Whether what comes belongs to this request, and nothing was said to it yet."""
    return cycle.more_body and not cycle.response_started


def _takes_answer(cycle: RequestResponseCycle) -> bool:
    return not (cycle.disconnected or cycle.response_started or cycle.flow.write_paused)
