"""The offline verifier as one file, which runs where Modelkeep is not installed."""

import ast
from pathlib import Path

_PARTS = ("signed.py", "offline.py")
_TITLE = """#!/usr/bin/env python3
\"\"\"Verifies an exported audit log of Modelkeep, with nothing but Python 3.11:

    python verify_audit.py FOLDER --checkpoint NOTE_KEPT_ELSEWHERE --key PUBLIC_KEY
\"\"\"
"""


def verifier_text() -> str:
    """Its source: the modules it is made of, one behind the other."""
    return _TITLE + "".join(_own_lines(Path(__file__).with_name(name).read_text()) for name in _PARTS)


def _own_lines(source: str) -> str:
    """A module without its docstring and what it imports from its neighbours."""
    lines = source.splitlines(keepends=True)
    body = ast.parse(source).body
    left_out = [
        node for node in body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("modelkeep")
    ]
    for node in (body[0], *left_out):
        for number in range(node.lineno - 1, node.end_lineno or node.lineno):
            lines[number] = ""
    return "".join(lines)
