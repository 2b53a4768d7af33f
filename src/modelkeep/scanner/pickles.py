"""Pickles as they come in files: several in a row, raw arrays between them (joblib), storages behind (torch)."""

import re
from contextlib import suppress
from typing import Any

from modelkeep.scanner.machine import MOST_KEYS, Machine
from modelkeep.scanner.opcodes import Far, Opaque
from modelkeep.scanner.report import Verdict
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.severities import severity_of
from modelkeep.scanner.sources import Broken, Cursor, Held, OverLimit, Source, Stretch
from modelkeep.scanner.values import Global, Made, Mapping

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PICKLES = 5
_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_DTYPE = re.compile(r"[|<>=]?([a-zA-Z?])([0-9]{1,18})")
_ITEM_SIZES = {
    "Double": 8, "Long": 8, "ComplexFloat": 8, "ComplexDouble": 16, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2,
    "Short": 2, "Byte": 1, "Char": 1, "Bool": 1, "QInt8": 1, "QUInt8": 1, "QInt32": 4,
}  # fmt: skip


class Trial:
    """A watcher that keeps what it is told, for bytes of which it is not known whether they are a pickle."""

    def __init__(self) -> None:
        self.findings: list[tuple[str, str]] = []

    def found(self, rule: str, text: str) -> None:
        """Something that speaks against it."""
        if len(self.findings) < 50:
            self.findings.append((rule, text))

    def built(self, made: Made, machine: Machine) -> None:
        """Nothing is read out of band."""

    def carries(self, content: bytes | Far) -> None:
        """Bytes in it are not looked at."""

    def referred(self, key: Any) -> None:
        """A reference fails, or does what the reader likes."""


class Watch:
    """Reports what one pickle of a file does, and follows what readers do beside the opcodes."""

    def __init__(self, scan: Scan, source: Source, *, torch: bool = False, depth: int = 0) -> None:
        self.storage = 0
        self._scan = scan
        self._source = source
        self._torch = torch
        self._depth = depth

    def found(self, rule: str, text: str) -> None:
        """Something that speaks against it."""
        self._scan.report(rule, text)

    def built(self, made: Made, machine: Machine) -> None:
        """joblib's reader takes an array's bytes from behind its description; any other goes on with opcodes there."""
        if made.of.full == _WRAPPER:
            start = machine.cursor.position
            self._read_as_opcodes(machine, start, self._read_array(made.state, machine.cursor))

    def _read_as_opcodes(self, machine: Machine, start: int, names: set[str]) -> None:
        """What a plain reader would do from here on. It mistakes what the memo holds, so known names may look new."""
        trial = Trial()
        other = machine.fork(Cursor(self._source, start), trial)
        other.tolerated = frozenset(names)
        with suppress(Broken, OverLimit):
            other.run()
        for rule, text in trial.findings:
            if severity_of(rule) is Verdict.UNSAFE and "\ufffd" not in text and text.isprintable():
                self.found(rule, text)

    def _read_array(self, state: Any, cursor: Cursor) -> set[str]:
        """Go behind an array; the names that it imports if it is of objects, which makes it a pickle."""
        items = state.items if isinstance(state, Mapping) else {}
        size, has_objects = _dtype(items.get("dtype"))
        if has_objects:
            if self._depth > 20:
                raise OverLimit("pickles lie too deep in one another")
            inner = Machine(cursor, Watch(self._scan, self._source, depth=self._depth + 1))
            inner.run()
            return inner.names
        if items.get("numpy_array_alignment_bytes") is not None:
            cursor.skip(cursor.read(1)[0])
        cursor.skip(_count(items.get("shape")) * size)
        return set()

    def carries(self, content: bytes | Far) -> None:
        """Bytes that are a pickle themselves are looked at: something may load them."""
        source = Stretch(self._source, content.start, content.size) if isinstance(content, Far) else Held(content)
        head = source.read_at(0, 2)
        if len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5 and self._depth < 5:
            trial = try_pickle(source)
            for rule, text in trial.findings:
                self.found(rule, f"Bytes in it are a pickle: {text}")

    def referred(self, key: Any) -> None:
        """Storages of torch are known; anything else is for the reader to say."""
        if self._torch and isinstance(key, tuple) and len(key) >= 5 and key[0] == "storage":
            self.storage += 8 + _storage_size(key[1], key[4])
        else:
            self.found("pickle.persistent", "It refers to objects that only its reader knows.")


