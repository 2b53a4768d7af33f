"""Words of the terminal's tables and sums."""

import pytest

from modelkeep.cli.tables import counted, print_table


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_one_thing_is_told_in_the_singular(number: int, text: str) -> None:
    """One file is one file, and any other number are files."""
    assert counted(number, "file") == text
    assert counted(number, "entry", "entries") == text.replace("files", "entries").replace("file", "entry")


def test_a_row_is_a_line_where_no_terminal_is(capfd: pytest.CaptureFixture[str]) -> None:
    """What goes to a pipe is not folded, however long a cell is: ids and names can be found and copied."""
    print_table(("NAME", "ID"), [["a" * 200, "b" * 200], ["c", "d"]])
    assert [line.split() for line in capfd.readouterr().out.splitlines()] == [
        ["NAME", "ID"],
        ["a" * 200, "b" * 200],
        ["c", "d"],
    ]
