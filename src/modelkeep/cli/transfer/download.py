"""Files from a server into the cache: several at once, large ones by pieces, each kept only when its hash is right.

What a killed pull has fetched is in the cache's parts; the next one goes on from there.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from urllib.parse import quote

from modelkeep.cli.refusals import Refused
from modelkeep.cli.transfer.cache import BLOCK, Cache
from modelkeep.cli.transfer.parallel import Crew, Work
from modelkeep.cli.transfer.plan import Plan, PlannedFile
from modelkeep.cli.transfer.progress import Progress
from modelkeep.cli.wire import FromDisk, Server

PIECE = 16 * BLOCK
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


def missing_files(cache: Cache, plan: Plan) -> list[PlannedFile]:
    """The files of a plan that the cache has not; of those with the same bytes, one."""
    wanted = {file.sha256: file for file in plan.files}
    return [file for file in wanted.values() if not cache.has(file.sha256, file.size)]


def fetch(server: Server, cache: Cache, root: str, files: Sequence[PlannedFile], progress: Progress) -> int:
    """Bring these files into the cache; how many bytes came. Raises Refused, ServerGone or OSError."""
    crew = Crew()
    downloads = [Download(server, cache, root, file, progress, crew) for file in files]
    try:
        crew.do(piece for download in downloads for piece in download.pieces())
    finally:
        for download in downloads:
            download.close()
    return sum(download.received for download in downloads)


class Download:
    """One file on its way into the cache."""

    def __init__(
        self, server: Server, cache: Cache, root: str, file: PlannedFile, progress: Progress, crew: Crew
    ) -> None:
        self.received = 0
        self._server = server
        self._cache = cache
        self._file = file
        self._target = ARTIFACTS + quote(f"{root}/{file.path}")
        self._progress = progress
        self._crew = crew
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._part: int | None = None
        self._done: set[int] = set()
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._hashing = False
        self._is_kept = False

    def pieces(self) -> Iterator[Work]:
        """The work that there is, a piece at a time."""
        for index in range(self._count):
            yield lambda index=index: self._fetch(index)  # type: ignore[misc]

    def close(self) -> None:
        """Leave what there is to the next who wants it."""
        self._open.close()

    @property
    def _count(self) -> int:
        return max(1, -(-self._file.size // PIECE))

    def _fetch(self, index: int) -> None:
        part = self._begun()
        if part is None or index in self._done:
            return
        start = index * PIECE
        end = min(start + PIECE, self._file.size)
        ranged = {"Range": f"bytes={start}-{end - 1}", "If-Range": f'"{self._file.sha256}"'} if self._count > 1 else {}
        came = 0
        try:
            with self._server.request("GET", self._target, headers=ranged) as answer:
                self._check_answer(answer.status, answer.length, end - start)
                buffer = memoryview(bytearray(min(BLOCK, end - start)))
                while start + came < end:
                    self._crew.check()
                    count = answer.readinto(buffer[: end - start - came])
                    if not count:
                        raise ConnectionResetError("the answer broke off")
                    _write(part, buffer[:count], start + came)
                    came += count
                    self._progress(count)
        except BaseException:
            self._progress(-came)
            raise
        self._finish(part, index, came)

    def _check_answer(self, status: int, length: int | None, expected: int) -> None:
        if status != (206 if self._count > 1 else 200) or length != expected:
            raise Refused(
                f"The server sent something else than {self._file.path}: was it changed meanwhile? Try again."
            )

    def _begun(self) -> int | None:
        """The part to be written to; None once the file is kept, maybe by another process."""
        with self._lock:
            if self._is_kept:
                return None
            if self._part is None:
                self._part = self._open.enter_context(self._cache.part(self._file.sha256))
                if self._cache.has(self._file.sha256, self._file.size):
                    self._end()
                    self._progress(self._file.size)
                    return None
                self._read_done(self._part)
            return self._part

    def _read_done(self, part: int) -> None:
        """Go on from what is there, if it is of a file that comes by pieces."""
        noted = _read(self._cache.done_path(self._file.sha256)).split()
        if self._count > 1 and os.fstat(part).st_size == self._file.size:
            self._done = {int(text) for text in noted if text.isdigit() and int(text) < self._count}
        else:
            os.ftruncate(part, 0)
            os.ftruncate(part, self._file.size)
            self._cache.forget_done(self._file.sha256)
        self._progress(sum(min(PIECE, self._file.size - index * PIECE) for index in self._done))
        if len(self._done) == self._count:
            self._done.discard(self._count - 1)  # so that somebody comes to the end
            self._progress(-(self._file.size - (self._count - 1) * PIECE))

    def _finish(self, part: int, index: int, came: int) -> None:
        """Note a piece, and hash what has come without a gap so far; whoever hashes the last byte ends it."""
        with self._lock:
            self.received += came
            self._done.add(index)
            if self._count > 1:
                _append(self._cache.done_path(self._file.sha256), f"{index}\n")
            if self._hashing:
                return
            self._hashing = True
        while (ready := self._next_to_hash()) is not None:
            self._hash(part, ready)
        if self._hashed == self._count:
            self._keep(part)

    def _next_to_hash(self) -> int | None:
        with self._lock:
            if self._hashed in self._done:
                return self._hashed
            self._hashing = False
            return None

    def _hash(self, part: int, index: int) -> None:
        offset, end = index * PIECE, min((index + 1) * PIECE, self._file.size)
        while offset < end:
            block = os.pread(part, min(BLOCK, end - offset), offset)
            self._digest.update(block)
            offset += len(block)
        self._hashed = index + 1

    def _keep(self, part: int) -> None:
        with self._lock:
            if self._is_kept:
                return  # by the thread that noted the last piece while this one hashed it, or the reverse
            found = self._digest.hexdigest()
            if found != self._file.sha256:
                os.ftruncate(part, 0)
                self._cache.forget_done(self._file.sha256)
                self._end()
                raise Refused(
                    f"{self._file.path} arrived with the SHA-256 {found}, not {self._file.sha256}; it was thrown away."
                )
            self._cache.keep(self._file.sha256, part)
            self._end()

    def _end(self) -> None:
        self._is_kept = True
        self._open.close()


def _write(fd: int, block: memoryview, offset: int) -> None:
    try:
        while block:
            written = os.pwrite(fd, block, offset)
            block, offset = block[written:], offset + written
    except OSError as error:
        raise FromDisk(error) from error


def _read(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123
            return file.read()
    except FileNotFoundError:
        return ""


def _append(path: str, text: str) -> None:
    with open(path, "a") as file:  # noqa: PTH123
        file.write(text)
