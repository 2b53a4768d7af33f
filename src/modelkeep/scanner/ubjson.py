"""UBJSON, as XGBoost writes its models: read over from end to end, which says that the file is nothing else."""

from modelkeep.scanner.sources import Broken, Cursor, OverLimit, Source

_FIXED = {b"Z": 0, b"N": 0, b"T": 0, b"F": 0, b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8, b"C": 1}
_INTEGERS = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}
_DEEPEST = 100
_MOST = 20_000_000


def is_ubjson(source: Source) -> bool:
    """Whether it begins as an object whose first key is a text with a length."""
    head = source.read_at(0, 16)
    return head[:1] == b"{" and (head[1:2] in _INTEGERS or head[1:2] in {b"$", b"#"}) and b"\0" in head


class Reader:
    """Reads over one value."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._left = _MOST

    def value(self, depth: int = 0) -> None:
        """A value with its marker. Raises Broken, OverLimit."""
        self._body(self._cursor.read(1), depth)

    def _body(self, marker: bytes, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise OverLimit("it holds too many values")
        if marker in _FIXED:
            self._cursor.skip(_FIXED[marker])
        elif marker in {b"S", b"H"}:
            self._cursor.skip(self._length())
        elif marker == b"[":
            self._items(b"]", depth, keyed=False)
        elif marker == b"{":
            self._items(b"}", depth, keyed=True)
        else:
            raise Broken("a value is of no known type")

    def _length(self) -> int:
        width = _INTEGERS.get(self._cursor.read(1))
        if width is None:
            raise Broken("a length is no number")
        length = int.from_bytes(self._cursor.read(width), "big", signed=True)
        if length < 0:
            raise Broken("a length is negative")
        return length

    def _items(self, end: bytes, depth: int, *, keyed: bool) -> None:
        marker = count = None
        if self._cursor.peek(1) == b"$":
            self._cursor.skip(1)
            marker = self._cursor.read(1)
        if self._cursor.peek(1) == b"#":
            self._cursor.skip(1)
            count = self._length()
        if marker is not None and count is None:
            raise Broken("a list has a type and no length")
        if marker in _FIXED and count is not None and not keyed:
            self._cursor.skip(_FIXED[marker or b"Z"] * count)
            return
        self._each(end, depth, marker, count, keyed=keyed)

    def _each(self, end: bytes, depth: int, marker: bytes | None, count: int | None, *, keyed: bool) -> None:
        while count is None or count > 0:
            if count is None and self._cursor.peek(1) == end:
                self._cursor.skip(1)
                return
            if keyed:
                self._cursor.skip(self._length())
            self._body(marker if marker is not None else self._cursor.read(1), depth + 1)
            count = None if count is None else count - 1


def inspect_ubjson(source: Source) -> str:
    """Read over the file. Raises Broken, also where bytes follow."""
    cursor = Cursor(source)
    Reader(cursor).value()
    if cursor.peek(1):
        raise Broken("bytes follow its end")
    return "ubjson"
