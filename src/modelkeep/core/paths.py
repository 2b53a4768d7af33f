"""What a path of an artifact may be, decided on text alone: for the server, and for clients that write such files."""

import re
from collections.abc import Iterator

from modelkeep.core.errors import InvalidInput

MAX_PATH_BYTES = 4096
MAX_SEGMENT_BYTES = 255
MAX_DECODINGS = 10

# Control characters, line separators, lone surrogates, and the invisible ones that make two names look alike.
UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]",
)
_SEPARATOR = re.compile(r"[/\\#?]")
# A drive (`C:x`), a file URI, or the scheme of any other URI (`s3:` before a slash).
_SCHEME_NAME = re.compile(r"[A-Za-z]:|[Ff][Ii][Ll][Ee]:|[A-Za-z][A-Za-z0-9+.:-]*:\Z")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
# UTF-8 spells each character in one way; the longer spellings of `.` and `/` exist to slip past filters.
_OVERLONG = re.compile(rb"[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]")


class PathFault(Exception):
    """Why a text is refused; who catches it words the message of their field."""


def parse_path(raw: str) -> tuple[str, ...]:
    """The segments of a client's artifact path, percent-decoded once before; `()` is the root. Raises InvalidInput.

    Accepted: any name of at most 255 bytes, 4096 in all: blanks, `@ + = ( ) % ; : * ~`, any script, a trailing blank or
    dot, `CON`, both forms of `é`. Names are compared byte for byte; doubled and trailing slashes do not count.
    Refused: a leading `/`; `\\ # ?`; a blank name, `.` and `..`, also with blanks or `;params` around; a drive or
    scheme (`C:x`, `file:x`, `s3://`); control, bidirectional and zero-width characters; lone surrogates; and a `%` that
    becomes any of these, or a slash, when decoded again, up to ten times.
    """
    try:
        return split_path(raw)
    except PathFault as fault:
        raise InvalidInput(f"Invalid path: '{shown(raw)}' ({fault})", "path") from None


def shown(text: str) -> str:
    """The text as it may stand in a message: what cannot be printed is escaped, and what is long is cut."""
    cut = text if len(text) <= 500 else text[:500] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def split_path(raw: str) -> tuple[str, ...]:
    """As `parse_path`, with the reason alone as a `PathFault`."""
    if raw.startswith("/"):
        raise PathFault("it is absolute")
    if len(raw) > MAX_PATH_BYTES or len(raw.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise PathFault(f"it is longer than {MAX_PATH_BYTES} bytes")
    segments = tuple(name for name in raw.split("/") if name)
    for segment in segments:
        for spelling in decodings(segment):
            _check_name(spelling)
    return segments


def _check_name(name: str) -> None:
    if UNSHOWABLE.search(name):
        raise PathFault("it holds a control or invisible character")
    if _SEPARATOR.search(name):
        raise PathFault("a name may not hold '/', '\\', '#' or '?', percent-encoded or not")
    if not name.strip() or name.split(";", 1)[0].strip() in (".", ".."):
        raise PathFault("a name may not be blank, '.' or '..'")
    if _SCHEME_NAME.match(name):
        raise PathFault("a name may not begin with a drive or a scheme")
    if len(name.encode("utf-8")) > MAX_SEGMENT_BYTES:
        raise PathFault(f"a name is longer than {MAX_SEGMENT_BYTES} bytes")


def decodings(text: str) -> Iterator[str]:
    """The text, and what each further percent-decoding makes of it until it stays the same."""
    yield text
    for _ in range(MAX_DECODINGS + 1):
        if "%" not in text:
            return
        data = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
        if _OVERLONG.search(data):
            raise PathFault("it holds percent-encoded bytes that are not UTF-8")
        decoded = data.decode("utf-8", "replace")
        if decoded == text:
            return
        yield decoded
        text = decoded
    raise PathFault(f"it is percent-encoded more than {MAX_DECODINGS} times")
