"""Sending an answer: at once, by threads, or piece by piece, as far as the server under us offers it."""

import asyncio
import contextlib
import http
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache, partial
from typing import Any

from modelkeep.artifacts import FileBody
from modelkeep.faces.headers import Header
from modelkeep.faces.operations import Body, Reply
from modelkeep.faces.request import ClientGone, Receive, Request

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Answers that never have a body, and so no length (RFC 9110, 8.6).
_WITHOUT_LENGTH = {204, 304}
_TOO_LARGE = 413
_NO_HEADER_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# The ASGI extension of a server that can `write` the bytes of a whole answer, head and body, at once; that is False
# where it wrote nothing, because the client is slow, wants to hang up, or went.
ANSWER_AT_ONCE = "modelkeep.answer_at_once"
# The ASGI extension of a server that lets threads write an answer: `begin` with the bytes of its head gives an outlet
# for the body, or None, where it wrote nothing. After the last byte `end` is called.
ANSWER_BY_THREADS = "modelkeep.answer_by_threads"
# The ASGI extension of a server that lets `take` the pieces of a body that have arrived, which `receive` would copy
# into one, and whether more will come; None once the client is gone.
BODY_PIECES = "modelkeep.body_pieces"


class Sender:
    """Sends answers, each with the headers that all carry."""

    def __init__(self, common: tuple[Header, ...]) -> None:
        self._common = common
        self._head = lru_cache(256)(partial(_head, common))

    async def send(self, scope: Mapping[str, Any], send: Send, request: Request, reply: Reply) -> None:
        """Send an answer. Raises ClientGone, and whatever ends a body before its end."""
        if not self._sent_at_once(scope, request, reply) and not await self._poured(scope, request, reply):
            await _send(send, request, reply, self._common)

    def _sent_at_once(self, scope: Mapping[str, Any], request: Request, reply: Reply) -> bool:
        """Send an answer that is all there as one piece, where the server offers that; otherwise do nothing."""
        offered = scope.get("extensions", {}).get(ANSWER_AT_ONCE)
        if offered is None or not isinstance(reply.body, bytes) or reply.status == _TOO_LARGE:
            return False
        body = b"" if request.method == "HEAD" else reply.body
        return bool(offered["write"](self._whole_head(request, reply, len(reply.body)) + body))

    async def _poured(self, scope: Mapping[str, Any], request: Request, reply: Reply) -> bool:
        """Let threads send what they read of a file, where the server offers that; otherwise do nothing."""
        offered = scope.get("extensions", {}).get(ANSWER_BY_THREADS)
        if offered is None or not isinstance(reply.body, FileBody) or request.method == "HEAD":
            return False
        outlet = offered["begin"](self._whole_head(request, reply, reply.body.size))
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

    def _whole_head(self, request: Request, reply: Reply, size: int) -> bytes:
        head, with_length = self._head(reply.status, tuple(reply.headers))
        length = b"\r\ncontent-length: %d" % size if with_length else b""
        return b"%b%b%b\r\n\r\n" % (head, request.id.encode(), length)


def _head(common: tuple[Header, ...], status: int, headers: tuple[Header, ...]) -> tuple[bytes, bool]:
    """The head of an answer up to the request's id, and whether its length has yet to follow."""
    lines = [b"HTTP/1.1 %d %b" % (status, http.HTTPStatus(status).phrase.encode())]
    for name, value in _completed(headers, common):
        if _NO_HEADER_VALUE.search(value):
            raise ValueError(f"the header {name!r} has a control character")
        lines.append(name + b": " + value)
    has_length = any(name == b"content-length" for name, _ in headers)
    return b"\r\n".join([*lines, b"x-request-id: "]), not has_length and status not in _WITHOUT_LENGTH


def _completed(headers: Iterable[Header], common: Iterable[Header]) -> list[Header]:
    named = {name for name, _ in headers}
    return [*headers, *(pair for pair in common if pair[0] not in named)]


async def _send(send: Send, request: Request, reply: Reply, common: Iterable[Header]) -> None:
    body = reply.body
    size = len(body) if isinstance(body, bytes) else body.size
    headers = [*_completed(reply.headers, common), (b"x-request-id", request.id.encode())]
    if reply.status == _TOO_LARGE:
        # The rest of such a body would be read and thrown away for as long as the client cares to send it.
        headers.append((b"connection", b"close"))
    is_told = any(name == b"content-length" for name, _ in headers)
    if size is not None and not is_told and reply.status not in _WITHOUT_LENGTH:
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


async def _send_pieces(send: Send, request: Request, body: Body) -> None:
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
