"""What a file is, by its content: formats are tried from those with sure marks to those without any."""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable
from functools import partial

from modelkeep.scanner import archives
from modelkeep.scanner.hdf5 import MARK as HDF5
from modelkeep.scanner.hdf5 import inspect_hdf5, is_hidden_hdf5
from modelkeep.scanner.onnx import inspect_onnx, is_onnx
from modelkeep.scanner.pickles import Front, inspect_pickle, try_pickle
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Source, Unpacked
from modelkeep.scanner.tars import inspect_tar, is_tar
from modelkeep.scanner.tensorflow import inspect_graph, inspect_saved_model, is_graph, is_saved_model
from modelkeep.scanner.tensors import inspect_gguf, inspect_numpy, inspect_safetensors, is_safetensors
from modelkeep.scanner.texts import inspect_text, is_text
from modelkeep.scanner.ubjson import inspect_ubjson, is_ubjson
from modelkeep.scanner.zips import find_end

_HEAD = 4096
_PROGRAMS = {
    b"\x7fELF": "ELF program",
    b"\xfe\xed\xfa\xce": "Mach-O program",
    b"\xfe\xed\xfa\xcf": "Mach-O program",
    b"\xce\xfa\xed\xfe": "Mach-O program",
    b"\xcf\xfa\xed\xfe": "Mach-O program",
    b"\xca\xfe\xba\xbe": "Mach-O or Java program",
    b"\xbe\xba\xfe\xca": "Mach-O program",
    b"!<arch>\n": "library of programs",
    b"dex\n": "Android program",
    b"\0asm": "WebAssembly program",
}
_CLOSED_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"MSCF": "cab",
    b"\x1f\x9d": "compress",
    b"\x89LZO": "lzo",
}
# Data that nothing in it can make run; what hangs behind it as an archive is found all the same.
_DATA = {
    b"\x89PNG\r\n\x1a\n": "png image",
    b"\xff\xd8\xff": "jpeg image",
    b"GIF8": "gif image",
    b"PAR1": "parquet",
    b"ARROW1\0\0": "arrow",
    b"CBM1": "catboost",
}
# What is looked at as a pickle anyway.
_AS_PICKLES = {"pickle", "torch (legacy)", "text", "json", "yaml", "source code"}
_BYTE_CODE = re.compile(rb"[\x00-\xff][\x0c\x0d\x0e]\r\n[\x00-\x07]\0\0\0", re.DOTALL)
_SAVED_VARIABLES = re.compile(r"(^|/)variables/variables\.(data-\d{5}-of-\d{5})$")
_TABLE_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_PACKED: dict[bytes, tuple[str, Callable[[], object], bool]] = {
    b"\x1f\x8b": ("gzip", partial(zlib.decompressobj, 31), True),
    b"BZh": ("bzip2", bz2.BZ2Decompressor, True),
    b"\xfd7zXZ\0": ("xz", partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, 256 << 20), True),
    b"]\0\0": ("lzma", partial(lzma.LZMADecompressor, lzma.FORMAT_ALONE, 256 << 20), False),
}


def look(scan: Scan, source: Source, name: str) -> str:
    """Say what a source is and report what speaks against it. Raises Broken, OverLimit, Bomb."""
    head = source.read_at(0, _HEAD)
    if not head:
        return "empty"
    # Before the rest is read: to go back is dear where the source is packed.
    front = None if _is_marked_pickle(source, head) else try_pickle(source, attempt=Front())
    kind = _by_mark(scan, source, head, name) or _by_content(scan, source, head, name)
    if front is not None and kind not in _AS_PICKLES:
        if front.does_harm:
            scan.report("polyglot", f"It is a pickle as well: {front.findings[0][1]}")
        if front.is_too_long:
            scan.report("limits.reached", "Not all of it was looked at: a line is too long.")
    return kind


def _is_marked_pickle(source: Source, head: bytes) -> bool:
    """Whether it begins with the mark of pickles, which the length at the front of safetensors may look like."""
    return head[0] == 0x80 and len(head) > 1 and head[1] <= 5 and not is_safetensors(source)


def _by_content(scan: Scan, source: Source, head: bytes, name: str) -> str:
    # To go far and back is dear where the source is packed; who opens what was packed opens another file.
    if not head.startswith(HDF5) and is_hidden_hdf5(source, 1 << 20 if scan.is_inside else source.size()):
        scan.report("polyglot", "An HDF5 file is hidden behind other content.")
    try:
        return _without_mark(scan, source, head, name)
    finally:
        # Readers of zip archives look for them from the end, whatever stands before.
        if find_end(source) is not None:
            scan.report("polyglot", "An archive is hidden behind other content.")
            scan.look_inside(source, "hidden archive", archives.inspect_zip)


