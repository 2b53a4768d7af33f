"""Many files as one tar stream, the same bytes each time: for the same files it depends on nothing else.

The length is known before the first byte. Files are opened one after the other and checked as they are read.
"""

import tarfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from modelkeep.artifacts.reading import FileBody
from modelkeep.artifacts.service import ManifestFile

_RECORD = tarfile.RECORDSIZE
_MODE = 0o644
# Small files go out together: fewer and larger pieces.
_GATHERED = 256 * 1024

Opened = FileBody | bytes
OpenFile = Callable[[ManifestFile], Awaitable[Opened]]


class Archive:
    """The tar of these files, in the order of their paths; `open_file` gives the checked bytes of one."""

    def __init__(self, files: Sequence[ManifestFile], open_file: OpenFile) -> None:
        self._files = sorted(files)
        self._open = open_file
        self._first: Opened | None = None
        self._body: FileBody | None = None
        length = sum(len(header(file)) + _padded(file.size) for file in self._files) + 2 * tarfile.BLOCKSIZE
        self.size = -(-length // _RECORD) * _RECORD

    async def begin(self) -> None:
        """Open the first file, so that what is wrong with it can still be answered."""
        if self._files:
            self._first = await self._open(self._files[0])
            self._body = None if isinstance(self._first, bytes) else self._first

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes in pieces. What a file's check raises passes through: a damaged file never ends a whole tar."""
        sent, small, waiting = 0, list[bytes](), 0
        async with aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                sent += len(piece)
                waiting += len(piece)
                small.append(piece)
                if waiting >= _GATHERED:
                    yield b"".join(small) if len(small) > 1 else piece
                    small, waiting = [], 0
        yield b"".join([*small, bytes(self.size - sent)])

    def close(self) -> None:
        """Give back the file that was being read, if any."""
        if self._body is not None:
            self._body.close()
            self._body = None

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        for file in self._files:
            opened, self._first = (await self._open(file) if self._first is None else self._first), None
            yield header(file)
            if isinstance(opened, bytes):
                yield opened
            else:
                self._body = opened
                async with aclosing(opened.chunks()) as blocks:
                    async for block in blocks:
                        yield block
                self.close()
            yield bytes(_padded(file.size) - file.size)


def header(file: ManifestFile) -> bytes:
    """What stands before a file: ustar, with pax records where the path or size does not fit into that."""
    entry = tarfile.TarInfo(file.path)
    entry.size, entry.mode = file.size, _MODE
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
