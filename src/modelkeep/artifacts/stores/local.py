"""The store of bytes on a local disk: durable before it answers, and never led outside its folder.

Layout below one root: `sha256/ab/cd/<64 hex>` for blobs, `staging/<random>` for what is being written, and for uploads
in parts `parts/<upload>/<number>`.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from modelkeep.artifacts.blobs import BLOCK, Known, Link, PartUploads, Staging, blob_key, nothing_known
from modelkeep.artifacts.stores.disk import (
    CREATE_FLAGS,
    FOLDER_FLAGS,
    FULL,
    LOCK_FLAGS,
    READ_FLAGS,
    closing_fd,
    disk_errors,
    is_on_local_disk,
    names_in,
    open_folder,
    read_cached,
    regular_size,
    start_writing_back,
    write_all,
)
from modelkeep.artifacts.stores.local_parts import LocalParts
from modelkeep.core.errors import Corrupt, NotFound, Unavailable

SWEEP_LIMIT = 10_000
FSYNC_FAILED_EXIT = 70

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEX_PAIR = re.compile(r"[0-9a-f]{2}")
_STAGED = re.compile(r"[0-9a-f]{32}")
_TRIES = 10
_WRITTEN_BACK_EACH = 8 << 20


def end_process(error: OSError) -> None:
    """End the process at once: after a failed fsync the kernel may have dropped the pages, and no retry would tell."""
    os.write(2, f"modelkeep: fsync failed in the blob store ({error.strerror}), stopping\n".encode())
    os._exit(FSYNC_FAILED_EXIT)


class LocalBlobs:
    """The `BlobStore` on a local disk; its methods do what the port says.

    The root may be reached through a symbolic link, which is resolved once, here; below it everything is opened
    relative to its folder, never through a link. Folders are made 0700 and files 0600; folders are never removed.
    """

    def __init__(self, root: Path, on_fsync_failure: Callable[[OSError], None] = end_process) -> None:
        self._on_fsync_failure = on_fsync_failure
        # Folders whose way down this process has synced; one that merely exists may be another's, not synced yet.
        self._durable: set[str] = set()
        with disk_errors(), closing_fd(self._open_root(root)) as top:
            # Elsewhere even opening a file may have to wait for another machine.
            self._is_on_local_disk = is_on_local_disk(root.resolve(), Path("/proc/self/mountinfo"))
            self.staging = self.own_folder(top, "staging")
            self._blobs = self.own_folder(top, "sha256")
            self._parts = LocalParts(self, self.own_folder(top, "parts"))
        self.parts: PartUploads = self._parts

    def close(self) -> None:
        """Give back the folders; the store cannot be used afterwards."""
        self._parts.close()
        os.close(self._blobs)
        os.close(self.staging)

    def begin(self) -> "LocalStaging":
        name = secrets.token_hex(16)
        with disk_errors():
            return LocalStaging(self, name, self.create(name))

    def open(self, sha256: str) -> "LocalReader":
        with self._found(sha256) as shard, closing_fd(os.open(sha256, READ_FLAGS, dir_fd=shard)) as fd:
            return LocalReader(self._checked_size(fd), os.dup(fd))

    def at_hand(self, sha256: str, size: int) -> bytes | None:
        if not self._is_on_local_disk:
            return None
        with suppress(OSError), self._shard(sha256) as shard:
            fd = os.open(sha256, READ_FLAGS, dir_fd=shard)
            with closing_fd(fd):
                return read_cached(fd, size)
        return None

    def exists(self, sha256: str) -> bool:
        with suppress(NotFound):
            return self.size(sha256) >= 0
        return False

    def size(self, sha256: str) -> int:
        with self._found(sha256) as shard:
            return regular_size(os.stat(sha256, dir_fd=shard, follow_symlinks=False))

    def delete(self, sha256: str) -> None:
        with suppress(NotFound), self._found(sha256) as shard:
            os.unlink(sha256, dir_fd=shard)  # not synced: a power loss may bring back what nobody refers to

    def digests(self, after: str = "") -> Iterator[str]:
        with disk_errors():
            self._check_present()
            for first in names_in(self._blobs, _HEX_PAIR):
                if first < after[:2]:
                    continue
                with open_folder(self._blobs, first) as outer:
                    for second in names_in(outer, _HEX_PAIR):
                        if first + second < after[:4]:
                            continue
                        with open_folder(outer, second) as shard:
                            names = names_in(shard, _SHA256)
                        yield from (name for name in names if name > after and name.startswith(first + second))

    def sweep_staging(self, older_than_seconds: float, _known: Known = nothing_known) -> int:
        return self._count_left(older_than_seconds, remove=True)

    def left_over(self, older_than_seconds: float, _known: Known = nothing_known) -> int:
        return self._count_left(older_than_seconds, remove=False)

    def _count_left(self, older_than_seconds: float, *, remove: bool) -> int:
        with disk_errors():
            os.utime(self.staging)  # the file system's own clock, which may be another machine's
            oldest = os.fstat(self.staging).st_mtime - older_than_seconds
            left = (name for name in names_in(self.staging, _STAGED) if self._is_left(name, oldest, remove=remove))
            return sum(1 for _ in islice(left, SWEEP_LIMIT))

    def check(self) -> None:
        name, probe = secrets.token_hex(16), secrets.token_bytes(64)
        with disk_errors(undo=lambda: self.discard(name)):
            with closing_fd(self.create(name)) as fd:
                write_all(fd, memoryview(probe))
                self.sync(fd, discardable=True)
                if os.pread(fd, len(probe), 0) != probe:
                    raise Corrupt("The artifact store does not give back what was written to it")
            os.unlink(name, dir_fd=self.staging)
            self.sync(self.staging)

    def link(self, _sha256: str, _name: str, _seconds: int) -> Link | None:
        return None

    def publish(self, fd: int, name: str, blob: tuple[str, int], *, replace: bool) -> None:
        """Give a staged file the name (and known size) of a blob; both survive a power loss when this returns.

        A blob that has the name stays, unless it is to be replaced; all the same everything is synced, so that no clock
        tells whether it was there.
        """
        sha256, size = blob
        self.sync(fd, discardable=True)
        with self._durable_shard(sha256) as shard:
            if replace:
                self._replace(name, sha256, shard)
            else:
                self._place(name, sha256, shard, size)
            self.sync(shard)  # also for a blob that was there: its writer may not have come to this yet

    def _place(self, name: str, sha256: str, shard: int, size: int) -> None:
        for _ in range(_TRIES):
            with suppress(FileExistsError):
                os.link(name, sha256, src_dir_fd=self.staging, dst_dir_fd=shard, follow_symlinks=False)
                return
            with suppress(FileNotFoundError):  # deleted since
                if regular_size(os.stat(sha256, dir_fd=shard, follow_symlinks=False)) != size:
                    raise Corrupt(f"The stored blob {sha256} has not the size it was stored with")
                return
        raise Unavailable("The same bytes are being deleted from the artifact store; try again.")

    def _replace(self, name: str, sha256: str, shard: int) -> None:
        # A staged file may be committed again, so it keeps its name and a second one takes the blob's place.
        second = secrets.token_hex(16)
        os.link(name, second, src_dir_fd=self.staging, dst_dir_fd=self.staging, follow_symlinks=False)
        os.rename(second, sha256, src_dir_fd=self.staging, dst_dir_fd=shard)

    def discard(self, name: str) -> None:
        """Remove a staged file; what cannot be removed now is left to the sweep."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self.staging)

    def sync(self, fd: int, *, discardable: bool = False) -> None:
        """fsync, or the end of the process; a full disk is survivable where the whole file is then thrown away."""
        try:
            os.fsync(fd)
        except OSError as error:
            if not (discardable and error.errno in FULL):
                self._on_fsync_failure(error)
            raise

    def _open_root(self, root: Path) -> int:
        for folder in reversed([folder for folder in (root, *root.parents) if not folder.exists()]):
            with closing_fd(os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as parent:
                self.make_folder(parent, folder.name)
        return os.open(root.resolve(strict=True), FOLDER_FLAGS)

    def make_folder(self, parent: int, name: str) -> None:
        """Make a folder of a folder, durably; one that is there is fine."""
        _make_folder(parent, name)
        self.sync(parent)

    def own_folder(self, parent: int, name: str) -> int:
        self.make_folder(parent, name)
        return os.open(name, FOLDER_FLAGS, dir_fd=parent)

    @contextmanager
    def _durable_shard(self, sha256: str) -> Iterator[int]:
        """A shard to write to, made if there is none; the way down to it survives a power loss once this is left."""
        _, first, second, _ = blob_key(sha256)
        if first + second in self._durable:
            with self._shard(sha256) as shard:
                yield shard
            return
        if first not in self._durable:
            self.make_folder(self._blobs, first)
            self._durable.add(first)
        with open_folder(self._blobs, first) as outer:
            _make_folder(outer, second)
            with open_folder(outer, second) as shard:
                yield shard
            self.sync(outer)  # this late, as the sync of what lies below has written most of it already
        self._durable.add(first + second)

    @contextmanager
    def _shard(self, sha256: str) -> Iterator[int]:
        _, first, second, _ = blob_key(sha256)
        with open_folder(self._blobs, first) as outer, open_folder(outer, second) as shard:
            yield shard

    @contextmanager
    def _found(self, sha256: str) -> Iterator[int]:
        with disk_errors():
            try:
                with self._shard(sha256) as shard:
                    yield shard
            except FileNotFoundError:
                self._check_present()
                raise NotFound(f"No blob {sha256}") from None

    def _check_present(self) -> None:
        if os.fstat(self._blobs).st_nlink == 0:
            raise Unavailable("The artifact store was removed while it was in use")

    def create(self, name: str) -> int:
        """Open a new staged file, locked until it is closed or the process ends."""
        fd = os.open(name, CREATE_FLAGS, 0o600, dir_fd=self.staging)
        try:
            os.fchmod(fd, 0o600)  # the umask may have taken bits away
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            self.discard(name)
            raise
        return fd

    def _checked_size(self, fd: int) -> int:
        """The size of an opened blob. It has one name, or two while a commit stands between link and unlink."""
        found = os.fstat(fd)
        if found.st_nlink > 1:
            with open_folder(self.staging, ".") as folder, os.scandir(folder) as entries:
                staged = any(entry.inode() == found.st_ino for entry in entries)
            if not staged and os.fstat(fd).st_nlink > 1:
                raise Corrupt("A blob has a second name, through which it could be changed")
        return regular_size(found)

    def _is_left(self, name: str, oldest: float, *, remove: bool) -> bool:
        # What is not ours to open, or is locked by a live writer, stays.
        with suppress(OSError), closing_fd(os.open(name, LOCK_FLAGS, dir_fd=self.staging)) as fd:
            if os.fstat(fd).st_mtime <= oldest:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if remove:
                    os.unlink(name, dir_fd=self.staging)
                return True
        return False


def _make_folder(parent: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        os.chmod(name, 0o700, dir_fd=parent)  # the umask may have taken bits away


class LocalStaging(Staging):
    """The `Staging` of `LocalBlobs`: a file with a random name, locked until its writer or its process ends."""

    def __init__(self, store: LocalBlobs, name: str, fd: int) -> None:
        self._store = store
        self._name = name
        self._fd = fd
        self._size = 0
        self._on_the_way = 0

    def write(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk).cast("B")
        with disk_errors(undo=self.abort):
            write_all(self._live(), view)
        self._size += view.nbytes
        if self._size - self._on_the_way >= _WRITTEN_BACK_EACH:
            start_writing_back(self._fd, self._on_the_way, self._size)
            self._on_the_way = self._size

    def commit(self, sha256: str, *, replace: bool = False) -> None:
        blob_key(sha256)
        try:
            with disk_errors():
                self._store.publish(self._live(), self._name, (sha256, self._size), replace=replace)
        except Corrupt:
            raise  # what the store holds is wrong, not what is staged: it may take the other's place
        except BaseException:
            self.abort()  # after a failed fsync, another one would succeed without the bytes
            raise

    def abort(self) -> None:
        if self._fd >= 0:
            self._store.discard(self._name)
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _live(self) -> int:
        if self._fd < 0:
            raise ValueError("This staging was committed or aborted")
        return self._fd


@dataclass(slots=True)
class LocalReader:
    """The `BlobReader` of `LocalBlobs`: an open file, read without moving a position."""

    size: int
    _fd: int

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or self._fd < 0:
            raise ValueError("A range of an open blob begins at 0 or later and is not negative")
        blocks = []
        end = min(offset + length, self.size)
        with disk_errors():
            while offset < end:
                block = os.pread(self._fd, min(BLOCK, end - offset), offset)
                if not block:
                    raise Corrupt("A blob is shorter than when it was opened")
                blocks.append(block)
                offset += len(block)
        return b"".join(blocks)  # of one block, the block itself

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
