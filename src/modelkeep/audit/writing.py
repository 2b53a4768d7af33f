"""Entries as files: a line of JSON each, or of CSV that no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

COLUMNS = (
    "id",
    "seq",
    "at",
    "workspace",
    "actor",
    "actor_id",
    "actor_method",
    "token_id",
    "address",
    "request_id",
    "kind",
    "outcome",
    "resource",
    "reason",
    "data",
)
# What makes a spreadsheet compute a cell (= + - @, also in their wide forms), and the mark itself: so it can be undone.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
_encode = msgspec.json.Encoder().encode


def as_fields(row: Any) -> dict[str, Any]:
    """An entry with its data as it was told."""
    fields = {name: getattr(row, name) for name in COLUMNS}
    return fields | {"data": msgspec.Raw(row.data.encode())}


def as_lines(rows: Iterable[Any]) -> bytes:
    """Entries as JSON, one on each line; times in milliseconds."""
    return b"".join([_encode(as_fields(row)) + b"\n" for row in rows])


def as_csv(rows: Iterable[Any]) -> bytes:
    """Entries as CSV (RFC 4180), every cell quoted; times in RFC 3339.

    A cell that begins with what a spreadsheet would compute, or with an apostrophe, has an apostrophe put before it.
    """
    return _table([[_cell(name, getattr(row, name)) for name in COLUMNS] for row in rows])


def csv_head() -> bytes:
    """The names of the columns."""
    return _table([COLUMNS])


def safe_cell(text: str) -> str:
    """A text that stays a text in a spreadsheet."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def rfc_3339(milliseconds: int) -> str:
    """A moment in words, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return rfc_3339(value) if name == "at" else safe_cell(str(value))


def _table(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


FORMATS: Mapping[str, tuple[bytes, bytes, Callable[[Iterable[Any]], bytes]]] = {
    "jsonl": (b"application/jsonl", b"", as_lines),
    "csv": (b"text/csv; charset=utf-8", csv_head(), as_csv),
}
