"""Bytes to be looked at, wherever they are: asked for over the pipe, a stretch of others, or unpacked on the way.

Nothing is ever held whole: readers ask for what they need, and what is packed is unpacked again to go back in it.
"""

import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

BLOCK = 1 << 20
_KEPT_BLOCKS = 16
_WINDOW = 2 << 20
_STEP = 256 << 10
# Unpacked bytes that are this many times the packed ones, and more than so many, are a bomb.
_RATIO = 150
_BOMB_FROM = 100 << 20


class Broken(Exception):
    """Bytes are not what their format says; the text says what is wrong."""


class OverLimit(Exception):
    """Looking further would take more than the scanner may use; the text says of what."""


class Bomb(Exception):
    """Few bytes unpack to very many."""


class Source(Protocol):
    """Bytes with random access."""

    def size(self) -> int:
        """How many there are; may unpack everything to know."""

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end. Raises Broken, OverLimit."""


class Budget:
    """How much may still be unpacked and opened, over all files."""

    def __init__(self, unpacked: int = 8 << 30, members: int = 50_000) -> None:
        self._unpacked = unpacked
        self._members = members

    def unpack(self, size: int) -> None:
        """Account for unpacked bytes. Raises OverLimit."""
        self._unpacked -= size
        if self._unpacked < 0:
            raise OverLimit("unpacking takes more bytes than are looked at")

    def open(self, members: int) -> None:
        """Account for members of an archive. Raises OverLimit."""
        self._members -= members
        if self._members < 0:
            raise OverLimit("archives hold more files than are looked at")


class Remote:
    """A file of the task, asked for in blocks; the last few are kept."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._blocks: dict[int, bytes] = {}

    def size(self) -> int:
        """Its length."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """As promised by Source."""
        end = min(offset + length, self._size)
        if offset >= end:
            return b""
        first, last = offset // BLOCK, (end - 1) // BLOCK
        blocks = [self._block(index) for index in range(first, last + 1)]
        return b"".join(blocks)[offset - first * BLOCK : end - first * BLOCK]

    def _block(self, index: int) -> bytes:
        found = self._blocks.get(index)
        if found is None:
            if len(self._blocks) >= _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            found = self._blocks[index] = self._fetch(index * BLOCK, min(BLOCK, self._size - index * BLOCK))
        return found


class Held:
    """Bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def size(self) -> int:
        """Their length."""
        return len(self._content)

    def read_at(self, offset: int, length: int) -> bytes:
        """As promised by Source."""
        return self._content[offset : offset + length]


