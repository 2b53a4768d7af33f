"""What others named must not command the terminal that shows it: control characters are printed as what they are."""

import io
import re
import sys
from typing import BinaryIO

# Control characters but tab and newline, and marks that turn the direction of what follows.
_COMMANDS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
_IN_TEXT = re.compile(_COMMANDS)
# Colours are ours, where there is a terminal to show them; text that hides is not.
_IN_OUTPUT = re.compile(rf"(\x1b\[(?!(?:[0-9]*;)*8[;m])[0-9;]*m)|{_COMMANDS}")


def harmless(text: str) -> str:
    """A text with its control characters written out, in a way that leaves JSON what it was."""
    return _IN_TEXT.sub(_written_out, text)


def protect() -> None:
    """Write control characters out wherever this program prints them, from now on."""
    plain = sys.stdout
    if plain is sys.__stdout__ and isinstance(plain, io.TextIOWrapper):
        encoding, errors, by_lines = plain.encoding, plain.errors, plain.line_buffering
        sys.stdout = Output(_whole(plain.detach()), encoding=encoding, errors=errors, line_buffering=by_lines)


def _whole(output: BinaryIO) -> BinaryIO:
    """The same with a buffer, also under PYTHONUNBUFFERED: without one, what a pipe does not take at once would be
    lost, and it takes only a part where this program is stopped and continued meanwhile.
    """
    return io.BufferedWriter(output) if isinstance(output, io.RawIOBase) else output


class Output(io.TextIOWrapper):
    """Standard output, without the control characters of others."""

    def write(self, text: str) -> int:
        """Write a text, harmless."""
        if not text.isprintable():
            text = _IN_OUTPUT.sub(_kept_or_written_out, text) if self.isatty() else harmless(text)
        return super().write(text)


def _written_out(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _kept_or_written_out(found: re.Match[str]) -> str:
    return found[1] or f"\\u{ord(found[0]):04x}"
