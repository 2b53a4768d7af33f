"""A folder that is to be registered: its files, and what of it is left out, which is always said."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from modelkeep.cli.refusals import Refused
from modelkeep.core.paths import PathFault, shown, split_path

LEFT_OUT = frozenset({".git", "__pycache__"})
BLOCK = 1 << 20


class LocalFile(NamedTuple):
    """A file of the folder: its path as the version will have it, where it is, and how it was when it was found."""

    path: str
    place: Path
    size: int
    changed_ns: int


class Scan(NamedTuple):
    """A folder's files by path, and a line for each thing that is left out."""

    files: list[LocalFile]
    left_out: list[str]


def scan(folder: Path, *, follow_links: bool) -> Scan:
    """What there is to register. Raises Refused for a link that is not followed, and for what no version can hold."""
    if not folder.is_dir():
        raise Refused(f"{folder} is no folder.")
    found = Scan([], [])
    _walk(folder, "", (), found, follow_links=follow_links)
    if not found.files:
        raise Refused(f"{folder} has no files to register.")
    return Scan(sorted(found.files), found.left_out)


def _walk(folder: Path, below: str, above: tuple[tuple[int, int], ...], found: Scan, *, follow_links: bool) -> None:
    here = folder.stat()
    if (here.st_dev, here.st_ino) in above:
        raise Refused(f"{shown(below)} leads back to a folder that it is in; remove that link.")
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.name in LEFT_OUT:
            found.left_out.append(f"{path} is left out.")
        elif entry.is_symlink() and not follow_links:
            raise Refused(f"{shown(path)} is a symbolic link; --follow-links takes what it points at, or remove it.")
        elif entry.is_dir():
            inside = (*above, (here.st_dev, here.st_ino))
            _walk(Path(entry.path), f"{path}/", inside, found, follow_links=follow_links)
        else:
            found.files.append(_file(path, Path(entry.path)))
    if below and not entries:
        found.left_out.append(f"{below} is empty and left out: versions have files only.")


def _file(path: str, place: Path) -> LocalFile:
    try:
        found = place.stat()
    except FileNotFoundError:
        raise Refused(f"{shown(path)} is a link that leads nowhere, or was removed; try again.") from None
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{shown(path)} is neither a file nor a folder; remove it.")
    try:
        split_path(path)
    except PathFault as fault:
        raise Refused(f"'{shown(path)}' cannot be the path of a version's file ({fault}); rename it.") from None
    return LocalFile(path, place, found.st_size, found.st_mtime_ns)


def blocks(file: LocalFile, start: int, end: int) -> Iterator[bytes]:
    """A range of a file's bytes. Raises Refused if they are not there any more."""
    with file.place.open("rb", buffering=0) as opened:
        opened.seek(start)
        while start < end:
            block = opened.read(min(BLOCK, end - start))
            if not block:
                raise changed(file)
            start += len(block)
            yield block


def hash_of(file: LocalFile) -> str:
    """The SHA-256 of a file. Raises Refused if it has changed since it was found."""
    digest = hashlib.sha256()
    for block in blocks(file, 0, file.size):
        digest.update(block)
    check_unchanged(file)
    return digest.hexdigest()


def check_unchanged(file: LocalFile) -> None:
    """Raises Refused if the file is not as it was found."""
    found = file.place.stat()
    if (found.st_size, found.st_mtime_ns) != (file.size, file.changed_ns):
        raise changed(file)


def changed(file: LocalFile) -> Refused:
    """The refusal of a folder that somebody works in."""
    return Refused(f"{shown(file.path)} was changed while it was read; push again when the folder is at rest.")
