"""Entries as files: JSON that is exact, and CSV in which nothing is computed."""

import csv
import io
import json
from collections import namedtuple

import pytest

from modelkeep.audit import writing

Row = namedtuple("Row", writing.COLUMNS)
HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "=cmd|' /C calc'!A0",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    "'quoted",
    "-2+3+cmd|' /C calc'!D2",
    '=HYPERLINK("http://x","y")',
]


def row(**fields: object) -> Row:
    """An entry."""
    plain = dict.fromkeys(writing.COLUMNS, "") | {"id": 1, "seq": 0, "at": 1_700_000_000_123, "data": '{"a":"=1"}'}
    return Row(**plain | fields)


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_wb_08_no_cell_of_csv_is_a_formula(text: str) -> None:
    """WB-08: what would make a spreadsheet compute is a text in each column; without its mark it is what it was."""
    written = writing.csv_head() + writing.as_csv([row(actor=text, resource=text, reason=text)])
    head, cells = list(csv.reader(io.StringIO(written.decode(), newline="")))
    found = dict(zip(head, cells, strict=True))
    for name in ("actor", "resource", "reason"):
        assert found[name] == f"'{text}"
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


@pytest.mark.parametrize("text", ["plain", "a=b", "a,b", 'say "so"', "two\r\nlines", "álice", " =1"], ids=repr)
def test_other_cells_of_csv_stay_as_they_are(text: str) -> None:
    """Commas, quotes, newlines and letters of any script come through a reader of CSV unchanged."""
    (cells,) = csv.reader(io.StringIO(writing.as_csv([row(actor=text)]).decode(), newline=""))
    assert dict(zip(writing.COLUMNS, cells, strict=True))["actor"] == text


def test_every_cell_of_csv_is_quoted() -> None:
    """All cells are in quotes, a missing place is empty, and times are in RFC 3339."""
    (line,) = writing.as_csv([row(seq=None)]).decode().splitlines()
    assert line.startswith('"1","","2023-11-14T22:13:20.123Z","",')
    assert line.endswith(',"{""a"":""=1""}"')


def test_lines_of_json_are_exact() -> None:
    """JSON has every field as it is stored, formulas included, and the data as it was told."""
    (line,) = writing.as_lines([row(actor="=1+1", data='{"big":9007199254740993}')]).splitlines()
    found = json.loads(line)
    assert (found["actor"], found["data"], found["at"]) == ("=1+1", {"big": 9007199254740993}, 1_700_000_000_123)
