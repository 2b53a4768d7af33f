"""ONNX models: opsets, inputs, outputs, and the files that tensors lie in. Operators are only named, never run."""

from collections.abc import Iterator

from modelkeep.scanner.paths import leads_out
from modelkeep.scanner.protobuf import Field, Message, message
from modelkeep.scanner.report import MOST_VALUES, OnnxFile, OnnxOpset, OnnxValue
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Broken, OverLimit, Source
from modelkeep.scanner.words import words

_STANDARD = {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"}
_TYPES = words(
    "undefined float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 "
    "complex128 bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1"
)
_DEEPEST = 30
# Fields of a model by their number, with their wire types.
_MODEL = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}


def is_onnx(source: Source) -> bool:
    """Whether the fields are those of a model with a graph."""
    seen: set[int] = set()
    try:
        for field in message(source).fields():
            if _MODEL.get(field.number) != field.wire or (field.number == 1 and not 1 <= field.value <= 100):
                return False
            seen.add(field.number)
    except (Broken, OverLimit):
        return False
    return {1, 7, 8} <= seen


def inspect_onnx(scan: Scan, source: Source) -> str:
    """Describe a model and report what it takes from elsewhere."""
    facts = OnnxFile(path=scan.file, ir_version=0)
    model = message(source)
    for field in model.fields():
        if field.number == 1:
            facts.ir_version = field.value
        elif field.number == 2:
            facts.producer = model.text(field)
        elif field.number == 3:
            facts.producer_version = model.text(field)
        elif field.number == 7:
            _read_graph(scan, model.inner(field), facts, 0)
        elif field.number == 8:
            _add_opset(scan, model.inner(field), facts)
        elif field.number == 25:
            _read_function(scan, model.inner(field), facts)
    if not scan.is_inside and len(scan.contents.onnx) < MOST_VALUES:
        scan.contents.onnx.append(facts)
    return "onnx"


def _add_opset(scan: Scan, opset: Message, facts: OnnxFile) -> None:
    domain, version = "", 0
    for field in opset.fields():
        if field.number == 1:
            domain = opset.text(field)
        elif field.number == 2:
            version = min(field.value, 2**62)
    if domain not in _STANDARD:
        scan.report("onnx.domain", f"It uses operators of '{domain}', which a library outside ONNX brings.")
    if len(facts.opsets) < MOST_VALUES:
        facts.opsets.append(OnnxOpset(domain=domain, version=version))


def _read_graph(scan: Scan, graph: Message, facts: OnnxFile, depth: int) -> None:
    if depth > _DEEPEST:
        raise OverLimit("graphs lie too deep in one another")
    for field in graph.fields():
        if field.number == 1 and field.wire == 2:
            facts.nodes += 1
            _read_node(scan, graph.inner(field), facts, depth)
        elif field.number == 5:
            facts.parameters += _read_tensor(scan, graph.inner(field))
        elif field.number == 15:
            _read_sparse(scan, graph.inner(field))
        elif field.number in {11, 12} and depth == 0:
            listed = facts.inputs if field.number == 11 else facts.outputs
            if len(listed) < MOST_VALUES:
                listed.append(_value(graph.inner(field)))


def _read_function(scan: Scan, function: Message, facts: OnnxFile) -> None:
    for field in function.fields():
        if field.number == 7 and field.wire == 2:
            _read_node(scan, function.inner(field), facts, 1)


def _read_node(scan: Scan, node: Message, facts: OnnxFile, depth: int) -> None:
    for field in node.fields():
        if field.number == 5 and field.wire == 2:
            _read_attribute(scan, node.inner(field), facts, depth)


def _read_attribute(scan: Scan, attribute: Message, facts: OnnxFile, depth: int) -> None:
    for field in attribute.fields():
        if field.wire != 2:
            continue
        if field.number in {5, 10}:
            _read_tensor(scan, attribute.inner(field))
        elif field.number in {6, 11}:
            _read_graph(scan, attribute.inner(field), facts, depth + 1)
        elif field.number in {22, 23}:
            _read_sparse(scan, attribute.inner(field))


def _read_sparse(scan: Scan, sparse: Message) -> None:
    for field in sparse.fields():
        if field.number in {1, 2} and field.wire == 2:
            _read_tensor(scan, sparse.inner(field))


def _read_tensor(scan: Scan, tensor: Message) -> int:
    """How many numbers a tensor has; reports where it lies, if that is elsewhere."""
    count = 1
    for field in tensor.fields():
        if field.number == 1:
            for length in tensor.numbers(field):
                count = min(count * length, 2**62)
        elif field.number == 13:
            _check_place(scan, dict(_pair(tensor.inner(field))))
    return count


def _pair(entry: Message) -> Iterator[tuple[str, str]]:
    """The key and value of an entry, as one pair."""
    texts = {field.number: entry.text(field) for field in entry.fields() if field.wire == 2}
    yield texts.get(1, ""), texts.get(2, "")


def _check_place(scan: Scan, entry: dict[str, str]) -> None:
    location = entry.get("location")
    if location is None:
        return
    if leads_out(location):
        scan.report("onnx.path", f"A tensor lies in '{location}', outside of the model's folder.")
    else:
        folder = scan.file.rpartition("/")[0]
        scan.raw_files.add(f"{folder}/{location}" if folder else location)


def _value(value: Message) -> OnnxValue:
    name, kind, shape = "", "", list[str]()
    for field in value.fields():
        if field.number == 1:
            name = value.text(field)
        elif field.number == 2:
            kind, shape = _type(value.inner(field))
    return OnnxValue(name=name, type=kind, shape=shape)


def _type(of: Message) -> tuple[str, list[str]]:
    for field in of.fields():
        if field.number == 1:
            return _tensor_type(of.inner(field))
        if field.number in {4, 5, 8, 9}:
            return {4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional"}[field.number], []
    return "unknown", []


def _tensor_type(tensor: Message) -> tuple[str, list[str]]:
    element, shape = 0, list[str]()
    for field in tensor.fields():
        if field.number == 1:
            element = field.value
        elif field.number == 2:
            inner = tensor.inner(field)
            shape = [_dimension(inner, one) for one in inner.fields() if one.number == 1][:64]
    return _TYPES[element] if element < len(_TYPES) else f"type {element}", shape


def _dimension(shape: Message, field: Field) -> str:
    dimension = shape.inner(field)
    for part in dimension.fields():
        if part.number == 1:
            return str(part.value)
        if part.number == 2:
            return dimension.text(part, 100)
    return "?"
