"""Scanning in tests: files in memory, and the scanner's process or a stand-in that behaves badly."""

import sys
from dataclasses import dataclass

from modelkeep.inspection.process import COMMAND, scan
from modelkeep.scanner import Report, Verdict, verdict_of


@dataclass
class MemoryFile:
    """A file of a version, and how many of its bytes were asked for."""

    path: str
    content: bytes
    asked: int = 0

    @property
    def size(self) -> int:
        """Its length."""
        return len(self.content)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of it."""
        self.asked += length
        return self.content[offset : offset + length]


def scanned(files: dict[str, bytes]) -> Report:
    """What the scanner says of files."""
    return scan([MemoryFile(path, content) for path, content in files.items()])


def judged(**files: bytes) -> Verdict:
    """The verdict on files."""
    return verdict_of(scanned(files).findings)


def program(source: str) -> list[str]:
    """A process that runs this source in place of the scanner."""
    return [sys.executable, "-I", "-c", source]


__all__ = ["COMMAND", "MemoryFile", "judged", "program", "scanned"]
