"""A folder made of the cache's files: under another name first, then all at once where it belongs."""

# Without pathlib: to load it takes a tenth of the time that a pull from the cache may take.
# ruff: noqa: PTH100, PTH102, PTH103, PTH104, PTH208

import errno
import fcntl
import importlib
import os
import stat
from collections.abc import Sequence

from modelkeep.cli.refusals import Refused
from modelkeep.cli.transfer.cache import BLOCK, Cache
from modelkeep.cli.transfer.plan import PlannedFile

# Linux: let two files share their bytes until one of them is changed.
_FICLONE = 0x40049409
_NOT_HERE = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY, errno.EPERM}
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def check_free(folder: str) -> None:
    """Raises Refused unless a folder of this name can be made: it is absent, or empty."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or os.listdir(folder):
        raise Refused(f"{folder} is there already and is no empty folder; name another one, or remove it.")


def place(cache: Cache, files: Sequence[PlannedFile], folder: str, *, link: bool) -> None:
    """Make a folder of files that the cache has; with `link` they are the cache's own, not to be written to.

    It appears whole or not at all. Raises Refused if something else appeared there meanwhile.
    """
    target = os.path.abspath(folder)
    parent, name = os.path.split(target)
    os.makedirs(parent, exist_ok=True)
    new = f"{parent}/.{name[:200]}.{os.urandom(8).hex()}"
    os.mkdir(new)
    try:
        _fill(cache, files, new, link=link)
        os.rename(new, target)
    except BaseException as error:
        importlib.import_module("shutil").rmtree(new, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise Refused(f"{folder} cannot be made: {error.strerror}.") from error
        raise


def _fill(cache: Cache, files: Sequence[PlannedFile], folder: str, *, link: bool) -> None:
    made = {""}
    copy = _Copy()
    for file in files:
        inner = file.path.rpartition("/")[0]
        if inner not in made:
            os.makedirs(f"{folder}/{inner}", exist_ok=True)
            made.add(inner)
        kept, new = cache.path(file.sha256), f"{folder}/{file.path}"
        if not (link and _linked(kept, new)):
            copy(kept, new)


def _linked(kept: str, new: str) -> bool:
    try:
        os.link(kept, new, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NOT_HERE or error.errno == errno.EMLINK:
            return False
        raise
    return True


class _Copy:
    """Copies files in the cheapest way that the file system has, which the first of them finds out."""

    def __init__(self) -> None:
        self._ways = [_cloned, _moved_by_kernel, _copied]

    def __call__(self, kept: str, new: str) -> None:
        source = os.open(kept, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            target = os.open(new, _NEW, 0o666)
            try:
                while not self._ways[0](source, target):
                    self._ways.pop(0)
            finally:
                os.close(target)
        finally:
            os.close(source)


def _cloned(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return False
        raise
    return True


def _moved_by_kernel(source: int, target: int) -> bool:
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
    except OSError as error:
        if error.errno in _NOT_HERE:
            return False
        raise
    return True


def _copied(source: int, target: int) -> bool:
    offset = 0
    while block := os.pread(source, BLOCK, offset):
        offset += len(block)
        view = memoryview(block)
        while view:
            view = view[os.write(target, view) :]
    return True
