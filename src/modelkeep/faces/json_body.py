"""What every JSON body must be before it is read: one value in UTF-8 that no two readers take differently.

Of two fields of one name, a deep nest, NaN or half a surrogate, another reader (a proxy, an older client, the database)
makes something else than we would; so nobody's reading is taken.
"""

import json
import re
from typing import Any

import msgspec

from modelkeep.core.errors import InvalidInput

DEEPEST = 64
# Reading takes some hundred bytes of memory for each.
MOST_VALUES = 250_000
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# An escaped NUL: an odd number of backslashes before `u0000`.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_WHOLE = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_SURROGATE = re.compile(r"surrogate|truncated")
_LARGEST = 2**63 - 1
_LARGEST_DIGITS = 19


def check_json(body: bytes) -> Any:
    """The value in a body. Raises InvalidInput, which says what is wrong, where that is not strictly JSON."""
    _check_text(body)
    outside = outside_texts(body)
    if outside.count(b",") + outside.count(b"[") + outside.count(b"{") > MOST_VALUES:
        raise InvalidInput(f"Bad Request. The body holds more than {MOST_VALUES} values; send it in parts.")
    if is_deep(outside):
        raise InvalidInput(f"Bad Request. The body is nested more than {DEEPEST} levels deep.")
    if _has_long_whole(outside):
        raise InvalidInput("Bad Request. The body holds a whole number beyond 64 bits.")
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(body, error) from error
    if outside.count(b":") != _count_fields(value):
        raise _repeated(body)
    return value


def outside_texts(body: bytes) -> bytes:
    """A body of JSON without its texts, found by no more than splitting."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(body.split(b'"')[::2])


def is_deep(outside: bytes) -> bool:
    """Whether brackets are nested deeper than allowed; found without a stack of any kind."""
    # One kind stands for both, so that each round takes one level off; a wrong pair is the parser's to refuse.
    brackets = outside.translate(_ONE_KIND, _ALL_BUT_BRACKETS)
    if len(brackets) <= DEEPEST:
        return False
    for _ in range(DEEPEST):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    # What is left is deeper, or closes nothing; a parser stops at the first that closes nothing.
    opened = len(brackets) - len(brackets.lstrip(b"["))
    return opened > DEEPEST or b"[]" in brackets


def _check_text(body: bytes) -> None:
    if body.startswith(_MARKS):
        raise InvalidInput("Bad Request. The body begins with a byte order mark; send UTF-8 without one.")
    if b"\0" in body or (b"\\u0000" in body and _ESCAPED_NUL.search(body)):
        raise InvalidInput("Bad Request. The body holds a NUL character, which cannot be stored.")
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"Bad Request. The body is not valid JSON: not UTF-8 ({error.reason}).") from error


def _has_long_whole(outside: bytes) -> bool:
    """Whether there is a whole number beyond 64 bits."""
    if b"0" * _LARGEST_DIGITS not in outside.translate(_ZEROS):
        return False
    return any(_is_beyond(number[0]) for number in _LONG_WHOLE.finditer(outside))


def _is_beyond(number: bytes) -> bool:
    digits = number.lstrip(b"-").lstrip(b"0")
    return len(digits) > _LARGEST_DIGITS or not -_LARGEST - 1 <= int(number) <= _LARGEST


def _count_fields(value: Any) -> int:
    """How many fields all objects in a value have together, level by level."""
    count, level = 0, [value]
    while level:
        objects = [one for one in level if type(one) is dict]
        count += sum(map(len, objects))
        inner = [one for some in objects for one in some.values()]
        for some in level:
            if type(some) is list:
                inner += some
        level = [one for one in inner if type(one) is dict or type(one) is list]
    return count


def _explained(body: bytes, error: Exception) -> InvalidInput:
    """The refusal of what is no JSON, in words that say where and what."""
    if _SURROGATE.search(str(error)) and b"\\u" in body:
        what = "half a surrogate pair (\\ud800 to \\udfff) is no character, or the text ends too soon"
    else:
        what = str(error)
        try:
            json.loads(body, parse_int=str, parse_float=str, parse_constant=_no_number)
        except (ValueError, RecursionError) as found:
            what = _worded(found)
    return InvalidInput(f"Bad Request. The body is not valid JSON: {what}.")


def _worded(error: Exception) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    what = "there is more after its end" if error.msg == "Extra data" else error.msg[0].lower() + error.msg[1:]
    return f"{what} (line {error.lineno}, column {error.colno})"


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _repeated(body: bytes) -> InvalidInput:
    """The refusal that names the first field that is there twice."""
    repeated: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names) and not repeated:
            repeated.append(next(name for name in names if names.count(name) > 1)[:100])

    json.loads(body, object_pairs_hook=note, parse_int=str, parse_float=str)
    name = repeated[0] if repeated else ""
    return InvalidInput(f"Bad Request. The body has the field {json.dumps(name)} more than once.", name)
