"""Zip archives, read as strictly as possible: where two readers could see different members, the archive is refused."""

import zlib
from bz2 import BZ2Decompressor
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from lzma import FORMAT_RAW, LZMADecompressor
from typing import Any

from modelkeep.scanner.paths import leads_out
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Bomb, Broken, OverLimit, Source, Stretch, Unpacked

_END = b"PK\x05\x06"
_CENTRAL = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
_LONGEST_COMMENT = 0xFFFF
_LONGEST_DIRECTORY = 64 << 20
_BOMB_RATIO, _BOMB_FROM = 150, 100 << 20
_STORED, _DEFLATED, _BZIP2, _LZMA = 0, 8, 12, 14
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_LINK = 0o120000


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive, as the central directory has it."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether it holds nothing itself."""
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True)
class Archive:
    """The members of an archive, and where it begins and its directory stands."""

    members: list[Member]
    start: int
    directory: int


def _word(content: bytes, at: int, width: int) -> int:
    piece = content[at : at + width]
    if len(piece) < width:
        raise Broken("its directory ends early")
    return int.from_bytes(piece, "little")


def find_end(source: Source) -> int | None:
    """Where a reader finds the end record of an archive, wherever that begins; None where there is no archive."""
    size = source.size()
    start = max(0, size - _LONGEST_COMMENT - 22)
    tail = source.read_at(start, _LONGEST_COMMENT + 22)
    found = tail.rfind(_END)
    while found >= 0:
        if len(tail) - found >= 22 and _has_directory(source, start + found, tail[found : found + 22]):
            return start + found
        found = tail.rfind(_END, 0, found)
    return None


def _has_directory(source: Source, end: int, record: bytes) -> bool:
    length, offset = _word(record, 12, 4), _word(record, 16, 4)
    if offset == 0xFFFFFFFF or length == 0xFFFFFFFF:
        return source.read_at(max(0, end - 20), 4) == b"PK\x06\x07"
    return not length or source.read_at(max(0, end - length), 4) == _CENTRAL or source.read_at(offset, 4) == _CENTRAL


def read_archive(source: Source) -> Archive:
    """The archive's members. Raises Broken, OverLimit."""
    end = find_end(source)
    if end is None:
        raise Broken("the archive has no directory")
    record = source.read_at(end, 22)
    count, length, offset, before = _word(record, 10, 2), _word(record, 12, 4), _word(record, 16, 4), end
    if 0xFFFFFFFF in (length, offset) or count == 0xFFFF:
        count, length, offset, before = _large_end(source, end, (count, length, offset))
    if length > _LONGEST_DIRECTORY:
        raise OverLimit("the directory of the archive is too long")
    directory = before - length
    if directory < offset:
        raise Broken("the directory of the archive is not where it should be")
    members = list(_members(source.read_at(directory, length), count))
    return Archive(members, directory - offset, directory)


def _large_end(source: Source, end: int, plain: tuple[int, int, int]) -> tuple[int, int, int, int]:
    locator = source.read_at(max(0, end - 20), 20)
    if locator[:4] != b"PK\x06\x07":
        return *plain, end
    at = end - 20 - 56
    record = source.read_at(max(0, at), 56)
    if record[:4] != b"PK\x06\x06" or _word(locator, 8, 8) != at:
        raise Broken("its large directory is not where it should be")
    return _word(record, 32, 8), _word(record, 40, 8), _word(record, 48, 8), at


def _members(directory: bytes, count: int) -> Iterator[Member]:
    at = 0
    for _ in range(count):
        if directory[at : at + 4] != _CENTRAL:
            raise Broken("an entry of its directory is damaged")
        name, extra, comment = (_word(directory, at + place, 2) for place in (28, 30, 32))
        fields = directory[at + 46 + name : at + 46 + name + extra]
        packed, size, offset = _sizes(directory, at, fields)
        flags = _word(directory, at + 8, 2)
        yield Member(
            name=directory[at + 46 : at + 46 + name].decode("utf-8" if flags & 0x800 else "cp437", "replace"),
            method=_word(directory, at + 10, 2),
            flags=flags,
            crc=_word(directory, at + 16, 4),
            packed=packed,
            size=size,
            offset=offset,
            mode=_word(directory, at + 38, 4) >> 16,
        )
        at += 46 + name + extra + comment
    if at != len(directory):
        raise Broken("its directory has more entries than it says")


def _sizes(directory: bytes, at: int, extra: bytes) -> tuple[int, int, int]:
    """Packed size, size and offset; those that do not fit into 32 bits stand in an extra field."""
    size, packed, offset = _word(directory, at + 24, 4), _word(directory, at + 20, 4), _word(directory, at + 42, 4)
    large = _extra_field(extra, 1)
    values = [size, packed, offset]
    for index, value in enumerate(values):
        if value == 0xFFFFFFFF and large:
            values[index], large = _word(large, 0, 8), large[8:]
    return values[1], values[0], values[2]


