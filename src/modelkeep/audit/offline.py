#!/usr/bin/env python3
"""Verifies an exported audit log of Modelkeep, with nothing but Python 3.11: python offline.py DIR --checkpoint FILE

Everything is computed anew from the entries: hashes (RFC 6962), tiles (C2SP tlog-tiles), signatures (C2SP signed-note).
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from modelkeep.audit.signed import Head, Report, counted, read_heads, read_keys

WIDTH, HASH = 256, 32
# So many wrong entries are told one by one, or as stretches of neighbours; what is beyond is counted.
MOST_TOLD = 100_000
_sha256 = hashlib.sha256


class Source(Protocol):
    """Where a log is read from: its files by their paths in the layout of tlog-tiles."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Where a tile lies; level `entries` has the entries themselves."""
    groups = re.findall("...", f"{number:0{-(-len(str(number)) // 3) * 3}d}")
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{name}" + (f".p/{width}" if width < WIDTH else "")


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = hashes
    while len(row) > 1:
        row = [_sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def entries_of(bundle: bytes) -> list[bytes]:
    """The entries of a bundle, as far as they are whole."""
    found, at, end = [], 0, len(bundle)
    while at + 2 <= end:
        stop = at + 2 + (bundle[at] << 8 | bundle[at + 1])
        if stop > end:
            break
        found.append(bundle[at + 2 : stop])
        at = stop
    return found


class Frontier:
    """A tree that grows by full tiles: the roots of its largest whole parts, from left to right."""

    def __init__(self, peaks: Iterable[bytes] = (), tiles: int = 0) -> None:
        self.peaks = list(peaks)
        self.tiles = tiles

    def add(self, subtree: bytes) -> None:
        """Add a full tile's root."""
        self.tiles += 1
        self.peaks.append(subtree)
        for _ in range((self.tiles & -self.tiles).bit_length() - 1):
            right, left = self.peaks.pop(), self.peaks.pop()
            self.peaks.append(_sha256(b"\x01" + left + right).digest())

    def root(self, rest: Sequence[bytes]) -> bytes:
        """The root of the tree with these leaves behind it."""
        peaks, at = list(self.peaks), 0
        for bit in reversed(range(len(rest).bit_length())):
            if len(rest) >> bit & 1:
                peaks.append(tree_hash(rest[at : at + (1 << bit)]))
                at += 1 << bit
        if not peaks:
            return _sha256().digest()
        root = peaks.pop()
        while peaks:
            root = _sha256(b"\x01" + peaks.pop() + root).digest()
        return root


class Walk:
    """All entries of a log, in order: their roots at the sizes that were signed, and where tiles say otherwise."""

    def __init__(self, source: Source, size: int, heads: Iterable[Head], report: Report) -> None:
        self._source, self._size, self._report = source, size, report
        self._sizes = sorted({head.size for head in heads if 0 < head.size <= size}, reverse=True)
        self._entries, self._tiles = Frontier(), Frontier()
        self._above: list[list[bytes]] = []
        self.entry_roots: dict[int, bytes] = {0: Frontier().root([])}
        self.tile_roots: dict[int, bytes] = dict(self.entry_roots)
        # By place: the hash of what is there, and of what the tile says was there.
        self.differing: dict[int, tuple[bytes, bytes]] = {}
        self.more = 0

    def run(self) -> None:
        """Read everything once."""
        for number in range(-(-self._size // WIDTH)):
            width = min(WIDTH, self._size - number * WIDTH)
            path = tile_path("entries", number, width)
            bundle = self._source.read(path)
            if bundle is None:
                self._report.add("missing bundle", f"{path}: the log ends at entry {number * WIDTH} of {self._size}")
                return
            self._step(number, width, self._hashes(path, bundle, width))
        for level, rest in enumerate(self._above, 1):
            if rest:
                self._compare(level, self._full(level) // WIDTH, rest)

    def _hashes(self, path: str, bundle: bytes, width: int) -> list[bytes]:
        entries = entries_of(bundle)
        if len(entries) != width or sum(map(len, entries)) + 2 * width != len(bundle):
            whole = counted(len(entries), "whole entry", "whole entries")
            self._report.add("wrong bundle", f"{path} has {whole} and should have {width}")
            entries = (entries + [b""] * width)[:width]
        return [_sha256(b"\x00" + entry).digest() for entry in entries]

    def _step(self, number: int, width: int, found: list[bytes]) -> None:
        joined, path = b"".join(found), tile_path(0, number, width)
        tile = self._source.read(path)
        said = found
        if tile is None:
            self._report.add("missing tile", path)
        elif len(tile) != len(joined):
            self._report.add("changed tile", f"{path} has {counted(len(tile), 'byte')} and should have {len(joined)}")
        elif tile != joined:
            said = [tile[at : at + HASH] for at in range(0, len(tile), HASH)]
            self._note(number * WIDTH, found, said)
        self._grow(number * WIDTH, found, said)

    def _grow(self, start: int, found: list[bytes], said: list[bytes]) -> None:
        while self._sizes and self._sizes[-1] <= start + len(found):
            size = self._sizes.pop()
            self.entry_roots[size] = root = self._entries.root(found[: size - start])
            self.tile_roots[size] = self._tiles.root(said[: size - start]) if self.differing else root
        if len(found) == WIDTH:
            subtree = tree_hash(found)
            self._entries.add(subtree)
            subtree = subtree if said is found else tree_hash(said)
            self._tiles.add(subtree)
            self._add_above(1, subtree)

    def _add_above(self, level: int, subtree: bytes) -> None:
        if len(self._above) < level:
            self._above.append([])
        row = self._above[level - 1]
        row.append(subtree)
        if len(row) == WIDTH:
            self._compare(level, self._full(level) // WIDTH - 1, row)
            self._above[level - 1] = []
            self._add_above(level + 1, tree_hash(row))

    def _full(self, level: int) -> int:
        """How many hashes that level has by now."""
        return self._tiles.tiles >> (8 * (level - 1))

    def _compare(self, level: int, number: int, row: list[bytes]) -> None:
        path = tile_path(level, number, len(row))
        tile = self._source.read(path)
        if tile is None:
            self._report.add("missing tile", path)
        elif tile != b"".join(row):
            self._report.add("changed tile", f"{path} is not what the tiles below it make")

    def _note(self, start: int, found: list[bytes], said: list[bytes]) -> None:
        for place, pair in enumerate(zip(found, said, strict=True), start):
            if pair[0] != pair[1]:
                if len(self.differing) < MOST_TOLD:
                    self.differing[place] = pair
                else:
                    self.more += 1


def _tell_entries(walk: Walk, report: Report, *, tiles_are_right: bool | None) -> None:
    """Say what happened to each entry that differs from its tile, neighbours that moved together as one."""
    if tiles_are_right is False:
        count = len(walk.differing) + walk.more
        wrong = "1 hash is not that of its entry" if count == 1 else f"{count} hashes are not those of their entries"
        report.add("changed tile", f"{wrong}, as signed")
        return
    empty = _sha256(b"\x00").digest()
    belongs = {said: place for place, (_, said) in walk.differing.items()}
    present = {found for found, _ in walk.differing.values()}
    stretch: list[int] = []
    for place, (found, said) in walk.differing.items():
        origin = belongs.get(found)
        if stretch and (origin is None or place != stretch[1] + 1 or origin - place != stretch[2]):
            _tell_moved(report, *stretch)
            stretch = []
        if origin is not None:
            stretch = [stretch[0] if stretch else place, place, origin - place]
        elif found == empty:
            report.add("missing entry", f"{place} is not there")
        elif said in present:
            report.add("added entry", f"{place} was never logged")
        else:
            report.add("changed entry", f"{place} is not what was logged")
        if said not in present and origin is not None:
            report.add("missing entry", f"what was logged as {place} is gone")
    if stretch:
        _tell_moved(report, *stretch)
    if walk.more:
        report.add("changed entry", f"{walk.more} more {'differs' if walk.more == 1 else 'differ'}")


def _tell_moved(report: Report, first: int, last: int, by: int) -> None:
    what = f"{first} is what was logged as {first + by}"
    if last > first:
        what = f"{first} to {last} are what was logged as {first + by} to {last + by}"
    report.add("moved entry", what)


def _entries(head: Head) -> str:
    return counted(head.size, "entry", "entries")


def _judge(walk: Walk, heads: Sequence[Head], report: Report) -> None:
    """Hold the roots to what was signed, that which was kept elsewhere first."""
    right: bool | None = None
    for head in sorted(heads, key=lambda one: (not one.is_outside, -one.size)):
        if head.size not in walk.entry_roots:
            what = f"{head.where} was signed over {_entries(head)}; the log has {report.size}, its end was cut off"
            report.add("shorter log", f"{what} or an older copy put in its place")
            continue
        if walk.differing and right is None and walk.entry_roots[head.size] != walk.tile_roots[head.size]:
            right = {walk.entry_roots[head.size]: False, walk.tile_roots[head.size]: True}.get(head.root)
        if head.root not in {walk.entry_roots[head.size], walk.tile_roots[head.size]}:
            first = "first entry is not that" if head.size == 1 else f"first {head.size} entries are not those"
            text = f"{head.where}: the {first} that it was signed over"
            report.add("rewritten log" if head.is_outside else "wrong checkpoint", text)
    if walk.differing:
        _tell_entries(walk, report, tiles_are_right=right)


def verify(source: Source, size: int, heads: Sequence[Head], report: Report) -> Report:
    """Compute everything anew from the first `size` entries and compare it with tiles and checkpoints."""
    report.size = size
    report.signed = max((head.size for head in heads if not head.is_outside), default=0)
    report.checkpoints = len({(head.size, head.root) for head in heads if not head.is_outside})
    report.outside = sum(head.is_outside for head in heads)
    seen: dict[tuple[str, int], Head] = {}
    for head in heads:
        first = seen.setdefault((head.origin, head.size), head)
        if first.root != head.root:
            report.add("split view", f"{first.where} and {head.where} were both signed over {_entries(head)}")
    walk = Walk(source, size, heads, report)
    walk.run()
    _judge(walk, heads, report)
    return report


class Folder:
    """An exported log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        try:
            return (self._path / path).read_bytes()
        except OSError:
            return None

    def text(self, path: str) -> str:
        """The text of a file, empty where there is none."""
        return (self.read(path) or b"").decode(errors="replace")


def verify_folder(folder: Folder, key_texts: Sequence[str], outside: Sequence[tuple[str, str]]) -> Report:
    """Verify an exported log. Raises ValueError for what is no log or no key."""
    if folder.read("checkpoint") is None:
        raise ValueError("there is no checkpoint in the folder")
    report = Report()
    keys = read_keys("\n".join(key_texts) or folder.text("keys"))
    own = [(name, folder.text(name)) for name in ("checkpoint", "checkpoints")]
    heads = read_heads(own, keys, report, outside=False)
    heads += read_heads(outside, keys, report, outside=True)
    size = max((head.size for head in heads if not head.is_outside), default=0)
    return verify(folder, size, heads, report)


def main() -> int:
    """The command line: 0 if nothing is wrong, 1 if something is, 2 if it could not be looked at."""
    parser = argparse.ArgumentParser(description="Verify an exported audit log of Modelkeep.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="file of notes kept elsewhere")
    parser.add_argument("--key", action="append", default=[], help="public key that you trust; not that in the folder")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        outside = [(str(path), path.read_text()) for path in given.checkpoint]
        report = verify_folder(Folder(given.folder), given.key, outside)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot verify: {error}\n")
        return 2
    told = json.dumps(report.fields()) if given.json else "\n".join(report.lines())
    sys.stdout.write(f"{told}\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