class Stretch:
    """Some bytes of a source, in place."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        self._source = source
        self._start = start
        self._size = size

    def size(self) -> int:
        """Their length."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """As promised by Source."""
        return self._source.read_at(self._start + offset, max(0, min(length, self._size - offset)))


# Makes a decompressor: an object with `decompress(data, most)`, `eof` and `unused_data`.
Unpacker = Callable[[], Any]


class Unpacked:
    """A packed source as its unpacked bytes. Reading forward is cheap; going far back starts from the beginning."""

    def __init__(self, source: Source, unpacker: Unpacker, budget: Budget, *, many: bool = False) -> None:
        self._source = source
        self._unpacker = unpacker
        self._budget = budget
        self._many = many
        self._size: int | None = None
        self.rest = 0
        self._restart()

    def size(self) -> int:
        """How many they are; unpacks all of them the first time."""
        while self._size is None:
            self._advance(self._start + len(self._window))
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """As promised by Source."""
        if offset < self._start:
            self._restart()
        while not self._ended and self._start + len(self._window) < offset + length:
            self._advance(offset)
        at = max(0, offset - self._start)
        return bytes(self._window[at : at + length])

    def _restart(self) -> None:
        self._window = bytearray()
        self._start = 0
        self._taken = 0
        self._ended = False
        self._waiting = b""
        self._stream = self._unpacker()

    def _advance(self, wanted: int) -> None:
        """Unpack a piece more, and forget what lies far before the offset that is wanted."""
        piece = self._unpack()
        self._budget.unpack(len(piece) + 64)
        self._window += piece
        produced = self._start + len(self._window)
        if produced > _BOMB_FROM and produced > _RATIO * max(1, self._taken):
            raise Bomb(f"{self._taken:,} bytes unpack to more than {produced:,}")
        spare = min(wanted - self._start, len(self._window)) - _WINDOW
        if spare > _WINDOW:
            del self._window[:spare]
            self._start += spare
        if self._ended:
            self._size = produced

    def _unpack(self) -> bytes:
        if not self._waiting and getattr(self._stream, "needs_input", True):
            self._waiting = self._source.read_at(self._taken, _STEP)
            self._taken += len(self._waiting)
            if not self._waiting:
                raise Broken("the packed bytes end early")
        try:
            piece = self._stream.decompress(self._waiting, _STEP)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise Broken("the packed bytes are damaged") from error
        self._waiting = getattr(self._stream, "unconsumed_tail", b"")
        if self._stream.eof:
            self._end_stream()
        return bytes(piece)

    def _end_stream(self) -> None:
        """Packed streams may stand one behind the other; how much follows the last of them is `rest`."""
        behind = self._stream.unused_data
        if not behind:
            behind = self._source.read_at(self._taken, _STEP)
            self._taken += len(behind)
        if self._many and behind.strip(b"\0"):
            self._stream, self._waiting = self._unpacker(), behind
        else:
            self._ended = True
            self.rest = len(behind.strip(b"\0"))


class Cursor:
    """Reads a source forward."""

    def __init__(self, source: Source, position: int = 0) -> None:
        self._source = source
        self.position = position
        self._buffer = b""
        self._at = 0

    def read(self, length: int) -> bytes:
        """The next bytes. Raises Broken if there are fewer, OverLimit for more than fit in memory."""
        end = self._at + length
        if end <= len(self._buffer):
            piece = self._buffer[self._at : end]
        else:
            if length > 64 * BLOCK:
                raise OverLimit("a single value is too long")
            self._fill(length)
            piece, end = self._buffer[:length], length
            if len(piece) < length:
                raise Broken("it ends early")
        self._at = end
        self.position += length
        return piece

    def line(self, most: int = 1 << 16) -> bytes:
        """The bytes up to the next line feed, which is taken as well. Raises Broken, OverLimit."""
        found = self._buffer.find(b"\n", self._at)
        if found < 0:
            self._fill(most)
            found = self._buffer.find(b"\n", 0, most)
        if found < 0:
            if most > 1 << 16 and len(self._buffer) >= most:
                raise OverLimit("a line is too long")
            raise Broken("a line does not end")
        return self.read(found - self._at + 1)[:-1]

    def peek(self, length: int) -> bytes:
        """The next bytes, or as many as there are, without taking them."""
        if self._at + length > len(self._buffer):
            self._fill(length)
        return self._buffer[self._at : self._at + length]

    def skip(self, length: int) -> None:
        """Leave bytes out. Raises Broken if there are fewer."""
        if self._at + length <= len(self._buffer):
            self._at += length
            self.position += length
            return
        if length and not self._source.read_at(self.position + length - 1, 1):
            raise Broken("it ends early")
        self.position += length
        self._buffer, self._at = b"", 0

    def _fill(self, least: int) -> None:
        self._buffer, self._at = self._source.read_at(self.position, max(least, 1 << 16)), 0


def windows(source: Source, overlap: int) -> Iterator[tuple[int, bytes]]:
    """All of a source in pieces that overlap by so much, each with its offset."""
    offset = 0
    while piece := source.read_at(offset, BLOCK + overlap):
        yield offset, piece
        offset += BLOCK


def whole(source: Source, most: int) -> bytes:
    """All bytes. Raises OverLimit where they are more than `most`."""
    content = source.read_at(0, most + 1)
    if len(content) > most:
        raise OverLimit(f"it is longer than the {most:,} bytes that are looked at")
    return content


def find_all(source: Source, pattern: re.Pattern[bytes], longest: int) -> Iterator[int]:
    """Where a pattern begins, ascending."""
    last = -1
    for offset, piece in windows(source, longest):
        for match in pattern.finditer(piece):
            if offset + match.start() > last:
                last = offset + match.start()
                yield last