def _extra_field(extra: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(extra):
        kind, length = _word(extra, at, 2), _word(extra, at + 2, 2)
        if kind == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def check_archive(scan: Scan, source: Source, archive: Archive) -> dict[str, Source]:
    """Report what is wrong with an archive as such; the contents of its files that can be opened, by name."""
    scan.budget.open(len(archive.members))
    if archive.start:
        scan.report("polyglot", "An archive is hidden behind other content.")
    opened: dict[str, Source] = {}
    spans: list[tuple[int, int]] = []
    for member in archive.members:
        _check_member(scan, member)
        data = _data_start(scan, source, archive, member)
        spans.append((archive.start + member.offset, data + member.packed))
        if member.name in opened:
            scan.report("archive.inconsistent", f"Two members are called '{member.name}'.")
        if not member.is_folder or member.size:
            content = _content(scan, source, data, member)
            if content is not None:
                opened[member.name] = content
    _check_spans(scan, archive, spans)
    return opened


def _check_member(scan: Scan, member: Member) -> None:
    if leads_out(member.name):
        scan.report("archive.path", f"Member '{member.name}' leads out of the folder that it is unpacked in.")
    if member.mode & 0o170000 == _LINK:
        scan.report("archive.link", f"Member '{member.name}' is a symbolic link.")
    if member.size > _BOMB_FROM and member.size > _BOMB_RATIO * max(1, member.packed):
        raise Bomb(f"{member.packed:,} bytes unpack to {member.size:,}")


def _data_start(scan: Scan, source: Source, archive: Archive, member: Member) -> int:
    """Where a member's bytes begin, by its local header, which must say what the directory says."""
    at = archive.start + member.offset
    header = source.read_at(at, 30)
    if header[:4] != _LOCAL:
        raise Broken("a member of the archive is not where the directory says")
    length = _word(header, 26, 2)
    name = source.read_at(at + 30, length).decode("utf-8" if _word(header, 6, 2) & 0x800 else "cp437", "replace")
    same = name == member.name and _word(header, 8, 2) == member.method and _word(header, 6, 2) == member.flags
    sizes = (_word(header, 18, 4), _word(header, 22, 4))
    later = member.flags & 0x8 and sizes in {(0, 0), (member.packed, member.size)}
    large = 0xFFFFFFFF in sizes
    if not same or not (later or large or sizes == (member.packed, member.size)):
        scan.report("archive.inconsistent", f"Directory and archive say different things of '{member.name}'.")
    return at + 30 + length + _word(header, 28, 2)


def _content(scan: Scan, source: Source, start: int, member: Member) -> Source | None:
    if member.flags & _ENCRYPTED:
        scan.report("archive.encrypted", f"Member '{member.name}' is encrypted.")
        return None
    packed = Stretch(source, start, member.packed)
    if member.method == _STORED:
        if member.packed != member.size:
            scan.report("archive.inconsistent", f"Member '{member.name}' has two sizes.")
        return packed
    unpacker: Any = {_DEFLATED: partial(zlib.decompressobj, -15), _BZIP2: BZ2Decompressor}.get(member.method)
    if member.method == _LZMA:
        return _lzma(scan, packed)
    if unpacker is None:
        scan.report("archive.unknown", f"Member '{member.name}' is packed in a way that is not known.")
        return None
    return Unpacked(packed, unpacker, scan.budget)


def _lzma(scan: Scan, packed: Source) -> Source:
    head = packed.read_at(0, 9)
    if len(head) < 9 or head[2:4] != b"\x05\x00":
        raise Broken("a member's packed bytes are damaged")
    properties, dictionary = head[4], int.from_bytes(head[5:9], "little")
    if properties >= 225 or dictionary > 64 << 20:
        raise OverLimit("a member needs too much memory")
    options = {"id": 0x4000000000000001, "dict_size": max(4096, dictionary)}
    options |= {"lc": properties % 9, "lp": properties // 9 % 5, "pb": properties // 45}
    unpacker = partial(LZMADecompressor, FORMAT_RAW, None, [options])
    return Unpacked(Stretch(packed, 9, packed.size() - 9), unpacker, scan.budget)


def _check_spans(scan: Scan, archive: Archive, spans: list[tuple[int, int]]) -> None:
    """Members that share bytes make bombs; bytes of no member hide things."""
    behind = archive.start
    for start, end in sorted(spans):
        if start < behind:
            scan.report("archive.inconsistent", "Members of the archive share bytes.")
        elif start - behind > 24:
            scan.report("archive.hidden", f"{start - behind:,} bytes of the archive belong to no member.")
        behind = max(behind, end)
    if archive.directory < behind:
        scan.report("archive.inconsistent", "Members of the archive share bytes with its directory.")
    elif archive.directory - behind > 24:
        scan.report("archive.hidden", f"{archive.directory - behind:,} bytes of the archive belong to no member.")
