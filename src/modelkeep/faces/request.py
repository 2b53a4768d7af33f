"""A request on its way through: what the client sent, and its body as it arrives."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from modelkeep.core.errors import InvalidInput, TooLarge
from modelkeep.core.types import Caller, Piece
from modelkeep.faces.operations import Operation
from modelkeep.faces.pace import Room
from modelkeep.faces.refusals import Tried

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Take = Callable[[], Awaitable[tuple[list[Piece], bool] | None]]
_LONGEST_REASON = 1000


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(slots=True)
class Request:
    """One request on its way through."""

    id: str
    method: str
    raw_path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    receive: Receive
    take: Take | None
    address: str = ""
    operation: Operation | None = None
    who: str = ""
    caller: Caller | None = None
    tried: Tried | None = None
    admitted_at: float = 0.0

    @property
    def reason(self) -> str:
        """What the caller gives as the reason of a change."""
        return self.headers.get(b"x-modelkeep-reason", b"").decode("utf-8", "replace")[:_LONGEST_REASON]

    async def chunks(self, before_end: Callable[[], Awaitable[None]]) -> AsyncIterator[Piece]:
        """The body as it arrives; its end once `before_end` lets it pass."""
        more = True
        while more:
            pieces, more = await self._next_pieces()
            if not more:
                await before_end()
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

    async def whole_body(self, limit: int, room: Room, caller: str) -> bytes:
        """The body at once; `TooLarge` as soon as that is known. What has come of one that takes its time is kept in
        the caller's room. Raises TooManyRequests where that is full.
        """
        declared = self.headers.get(b"content-length", b"0")
        if not declared.isdigit():
            raise InvalidInput("Invalid Content-Length.")
        if int(declared) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
        body, more = await self._next_piece()
        if more:
            body = await self._rest_of(body, limit, room, caller)
        if len(body) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
        return body

    async def _rest_of(self, body: bytes, limit: int, room: Room, caller: str) -> bytes:
        """The body that begins so, or more of it than the limit."""
        pieces, size, kept, more = [body], len(body), 0, True
        try:
            while more and size <= limit:
                room.keep(caller, size - kept)
                kept = size
                piece, more = await self._next_piece()
                pieces.append(piece)
                size += len(piece)
        finally:
            room.let_go(caller, kept)
        return b"".join(pieces)
