"""What a token's claims must be: exact values, or beginnings of them that end where a name ends. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from modelkeep.core.errors import InvalidInput

MOST_CLAIMS = 20
_LONGEST = 500
_ANY_END = "*"
# A beginning that stops within a name would fit names of others: `repo:acme*` fits `repo:acme-impostor/...`.
_ENDS = (":*", "/*")
# These are compared by other means, or say nothing about who asks.
_RESERVED = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti"})


def check_patterns(patterns: Mapping[str, str]) -> None:
    """Refuse what could let in more than was meant. Raises InvalidInput."""
    if not 1 <= len(patterns) <= MOST_CLAIMS:
        raise InvalidInput(f"1 to {MOST_CLAIMS} claims say whose tokens are taken; `sub` is the usual one.", "claims")
    for name, pattern in patterns.items():
        _check_pattern(name, pattern)


def _check_pattern(name: str, pattern: str) -> None:
    if name in _RESERVED or not name or len(name) > _LONGEST or "\x00" in name:
        raise InvalidInput(
            f"The claim {name[:80]!r} cannot decide; take `sub` or another that names who asks.", "claims"
        )
    if not pattern or len(pattern) > _LONGEST or "\x00" in pattern:
        raise InvalidInput(f"The claim '{name}' has a value of 1 to {_LONGEST} characters.", "claims")
    if _ANY_END in pattern and (_ANY_END in pattern[:-1] or not pattern.endswith(_ENDS) or len(pattern) < 4):
        raise InvalidInput(
            f"The claim '{name}' is an exact value, or a beginning that ends in ':*' or '/*', not {pattern[:80]!r}: "
            "any other beginning would fit the names of strangers.",
            "claims",
        )


def fitting(claims: Mapping[str, Any], patterns: Mapping[str, str]) -> dict[str, str] | None:
    """The claims that decide, with their values; None where one of them is missing or another."""
    found: dict[str, str] = {}
    for name, pattern in patterns.items():
        text = _text(claims.get(name))
        if text is None or not _fits(text, pattern):
            return None
        found[name] = text[:_LONGEST]
    return found


def _fits(text: str, pattern: str) -> bool:
    return text.startswith(pattern[:-1]) and text != pattern[:-1] if pattern.endswith(_ENDS) else text == pattern


def _text(value: Any) -> str | None:
    """A claim's value as the patterns write it: text as it is, whole numbers and truth values as in JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int) else None
