"""What stores on a local disk do with files and folders: always relative to an open folder, never through a link."""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from modelkeep.core.errors import Corrupt, StorageFull, Unavailable

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_OURS = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "f2fs", "zfs", "tmpfs", "overlay"})
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a planted pipe must not hold readers up
LOCK_FLAGS = READ_FLAGS | os.O_RDWR  # network file systems lock only what is open for writing
CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def disk_errors(undo: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The operating system's errors, in the words of the domain and without paths; on any error, `undo` first."""
    try:
        yield
    except BaseException as error:
        undo()
        if not isinstance(error, OSError):
            raise
        if error.errno in FULL:
            raise StorageFull(f"The artifact store is full ({error.strerror}); nothing was written") from error
        if error.errno in _NOT_OURS:
            raise Corrupt(f"The artifact store holds something that it did not write ({error.strerror})") from error
        raise Unavailable(f"The artifact store does not answer ({error.strerror})") from error


@contextmanager
def closing_fd(fd: int) -> Iterator[int]:
    """The descriptor, closed at the end."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_folder(parent: int, name: str) -> AbstractContextManager[int]:
    """A folder of a folder, closed at the end."""
    return closing_fd(os.open(name, FOLDER_FLAGS, dir_fd=parent))


def names_in(folder: int, pattern: re.Pattern[str]) -> list[str]:
    """The names in a folder that are of this shape, in order."""
    with open_folder(folder, ".") as own:  # anew, as threads that list one descriptor share its position
        return sorted(name for name in os.listdir(own) if pattern.fullmatch(name))  # noqa: PTH208 (no path)


def regular_size(found: os.stat_result) -> int:
    """The size of what must be a regular file. Raises Corrupt."""
    if not stat.S_ISREG(found.st_mode):
        raise Corrupt("A blob is not a regular file")
    return found.st_size


def read_cached(fd: int, size: int) -> bytes | None:
    """All bytes of a regular file of this size and one name, if memory holds them; None if the disk would have to."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size != size or found.st_nlink != 1:
        return None
    content = bytearray(size)
    return bytes(content) if os.preadv(fd, [content], 0, os.RWF_NOWAIT) == size else None


def is_on_local_disk(folder: Path, mounts: Path) -> bool:
    """Whether a folder is on a file system that this machine keeps itself; what cannot be told is not.

    `mounts` is the system's table of them: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    try:
        table = [line.split(" ") for line in mounts.read_text().splitlines()]
    except OSError:
        return False
    above = {str(parent) for parent in (folder, *folder.parents)}
    kinds = [(len(fields[4]), fields[fields.index("-") + 1]) for fields in table if fields[4] in above]
    # Of several mounts at one point, the last lies on top.
    return max(reversed(kinds), key=lambda kind: kind[0], default=(0, ""))[1] in _LOCAL


def write_all(fd: int, view: memoryview) -> None:
    """Write all of it, however many calls that takes."""
    while view.nbytes:
        view = view[os.write(fd, view) :]


def start_writing_back(fd: int, start: int, end: int) -> None:
    """Have the disk begin with what was just written, so that the fsync at the end is short; nobody waits for it."""
    with suppress(OSError):
        # Dirty pages are not dropped by this but sent on their way; Python has no sync_file_range.
        os.posix_fadvise(fd, start, end - start, os.POSIX_FADV_DONTNEED)
