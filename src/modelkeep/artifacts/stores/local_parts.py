"""Uploads in parts on a local disk: each part a file of its own, until the parts are copied into one blob.

Layout below the store's root: `parts/<upload>/<number>`. A part is written in `staging` and then renamed, so it is
there whole or not at all. Its tag is the BLAKE3 of its bytes, by which joining notices that it is not the one that was
acknowledged.
"""

import os
import re
import secrets
import threading
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import Protocol

from blake3 import blake3

from modelkeep.artifacts.blobs import BLOCK, MOST_PARTS, Link, Part, PartStaging, Staging, check_upload_id
from modelkeep.artifacts.stores.disk import (
    READ_FLAGS,
    closing_fd,
    disk_errors,
    names_in,
    open_folder,
    regular_size,
    write_all,
)
from modelkeep.core.errors import Conflict, InvalidInput, NotFound

_UPLOAD = re.compile(r"[0-9a-f]{32}")


class Disk(Protocol):
    """What the store of blobs lends: its staging, and ways to make things durable."""

    staging: int

    def begin(self) -> Staging:
        """As `BlobStore.begin`."""

    def create(self, name: str) -> int:
        """Open a new staged file, locked until it is closed or the process ends."""

    def discard(self, name: str) -> None:
        """Remove a staged file."""

    def make_folder(self, parent: int, name: str) -> None:
        """Make a folder of a folder, durably; one that is there is fine."""

    def sync(self, fd: int, *, discardable: bool = False) -> None:
        """fsync, or the end of the process; a full disk is survivable where the whole file is then thrown away."""


class LocalParts:
    """The `PartUploads` of a local disk; its methods do what the port says. Handles are empty."""

    def __init__(self, disk: Disk, folder: int) -> None:
        self._disk = disk
        self._folder = folder

    def close(self) -> None:
        """Give back the folder."""
        os.close(self._folder)

    def begin(self, upload: str) -> str:
        check_upload_id(upload)
        with disk_errors():
            self._disk.make_folder(self._folder, upload)
        return ""

    def link(self, _upload: str, _handle: str, _number: int, _seconds: int) -> Link | None:
        return None

    def stage(self, upload: str, _handle: str, number: int) -> "LocalPart":
        check_upload_id(upload)
        _check_number(number)
        with disk_errors(), self._opened(upload):
            return LocalPart(self, self._disk, upload, number)

    def blocks(self, upload: str, _handle: str, part: Part) -> Generator[bytes, None, None]:
        check_upload_id(upload)
        with disk_errors(), self._opened(upload) as folder:
            _check_part(folder, part)
            digest = blake3()
            with closing_fd(os.open(str(part.number), READ_FLAGS, dir_fd=folder)) as file:
                while block := os.read(file, BLOCK):
                    digest.update(block)
                    yield block
            if digest.hexdigest() != part.etag:
                raise _other_part(part)

    def join(self, upload: str, _handle: str, parts: Sequence[Part]) -> "LocalJoined":
        check_upload_id(upload)
        with disk_errors(), self._opened(upload) as folder:
            for part in parts:
                _check_part(folder, part)
            staging = self._disk.begin()
            return LocalJoined(self, upload, os.dup(folder), parts, staging)

    def abort(self, upload: str, _handle: str) -> None:
        check_upload_id(upload)
        with disk_errors(), suppress(FileNotFoundError):
            with open_folder(self._folder, upload) as folder:
                for name in os.listdir(folder):  # noqa: PTH208 (no path)
                    os.unlink(name, dir_fd=folder)
            # Not synced: a power loss may bring back what the sweep finds. A part that comes now keeps the folder.
            with suppress(OSError):
                os.rmdir(upload, dir_fd=self._folder)

    def uploads(self) -> Iterator[tuple[str, float]]:
        with disk_errors():
            os.utime(self._folder)  # the file system's own clock, which may be another machine's
            now = os.fstat(self._folder).st_mtime
            for name in names_in(self._folder, _UPLOAD):
                with suppress(FileNotFoundError):
                    # Each rename of a part into it touches the folder.
                    yield name, now - os.stat(name, dir_fd=self._folder, follow_symlinks=False).st_mtime

    def place(self, name: str, upload: str, number: int) -> None:
        """Let a staged and synced file be a part, durably. Raises NotFound if the upload was given up meanwhile."""
        with self._opened(upload) as folder:
            try:
                os.rename(name, str(number), src_dir_fd=self._disk.staging, dst_dir_fd=folder)
            except FileNotFoundError:
                raise _gone(upload) from None
            self._disk.sync(folder)

    @contextmanager
    def _opened(self, upload: str) -> Iterator[int]:
        try:
            opened = open_folder(self._folder, upload)
        except FileNotFoundError:
            raise _gone(upload) from None
        with opened as folder:
            yield folder