def inspect_pickle(scan: Scan, source: Source, *, torch: bool = False) -> str:
    """Report what a file of pickles does; what it is."""
    cursor = Cursor(source)
    values: list[Any] = []
    storage = 0
    while True:
        watch = Watch(scan, source, torch=torch or values[:1] == [_TORCH_MAGIC])
        try:
            value = Machine(cursor, watch).run()
        except Broken as error:
            scan.report("pickle.broken", f"The pickle cannot be read to its end: {error}.")
            break
        values.append(value if isinstance(value, int) else None)
        storage += watch.storage
        rest = cursor.peek(2)
        if not rest:
            break
        if values[:1] == [_TORCH_MAGIC] and len(values) == _TORCH_PICKLES:
            _check_storages(scan, source, cursor.position, storage)
            return "torch (legacy)"
        if rest[0] != 0x80 and not _goes_on(source, cursor.position):
            _trailing(scan, source, cursor.position)
            break
        if len(values) > 100_000:
            raise OverLimit("it holds too many pickles")
    return "pickle"


def _goes_on(source: Source, position: int) -> bool:
    trial = try_pickle(source, position)
    return trial.ended or trial.does_harm


class Attempt(Trial):
    """The outcome of reading bytes as a pickle."""

    ended = False
    is_too_long = False
    position = 0
    imports = 0
    calls = 0
    changes = 0

    @property
    def does_harm(self) -> bool:
        """Whether it would do something before it ends or fails.

        An import by number alone is not enough: one in 85 files of noise, such as raw weights, begins with that opcode.
        What is then called or changed with it is another finding.
        """
        return any(rule != "pickle.extension" for rule, _ in self.findings)


class Front(Attempt):
    """The outcome for bytes that are another format: what a plain reader, which knows no references, would do."""

    def found(self, rule: str, text: str) -> None:
        """Something that speaks against it, unless it fails where any reader does."""
        if not text.isprintable():
            raise Broken("it imports what is no name")
        super().found(rule, text)

    def referred(self, _key: Any) -> None:
        """A reference fails."""
        raise Broken("it refers to what a plain reader does not know")


def try_pickle(source: Source, position: int = 0, attempt: Attempt | None = None) -> Attempt:
    """Read bytes as a pickle that they may not be: what it would do before it ends or fails."""
    attempt = attempt or Attempt()
    machine = Machine(Cursor(source, position), attempt)
    try:
        machine.run()
        attempt.ended = True
    except OverLimit:
        attempt.is_too_long = True
    except Broken:
        pass
    attempt.position = machine.cursor.position
    attempt.imports, attempt.calls, attempt.changes = machine.imports, machine.calls, machine.changes
    return attempt


def _trailing(scan: Scan, source: Source, position: int) -> None:
    scan.report("pickle.trailing", "Bytes that are no pickle follow the pickle.")
    with scan.inside("behind the pickle"):
        scan.look_at(Stretch(source, position, source.size() - position), "")


def _check_storages(scan: Scan, source: Source, position: int, expected: int) -> None:
    left = source.size() - position
    if left < expected:
        scan.report("pickle.broken", "Bytes of its storages are missing.")
    elif left > expected:
        _trailing(scan, source, position + expected)


def _storage_size(kind: Any, count: Any) -> int:
    if not isinstance(kind, Global) or not isinstance(count, int) or count < 0:
        raise Broken("a storage is described wrongly")
    name = kind.name.removesuffix("Storage")
    if kind.module != "torch" or name not in _ITEM_SIZES:
        raise Broken("a storage is of no known type")
    return _ITEM_SIZES[name] * count


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(isinstance(one, int) and one >= 0 for one in shape):
        raise Broken("an array is described wrongly")
    count = 1
    for length in shape:
        count *= length
    return min(count, 1 << 62)


def _dtype(dtype: Any) -> tuple[int, bool]:
    """The size of an item, and whether items are Python objects. Raises Broken, OverLimit."""
    match = None
    if isinstance(dtype, Made) and dtype.of.full == "numpy.dtype" and dtype.arguments:
        first = dtype.arguments[0]
        match = _DTYPE.fullmatch(first) if isinstance(first, str) else None
    if match is None:
        raise Broken("the type of an array cannot be read")
    kind, size = match[1], int(match[2])
    has_objects = kind == "O" or (kind == "V" and _holds_objects(dtype.state, 0))
    return size * 4 if kind == "U" else size, has_objects


def _holds_objects(value: Any, depth: int) -> bool:
    """Whether the description of a structured type names Python objects."""
    if depth > 20 or isinstance(value, Opaque) or (isinstance(value, Mapping) and len(value.items) >= MOST_KEYS):
        raise OverLimit("the type of an array is too long")
    if isinstance(value, Made):
        return _dtype(value)[1] if value.of.full == "numpy.dtype" else False
    if isinstance(value, Mapping):
        return any(_holds_objects(one, depth + 1) for one in value.items.values())
    return isinstance(value, tuple) and any(_holds_objects(one, depth + 1) for one in value)
