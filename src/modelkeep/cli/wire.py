"""HTTP to one server: a kept connection for each thread, the caller's credentials, and failures in words."""

import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from modelkeep.cli.refusals import Refused, ServerGone

TIMEOUT_S = 60
Body = bytes | Callable[[], Iterable[bytes]]
_UNAVAILABLE = 503
_BROKEN = (OSError, HTTPException)


class Server:
    """Where a server answers, and who is calling. Any number of threads may use it."""

    def __init__(self, address: str, token: str, workspace: str, reason: str = "") -> None:
        try:
            parts = urlsplit(address)
            self._port = parts.port
        except ValueError as error:
            raise _no_address(address) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise _no_address(address)
        self.address = address.rstrip("/")
        self._host = parts.hostname
        self._prefix = parts.path.rstrip("/")
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if workspace:
            self._headers["X-MLFLOW-WORKSPACE"] = workspace
        if reason:
            # The library takes no other characters; the server reads the bytes as UTF-8.
            self._headers["X-Modelkeep-Reason"] = " ".join(reason.split()).encode().decode("latin-1")
        self._kept = threading.local()

    def apart(self) -> "Server":
        """The same server over connections of its own: one answer can be read there while others are asked for here."""
        made = copy(self)
        made._kept = threading.local()
        return made

    @contextmanager
    def request(
        self,
        method: str,
        target: str,
        body: Body = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_S,
    ) -> Iterator[HTTPResponse]:
        """The answer to a request, if it is no refusal; its body is the caller's to read to the end.

        A body that is a function makes its pieces anew each time it is called; then its Content-Length is among the
        headers. Raises Refused with the server's explanation, or ServerGone.
        """
        try:
            answer = self._answer(method, target, body, self._headers | dict(headers or {}), timeout)
            if answer.status >= 400:
                raise _refusal(answer)
            yield answer
        except _BROKEN as error:
            self._drop()
            if isinstance(error, FromDisk):
                raise error.cause from error
            raise ServerGone(f"{self.address} does not answer: {_reason(error)}.") from error
        except BaseException:
            self._drop()
            raise
        else:
            if answer.length == 0:
                answer.close()
            if not answer.isclosed():
                self._drop()

    def json(self, method: str, target: str, fields: Any = None, timeout: float = TIMEOUT_S) -> Any:
        """The decoded answer to a request with a JSON body, or none."""
        body = b"" if fields is None else json.dumps(fields).encode()
        headers = {"Content-Type": "application/json"} if body else {}
        with self.request(method, target, body, headers, timeout) as answer:
            return json.loads(answer.read() or b"{}")

    def _answer(self, method: str, target: str, body: Body, headers: Mapping[str, str], timeout: float) -> HTTPResponse:
        if method == "POST":
            self._drop()  # it must not be sent twice, so nothing is risked on a connection that may be closed
        connection: HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is not None:
            try:
                return _exchange(connection, method, self._prefix + target, body, headers, timeout)
            except FromDisk:
                raise
            except _BROKEN:
                self._drop()  # the server closes what was idle for long: that is no failure
        connection = self._kept.connection = self._connect(timeout)
        return _exchange(connection, method, self._prefix + target, body, headers, timeout)

    def _connect(self, timeout: float) -> HTTPConnection:
        if self._context is not None:
            return HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)
        return HTTPConnection(self._host, self._port, timeout=timeout)

    def _drop(self) -> None:
        connection: HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is not None:
            connection.close()
            self._kept.connection = None


class FromDisk(OSError):
    """A file of this machine failed in the middle of an exchange: nothing of the server's doing."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Busy(Refused):
    """The server cannot do it now; the same request may succeed later."""


class Missing(Refused):
    """What the request was about is not there."""


def explanation(status: int, body: bytes) -> str:
    """What a refusal of the server says, in its own words if they can be read."""
    try:
        problem = json.loads(body)
    except ValueError:
        return f"The server answered {status}."
    known = problem if isinstance(problem, dict) else {}
    return str(known.get("detail") or known.get("message") or f"The server answered {status}.")


def _exchange(
    connection: HTTPConnection, method: str, target: str, body: Body, headers: Mapping[str, str], timeout: float
) -> HTTPResponse:
    connection.timeout = timeout
    if connection.sock is not None:
        connection.sock.settimeout(timeout)
    else:
        connection.connect()
    content = body if isinstance(body, bytes) else body()
    try:
        connection.request(method, target, content or None, dict(headers))
    except (BrokenPipeError, ConnectionResetError):
        # A server that refuses does not take the rest of the body; what it says may be there to read.
        return connection.getresponse()
    return connection.getresponse()


def _refusal(answer: HTTPResponse) -> Refused:
    kind = {404: Missing, _UNAVAILABLE: Busy}.get(answer.status, Refused)
    return kind(explanation(answer.status, answer.read()))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it broke off" if not str(error) else str(error)


def _no_address(address: str) -> Refused:
    return Refused(f"--server {address} is not an http:// or https:// address.")