class LocalPart(PartStaging):
    """The `PartStaging` of a local disk."""

    def __init__(self, owner: LocalParts, disk: Disk, upload: str, number: int) -> None:
        self._owner = owner
        self._disk = disk
        self._upload = upload
        self._number = number
        self._digest = blake3()
        self._size = 0
        self._name = secrets.token_hex(16)
        self._fd = disk.create(self._name)

    def write(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk)
        with disk_errors(undo=self.abort):
            write_all(self._fd, view)
        self._digest.update(view)
        self._size += view.nbytes

    def commit(self) -> Part:
        with disk_errors(undo=self.abort):
            self._disk.sync(self._fd, discardable=True)
            self._owner.place(self._name, self._upload, self._number)
        self._close()
        return Part(self._number, self._size, self._digest.hexdigest())

    def abort(self) -> None:
        if self._fd >= 0:
            self._disk.discard(self._name)
            self._close()

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


class LocalJoined:
    """The `Joined` of a local disk. What is read in order is written into a staging beside, so parts are read once."""

    def __init__(self, owner: LocalParts, upload: str, folder: int, parts: Sequence[Part], staging: Staging) -> None:
        self.size = sum(part.size for part in parts)
        self._owner = owner
        self._upload = upload
        self._folder = folder
        self._parts = parts
        self._starts = [0, *accumulate(part.size for part in parts)]
        self._staging = staging
        self._staged = 0
        self._digest = blake3()
        self._open: tuple[int, int] = (-1, -1)  # which part, and its file
        self._one_at_a_time = threading.Lock()

    def read_at(self, offset: int, length: int) -> bytes:
        """As `BlobReader.read_at`. Raises Conflict where a part is not the one that was acknowledged."""
        if offset < 0 or length < 0 or self._folder < 0:
            raise ValueError("A range of an open upload begins at 0 or later and is not negative")
        end = min(offset + length, self.size)
        pieces = []
        with disk_errors(), self._one_at_a_time:
            while offset < end:
                pieces.append(self._piece(offset, end))
                offset += len(pieces[-1])
        return b"".join(pieces)

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        while self._staged < self.size:
            self.read_at(self._staged, BLOCK)
        self._staging.commit(sha256, replace=replace)

    def abort(self) -> None:
        self.close()
        self._owner.abort(self._upload, "")

    def close(self) -> None:
        """Forget the bytes put together; the parts stay."""
        self._staging.abort()
        with self._one_at_a_time:
            self._close_part()
            if self._folder >= 0:
                folder, self._folder = self._folder, -1
                os.close(folder)

    def _piece(self, offset: int, end: int) -> bytes:
        """Bytes of one part, at most a block."""
        # The last of several parts that begin here, so that empty ones are passed over.
        at = bisect_right(self._starts, offset) - 1
        stop = min(end, self._starts[at + 1], offset + BLOCK)
        piece = os.pread(self._file(at), stop - offset, offset - self._starts[at])
        if not piece:
            raise _other_part(self._parts[at])
        if offset == self._staged:
            self._stage(at, piece)
        return piece

    def _stage(self, at: int, piece: bytes) -> None:
        self._staging.write(piece)
        self._staged += len(piece)
        self._digest.update(piece)
        if self._staged == self._starts[at + 1]:
            found, self._digest = self._digest.hexdigest(), blake3()
            if found != self._parts[at].etag:
                raise _other_part(self._parts[at])

    def _file(self, at: int) -> int:
        if self._open[0] != at:
            self._close_part()
            self._open = at, os.open(str(self._parts[at].number), READ_FLAGS, dir_fd=self._folder)
        return self._open[1]

    def _close_part(self) -> None:
        if self._open[1] >= 0:
            os.close(self._open[1])
            self._open = -1, -1


def _check_number(number: int) -> None:
    if not 1 <= number <= MOST_PARTS:
        raise InvalidInput(f"Parts are numbered from 1 to {MOST_PARTS}", "number")


def _check_part(folder: int, part: Part) -> None:
    try:
        found = regular_size(os.stat(str(part.number), dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        raise NotFound(f"Part {part.number} of the upload is missing") from None
    if found != part.size:
        raise _other_part(part)


def _other_part(part: Part) -> Conflict:
    return Conflict(f"Part {part.number} is not the one that was acknowledged; send it again.", "parts")


def _gone(upload: str) -> NotFound:
    return NotFound(f"No upload {upload}")
