"""Cuts a filter or an order clause into words, strings, numbers and operators, in one pass."""

from dataclasses import dataclass
from typing import Literal

from modelkeep.core.errors import InvalidInput


def check_text(text: str, limit: int, field: str) -> None:
    """InvalidInput: `text` is longer than `limit` bytes, or holds what no database stores."""
    if len(text) > limit or len(text.encode("utf-8", "replace")) > limit:
        raise InvalidInput(f"'{field}' exceeds the maximum length of {limit} bytes", field)
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput(f"'{field}' contains a character that cannot be stored: NUL or a lone surrogate", field)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text. A word may have a prefix (`tags` of `tags.x`); name is without quotes."""

    kind: Literal["word", "string", "number", "operator", "mark", "stray", "end"]
    start: int
    end: int
    raw: str
    prefix: str = ""
    name: str = ""

    @property
    def names(self) -> bool:
        """True where this can be a key: a word, or one in double quotes."""
        return bool(self.name) and (self.kind == "word" or (self.kind == "string" and self.raw[0] == '"'))


_DIGITS = frozenset("0123456789")
_OPERATOR_CHARS = frozenset("=!<>")
_HEAD_CHARS = frozenset("_-/:")
_TAIL_CHARS = frozenset("_-/:.")
_DIGITS_AND_DOT = _DIGITS | {"."}
_NUMBER_CHARS = _DIGITS | frozenset("+-.eE")


def tokens(text: str) -> list[Token]:
    """All tokens of a text and an end; what is no token makes one stray of the rest of the text."""
    found, at = [], _skip_blanks(text, 0)
    while at < len(text):
        found.append(_token(text, at))
        at = _skip_blanks(text, found[-1].end)
    return [*found, Token("end", at, at, "")]


def _token(text: str, at: int) -> Token:
    char = text[at]
    if char in "(),;":
        return Token("mark", at, at + 1, char)
    if char in _OPERATOR_CHARS:
        end = _run(text, at, _OPERATOR_CHARS)
        return Token("operator", at, end, text[at:end])
    if char in "'\"":
        return _string(text, at)
    if char in _DIGITS or char in "+-.":
        return _number(text, at)
    return _word(text, at) if char in "`_" or char.isalnum() else _stray(text, at)


def _stray(text: str, at: int) -> Token:
    return Token("stray", at, len(text), text[at:])


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _run(text: str, at: int, extra: frozenset[str], letters: bool = False) -> int:
    while at < len(text) and (text[at] in extra or (letters and text[at].isalnum())):
        at += 1
    return at


def after_quote(text: str, at: int) -> int:
    """Where the quoted piece that opens at `at` ends, or -1; a doubled quote inside is one quote."""
    quote, at = text[at], at + 1
    while (at := text.find(quote, at)) != -1 and text[at + 1 : at + 2] == quote:
        at += 2
    return at + 1 if at != -1 else -1


def content(quoted: str) -> str:
    """What stands between the quotes."""
    return quoted[1:-1].replace(quoted[0] * 2, quoted[0])


def _string(text: str, at: int) -> Token:
    end = after_quote(text, at)
    return _stray(text, at) if end < 0 else Token("string", at, end, text[at:end], name=content(text[at:end]))


def _number(text: str, at: int) -> Token:
    end = _run(text, at + 1, _DIGITS_AND_DOT)
    if text[end : end + 2] in ("e-", "e+", "E-", "E+"):
        end += 2
    end = _run(text, end, _DIGITS_AND_DOT | {"_"}, letters=True)
    raw = text[at:end]
    if number_of(raw) is not None:
        return Token("number", at, end, raw)
    is_word = raw.replace("_", "").isalnum()
    return Token("word", at, end, raw, name=raw) if is_word else _stray(text, at)


def number_of(raw: str) -> int | float | None:
    """The number that a text is in full, or None; an integer too long to be a 64-bit one comes as a float."""
    if not raw or not _NUMBER_CHARS.issuperset(raw):
        return None
    if len(raw) <= 20 and _DIGITS.issuperset(raw.lstrip("+-")) and raw[-1] in _DIGITS:
        number = int(raw)
        return number if abs(number) < 2**63 else float(number)
    try:
        return float(raw)
    except ValueError:
        return None


def _word(text: str, at: int) -> Token:
    prefix, name, end = "", *_piece(text, at, _HEAD_CHARS)
    if end > 0 and text[end : end + 1] == ".":
        prefix, (name, end) = name, _piece(text, end + 1, _TAIL_CHARS)
    return _stray(text, at) if end < 0 or not name else Token("word", at, end, text[at:end], prefix, name)


def _piece(text: str, at: int, chars: frozenset[str]) -> tuple[str, int]:
    if text[at : at + 1] in ("`", '"'):
        end = after_quote(text, at)
        return content(text[at:end]) if end > 0 else "", end
    end = _run(text, at, chars, letters=True)
    return text[at:end], end
