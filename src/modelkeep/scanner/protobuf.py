"""Reads protocol buffers without a schema: fields by number, in order, with nothing unpacked that is not asked for."""

from collections.abc import Iterator
from typing import NamedTuple

from modelkeep.scanner.sources import Broken, OverLimit, Source

_CHUNK = 1 << 16
_MOST_FIELDS = 500_000


class Field(NamedTuple):
    """A field: its number, its wire type, its value if that is a number, else where its bytes are."""

    number: int
    wire: int
    value: int
    start: int
    size: int


class Message:
    """A stretch of a source that is one message."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        self._source = source
        self._start = start
        self._end = start + size
        self._chunk = b""
        self._chunk_at = 0

    def fields(self) -> Iterator[Field]:
        """Its fields in order. Raises Broken where it is no message."""
        at, count = self._start, 0
        while at < self._end:
            key, at = self._number(at)
            number, wire = key >> 3, key & 7
            if not number:
                raise Broken("a field has no number")
            value, start, size = 0, at, 0
            if wire == 0:
                value, at = self._number(at)
            else:
                start, size = self._span(at, wire)
                at = start + size
            if at > self._end:
                raise Broken("a field ends behind its message")
            count += 1
            if count > _MOST_FIELDS:
                raise OverLimit("a message has too many fields")
            yield Field(number, wire, value, start, size)

    def _span(self, at: int, wire: int) -> tuple[int, int]:
        if wire == 2:
            size, start = self._number(at)
            return start, size
        if wire not in {1, 5}:
            raise Broken("a field is of no known type")
        return at, 8 if wire == 1 else 4

    def inner(self, field: Field) -> "Message":
        """The message that is a field's value."""
        if field.wire != 2:
            raise Broken("a field is no message")
        return Message(self._source, field.start, field.size)

    def text(self, field: Field, longest: int = 2_000) -> str:
        """The text that is a field's value, cut where it is very long."""
        if field.wire != 2:
            raise Broken("a field is no text")
        return self._source.read_at(field.start, min(field.size, longest)).decode("utf-8", "replace")

    def numbers(self, field: Field) -> list[int]:
        """The numbers of a repeated field, packed or not."""
        if field.wire == 0:
            return [field.value]
        at, end, found = field.start, field.start + field.size, []
        while at < end:
            value, at = self._number(at)
            found.append(value)
            if len(found) > 1_000:
                raise OverLimit("a list of numbers is too long")
        return found

    def _number(self, at: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte(at)
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise Broken("a number is too long")

    def _byte(self, at: int) -> int:
        inside = at - self._chunk_at
        if not 0 <= inside < len(self._chunk):
            if at >= self._end:
                raise Broken("a message ends early")
            self._chunk, self._chunk_at, inside = self._source.read_at(at, min(_CHUNK, self._end - at)), at, 0
            if not self._chunk:
                raise Broken("a message ends early")
        return self._chunk[inside]


def message(source: Source) -> Message:
    """A whole source as a message."""
    return Message(source, 0, source.size())
