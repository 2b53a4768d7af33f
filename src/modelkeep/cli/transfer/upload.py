"""A folder's files to a server: several at once, large ones in parts that need not be sent again after a kill."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from modelkeep.cli.transfer.folder import LocalFile, blocks, check_unchanged, hash_of
from modelkeep.cli.transfer.parallel import Crew, Work
from modelkeep.cli.transfer.progress import Progress
from modelkeep.cli.transfer.state import PushState
from modelkeep.cli.wire import Busy, FromDisk, Missing, Server

IN_PARTS_FROM = 64 << 20
PART = 16 << 20
_MOST_PARTS = 10_000
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
_UPLOADS = "/api/v1/uploads"
# A server that puts parts together says so more often than this.
_LOOK_AGAIN_S = 5.0

# Path -> (size, SHA-256).
Arrived = Mapping[str, tuple[int, str]]


class Uploads:
    """The files of one push. `hashes` has the SHA-256 of each that is there, by path; `sent` the bytes that went."""

    def __init__(
        self,
        server: Server,
        root: str,
        state: PushState,
        progress: Progress,
        *,
        in_parts_from: int = IN_PARTS_FROM,
        look_again_s: float = _LOOK_AGAIN_S,
    ) -> None:
        self.look_again_s = look_again_s
        self.hashes: dict[str, str] = {}
        self.sent = 0
        self.server = server
        self.state = state
        self.crew = Crew()
        self._root = root
        self._progress = progress
        self._in_parts_from = in_parts_from

    def send(self, files: Sequence[LocalFile], arrived: Arrived, known: Mapping[str, str]) -> None:
        """Bring the server to have exactly these files; `known` has the hashes that were taken already.

        Raises Refused, ServerGone, or OSError where a file cannot be read.
        """
        self._remove(arrived.keys() - {file.path for file in files})
        missing = [file for file in files if not self._is_there(file, arrived, known)]
        large = [_Large(self, file, known.get(file.path)) for file in missing if file.size > self._in_parts_from]
        small: list[Work] = [partial(self._send_whole, file) for file in missing if file.size <= self._in_parts_from]
        self.crew.do([*(one.begin for one in large), *small])
        self.crew.do(work for one in large for work in one.works())
        self.crew.do(one.complete for one in large)

    def place(self, path: str) -> str:
        """A file's full path in the server's namespace."""
        return f"{self._root}/{path}"

    def put(self, target: str, sending: "Sending") -> None:
        """Send bytes of a file as the body of a PUT."""
        headers = {"Content-Length": str(sending.size), "Content-Type": "application/octet-stream"}
        try:
            with self.server.request("PUT", target, sending.body if sending.size else b"", headers) as answer:
                answer.read()
        except BaseException:
            sending.take_back()
            raise
        self.sent += sending.size

    def sending(self, file: LocalFile, start: int, end: int, digest: Any = None) -> "Sending":
        """A range of a file, to be sent, and hashed on the way if a digest is given."""
        return Sending(file, start, end, digest, self.crew, self._progress)

    def count(self, size: int) -> None:
        """So many bytes need not be sent."""
        self._progress(size)

    def _is_there(self, file: LocalFile, arrived: Arrived, known: Mapping[str, str]) -> bool:
        size, sha256 = arrived.get(file.path, (-1, ""))
        if size != file.size or (known.get(file.path) or hash_of(file)) != sha256:
            return False
        self.hashes[file.path] = sha256
        self.count(size)
        return True

    def _send_whole(self, file: LocalFile) -> None:
        sending = self.sending(file, 0, file.size, hashlib.sha256())
        self.put(_ARTIFACTS + quote(self.place(file.path)), sending)
        check_unchanged(file)
        self.hashes[file.path] = sending.digest.hexdigest()

    def _remove(self, paths: set[str]) -> None:
        """What an earlier attempt sent and is not in the folder any more."""
        for path in sorted(paths):
            with self.server.request("DELETE", _ARTIFACTS + quote(self.place(path))) as answer:
                answer.read()


class Sending:
    """Bytes of a file on their way: counted, and hashed if that is wanted, anew if they have to be sent again."""

    def __init__(self, file: LocalFile, start: int, end: int, fresh: Any, crew: Crew, progress: Progress) -> None:
        self.size = end - start
        self.digest = fresh
        self._fresh = fresh
        self._file = file
        self._start = start
        self._crew = crew
        self._progress = progress
        self._counted = 0

    def body(self) -> Iterator[bytes]:
        """The bytes, from the first on. Raises FromDisk if they cannot be read."""
        self.take_back()
        self.digest = self._fresh and self._fresh.copy()
        try:
            for block in blocks(self._file, self._start, self._start + self.size):
                self._crew.check()
                if self.digest is not None:
                    self.digest.update(block)
                yield block
                self._counted += len(block)
                self._progress(len(block))
        except OSError as error:
            raise FromDisk(error) from error

    def take_back(self) -> None:
        """What was counted has to be sent again."""
        self._progress(-self._counted)
        self._counted = 0


class _Large:
    """A file that is sent in parts."""

    def __init__(self, uploads: Uploads, file: LocalFile, sha256: str | None) -> None:
        self._uploads = uploads
        self._file = file
        self._sha256 = sha256
        self._key = f"{file.path} {file.size} {file.changed_ns}"
        self._target = ""
        self._part_size = PART
        self._there: set[int] = set()

    def begin(self) -> None:
        """Find the upload that a killed push has begun, or begin one."""
        self._there = set()
        upload_id = self._uploads.state.uploads.get(self._key)
        if upload_id is None or not self._found(upload_id):
            self._begin_anew()

    def works(self) -> Iterator[Work]:
        """The parts that are not there, and the hash of them all."""
        if self._sha256 is None:
            yield self._hash
        for number in range(1, -(-self._file.size // self._part_size) + 1):
            if number not in self._there:
                yield partial(self._send, number)

    def complete(self) -> None:
        """Let the server put the parts together, for as long as that takes."""
        while not self._is_complete():
            updated_at = None
            while (seen := self._completing_at()) not in {None, updated_at}:
                updated_at = seen
                self._uploads.crew.pause(self._uploads.look_again_s)
        check_unchanged(self._file)
        self._uploads.hashes[self._file.path] = self._sha256 or ""

    def _is_complete(self) -> bool:
        """Ask for the completion; False if it takes longer than one request may. Raises Busy where nobody does it."""
        try:
            self._uploads.server.json("POST", f"{self._target}/complete", {"sha256": self._sha256})
        except Busy:
            if self._completing_at() is None:
                raise
            return False
        return True

    def _completing_at(self) -> int | None:
        """When the server last said that it puts the parts together; None while it does not."""
        known = self._uploads.server.json("GET", self._target)
        return int(known["updated_at"]) if known["state"] == "completing" else None

    def _begin_anew(self) -> None:
        wanted = max(PART, -(-self._file.size // _MOST_PARTS))
        body = {"path": self._uploads.place(self._file.path), "size": self._file.size, "part_size": wanted}
        begun = self._uploads.server.json("POST", _UPLOADS, body)
        self._target, self._part_size = f"{_UPLOADS}/{begun['id']}", int(begun["part_size"])
        self._uploads.state.note_upload(self._key, begun["id"])

    def _found(self, upload_id: str) -> bool:
        target = f"{_UPLOADS}/{quote(upload_id, safe='')}"
        try:
            known = self._uploads.server.json("GET", target)
        except Missing:
            return False
        if known["state"] == "done":
            return False  # and yet the file is not there: it was removed again
        self._target, self._part_size = target, int(known["part_size"])
        self._there = {int(part["number"]) for part in known["received"]}
        self._uploads.count(sum(int(part["size"]) for part in known["received"]))
        return True

    def _send(self, number: int) -> None:
        start = (number - 1) * self._part_size
        end = min(start + self._part_size, self._file.size)
        self._uploads.put(f"{self._target}/parts/{number}", self._uploads.sending(self._file, start, end))

    def _hash(self) -> None:
        self._sha256 = hash_of(self._file)
