"""The store of bytes on a local disk: durable before it answers, and never led outside its folder.

Layout below one root: `sha256/ab/cd/<64 hex>` for blobs, `staging/<random>` for what is being written.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from modelkeep.artifacts.blobs import BLOCK, Blob, Staging
from modelkeep.core.errors import Corrupt, InvalidInput, NotFound, StorageFull, Unavailable

SWEEP_LIMIT = 10_000
FSYNC_FAILED_EXIT = 70

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEX_PAIR = re.compile(r"[0-9a-f]{2}")
_STAGED = re.compile(r"[0-9a-f]{32}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_OURS = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a planted pipe must not hold readers up
_LOCK_FLAGS = _READ_FLAGS | os.O_RDWR  # network file systems lock only what is open for writing
_CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Hashing takes three times as long as writing; what is large enough to be worth the hand-over is hashed beside it.
_HASHING = ThreadPoolExecutor(4, thread_name_prefix="hash")
_HASHED_BESIDE = 256 * 1024


def blob_key(sha256: str) -> tuple[str, str, str, str]:
    """The places a blob's name leads through, outermost first. Raises InvalidInput."""
    if not _SHA256.fullmatch(sha256):
        raise InvalidInput("A blob is named by 64 lower-case hex digits", "sha256")
    return "sha256", sha256[:2], sha256[2:4], sha256


def end_process(error: OSError) -> None:
    """End the process at once: after a failed fsync the kernel may have dropped the pages, and no retry would tell."""
    os.write(2, f"modelkeep: fsync failed in the blob store ({error.strerror}), stopping\n".encode())
    os._exit(FSYNC_FAILED_EXIT)


