"""Bytes of formats made by hand, for hostile and benign models alike: opcodes, protobuf, zips with lies in them."""

import io
import json
import struct
import tarfile
import zipfile
from typing import Any

PROTO4 = b"\x80\x04"


def short_text(text: str) -> bytes:
    """SHORT_BINUNICODE."""
    data = text.encode()
    return b"\x8c" + bytes([len(data)]) + data


def found(module: str, name: str) -> bytes:
    """Two texts and STACK_GLOBAL."""
    return short_text(module) + short_text(name) + b"\x93"


def called(module: str, name: str, argument: str = "id") -> bytes:
    """A pickle of protocol 4 that calls a function with a text."""
    return PROTO4 + found(module, name) + short_text(argument) + b"\x85R."


def named(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members.items():
            made.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def tar(members: dict[str, bytes], links: dict[str, str] | None = None, mode: str = "w") -> bytes:
    """A tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as made:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            made.addfile(info)
    return file.getvalue()


def varint(value: int) -> bytes:
    """A number of protobuf."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """A field of protobuf."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx_value(name: str, *shape: int | str) -> bytes:
    """An input or output of floats."""
    dimensions = b"".join(field(1, field(1, one) if isinstance(one, int) else field(2, one)) for one in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dimensions)))


def onnx(location: str | None = None, domain: str = "", extra: bytes = b"") -> bytes:
    """A model with one node, one input, one output and one tensor, which may lie in another file."""
    node = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "MatMul")
    tensor = field(1, 4) + field(1, 2) + field(2, 1) + field(8, "w")
    if location is None:
        tensor += field(9, b"\0" * 32)
    else:
        tensor += field(13, field(1, "location") + field(2, location)) + field(14, 1)
    graph = field(1, node) + field(2, "g") + field(5, tensor) + extra
    graph += field(11, onnx_value("x", "batch", 4)) + field(12, onnx_value("y", "batch", 2))
    opset = (field(1, domain) if domain else b"") + field(2, 17)
    return field(1, 8) + field(2, "modelkeep-tests") + field(3, "1.0") + field(7, graph) + field(8, opset)


def saved_model(*operations: str, in_function: bool = False) -> bytes:
    """A SavedModel whose graph has these operations."""
    nodes = [field(1, f"n{at}") + field(2, name) for at, name in enumerate(operations)]
    if in_function:
        function = field(1, field(1, "f")) + b"".join(field(3, node) for node in nodes)
        graph = field(1, field(1, "p") + field(2, "Placeholder")) + field(2, field(1, function))
    else:
        graph = b"".join(field(1, node) for node in nodes)
    return field(1, 1) + field(2, field(2, graph))


def safetensors(tensors: dict[str, tuple[str, list[int], int]], metadata: dict[str, str] | None = None) -> bytes:
    """A file of tensors of zeros: name -> (dtype, shape, bytes)."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * at


def gguf(metadata: dict[str, str | int | list[int]]) -> bytes:
    """A GGUF file of one tensor."""
    out = b"GGUF" + struct.pack("<IQQ", 3, 1, len(metadata))
    for key, value in metadata.items():
        out += gguf_text(key)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + gguf_text(value)
        elif isinstance(value, int):
            out += struct.pack("<II", 4, value)
        else:
            out += struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    return out + gguf_text("w") + struct.pack("<IQQIQ", 2, 4, 2, 0, 0) + b"\0" * 32


def gguf_text(text: str) -> bytes:
    """A text of GGUF."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def hdf5(*texts: bytes) -> bytes:
    """The beginning of an HDF5 file with texts in it, as a search finds them."""
    return b"\x89HDF\r\n\x1a\n" + b"\0" * 88 + b"".join(text + b"\0" * 24 for text in texts) + b"\0" * 256


def torch_state(names: tuple[str, ...] = ("w",)) -> bytes:
    """The pickle of a state dict of float tensors of 2 x 3, as torch writes it."""
    out = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("
    for at, name in enumerate(names):
        key = str(at).encode()
        out += b"X" + struct.pack("<I", len(name)) + name.encode()
        out += named("torch._utils", "_rebuild_tensor_v2") + b"((X\x07\0\0\0storage" + named("torch", "FloatStorage")
        out += b"X" + struct.pack("<I", len(key)) + key + b"X\x03\0\0\0cpuK\x06tQK\0K\x02K\x03\x86K\x03K\x01\x86\x89"
        out += named("collections", "OrderedDict") + b")RtR"
    return out + b"u."


def torch_zip(pickle: bytes, storages: int = 1, extra: dict[str, bytes] | None = None) -> bytes:
    """A file as torch.save writes it today."""
    members = {"archive/data.pkl": pickle, "archive/byteorder": b"little"}
    members |= {f"archive/data/{at}": b"\x00\x01\xff\x7f\x80\x02" * 4 for at in range(storages)}
    return archive(members | {"archive/version": b"3\n", "archive/.data/serialization_id": b"1234"} | (extra or {}))


def torch_legacy(pickle: bytes, storage: bytes = b"\x06\0\0\0\0\0\0\0" + b"\x01\xff" * 12) -> bytes:
    """A file as torch.save wrote it before zip archives: five pickles and the storages."""
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    keys = b"\x80\x02]q\x00X\x01\0\0\x000q\x01a."
    return magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}q\x00." + pickle + keys + storage


def keras_layer(name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    """A layer of a Keras configuration."""
    return {"module": module, "class_name": name, "config": {"name": name.lower()} | config, "registered_name": None}


def keras_config(*layers: dict[str, Any]) -> bytes:
    """The configuration of a sequential model."""
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}
    return json.dumps(config | {"registered_name": "Sequential"}).encode()


def npy(descr: str, body: bytes, shape: str = "(3,)") -> bytes:
    """A numpy array's file."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body
