"""Templates of texts that programs fill in with Jinja: whether they reach for more than what they are given."""

import re

from modelkeep.scanner.scan import Scan

# Attributes and globals through which a template gets to Python's inside, and what only code needs.
_REACHING = re.compile(
    r"__\s*\w|\\x5f|\\137|\\u005f|\bmro\b|subclasses|builtins|globals|getattr|popen|\bimport\b(?=[^%]*%})|\|\s*attr\b"
    r"|\|\s*map\s*\(\s*attribute\s*=\s*['\"]_|\bos\s*\.|\bsys\s*\.|subprocess|\beval\b|\bexec\b|lipsum|cycler\b|joiner\b"
    r"|\b(self|request|config)\s*[._\[]\s*['\"]?_|func_globals|gi_frame|cr_frame|f_back|tb_frame|\bopen\s*\(|%\s*include"
)
_JINJA = re.compile(r"\{\{|\{%")


def check_template(scan: Scan, rule: str, text: str) -> None:
    """Report a template that reaches for Python's inside."""
    if _JINJA.search(text):
        found = _REACHING.search(text)
        if found is not None:
            scan.report(rule, f"A template in it reaches for Python's inside: '{_around(text, found.start())}'.")


def is_template(text: str) -> bool:
    """Whether a text has something to fill in."""
    return _JINJA.search(text) is not None


def _around(text: str, at: int) -> str:
    return " ".join(text[max(0, at - 20) : at + 60].split())
