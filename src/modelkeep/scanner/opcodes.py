"""The opcodes of pickles: what each is called and how its argument is written, protocols 0 to 5."""

import codecs
import re
from collections.abc import Callable

from modelkeep.scanner.sources import Broken, Cursor

# Texts and bytes up to this length are kept, longer ones only skipped.
LONGEST_KEPT = 512
# Longer ones Python reads only in bases of a power of two, and where the first digits are zeros.
_MOST_DIGITS = 4_300
_LONG_NUMBER = re.compile(rb"[+-]?(0[xXoObB])?[0-9a-fA-F_]+")
_QUOTES, _NUMBERS, _ANY = b"'\"", b"0123456789+-.nNiI \t\r\v\f", bytes(range(256))


class Opaque:
    """A value whose content does not matter, or is too long to keep."""

    __slots__ = ()


OPAQUE = Opaque()


class Far(Opaque):
    """Bytes that were skipped, and where they are."""

    __slots__ = ("size", "start")

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size


def _unsigned(width: int) -> Callable[[Cursor], object]:
    return lambda cursor: int.from_bytes(cursor.read(width), "little")


def _signed(width: int) -> Callable[[Cursor], object]:
    return lambda cursor: int.from_bytes(cursor.read(width), "little", signed=True)


def _skipped(width: int) -> Callable[[Cursor], object]:
    def read(cursor: Cursor) -> object:
        cursor.skip(width)
        return OPAQUE

    return read


def _counted(width: int, make: Callable[[bytes], object], *, signed: bool = False) -> Callable[[Cursor], object]:
    """A value behind its length."""

    def read(cursor: Cursor) -> object:
        length = int.from_bytes(cursor.read(width), "little", signed=signed)
        if length < 0:
            raise Broken("a length is negative")
        if length > LONGEST_KEPT:
            start = cursor.position
            cursor.skip(length)
            return Far(start, length)
        return make(cursor.read(length))

    return read


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Broken("a text is not UTF-8") from error


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


def _long_line(cursor: Cursor, first: bytes = _ANY) -> bytes:
    """A line that begins with one of these bytes, however long readers would take it."""
    if cursor.peek(1) not in first:
        raise Broken("a line does not begin as its kind does")
    return cursor.line(64 << 20)


def _line(cursor: Cursor) -> object:
    try:
        return cursor.line().decode()
    except UnicodeDecodeError as error:
        raise Broken("a name is not UTF-8") from error


def _pair_of_lines(cursor: Cursor) -> object:
    return _line(cursor), _line(cursor)


def _decimal(cursor: Cursor) -> object:
    line = _long_line(cursor, _NUMBERS).strip().removesuffix(b"L")
    if len(line) > _MOST_DIGITS and _LONG_NUMBER.fullmatch(line):
        return OPAQUE
    try:
        return int(line, 0)
    except ValueError:
        pass
    try:
        return int(line)
    except ValueError as error:
        raise Broken("a number is none") from error


def _float_line(cursor: Cursor) -> object:
    try:
        return float(_long_line(cursor, _NUMBERS))
    except ValueError as error:
        raise Broken("a number is none") from error


def _quoted(cursor: Cursor) -> object:
    line = _long_line(cursor, _QUOTES).strip()
    if len(line) < 2 or line[:1] not in {b"'", b'"'} or line[:1] != line[-1:]:
        raise Broken("a text is not quoted")
    inner = line[1:-1]
    if len(inner) > LONGEST_KEPT:
        return OPAQUE
    try:
        # What the escapes of bytes are: those of texts have more, which are left as they are here.
        return codecs.escape_decode(inner)[0].decode("latin-1")
    except ValueError as error:
        raise Broken("a text cannot be read") from error


def _escaped(cursor: Cursor) -> object:
    line = _long_line(cursor)
    if len(line) > LONGEST_KEPT:
        return OPAQUE
    try:
        return line.decode("raw-unicode-escape")
    except UnicodeDecodeError as error:
        raise Broken("a text cannot be read") from error


def _latin(content: bytes) -> str:
    return content.decode("latin-1")


def _none(_cursor: Cursor) -> object:
    return None


# By the byte that stands for it: the opcode's name, and how to read its argument.
OPCODES: dict[int, tuple[str, Callable[[Cursor], object]]] = {
    code[0]: (name, read)
    for code, name, read in (
        (b"(", "MARK", _none),
        (b".", "STOP", _none),
        (b"0", "POP", _none),
        (b"1", "POP_MARK", _none),
        (b"2", "DUP", _none),
        (b"F", "value", _float_line),
        (b"I", "value", _decimal),
        (b"J", "value", _signed(4)),
        (b"K", "value", _unsigned(1)),
        (b"L", "value", _decimal),
        (b"M", "value", _unsigned(2)),
        (b"N", "value", _none),
        (b"P", "PERSID", _line),
        (b"Q", "BINPERSID", _none),
        (b"R", "REDUCE", _none),
        (b"S", "value", _quoted),
        (b"T", "value", _counted(4, _latin, signed=True)),
        (b"U", "value", _counted(1, _latin)),
        (b"V", "value", _escaped),
        (b"X", "value", _counted(4, _text)),
        (b"a", "APPEND", _none),
        (b"b", "BUILD", _none),
        (b"c", "GLOBAL", _pair_of_lines),
        (b"d", "DICT", _none),
        (b"}", "EMPTY_DICT", _none),
        (b"e", "APPENDS", _none),
        (b"g", "GET", _decimal),
        (b"h", "GET", _unsigned(1)),
        (b"i", "INST", _pair_of_lines),
        (b"j", "GET", _unsigned(4)),
        (b"l", "LIST", _none),
        (b"]", "EMPTY_LIST", _none),
        (b"o", "OBJ", _none),
        (b"p", "PUT", _decimal),
        (b"q", "PUT", _unsigned(1)),
        (b"r", "PUT", _unsigned(4)),
        (b"s", "SETITEM", _none),
        (b"t", "TUPLE", _none),
        (b")", "EMPTY_TUPLE", _none),
        (b"u", "SETITEMS", _none),
        (b"G", "value", _skipped(8)),
        (b"\x80", "PROTO", _unsigned(1)),
        (b"\x81", "NEWOBJ", _none),
        (b"\x82", "EXT", _unsigned(1)),
        (b"\x83", "EXT", _unsigned(2)),
        (b"\x84", "EXT", _signed(4)),
        (b"\x85", "TUPLE1", _none),
        (b"\x86", "TUPLE2", _none),
        (b"\x87", "TUPLE3", _none),
        (b"\x88", "NEWTRUE", _none),
        (b"\x89", "NEWFALSE", _none),
        (b"\x8a", "value", _counted(1, _number)),
        (b"\x8b", "value", _counted(4, _number, signed=True)),
        (b"B", "value", _counted(4, bytes)),
        (b"C", "value", _counted(1, bytes)),
        (b"\x8c", "value", _counted(1, _text)),
        (b"\x8d", "value", _counted(8, _text)),
        (b"\x8e", "value", _counted(8, bytes)),
        (b"\x8f", "EMPTY_SET", _none),
        (b"\x90", "ADDITEMS", _none),
        (b"\x91", "FROZENSET", _none),
        (b"\x92", "NEWOBJ_EX", _none),
        (b"\x93", "STACK_GLOBAL", _none),
        (b"\x94", "MEMOIZE", _none),
        (b"\x95", "FRAME", _skipped(8)),
        (b"\x96", "value", _counted(8, bytes)),
        (b"\x97", "NEXT_BUFFER", _none),
        (b"\x98", "READONLY_BUFFER", _none),
    )
}
