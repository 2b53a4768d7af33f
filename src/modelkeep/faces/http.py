"""The ASGI application: guard, route, parse, permit, run, render, log; and the one edge where errors become answers."""

import asyncio
import contextlib
import http
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from modelkeep.access import Permission, require
from modelkeep.app import App
from modelkeep.artifacts import FileBody
from modelkeep.core.errors import DomainError, EndpointNotFound, InvalidInput, TooLarge
from modelkeep.core.types import Actor, Caller, Piece
from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.guard import Guard, check_body
from modelkeep.faces.operations import Body, Exchange, Face, Mode, Operation, Public, Reply, Signed
from modelkeep.faces.routing import Router, decode, query_fields

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Take = Callable[[], Awaitable[tuple[list[Piece], bool] | None]]

_log = logging.getLogger("modelkeep")
_READ_METHODS = {"GET", "HEAD"}
# Answers that never have a body, and so no length (RFC 9110, 8.6).
_WITHOUT_LENGTH = {204, 304}
_TOO_LARGE = 413
# In the log only: what proxies write for a client that did not wait for its answer.
_CLIENT_GONE = 499
_NO_HEADER_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SINGLE = {b"host", b"content-length", b"authorization", b"x-mlflow-workspace"}
_NOBODY = Actor("", "public")
# On every answer: nothing here is a page, so nothing may be run, framed, sniffed or kept.
COMMON_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
# The ASGI extension of a server that can `write` the bytes of a whole answer, head and body, at once; that is False
# where it wrote nothing, because the client is slow, wants to hang up, or went.
ANSWER_AT_ONCE = "modelkeep.answer_at_once"
# The ASGI extension of a server that lets threads write an answer: `begin` with the bytes of its head gives an outlet
# for the body, or None, where it wrote nothing. After the last byte `end` is called.
ANSWER_BY_THREADS = "modelkeep.answer_by_threads"
# The ASGI extension of a server that lets `take` the pieces of a body that have arrived, which `receive` would copy
# into one, and whether more will come; None once the client is gone.
BODY_PIECES = "modelkeep.body_pieces"


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(slots=True)
class _Request:
    """One request on its way through."""

    id: str
    method: str
    raw_path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    receive: Receive
    take: Take | None
    operation: Operation | None = None
    who: str = ""

    async def chunks(self) -> AsyncIterator[Piece]:
        """The body as it arrives."""
        more = True
        while more:
            pieces, more = await self._next_pieces()
            while pieces:
                yield pieces.pop(0)

    async def _next_pieces(self) -> tuple[list[Piece], bool]:
        if self.take is None:
            piece, more = await self._next_piece()
            return [piece] if piece else [], more
        taken = await self.take()
        if taken is None:
            raise ClientGone
        return taken

    async def _next_piece(self) -> tuple[bytes, bool]:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message["body"], message.get("more_body", False)

    async def whole_body(self, limit: int) -> bytes:
        """The body at once; `TooLarge` as soon as that is known."""
        declared = self.headers.get(b"content-length", b"0")
        if not declared.isdigit():
            raise InvalidInput("Invalid Content-Length.")
        if int(declared) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
        body, more = await self._next_piece()
        pieces, size = [body], len(body)
        while more and size <= limit:
            piece, more = await self._next_piece()
            pieces.append(piece)
            size += len(piece)
        if size > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
        return body if len(pieces) == 1 else b"".join(pieces)


