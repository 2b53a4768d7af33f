"""Files of nothing but tensors: safetensors, GGUF, numpy arrays. Their headers are checked against the bytes behind."""

import ast
import re
import struct
from collections.abc import Callable
from math import prod
from typing import Any

import msgspec

from modelkeep.scanner.pickles import inspect_pickle
from modelkeep.scanner.report import MOST_TENSORS, MOST_VALUES, GgufFile, Tensor, TensorFile
from modelkeep.scanner.scan import Scan, shown
from modelkeep.scanner.sources import Broken, Cursor, OverLimit, Source, Stretch, whole
from modelkeep.scanner.templates import check_template

_LONGEST_HEADER = 100_000_000
_HEADER_READ = 32 << 20
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_MAX = 2**62


def is_safetensors(source: Source) -> bool:
    """Whether it begins with the length of a JSON header, and that header."""
    head = source.read_at(0, 9)
    if len(head) < 9 or head[8:] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= _LONGEST_HEADER and length + 8 <= source.size()


def inspect_safetensors(scan: Scan, source: Source) -> str:
    """List the tensors; they must fill the file without gaps or overlaps."""
    length = int.from_bytes(source.read_at(0, 8), "little")
    entries = _json_object(whole(Stretch(source, 8, length), _HEADER_READ))
    metadata = entries.pop("__metadata__", {})
    texts = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not texts:
        raise Broken("its metadata is not of texts")
    spans, tensors, parameters = [], list[Tensor](), 0
    for name, entry in entries.items():
        tensor, span = _tensor(name, entry)
        spans.append(span)
        parameters += prod(tensor.shape)
        if len(tensors) < MOST_TENSORS:
            tensors.append(tensor)
    _check_filled(spans, source.size() - 8 - length)
    facts = TensorFile(
        path=scan.file, count=len(spans), parameters=min(parameters, _MAX), tensors=tensors, metadata=_short(metadata)
    )
    if not scan.is_inside and len(scan.contents.safetensors) < MOST_VALUES:
        scan.contents.safetensors.append(facts)
    return "safetensors"


def _json_object(content: bytes) -> dict[str, Any]:
    if content.count(b"{") > 2_000_000:
        raise OverLimit("its header is too long")
    try:
        entries = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Broken("its header is not JSON") from error
    if not isinstance(entries, dict):
        raise Broken("its header is no object")
    return entries


def _tensor(name: str, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Broken("a tensor is described wrongly")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (_are_counts(shape) and _are_counts(offsets)) or len(offsets) != 2 or len(shape) > 64:
        raise Broken("a tensor is described wrongly")
    bits = _BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None:
        raise Broken("a tensor is of no known type")
    if (offsets[1] - offsets[0]) * 8 != prod(shape) * bits:
        raise Broken("a tensor has not the length of its shape")
    return Tensor(name=shown(name), dtype=dtype, shape=shape), (offsets[0], offsets[1])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(one) is int and 0 <= one < _MAX for one in values)


def _check_filled(spans: list[tuple[int, int]], size: int) -> None:
    behind = 0
    for start, end in sorted(spans):
        if start != behind:
            raise Broken("its tensors leave gaps or share bytes")
        behind = end
    if behind != size:
        raise Broken("bytes follow its last tensor, or are missing")


def _short(metadata: dict[str, str]) -> dict[str, str]:
    return {shown(key): shown(value) for key, value in list(metadata.items())[:MOST_VALUES]}


def inspect_numpy(scan: Scan, source: Source) -> str:
    """A numpy array; one of Python objects is a pickle."""
    head = source.read_at(0, 12)
    width = 2 if head[6:7] == b"\x01" else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    start = 8 + width + length
    if length > 1 << 16 or len(head) < 8 + width:
        raise Broken("the header of the array is too long")
    header = source.read_at(8 + width, length)
    descr, shape = _numpy_header(header)
    size, has_objects = _item(descr, 0)
    if has_objects:
        with scan.inside("objects of the array"):
            inspect_pickle(scan, Stretch(source, start, source.size() - start))
    elif source.size() - start != prod(shape) * size:
        scan.report("trailing", "The array has not the length of its shape.")
    return "numpy array"


