"""The table of security cases names tests that exist, and leaves none of the cases out that must be held."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "security-cases.md"
LINE = re.compile(r"^\| ([A-Z]{2}-\d\d) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
# The cases that must be in it, by their group.
NEEDED = {
    "PT": (1, 2, 3, 6, 8, 10),
    "SR": (1, 2, 3),
    "AZ": (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13),
    "AU": (1, 2, 3, 4, 5),
    "WB": (1, 2, 3, 4, 5, 8),
    "IN": (1, 2, 3, 4, 5, 6, 10),
    "AL": (1, 2, 3),
    "CO": (1, 2, 3),
}
CASES = {case: held for case, _, held in LINE.findall(DOCUMENT.read_text())}


@cache
def names_in(path: str) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("case", sorted(CASES))
def test_every_case_is_held_by_tests_that_exist(case: str) -> None:
    """Each line names a test that is there, or the part that it comes with."""
    named = NAMED.findall(CASES[case])
    assert named or "comes with" in CASES[case], CASES[case]
    for path, name in named:
        assert name in names_in(path), f"{path}::{name}"


def test_no_case_is_left_out() -> None:
    """Every case that must be held is in the table, once."""
    needed = {f"{group}-{number:02}" for group, numbers in NEEDED.items() for number in numbers}
    assert needed - CASES.keys() == set()
    assert len(LINE.findall(DOCUMENT.read_text())) == len(CASES)
