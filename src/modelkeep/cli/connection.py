"""A client's connection: uvicorn's own, with a bound on the head of a request, and our words where it is no HTTP.

What is refused here never becomes a request: a head beyond 64 KiB would be held in memory however long it grew, and an
address with a host of its own (RFC 9112, 3.2.2) would go around the check of the Host header.
"""

import secrets
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from modelkeep.core.errors import InvalidInput
from modelkeep.faces.http import ANSWER_AT_ONCE, COMMON_HEADERS
from modelkeep.faces.mlflow.wire import MLFLOW

_LONGEST_HEAD = 64 * 1024


class NotTaken(Exception):
    """The head of this request is refused; the text says why."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head = 0
        self._in_head = True
        self._why = ""

    def data_received(self, data: bytes) -> None:
        """Take what arrived, unless it is the head of a request that has grown too long."""
        super().data_received(data)
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