def _by_mark(scan: Scan, source: Source, head: bytes, name: str) -> str | None:
    """Formats that hold others, and programs."""
    for mark, program in _PROGRAMS.items():
        if head.startswith(mark):
            return _program(scan, program)
    if head[:2] == b"MZ" and _is_windows_program(source, head):
        return _program(scan, "Windows program")
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return archives.inspect_zip(scan, source)
    for mark, (kind, unpacker, many) in _PACKED.items():
        if head.startswith(mark):
            return _unpacked(scan, source, kind, unpacker, name, many=many)
    if head[0] & 0x0F == 8 and head[0] <= 0x78 and int.from_bytes(head[:2], "big") % 31 == 0 and _is_zlib(source):
        return _unpacked(scan, source, "zlib", zlib.decompressobj, name)
    for mark, kind in _CLOSED_ARCHIVES.items():
        if head.startswith(mark):
            scan.report("archive.unknown", f"It is a {kind} archive, which is not opened.")
            return kind
    return inspect_tar(scan, source) if is_tar(head) else None


def _program(scan: Scan, kind: str) -> str:
    scan.report("executable", f"It is a {kind}.")
    return "program"


def _is_windows_program(source: Source, head: bytes) -> bool:
    at = int.from_bytes(head[60:64], "little")
    return source.read_at(at, 4) in {b"PE\0\0", b"NE\0\0"} or not is_text(head, source.size())


def _is_zlib(source: Source) -> bool:
    try:
        return bool(zlib.decompressobj().decompress(source.read_at(0, 1 << 14), 1024)) or source.size() < 16
    except zlib.error:
        return False


def _unpacked(
    scan: Scan, source: Source, kind: str, unpacker: Callable[[], object], name: str, *, many: bool = False
) -> str:
    content = Unpacked(source, unpacker, scan.budget, many=many)
    with scan.inside(kind):
        inner = scan.look_at(content, re.sub(r"\.(gz|bz2|xz|lzma|z)$", "", name))
        content.size()
    if content.rest:
        scan.report("trailing", "Bytes follow what is packed.")
    return f"{kind} of {inner}"[:200]


def _without_mark(scan: Scan, source: Source, head: bytes, name: str) -> str:
    """Formats of data; the last of them are texts, pickles that cannot be told by a mark, and what is not known."""
    if _is_marked_pickle(source, head):
        return inspect_pickle(scan, source)
    if head.startswith(b"\x93NUMPY"):
        return inspect_numpy(scan, source)
    if head.startswith(b"GGUF"):
        return inspect_gguf(scan, source)
    if head.startswith(HDF5):
        return inspect_hdf5(scan, source)
    for mark, kind in _DATA.items():
        if head.startswith(mark):
            return kind
    if head[4:8] == b"TFL3":
        return "tflite"
    if is_safetensors(source):
        return inspect_safetensors(scan, source)
    if is_text(head, source.size()):
        return inspect_text(scan, source, name)
    return _binary(scan, source, head, name)


def _binary(scan: Scan, source: Source, head: bytes, name: str) -> str:
    if is_ubjson(source):
        return inspect_ubjson(source)
    if is_onnx(source):
        return inspect_onnx(scan, source)
    if is_saved_model(source):
        return inspect_saved_model(scan, source)
    if is_graph(source):
        return inspect_graph(scan, source)
    if _BYTE_CODE.match(head):
        scan.report("code", "It is byte code of Python, which runs by design.")
        return "byte code"
    attempt = try_pickle(source)
    if attempt.does_harm or (attempt.ended and source.size() > 2):
        return inspect_pickle(scan, source)
    if source.read_at(max(0, source.size() - 8), 8) == _TABLE_MAGIC and name.endswith(".index"):
        return "tensorflow index"
    if scan.file in scan.raw_files or _is_variables(scan, name):
        return "tensor data"
    scan.report("format.unknown", "It is of no format that is known here.")
    return "unknown"


def _is_variables(scan: Scan, name: str) -> bool:
    match = _SAVED_VARIABLES.search(name)
    return match is not None and not scan.is_inside and name[: match.start(2)] + "index" in scan.paths
