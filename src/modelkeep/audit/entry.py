"""An entry of the log: the one text that a row of the journal has, byte for byte, and how entries lie in a bundle.

The text is JSON in canonical form (RFC 8785; only texts and integers occur): names sorted, no blanks. `data` is the
column's text as it stands, quoted. A long text stands as its length and its SHA-256, for an entry has to stay below
64 KiB: where the whole takes more than 32 KiB those of over 1,024 bytes, and if that is not enough those of over 64.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec

# The columns that an entry covers, in the order of their names; `v`, the form of the text, is the last but one.
COLUMNS = (
    "actor",
    "actor_id",
    "actor_method",
    "address",
    "at",
    "data",
    "id",
    "kind",
    "outcome",
    "reason",
    "request_id",
    "resource",
    "token_id",
    "workspace",
)
FORM = 1
_WORKSPACE = len(COLUMNS) - 1
_WHOLE = 32 * 1024
_LONGEST = 0xFFFF
_LIMITS = (1024, 64)


class Digest(msgspec.Struct):
    """A text too long to stand in an entry."""

    bytes: int
    sha256: str


Text = str | Digest


class Entry(msgspec.Struct):
    """An entry, its fields in the order that canonical JSON wants them in."""

    actor: Text
    actor_id: Text
    actor_method: Text
    address: Text
    at: int
    data: Text
    id: int
    kind: Text
    outcome: Text
    reason: Text
    request_id: Text
    resource: Text
    token_id: Text
    v: int
    workspace: Text


_encode = msgspec.json.Encoder().encode


def entry_text(row: Sequence[Any]) -> bytes:
    """The entry of a row, which begins with the values of COLUMNS."""
    text = _text(row)
    if len(text) <= _WHOLE:
        return text
    for limit in _LIMITS:
        text = _text([_shortened(value, limit) for value in row])
        if len(text) <= _LONGEST:
            break
    return text


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries one behind the other, each behind its length in two bytes."""
    return b"".join([len(entry).to_bytes(2) + entry for entry in entries])


def _text(row: Sequence[Any]) -> bytes:
    values = [*row[:_WORKSPACE], FORM, row[_WORKSPACE]]
    return _encode(Entry(*values))


def _shortened(value: Any, limit: int) -> Any:
    if not isinstance(value, str):
        return value
    data = value.encode()
    return value if len(data) <= limit else Digest(len(data), sha256(data).hexdigest())
