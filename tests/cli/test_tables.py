"""Words of the terminal's tables and sums."""

import pytest

from modelkeep.cli.tables import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_one_thing_is_told_in_the_singular(number: int, text: str) -> None:
    """One file is one file, and any other number are files."""
    assert counted(number, "file") == text
