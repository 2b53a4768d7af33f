"""Bytes that wait to be sent to S3, and may have to be sent again: in memory while there is some, else in a file."""

import os
import tempfile
import threading
import zlib
from collections.abc import Iterator
from typing import IO

from modelkeep.core.errors import StorageFull

_READ = 1 << 18


class Budget:
    """How much memory all buffers of the process may hold together."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._lock = threading.Lock()

    def has(self, size: int) -> bool:
        """Whether so much could be taken now."""
        return size <= self._free

    def take(self, size: int) -> bool:
        """Take so much, unless there is less; whether it was taken. Nobody waits: a slow upload held up the others."""
        with self._lock:
            taken = size <= self._free
            self._free -= size if taken else 0
            return taken

    def give(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._free += size


class Buffer:
    """Bytes appended once, by one thread, and then read any number of times."""

    def __init__(self, budget: Budget) -> None:
        self.size = 0
        self.crc32 = 0
        self._budget = budget
        self._held = 0
        self._blocks: list[bytes] = []
        self._file: IO[bytes] | None = None

    def append(self, chunk: bytes | memoryview) -> None:
        """Add a chunk. Raises StorageFull where neither memory nor the folder for temporary files has room."""
        block = bytes(chunk)  # of bytes, the same; a view's owner may change what is behind it
        if self._file is None and not self._budget.take(len(block)):
            self._move_to_file()
        if self._file is None:
            self._held += len(block)
            self._blocks.append(block)
        else:
            _write(self._file, block)
        self.size += len(block)
        self.crc32 = zlib.crc32(block, self.crc32)

    def blocks(self) -> Iterator[bytes]:
        """All bytes in order, from the first."""
        if self._file is None:
            yield from self._blocks
            return
        offset = 0
        while block := os.pread(self._file.fileno(), _READ, offset):
            offset += len(block)
            yield block

    def close(self) -> None:
        """Forget the bytes; allowed any number of times."""
        held, self._held, self._blocks = self._held, 0, []
        self._budget.give(held)
        if self._file is not None:
            self._file.close()

    def _move_to_file(self) -> None:
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise _full(error) from error
        for block in self._blocks:
            _write(self._file, block)
        held, self._held, self._blocks = self._held, 0, []
        self._budget.give(held)


def _write(file: IO[bytes], block: bytes) -> None:
    view = memoryview(block)
    try:
        while view.nbytes:
            view = view[file.write(view) :]
    except OSError as error:
        raise _full(error) from error


def _full(error: OSError) -> StorageFull:
    return StorageFull(f"The folder for temporary files has no room for the upload ({error.strerror})")
