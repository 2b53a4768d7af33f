"""The files of this machine's pulls, each kept once under its SHA-256 and shared by all processes.

A kept file is sealed: it cannot be written to and has a modification time that only sealing gives. One that was changed
through a hard link after all has another, and is hashed before it is used again. A seal that was put on before the
bytes were on the disk for certain counts for no longer than the machine runs: a power loss may leave it and not them.
"""

# Without pathlib: to load it takes a tenth of the time that a pull from the cache may take.
# ruff: noqa: PTH100, PTH103, PTH105, PTH108, PTH118, PTH120, PTH123, PTH208

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

BLOCK = 1 << 20
_SEALED_NS = 1_000_000_000 * 10**9
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SEALED_MODE = 0o444
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Kept(NamedTuple):
    """A file of the cache."""

    sha256: str
    size: int


def boot_id() -> str:
    """What this run of the machine is called, from its start to its end; nothing where the system does not say."""
    try:
        with open(_BOOT_ID) as file:
            return file.read().strip()
    except OSError:
        return ""


def cache_folder(environment: Mapping[str, str]) -> str:
    """Where the cache is: MODELKEEP_CACHE, or `modelkeep` in the user's folder for caches."""
    caches = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME") or "/tmp", ".cache")  # noqa: S108
    return os.path.abspath(environment.get("MODELKEEP_CACHE") or os.path.join(caches, "modelkeep"))


class Cache:
    """Files by their SHA-256 below one folder. With a `boot_id`, what is kept does not wait for the disk."""

    def __init__(self, folder: str, boot: str = "") -> None:
        self.folder = folder
        self._sealed_now = _SEALED_NS + _offset(boot) if boot else _SEALED_NS

    def path(self, sha256: str) -> str:
        """Where a file is kept, or will be."""
        return f"{self.folder}/blobs/{sha256[:2]}/{sha256}"

    def has(self, sha256: str, size: int) -> bool:
        """Whether a file is kept, whole; one that was changed is forgotten."""
        try:
            found = os.lstat(self.path(sha256))
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return self._forget(sha256)
        return found.st_mtime_ns in {_SEALED_NS, self._sealed_now} or self.verify(sha256)

    def verify(self, sha256: str) -> bool:
        """Hash a kept file; one that is not what it should be is forgotten."""
        try:
            with open(self.path(sha256), "rb", buffering=0) as file:
                if hash_file(file.fileno()) == sha256:
                    _seal(file.fileno(), _SEALED_NS)
                    return True
        except OSError:
            pass
        return self._forget(sha256)

    def kept(self) -> Iterator[Kept]:
        """Every file, in the order of their hashes."""
        for shard in _names(f"{self.folder}/blobs"):
            for name in _names(f"{self.folder}/blobs/{shard}"):
                with suppress(FileNotFoundError):
                    yield Kept(name, os.lstat(self.path(name)).st_size)

    def clear(self) -> int:
        """Forget every file and every part of one that nobody is fetching now; the bytes that this frees."""
        freed = 0
        for file in list(self.kept()):
            with suppress(FileNotFoundError):
                os.unlink(self.path(file.sha256))
                freed += file.size
        for name in _names(f"{self.folder}/parts"):
            freed += self._clear_part(f"{self.folder}/parts/{name}")
        return freed

    @contextmanager
    def part(self, sha256: str) -> Iterator[int]:
        """The beginnings of a file, to be read and written; whoever else wants it waits. See `keep`."""
        folder = f"{self.folder}/parts"
        os.makedirs(folder, mode=0o700, exist_ok=True)
        fd = _locked(f"{folder}/{sha256}")
        try:
            yield fd
        finally:
            os.close(fd)

    def done_path(self, sha256: str) -> str:
        """Where it is noted which pieces of a file's part are there."""
        return f"{self.folder}/parts/{sha256}.done"

    def keep(self, sha256: str, part: int) -> None:
        """Make a part, which is whole and was hashed, the kept file."""
        os.makedirs(os.path.dirname(self.path(sha256)), mode=0o700, exist_ok=True)
        os.replace(f"{self.folder}/parts/{sha256}", self.path(sha256))
        _seal(part, self._sealed_now)  # last: a file that is not sealed is hashed before it is used
        self.forget_done(sha256)

    def forget_done(self, sha256: str) -> None:
        """Nothing is noted of a part any more."""
        with suppress(FileNotFoundError):
            os.unlink(self.done_path(sha256))

    def _forget(self, sha256: str) -> bool:
        with suppress(OSError):
            os.unlink(self.path(sha256))
        return False

    def _clear_part(self, path: str) -> int:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return 0
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(fd).st_blocks * 512
            os.unlink(path)
        except OSError:
            return 0
        finally:
            os.close(fd)
        return size


def hash_file(fd: int) -> str:
    """The SHA-256 of a whole file."""
    digest, offset = hashlib.sha256(), 0
    while block := os.pread(fd, BLOCK, offset):
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()


def _offset(boot: str) -> int:
    """From the seal for good to that of a run of the machine: some nanoseconds, less than a second."""
    return 1 + int(hashlib.sha256(boot.encode()).hexdigest()[:16], 16) % (10**9 - 1)


def _seal(fd: int, seal: int) -> None:
    if seal == _SEALED_NS:
        os.fsync(fd)  # or after a power loss the seal may be there and the bytes not
    os.fchmod(fd, _SEALED_MODE)
    os.utime(fd, ns=(seal, seal))


def _locked(path: str) -> int:
    """The file at a path, alone: one that was moved away meanwhile is not the one any more."""
    while True:
        fd = os.open(path, _FLAGS, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.lstat(path)):
                return fd
        os.close(fd)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return []
        raise
