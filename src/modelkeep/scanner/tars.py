"""Tar archives: members are looked at in place; links, devices and paths that lead out are refused."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelkeep.scanner.paths import leads_out
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Broken, OverLimit, Source, Stretch

_RECORD = 512
_LONGEST_NAME = 1 << 20
_FILES = b"0\x007"
_LINKS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


@dataclass(slots=True)
class Names:
    """Longer names and sizes that headers of their own announce for the next member."""

    path: str = ""
    link: str = ""
    size: int | None = None


def is_tar(head: bytes) -> bool:
    """Whether these first bytes are the header of a member."""
    return len(head) >= _RECORD and head[:1] != b"\0" and _is_header(head[:_RECORD])


def _is_header(header: bytes) -> bool:
    expected = _number(header[148:156])
    sums = sum(header[:148]) + sum(header[156:]) + 8 * 32
    return expected is not None and expected == sums


def _number(field: bytes) -> int | None:
    if field[:1] in {b"\x80", b"\xff"}:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else None
    text = field.split(b"\0")[0].strip()
    if not text:
        return 0
    return int(text, 8) if all(48 <= byte <= 55 for byte in text) else None


def inspect_tar(scan: Scan, source: Source) -> str:
    """Look at all members."""
    names = Names()
    for header, start, size in _headers(scan, source, names):
        kind = header[156:157]
        content = Stretch(source, start, size)
        if kind in b"xg" or kind in b"LK":
            _announce(names, kind, content)
            continue
        name = names.path or _name(header)
        _check(scan, name, names.link or _text(header[157:257]), kind)
        if kind in _FILES and size:
            with scan.inside(name):
                scan.look_at(content, name)
        names.path, names.link, names.size = "", "", None
    return "tar"


def _headers(scan: Scan, source: Source, names: Names) -> Iterator[tuple[bytes, int, int]]:
    """Each header, and where its content begins and how long it is."""
    at = 0
    while header := source.read_at(at, _RECORD):
        if len(header) < _RECORD:
            raise Broken("the archive ends early")
        if not header.strip(b"\0"):
            _check_end(scan, source, at)
            return
        size = _number(header[124:136])
        if not _is_header(header) or size is None or size < 0:
            raise Broken("the header of a member is damaged")
        if names.size is not None and header[156:157] not in b"xgLK":
            size = names.size
        scan.budget.open(1)
        if size and not source.read_at(at + _RECORD + size - 1, 1):
            raise Broken("the archive ends early")
        yield header, at + _RECORD, size
        at += _RECORD + (size + _RECORD - 1) // _RECORD * _RECORD


def _check_end(scan: Scan, source: Source, at: int) -> None:
    rest = source.read_at(at, 1 << 20)
    if rest.strip(b"\0") or source.read_at(at + (1 << 20), 1):
        scan.report("archive.hidden", "Bytes of the archive belong to no member.")


def _check(scan: Scan, name: str, link: str, kind: bytes) -> None:
    if leads_out(name):
        scan.report("archive.path", f"Member '{name}' leads out of the folder that it is unpacked in.")
    if kind in _LINKS:
        scan.report("archive.link", f"Member '{name}' is {_LINKS[kind]}{f' to {link}' if link else ''}.")
    elif kind not in _FILES and kind != b"5":
        scan.report("archive.hidden", f"Member '{name}' is of a kind that is not known.")


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "replace")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" else ""
    name = _text(header[:100])
    return f"{prefix}/{name}" if prefix else name


def _announce(names: Names, kind: bytes, content: Source) -> None:
    if content.size() > _LONGEST_NAME:
        raise OverLimit("the name of a member is too long")
    body = content.read_at(0, _LONGEST_NAME)
    if kind == b"L":
        names.path = _text(body)
    elif kind == b"K":
        names.link = _text(body)
    else:
        for key, value in _records(body):
            _set_record(names, key, value)


def _set_record(names: Names, key: str, value: str) -> None:
    if key == "path":
        names.path = value
    elif key == "linkpath":
        names.link = value
    elif key == "size":
        if not value.isascii() or not value.isdigit() or len(value) > 18:
            raise Broken("the size of a member is damaged")
        names.size = int(value)


def _records(body: bytes) -> Iterator[tuple[str, str]]:
    while body:
        length, _, _ = body.partition(b" ")
        if not length.isdigit() or len(length) > 8 or not 5 <= int(length) <= len(body):
            raise Broken("a long header is damaged")
        record = body[len(length) + 1 : int(length) - 1]
        key, _, value = record.partition(b"=")
        yield key.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        body = body[int(length) :]