class HttpFace:
    """The ASGI application over a table of operations. `default_face` words the refusals that no operation owns."""

    def __init__(self, app: App, operations: Iterable[Operation], default_face: Face, log: AccessLog) -> None:
        self._app = app
        self._router = Router(operations)
        self._guard = Guard(app.settings.hosts)
        self._default_face = default_face
        self._log = log

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = _Request(
            secrets.token_hex(8),
            scope["method"],
            scope.get("raw_path") or scope["path"].encode(),
            scope["query_string"],
            _headers(scope["headers"]),
            receive,
            scope.get("extensions", {}).get(BODY_PIECES, {}).get("take"),
        )
        self._log.in_progress.inc()
        status, broken = _CLIENT_GONE, False
        try:
            reply = await self._reply(request)
            status = reply.status
            if not _sent_at_once(scope, request, reply) and not await _poured(scope, request, reply):
                await _send(send, request, reply)
        except (ClientGone, asyncio.CancelledError):
            status = _CLIENT_GONE
            _log.info("client gone", extra={"fields": {"request_id": request.id}})
        except Exception as error:
            # The status is out. All that can still be said is that this is not the whole body: the web server closes
            # the connection when it sees that we return without the rest.
            broken = True
            _log_broken_off(error, request.id)
        finally:
            self._log.in_progress.dec()
            self._log.record(
                operation=request.operation.name if request.operation else "none",
                method=request.method,
                path=request.raw_path.decode("latin-1"),
                status=status,
                seconds=time.perf_counter() - started,
                who=request.who,
                request_id=request.id,
                broken_off=broken,
            )

    async def _reply(self, request: _Request) -> Reply:
        face = self._default_face
        try:
            self._guard.check(request.headers, request.raw_path, request.query)
            operation, fields = self._find(request)
            request.operation = operation
            face = operation.face
            return await self._run(operation, fields, request)
        except DomainError as error:
            return face.refuse(error, request.id)
        except ClientGone:
            raise
        except Exception:
            _log.exception("request failed", extra={"fields": {"request_id": request.id}})
            return face.fail(request.id)

    def _find(self, request: _Request) -> tuple[Operation, dict[str, str]]:
        found = self._router.find(request.method, request.raw_path)
        if found is None:
            raise EndpointNotFound(f"No operation answers {request.method} here.")
        return found

    async def _run(self, operation: Operation, path_fields: dict[str, str], request: _Request) -> Reply:
        caller = await self._caller(operation, request)
        fields: dict[str, Any] = query_fields(request.query) if request.query else {}
        if clash := fields.keys() & path_fields.keys():
            raise InvalidInput(f"Parameter '{min(clash)}' stands in the path and in the query.", min(clash))
        fields.update(path_fields)
        if operation.mode is Mode.STREAM:
            typed = operation.face.parse(operation, fields, b"", request.headers)
            exchange = Exchange(self._app, caller, typed, request.method, request.headers, request.chunks())
            answer = await operation.run(exchange)
            return answer if isinstance(answer, Reply) else operation.face.render(operation, answer)
        body = b"" if request.method in _READ_METHODS else await request.whole_body(operation.body_limit)
        check_body(body)
        typed = operation.face.parse(operation, fields, body, request.headers)
        if operation.mode is Mode.STEPS:
            exchange = Exchange(self._app, caller, typed, request.method, request.headers, request.chunks())
            return operation.face.render(operation, await operation.run(exchange))
        return operation.face.render(operation, await self._use_case(operation, caller, typed))

    async def _caller(self, operation: Operation, request: _Request) -> Caller:
        if isinstance(operation.permission, Public):
            return Caller(_NOBODY, request_id=request.id)
        if isinstance(operation.permission, Signed):
            return await self._linked_caller(operation.permission.permission, request)
        caller = await self._app.caller(
            request.headers.get(b"authorization", b"").decode("latin-1"),
            request.headers.get(b"x-mlflow-workspace", b"").decode("latin-1"),
            request.id,
        )
        request.who = caller.actor.name
        require(caller.actor, operation.permission)
        return caller

    async def _linked_caller(self, permission: Permission, request: _Request) -> Caller:
        """Who made the link by which this request comes, in the workspace that it was made in."""
        links = query_fields(request.query).get("link", [""])
        method = "GET" if request.method == "HEAD" else request.method
        caller = await self._app.linked_caller(links[0], method, decode(request.raw_path), request.id)
        request.who = caller.actor.name
        require(caller.actor, permission)
        return caller

    async def _use_case(self, operation: Operation, caller: Caller, typed: Any) -> Any:
        run = operation.run
        if operation.mode is Mode.WRITE:
            return await self._app.write(caller, lambda tx: run(tx, typed))
        if operation.mode is Mode.QUICK:
            return await self._app.read_quickly(caller, lambda tx: run(tx, typed))
        return await self._app.read(caller, lambda tx: run(tx, typed))


