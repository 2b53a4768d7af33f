"""One call to an identity provider: judged when its connection stands, broken off in time, its answer small."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from modelkeep.access.signin.outbound import MOST_BYTES, Place, is_never_called, is_public

_PIECE = 64 * 1024


class NotCalled(Exception):
    """The other end is not what may be called, or its answer not what can be used. `status` is that of the answer."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class _Judged:
    """A connection that looks at its other end before it sends a byte, and that another thread can break off."""

    is_vouched_for = False
    alarm: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        peer = str(made.getpeername()[0])
        if is_never_called(peer) or not (self.is_vouched_for or is_public(peer)):
            made.close()
            raise NotCalled("it leads to a private address that nobody vouches for (see MODELKEEP_ISSUER_HOSTS)")
        self.alarm = made.dup()
        return made

    def break_off(self) -> None:
        """End whatever the connection is doing."""
        if self.alarm is not None:
            with contextlib.suppress(OSError):
                self.alarm.shutdown(socket.SHUT_RDWR)

    def let_go(self) -> None:
        """Close it."""
        if self.alarm is not None:
            self.alarm.close()
        self.close()  # type: ignore[attr-defined]


class _Http(_Judged, HTTPConnection):
    pass


class _Https(_Judged, HTTPSConnection):
    pass


def call(
    place: Place, method: str, headers: Mapping[str, str], body: bytes | None, longest_s: float, *, is_vouched_for: bool
) -> bytes:
    """The answer of an address, within so many seconds. Raises NotCalled, whatever is wrong with it."""
    connection = _connection(place, longest_s)
    connection.is_vouched_for = is_vouched_for
    timer = threading.Timer(longest_s, connection.break_off)
    timer.daemon = True
    deadline = time.monotonic() + longest_s
    timer.start()
    try:
        asked = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "modelkeep"}
        connection.request(method, place.target, body, {**asked, **headers}, preload_content=False)
        return _whole(connection.getresponse(), deadline)
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        # Only its kind: more would tell of the network behind the name.
        raise NotCalled(type(error).__name__) from error
    finally:
        timer.cancel()
        connection.let_go()


def _connection(place: Place, longest_s: float) -> _Http | _Https:
    if place.scheme == "http":
        return _Http(place.host, place.port, timeout=longest_s)
    return _Https(place.host, place.port, timeout=longest_s, ssl_context=ssl.create_default_context())


def _whole(response: BaseHTTPResponse, deadline: float) -> bytes:
    """The body of an answer of status 200, if it is small and comes in time."""
    if response.status != 200:
        raise NotCalled(f"status {response.status}", response.status)
    pieces, size = [], 0
    for piece in response.stream(_PIECE, decode_content=False):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise NotCalled(f"more than {MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise NotCalled("not all there in time")
    return b"".join(pieces)
