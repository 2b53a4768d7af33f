"""Has an image drawn anew in a process of its own. What comes back is not trusted: it is a plain PNG, or refused."""

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from modelkeep.core.errors import InvalidInput, Unavailable

LONGEST_IMAGE = 16 << 20
COMMAND = (sys.executable, "-I", "-m", "modelkeep.scanner.pictures")
_LARGEST_PNG = 1 << 20
_LARGEST_SIDE = 2048
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_SECONDS = 15.0
# Each takes a process, a tenth of a second, and some hundred MB at worst.
_AT_ONCE = 2
_WAITING_AT_MOST = 32


class Turns:
    """Who may have images drawn: a few at once, and some more who wait."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for it; take it before the image is read. Raises Unavailable where too many wait."""
        if self._waiting >= _WAITING_AT_MOST:
            raise Unavailable("Too many previews are being made; try again in a while.")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()


async def draw_anew(image: bytes) -> bytes:
    """The image as a PNG of at most 1 MiB and 2048 pixels a side.

    Raises InvalidInput for what is no image, or too large a one.
    """
    drawn = await _drawn(image)
    if not is_plain_png(drawn):
        raise InvalidInput(
            "This image cannot be shown: it is damaged, or too large to be unpacked. Download it.", "path"
        )
    return drawn


async def _drawn(image: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_SECONDS):
            drawn, _ = await asyncio.gather(process.stdout.read(-1), _fed(process.stdin, image))
            return drawn if await process.wait() == 0 else b""
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _fed(writer: asyncio.StreamWriter, image: bytes) -> None:
    with suppress(ConnectionError):
        writer.write(image)
        await writer.drain()
        writer.close()


def is_plain_png(data: bytes) -> bool:
    """Whether it is a PNG of nothing but pixels, whole, and small enough."""
    if len(data) > _LARGEST_PNG or not data.startswith(_SIGNATURE):
        return False
    at, kinds = len(_SIGNATURE), []
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : end - 4]
        if kind not in _CHUNKS or end > len(data) or zlib.crc32(kind + content) != int.from_bytes(data[end - 4 : end]):
            return False
        kinds.append(kind)
        at = end
    if at != len(data) or kinds[:1] != [b"IHDR"] or kinds.index(b"IEND") != len(kinds) - 1:
        return False
    return all(0 < int.from_bytes(data[start : start + 4]) <= _LARGEST_SIDE for start in (16, 20))