def _numpy_header(header: bytes) -> tuple[Any, tuple[int, ...]]:
    try:
        fields = ast.literal_eval(header.decode("latin-1").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise Broken("the header of the array cannot be read") from error
    if not isinstance(fields, dict) or not {"descr", "shape"} <= fields.keys():
        raise Broken("the header of the array cannot be read")
    shape = fields["shape"]
    if (
        not isinstance(shape, tuple)
        or not all(type(one) is int and 0 <= one < _MAX for one in shape)
        or len(shape) > 64
    ):
        raise Broken("the shape of the array cannot be read")
    return fields["descr"], shape


_DESCR = re.compile(r"[|<>=]?([?biufcSUVmMaO])(\d{0,9})(\[\w{1,9}\])?")


def _item(descr: Any, depth: int) -> tuple[int, bool]:
    """The size of an item, and whether it holds Python objects."""
    if depth > 20:
        raise OverLimit("the type of the array is too deep")
    if isinstance(descr, str) and (match := _DESCR.fullmatch(descr)):
        size = int(match[2] or 1)
        return size * 4 if match[1] == "U" else size, match[1] == "O"
    if isinstance(descr, tuple) and len(descr) == 2:
        return _item(descr[0], depth + 1)
    if not isinstance(descr, list):
        raise Broken("the type of the array cannot be read")
    total, objects = 0, False
    for field in descr:
        if not isinstance(field, tuple) or not 2 <= len(field) <= 3:
            raise Broken("the type of the array cannot be read")
        size, has_objects = _item(field[1], depth + 1)
        shape = field[2] if len(field) == 3 else ()
        times = prod(shape) if isinstance(shape, tuple) and all(type(one) is int for one in shape) else 1
        total, objects = total + size * times, objects or has_objects
    return total, objects


def inspect_gguf(scan: Scan, source: Source) -> str:
    """Describe a GGUF file and judge the chat templates that programs fill in with Jinja."""
    cursor = Cursor(source, 4)
    version = _unsigned(cursor, 4)
    if version not in {2, 3}:
        raise Broken(f"version {version} of the format is not known")
    tensors, count = _unsigned(cursor, 8), _unsigned(cursor, 8)
    facts = GgufFile(path=scan.file, version=version, tensors=min(tensors, _MAX))
    for _ in range(count):
        key = _gguf_text(cursor)
        value = _gguf_value(cursor, _unsigned(cursor, 4), 0)
        if isinstance(value, str) and "chat_template" in key:
            check_template(scan, "gguf.template", value)
        if value is not None and len(facts.metadata) < MOST_VALUES:
            facts.metadata[shown(key)] = shown(str(value), 200)
    for _ in range(tensors):
        _gguf_text(cursor)
        facts.parameters = min(_MAX, facts.parameters + _gguf_tensor(cursor))
    if not scan.is_inside and len(scan.contents.gguf) < MOST_VALUES:
        scan.contents.gguf.append(facts)
    return "gguf"


def _unsigned(cursor: Cursor, width: int) -> int:
    return int.from_bytes(cursor.read(width), "little")


def _gguf_text(cursor: Cursor) -> str:
    length = _unsigned(cursor, 8)
    if length > 8 << 20:
        raise OverLimit("a text is too long")
    return cursor.read(length).decode("utf-8", "replace")


def _gguf_tensor(cursor: Cursor) -> int:
    dimensions = _unsigned(cursor, 4)
    if dimensions > 8:
        raise Broken("a tensor has too many dimensions")
    count = prod(_unsigned(cursor, 8) for _ in range(dimensions))
    cursor.skip(12)
    return count


def _real(pattern: str) -> Callable[[bytes], Any]:
    return lambda content: struct.unpack(pattern, content)[0]


_GGUF_NUMBERS: dict[int, tuple[int, Callable[[bytes], Any]]] = {
    kind: (struct.calcsize(pattern), _real(pattern))
    for kind, pattern in enumerate(("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?", "", "", "<Q", "<q", "<d"))
    if pattern
}


def _gguf_value(cursor: Cursor, kind: int, depth: int) -> Any:
    """A value of the metadata; None for a list, which is only read over."""
    if kind in _GGUF_NUMBERS:
        size, read = _GGUF_NUMBERS[kind]
        return read(cursor.read(size))
    if kind == 8:
        return _gguf_text(cursor)
    if kind != 9 or depth > 8:
        raise Broken("a value is of no known type")
    inner, count = _unsigned(cursor, 4), _unsigned(cursor, 8)
    if inner in _GGUF_NUMBERS:
        cursor.skip(_GGUF_NUMBERS[inner][0] * count)
        return None
    for _ in range(count):
        _gguf_value(cursor, inner, depth + 1)
    return None
