"""Bodies of requests on their way in: after their head, they are received into the very blocks that are handed on."""

from typing import Any

from modelkeep.core.types import Piece

# A block is as large as all that came before it, within these bounds: who declares much and sends little gets little.
_FIRST = 128 * 1024
_LARGEST = 1024 * 1024
_LARGEST_OF_MANY = 256 * 1024
_FEW = 4
# So many blocks may wait to be fetched.
_AHEAD = 2
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Pieces(list[Piece]):
    """What arrived of a body and was not fetched yet. Uvicorn's own, one growing array, copies each byte twice more."""

    size = 0

    def __bytes__(self) -> bytes:
        return bytes(self[0]) if len(self) == 1 else b"".join(self)

    def add(self, piece: Piece) -> None:
        """One more has arrived."""
        self.append(piece)
        self.size += len(piece)


class Rest:
    """What is still to come of a body of known length, received into blocks."""

    _large = 0

    def __init__(self, left: int) -> None:
        self._left = left
        self._came = 0
        self._block = memoryview(b"")
        self._filled = 0
        self._is_large = left > _LARGEST
        Rest._large += self._is_large

    @property
    def is_over(self) -> bool:
        """Whether all of it came."""
        return self._left == 0

    @property
    def ahead(self) -> int:
        """How many bytes may wait to be fetched."""
        return _AHEAD * len(self._block)

    def room(self) -> memoryview:
        """Where the next bytes go; never for bytes beyond the body's end."""
        if self._filled == len(self._block):
            largest = _LARGEST if Rest._large <= _FEW else _LARGEST_OF_MANY
            self._block = memoryview(bytearray(min(self._left, max(_FIRST, min(self._came, largest)))))
            self._filled = 0
        return self._block[self._filled :]

    def came(self, count: int) -> Piece | None:
        """So many bytes came; the block that they were the last of, which is not written to any more."""
        self._filled += count
        self._left -= count
        self._came += count
        return self._block if self._filled == len(self._block) else None

    def end(self) -> None:
        """No more of it is received."""
        Rest._large -= self._is_large
        self._is_large = False


async def take(cycle: Any) -> tuple[list[Piece], bool] | None:
    """What has arrived of a request's body, uncopied, and whether more will come; None once the client is gone.

    Does for a request (`RequestResponseCycle`) what its `receive` does.
    """
    if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
        cycle.transport.write(_CONTINUE)
        cycle.waiting_for_100_continue = False
    if not cycle.disconnected and not cycle.response_complete:
        cycle.flow.resume_reading()
        await cycle.message_event.wait()
        cycle.message_event.clear()
    if cycle.disconnected or cycle.response_complete:
        return None
    pieces, cycle.body = cycle.body, Pieces()
    return [bytes(pieces)] if isinstance(pieces, bytearray) else pieces, cycle.more_body
