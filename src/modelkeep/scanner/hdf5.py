"""HDF5 files, as Keras writes them. The file is searched, not parsed: a model's configuration is JSON in one piece."""

import json
import re
from typing import Any

from modelkeep.scanner.keras import check_configuration, is_configuration
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import OverLimit, Source, find_all, windows

MARK = b"\x89HDF\r\n\x1a\n"
_CONFIGURATION = (b"model_config", b"class_name")
_HEAP = b"FRHP"
_OBJECT = re.compile(rb'\{\s*"')
_MOST_OBJECTS = 200
_LONGEST = 16 << 20


def is_hidden_hdf5(source: Source, most: int) -> bool:
    """Whether readers would find such a file among the first bytes: they look at 512, 1024, 2048 and so on as well."""
    at = 512
    while at < most and (mark := source.read_at(at, len(MARK))):
        if mark == MARK:
            return True
        at *= 2
    return False


def inspect_hdf5(scan: Scan, source: Source) -> str:
    """Report code in a configuration; a file of weights alone has none."""
    has_configuration = False
    for offset, piece in windows(source, 64):
        has_configuration |= any(mark in piece for mark in _CONFIGURATION)
        at = piece.find(_HEAP)
        while at >= 0:
            if _is_filtered(source, offset + at):
                scan.report("format.unknown", "Names in it are packed, so it cannot be searched.")
            at = piece.find(_HEAP, at + 1)
    if has_configuration:
        _check_configurations(scan, source)
        return "keras hdf5"
    return "hdf5"


def _is_filtered(source: Source, at: int) -> bool:
    """Whether the heap that begins here is packed."""
    header = source.read_at(at, 9)
    return len(header) == 9 and header[4] == 0 and header[7:9] != b"\0\0"


def _check_configurations(scan: Scan, source: Source) -> None:
    found, behind = 0, -1
    decoder = json.JSONDecoder()
    for count, start in enumerate(find_all(source, _OBJECT, 16)):
        if count > _MOST_OBJECTS * 50:
            raise OverLimit("it holds too many objects")
        if start < behind:
            continue
        value, length = _decoded(decoder, source.read_at(start, _LONGEST).decode("latin-1"))
        if isinstance(value, dict):
            behind = start + length
            found += is_configuration(value)
            check_configuration(scan, value)
        elif found > _MOST_OBJECTS:
            raise OverLimit("it holds too many objects")
    if not found:
        scan.report("format.unknown", "It has a configuration that cannot be read.")


def _decoded(decoder: json.JSONDecoder, text: str) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None, 0
