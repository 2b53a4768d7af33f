"""Page tokens: where the next page begins, and of which search; read as strictly as anything a caller sends."""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from modelkeep.core.errors import InvalidInput

_MOST_BYTES = 1024 * 1024
_LARGEST = 2**63 - 1
_FIELD = "page_token"


class Arguments(Struct, frozen=True):
    """What a token belongs to: where the search looks, its filter and its order, each as a short hash.

    `mark` follows "Invalid page token" in refusals: clients of some searches match on a comma, of others on a colon.
    """

    where: str
    filter: str
    order: str
    mark: str = ","


def arguments(where: object, text: str | None, order: object, mark: str = ",") -> Arguments:
    """The hashes of a search's arguments. An empty filter is none."""
    return Arguments(_hash(where), _hash(text or ""), _hash(order), mark)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def write_token(asked: Arguments, row: Sequence[Any]) -> str:
    """The token that leads on after a row, given by its order columns."""
    content = json.dumps([asked.where, asked.filter, asked.order, list(row)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read_token(token: str, asked: Arguments, types: Sequence[type]) -> list[Any]:
    """The order columns to go on after.

    InvalidInput: no token of ours, or one of a search with other arguments.
    """
    match _content(token, asked.mark):
        case [str(where), str(text), str(order), list(row)]:
            _check_arguments(asked, Arguments(where, text, order))
        case _:
            raise _refused(asked.mark, "it is none that this server gave out")
    if len(row) != len(types) or not all(map(_fits, row, types)):
        raise _refused(asked.mark, "it is none that this server gave out")
    return row


def _content(token: str, mark: str) -> Any:
    if len(token) > _MOST_BYTES:
        raise _refused(mark, "it is too long")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused(mark, "could not base64-decode") from None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise _refused(mark, f"decoded value={raw[:100]!r}") from None


def _refused(mark: str, why: str) -> InvalidInput:
    return InvalidInput(f"Invalid page token{mark} {why}", _FIELD)


def _check_arguments(asked: Arguments, given: Arguments) -> None:
    told = (
        ("Experiment IDs in the page token do not match the requested experiment IDs", asked.where, given.where),
        ("Filter string in the page token does not match the requested filter string", asked.filter, given.filter),
        ("Order by in the page token does not match the requested order by", asked.order, given.order),
    )
    for text, wanted, found in told:
        if wanted != found:
            raise InvalidInput(f"{text}. Ask for the first page again, without a token.", _FIELD)


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    if kind is str:
        return (
            isinstance(value, str) and "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
        )
    if kind is float:
        return isinstance(value, int | float) and abs(value) < 2**1023 * 2 and math.isfinite(value)
    return isinstance(value, int) and abs(value) <= _LARGEST
