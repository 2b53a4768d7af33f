"""What models are made of is read from their files without running anything."""

import json
from pathlib import Path

from inspection.benign import TEMPLATE, mlflow_model
from inspection.forge import archive, gguf, onnx, safetensors
from inspection.hostile import billion_laughs
from inspection.scans import MemoryFile, scanned
from modelkeep.inspection.process import scan
from modelkeep.scanner import Package, SignatureColumn, Verdict, verdict_of


def test_an_mlmodel_file_and_its_environment_are_read(tmp_path: Path) -> None:
    """Flavors, signature, ids, versions and packages are those that MLflow wrote."""
    contents = scanned(mlflow_model(tmp_path / "model")).contents
    facts = contents.mlmodel
    assert facts is not None
    assert [flavor.name for flavor in facts.flavors] == ["python_function", "sklearn"]
    assert facts.flavors[0].settings["loader_module"] == "mlflow.sklearn"
    assert facts.inputs == [SignatureColumn(name=name, type="double") for name in "abcd"]
    assert facts.outputs == [SignatureColumn(type="int64", shape=["-1"])]
    assert facts.model_uuid
    assert facts.mlflow_version == "3.17.2"
    assert facts.python_version
    environment = contents.environment
    assert environment is not None
    assert environment.python == facts.python_version
    assert Package(name="scikit-learn", version="==1.7.0", file="requirements.txt") in environment.packages
    assert Package(name="numpy", version="==2.0.0", file="conda.yaml") in environment.packages


def test_the_parameters_and_example_of_a_signature_are_read() -> None:
    """Parameters with their defaults, optional columns, tensors, and where the example lies."""
    inputs = [
        {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}},
        {"name": "b", "type": "long", "required": False},
    ]
    params = [{"name": "t", "type": "double", "default": 0.5, "shape": None}]
    lines = ["flavors: {}", "signature:", f"  inputs: '{json.dumps(inputs)}'", f"  params: '{json.dumps(params)}'"]
    lines += ["saved_input_example_info:", "  artifact_path: input_example.json", "  type: ndarray", "model_id: m-1"]
    facts = scanned({"sub/MLmodel": "\n".join(lines).encode()}).contents.mlmodel
    assert facts is not None
    assert facts.path == "sub/MLmodel"
    assert facts.inputs == [
        SignatureColumn(type="float32", shape=["-1", "3"]),
        SignatureColumn(name="b", type="long", required=False),
    ]
    assert facts.params == [SignatureColumn(name="t", type="double", default="0.5")]
    assert (facts.input_example, facts.model_id, facts.outputs) == ("input_example.json", "m-1", None)


def test_the_tensors_of_a_safetensors_file_are_listed() -> None:
    """Names, types, shapes, how many parameters, and the free texts."""
    made = safetensors({"a": ("F32", [2, 3], 24), "b": ("BF16", [5], 10)}, {"format": "pt"})
    (file,) = scanned({"m.safetensors": made}).contents.safetensors
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in file.tensors] == [
        ("a", "F32", [2, 3]),
        ("b", "BF16", [5]),
    ]
    assert (file.count, file.parameters, file.metadata) == (2, 11, {"format": "pt"})


def test_an_onnx_model_is_described() -> None:
    """Producer, operators' versions, inputs and outputs with named dimensions."""
    (file,) = scanned({"m.onnx": onnx()}).contents.onnx
    assert (file.ir_version, file.producer, file.producer_version, file.nodes, file.parameters) == (
        8,
        "modelkeep-tests",
        "1.0",
        1,
        8,
    )
    assert [(opset.domain, opset.version) for opset in file.opsets] == [("", 17)]
    assert [(one.name, one.type, one.shape) for one in file.inputs] == [("x", "float", ["batch", "4"])]
    assert [(one.name, one.type, one.shape) for one in file.outputs] == [("y", "float", ["batch", "2"])]


def test_a_gguf_file_is_described() -> None:
    """Its short metadata, its tensors and parameters."""
    made = gguf({"general.name": "small", "block_count": 2, "tokens": [1, 2, 3], "tokenizer.chat_template": TEMPLATE})
    (file,) = scanned({"m.gguf": made}).contents.gguf
    assert (file.version, file.tensors, file.parameters) == (3, 1, 8)
    assert file.metadata["general.name"] == "small"
    assert file.metadata["block_count"] == "2"


def test_files_are_named_with_their_sizes_and_kinds() -> None:
    """Every file is listed, empty ones too, and kinds are counted."""
    contents = scanned({"a.txt": b"hello", "b.zip": archive({"c": b"text"}), "empty": b""}).contents
    assert [(file.path, file.size, file.kind) for file in contents.files] == [
        ("a.txt", 5, "text"),
        ("b.zip", contents.files[1].size, "zip"),
        ("empty", 0, "empty"),
    ]
    assert contents.kinds == {"text": 1, "zip": 1, "empty": 1}


def test_yaml_that_blows_up_is_not_put_together() -> None:
    """Aliases of aliases end at a cap, with a finding."""
    report = scanned({"MLmodel": billion_laughs()})
    assert [finding.rule for finding in report.findings] == ["limits.reached"]
    assert report.contents.mlmodel is None


def test_a_finding_says_where_inside_a_file_it_is() -> None:
    """The place leads through the archives."""
    inner = archive({"deep/data.pkl": b"cos\nsystem\n(S'id'\ntR."})
    (finding,) = scanned({"model/m.zip": archive({"inner.zip": inner})}).findings
    assert (finding.file, finding.place, finding.rule) == ("model/m.zip", "inner.zip > deep/data.pkl", "pickle.import")
    assert finding.severity is Verdict.UNSAFE


def test_a_huge_file_is_not_read_where_its_header_says_enough() -> None:
    """Of a large file of tensors only its first and last megabyte, and those at powers of two, are asked for."""
    file = MemoryFile("m.safetensors", safetensors({"w": ("F32", [8 << 20], 32 << 20)}))
    report = scan([file])
    assert verdict_of(report.findings) is Verdict.SAFE
    assert file.asked <= 8 << 20


def test_hostile_names_and_texts_are_cut_and_made_printable() -> None:
    """What a file says of itself cannot fill the report or a terminal."""
    name = "a" * 5000 + "\x1b[2J"
    made = safetensors({name: ("F32", [1], 4)}, {"k\x1b": "v" * 10_000})
    report = scanned({"m.safetensors": made})
    (file,) = report.contents.safetensors
    assert file.tensors[0].name.isprintable()
    assert all(len(text) <= 1_000 and text.isprintable() for pair in file.metadata.items() for text in pair)