@contextmanager
def _disk_errors(undo: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The operating system's errors, in the words of the domain and without paths; on any error, `undo` first."""
    try:
        yield
    except BaseException as error:
        undo()
        if not isinstance(error, OSError):
            raise
        if error.errno in _FULL:
            raise StorageFull(f"The artifact store is full ({error.strerror}); nothing was written") from error
        if error.errno in _NOT_OURS:
            raise Corrupt(f"The artifact store holds something that it did not write ({error.strerror})") from error
        raise Unavailable(f"The artifact store does not answer ({error.strerror})") from error


class LocalBlobs:
    """The `BlobStore` on a local disk; its methods do what the port says.

    The root may be reached through a symbolic link, which is resolved once, here; below it everything is opened
    relative to its folder, never through a link. Folders are made 0700 and files 0600; folders are never removed.
    """

    def __init__(self, root: Path, on_fsync_failure: Callable[[OSError], None] = end_process) -> None:
        self._on_fsync_failure = on_fsync_failure
        # Shards whose way down this process has synced; one that merely exists may be another's, not synced yet.
        self._durable: set[str] = set()
        with _disk_errors(), _closing(self._open_root(root)) as top:
            self._staging = self._own_folder(top, "staging")
            self._blobs = self._own_folder(top, "sha256")

    def close(self) -> None:
        """Give back the folders; the store cannot be used afterwards."""
        os.close(self._blobs)
        os.close(self._staging)

    def begin(self) -> "LocalStaging":
        name = secrets.token_hex(16)
        with _disk_errors():
            return LocalStaging(self, name, self._create(name))

    def open(self, sha256: str) -> "LocalReader":
        with self._found(sha256) as shard, _closing(os.open(sha256, _READ_FLAGS, dir_fd=shard)) as fd:
            return LocalReader(self._checked_size(fd), os.dup(fd))

    def exists(self, sha256: str) -> bool:
        with suppress(NotFound):
            return self.size(sha256) >= 0
        return False

    def size(self, sha256: str) -> int:
        with self._found(sha256) as shard:
            return _regular_size(os.stat(sha256, dir_fd=shard, follow_symlinks=False))

    def delete(self, sha256: str) -> None:
        with suppress(NotFound), self._found(sha256) as shard:
            os.unlink(sha256, dir_fd=shard)  # not synced: a power loss may bring back what nobody refers to

    def digests(self) -> Iterator[str]:
        with _disk_errors():
            self._check_present()
            for first in _names(self._blobs, _HEX_PAIR):
                with _folder(self._blobs, first) as outer:
                    for second in _names(outer, _HEX_PAIR):
                        with _folder(outer, second) as shard:
                            names = _names(shard, _SHA256)
                        yield from (name for name in names if name.startswith(first + second))

    def sweep_staging(self, older_than_seconds: float) -> int:
        with _disk_errors():
            os.utime(self._staging)  # the file system's own clock, which may be another machine's
            oldest = os.fstat(self._staging).st_mtime - older_than_seconds
            swept = (name for name in _names(self._staging, _STAGED) if self._sweep(name, oldest))
            return sum(1 for _ in islice(swept, SWEEP_LIMIT))

    def check(self) -> None:
        name, probe = secrets.token_hex(16), secrets.token_bytes(64)
        with _disk_errors(undo=lambda: self.discard(name)):
            with _closing(self._create(name)) as fd:
                _write_all(fd, memoryview(probe))
                self.sync(fd, discardable=True)
                if os.pread(fd, len(probe), 0) != probe:
                    raise Corrupt("The artifact store does not give back what was written to it")
            os.unlink(name, dir_fd=self._staging)
            self.sync(self._staging)

    def publish(self, fd: int, name: str, blob: Blob) -> None:
        """Give a staged file its name as a blob, never replacing one; both survive a power loss when this returns."""
        with self._shard(blob.sha256, make=True) as shard:
            try:
                if _regular_size(os.stat(blob.sha256, dir_fd=shard, follow_symlinks=False)) != blob.size:
                    raise Corrupt(f"The stored blob {blob.sha256} has not the size it was stored with")
            except FileNotFoundError:
                self.sync(fd, discardable=True)
                with suppress(FileExistsError):  # another writer of the same bytes came first, after its own sync
                    os.link(name, blob.sha256, src_dir_fd=self._staging, dst_dir_fd=shard, follow_symlinks=False)
            self.sync(shard)  # also for a blob that was there: its writer may not have come to this yet

    def discard(self, name: str) -> None:
        """Remove a staged file; what cannot be removed now is left to the sweep."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self._staging)

    def sync(self, fd: int, *, discardable: bool = False) -> None:
        """fsync, or the end of the process; a full disk is survivable where the whole file is then thrown away."""
        try:
            os.fsync(fd)
        except OSError as error:
            if not (discardable and error.errno in _FULL):
                self._on_fsync_failure(error)
            raise

    def _open_root(self, root: Path) -> int:
        for folder in reversed([folder for folder in (root, *root.parents) if not folder.exists()]):
            with _closing(os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as parent:
                self._make_folder(parent, folder.name)
        return os.open(root.resolve(strict=True), _FOLDER_FLAGS)

    def _make_folder(self, parent: int, name: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            os.chmod(name, 0o700, dir_fd=parent)  # the umask may have taken bits away
        self.sync(parent)

    def _own_folder(self, parent: int, name: str) -> int:
        self._make_folder(parent, name)
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent)

    @contextmanager
    def _shard(self, sha256: str, *, make: bool = False) -> Iterator[int]:
        _, first, second, _ = blob_key(sha256)
        if make and first + second not in self._durable:
            self._make_folder(self._blobs, first)
            with _folder(self._blobs, first) as outer:
                self._make_folder(outer, second)
            self._durable.add(first + second)
        with _folder(self._blobs, first) as outer, _folder(outer, second) as shard:
            yield shard

    @contextmanager
    def _found(self, sha256: str) -> Iterator[int]:
        with _disk_errors():
            try:
                with self._shard(sha256) as shard:
                    yield shard
            except FileNotFoundError:
                self._check_present()
                raise NotFound(f"No blob {sha256}") from None

    def _check_present(self) -> None:
        if os.fstat(self._blobs).st_nlink == 0:
            raise Unavailable("The artifact store was removed while it was in use")

    def _create(self, name: str) -> int:
        fd = os.open(name, _CREATE_FLAGS, 0o600, dir_fd=self._staging)
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
            with _folder(self._staging, ".") as folder, os.scandir(folder) as entries:
                staged = any(entry.inode() == found.st_ino for entry in entries)
            if not staged and os.fstat(fd).st_nlink > 1:
                raise Corrupt("A blob has a second name, through which it could be changed")
        return _regular_size(found)

    def _sweep(self, name: str, oldest: float) -> bool:
        # What is not ours to open, or is locked by a live writer, stays.
        with suppress(OSError), _closing(os.open(name, _LOCK_FLAGS, dir_fd=self._staging)) as fd:
            if os.fstat(fd).st_mtime <= oldest:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=self._staging)
                return True
        return False


class LocalStaging(Staging):
    """The `Staging` of `LocalBlobs`: a file with a random name, locked until its writer or its process ends."""

    def __init__(self, store: LocalBlobs, name: str, fd: int) -> None:
        self._store = store
        self._name = name
        self._fd = fd
        self._size = 0
        self._hash = hashlib.sha256()

    def write(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk).cast("B")
        hashed = _HASHING.submit(self._hash.update, view) if view.nbytes >= _HASHED_BESIDE else None
        with _disk_errors(undo=self.abort):
            _write_all(self._live(), view)
        if hashed is None:
            self._hash.update(view)
        else:
            hashed.result()
        self._size += view.nbytes

    def so_far(self) -> Blob:
        return Blob(self._hash.hexdigest(), self._size)

    def commit(self) -> Blob:
        blob = self.so_far()
        with _disk_errors(undo=self.abort):
            self._store.publish(self._live(), self._name, blob)
        self.abort()  # of the two names the file has now, the staged one
        return blob

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
        with _disk_errors():
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


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def _folder(parent: int, name: str) -> AbstractContextManager[int]:
    return _closing(os.open(name, _FOLDER_FLAGS, dir_fd=parent))


def _names(folder: int, pattern: re.Pattern[str]) -> list[str]:
    with _folder(folder, ".") as own:  # anew, as threads that list one descriptor share its position
        return sorted(name for name in os.listdir(own) if pattern.fullmatch(name))  # noqa: PTH208 (no path)


def _regular_size(found: os.stat_result) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise Corrupt("A blob is not a regular file")
    return found.st_size


def _write_all(fd: int, view: memoryview) -> None:
    while view.nbytes:
        view = view[os.write(fd, view) :]