def _log_broken_off(error: Exception, request_id: str) -> None:
    extra = {"fields": {"request_id": request_id}}
    if isinstance(error, DomainError):
        extra["fields"]["problem"] = error.message
        _log.error("answer broken off", extra=extra)
    else:
        _log.exception("answer broken off", extra=extra)


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Headers by name. Of those that say where, who and how much, a repeated one leaves none that could be believed."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in headers and name in _SINGLE:
            value = b"?"
        headers[name] = value
    return headers


def _sent_at_once(scope: Mapping[str, Any], request: _Request, reply: Reply) -> bool:
    """Send an answer that is all there as one piece, where the server offers that; otherwise do nothing."""
    offered = scope.get("extensions", {}).get(ANSWER_AT_ONCE)
    if offered is None or not isinstance(reply.body, bytes) or reply.status == _TOO_LARGE:
        return False
    body = b"" if request.method == "HEAD" else reply.body
    return bool(offered["write"](_whole_head(request, reply, len(reply.body)) + body))


async def _poured(scope: Mapping[str, Any], request: _Request, reply: Reply) -> bool:
    """Let threads send what they read of a file, where the server offers that; otherwise do nothing."""
    offered = scope.get("extensions", {}).get(ANSWER_BY_THREADS)
    if offered is None or not isinstance(reply.body, FileBody) or request.method == "HEAD":
        return False
    outlet = offered["begin"](_whole_head(request, reply, reply.body.size))
    if outlet is None:
        return False
    try:
        await reply.body.pour(outlet)
        outlet.end()
    except ConnectionError as error:
        raise ClientGone from error
    finally:
        reply.body.close()
    return True


def _whole_head(request: _Request, reply: Reply, size: int) -> bytes:
    head, with_length = _head(reply.status, tuple(reply.headers))
    length = b"\r\ncontent-length: %d" % size if with_length else b""
    return b"%b%b%b\r\n\r\n" % (head, request.id.encode(), length)


@lru_cache(256)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, bool]:
    """The head of an answer up to the request's id, and whether its length has yet to follow."""
    lines = [b"HTTP/1.1 %d %b" % (status, http.HTTPStatus(status).phrase.encode())]
    for name, value in _completed(headers):
        if _NO_HEADER_VALUE.search(value):
            raise ValueError(f"the header {name!r} has a control character")
        lines.append(name + b": " + value)
    has_length = any(name == b"content-length" for name, _ in headers)
    return b"\r\n".join([*lines, b"x-request-id: "]), not has_length and status not in _WITHOUT_LENGTH


def _completed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {name for name, _ in headers}
    return [*headers, *(pair for pair in COMMON_HEADERS if pair[0] not in named)]


async def _send(send: Send, request: _Request, reply: Reply) -> None:
    body = reply.body
    size = len(body) if isinstance(body, bytes) else body.size
    headers = [*_completed(reply.headers), (b"x-request-id", request.id.encode())]
    if reply.status == _TOO_LARGE:
        # The rest of such a body would be read and thrown away for as long as the client cares to send it.
        headers.append((b"connection", b"close"))
    if not any(name == b"content-length" for name, _ in headers) and reply.status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", str(size).encode()))
    start = {"type": "http.response.start", "status": reply.status, "headers": headers}
    if isinstance(body, bytes):
        await send(start)
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
        return
    try:
        await send(start)
        if request.method != "HEAD":
            await _send_pieces(send, request, body)
        await send({"type": "http.response.body", "body": b""})
    finally:
        body.close()


async def _send_pieces(send: Send, request: _Request, body: Body) -> None:
    """Send a body piece by piece; `ClientGone` as soon as nobody takes it any more."""
    gone = asyncio.ensure_future(_until_gone(request.receive))
    try:
        async with contextlib.aclosing(body.chunks()) as pieces:
            async for piece in pieces:
                if gone.done():
                    raise ClientGone
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                del piece  # or it would stay until the next one is there
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
