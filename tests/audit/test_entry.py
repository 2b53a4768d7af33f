"""The text of an entry: canonical JSON, reproducible by anybody, and never longer than a bundle can hold."""

import hashlib
import json
import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelkeep.audit.entry import COLUMNS, bundle, entry_text
from modelkeep.audit.offline import entries_of
from modelkeep.audit.tables import journal

TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=60)
NUMBERS = st.integers(0, 2**53 - 1)
ROWS = st.fixed_dictionaries({name: NUMBERS if name in {"at", "id"} else TEXTS for name in COLUMNS})


def text_of(row: dict[str, Any]) -> bytes:
    """The entry of a row by names."""
    return entry_text([row[name] for name in COLUMNS])


def test_every_column_is_covered() -> None:
    """All columns of the journal stand in the entry, but for the place, which the tree itself proves."""
    assert set(COLUMNS) == set(journal.c.keys()) - {"seq"}
    assert list(COLUMNS) == sorted(COLUMNS)


@given(ROWS)
def test_an_entry_is_canonical_json(row: dict[str, Any]) -> None:
    """The text is what another encoder makes of the same columns: sorted names, no blanks, little escaped."""
    whole = row | {"v": 1}
    assert text_of(row) == json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_data_stands_as_it_was_written() -> None:
    """The text of `data` is quoted, not read: numbers, blanks and repeated names in it stay what they were."""
    row = dict.fromkeys(COLUMNS, "") | {"at": 1, "id": 2, "data": '{"b":1.50, "a":1e400,"a":2}'}
    assert json.loads(text_of(row))["data"] == row["data"]


def test_a_long_text_stands_as_its_digest() -> None:
    """In an entry of over 32 KiB each text of over 1,024 bytes is replaced by its length and SHA-256."""
    long, short = "ü" * 40_000, "x" * 1024
    row = dict.fromkeys(COLUMNS, "") | {"at": 1, "id": 2, "data": long, "resource": short, "reason": "y" * 1025}
    entry = json.loads(text_of(row))
    assert entry["data"] == {"bytes": 80_000, "sha256": hashlib.sha256(long.encode()).hexdigest()}
    assert entry["reason"] == {"bytes": 1025, "sha256": hashlib.sha256(b"y" * 1025).hexdigest()}
    assert entry["resource"] == short
    just_below = row | {"data": "z" * 30_000}
    assert json.loads(text_of(just_below))["data"] == "z" * 30_000


@given(st.sampled_from(string.printable + "\x01ü\U0001f600"), st.lists(st.integers(0, 3000), min_size=12, max_size=12))
def test_no_entry_is_too_long_for_a_bundle(letter: str, lengths: list[int]) -> None:
    """However long the columns, and however they have to be escaped, an entry has at most 65,535 bytes."""
    columns = [name for name in COLUMNS if name not in {"at", "id"}]
    row = {name: letter * length * 20 for name, length in zip(columns, lengths, strict=True)} | {"at": 1, "id": 2}
    entry = text_of(row)
    assert len(entry) <= 0xFFFF
    assert entries_of(bundle([entry, b"", entry])) == [entry, b"", entry]


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 400))
def test_a_bundle_gives_back_its_entries(entries: list[bytes], cut: int) -> None:
    """A bundle splits into what was put into it; one that is cut gives only entries that are whole."""
    data = bundle(entries)
    assert entries_of(data) == entries
    assert entries_of(data[:cut]) == entries[: len(entries_of(data[:cut]))]
