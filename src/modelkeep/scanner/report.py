"""What the scanner says of a version's files: findings, from which the verdict follows, and what they are made of."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

# Rises whenever the rules may judge the same files differently; verdicts are kept for each.
RULE_SET = 3

MOST_FINDINGS = 500
MOST_FILES = 100_000
MOST_TENSORS = 10_000
MOST_VALUES = 1_000
MOST_PACKAGES = 2_000

Text = Annotated[str, Meta(max_length=2_000)]
Name = Annotated[str, Meta(max_length=4_096)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Shape = Annotated[list[str], Meta(max_length=64)]


class Verdict(StrEnum):
    """Whether files may be loaded. `error`: the inspection itself failed, which is no proof of anything."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNVERIFIED = "unverified"
    ERROR = "error"


class Finding(Struct, kw_only=True, omit_defaults=True):
    """Something that speaks against a file; `place` leads from the file into the archives inside it.

    `severity` is `unsafe` or `unverified`, or `error` where the inspection failed.
    """

    file: Name
    rule: Text
    severity: Verdict
    text: Text
    place: Name = ""


class InspectedFile(Struct, kw_only=True):
    """A file, its size, and what it is by its content."""

    path: Name
    size: Count
    kind: Text


class Tensor(Struct, kw_only=True):
    """A tensor of a file."""

    name: Text
    dtype: Text
    shape: Annotated[list[Count], Meta(max_length=64)]


class TensorFile(Struct, kw_only=True, omit_defaults=True):
    """A safetensors file: its tensors (`count` of them, of which the first are listed) and free texts."""

    path: Name
    count: Count
    parameters: Count
    tensors: Annotated[list[Tensor], Meta(max_length=MOST_TENSORS)]
    metadata: Annotated[dict[Text, Text], Meta(max_length=MOST_VALUES)] = {}


class OnnxValue(Struct, kw_only=True):
    """An input or output of an ONNX graph; a dimension is a number, a name, or `?`."""

    name: Text
    type: Text
    shape: Shape


class OnnxOpset(Struct, kw_only=True):
    """A set of operators that an ONNX model uses; the standard one has an empty domain."""

    domain: Text
    version: Count


class OnnxFile(Struct, kw_only=True, omit_defaults=True):
    """An ONNX model."""

    path: Name
    ir_version: Count
    producer: Text = ""
    producer_version: Text = ""
    opsets: Annotated[list[OnnxOpset], Meta(max_length=MOST_VALUES)] = []
    inputs: Annotated[list[OnnxValue], Meta(max_length=MOST_VALUES)] = []
    outputs: Annotated[list[OnnxValue], Meta(max_length=MOST_VALUES)] = []
    nodes: Count = 0
    parameters: Count = 0


class GgufFile(Struct, kw_only=True, omit_defaults=True):
    """A GGUF file: its short metadata, and how many tensors and parameters it has."""

    path: Name
    version: Count
    tensors: Count
    parameters: Count = 0
    metadata: Annotated[dict[Text, Text], Meta(max_length=MOST_VALUES)] = {}


class SignatureColumn(Struct, kw_only=True, omit_defaults=True):
    """An input, output or parameter of a model's signature; `shape` is of tensors."""

    name: Text = ""
    type: Text = ""
    required: bool = True
    shape: Shape | None = None
    default: Text | None = None


Columns = Annotated[list[SignatureColumn], Meta(max_length=MOST_VALUES)]


class MlmodelFlavor(Struct, kw_only=True):
    """A flavor of an MLmodel file, with its simple settings as text."""

    name: Text
    settings: Annotated[dict[Text, Text], Meta(max_length=MOST_VALUES)]


class MlmodelFacts(Struct, kw_only=True, omit_defaults=True):
    """What an MLmodel file says."""

    path: Name
    flavors: Annotated[list[MlmodelFlavor], Meta(max_length=MOST_VALUES)]
    inputs: Columns | None = None
    outputs: Columns | None = None
    params: Columns | None = None
    input_example: Text | None = None
    model_uuid: Text | None = None
    model_id: Text | None = None
    run_id: Text | None = None
    mlflow_version: Text | None = None
    python_version: Text | None = None
    created: Text | None = None


class Package(Struct, kw_only=True, omit_defaults=True):
    """A package that a model asks for, and the file that says so; `version` as it is written there: `==1.2`."""

    name: Text
    file: Name
    version: Text = ""


class Environment(Struct, kw_only=True, omit_defaults=True):
    """What a model needs to run, by its conda.yaml, requirements.txt and python_env.yaml."""

    python: Text | None = None
    packages: Annotated[list[Package], Meta(max_length=MOST_PACKAGES)] = []


class Contents(Struct, kw_only=True, omit_defaults=True):
    """What a version is made of; lists are cut where they would be too long."""

    files: Annotated[list[InspectedFile], Meta(max_length=MOST_FILES)] = []
    kinds: dict[Text, Count] = {}
    mlmodel: MlmodelFacts | None = None
    environment: Environment | None = None
    safetensors: Annotated[list[TensorFile], Meta(max_length=MOST_VALUES)] = []
    onnx: Annotated[list[OnnxFile], Meta(max_length=MOST_VALUES)] = []
    gguf: Annotated[list[GgufFile], Meta(max_length=MOST_VALUES)] = []


class Report(Struct, kw_only=True, forbid_unknown_fields=True):
    """All that the scanner says."""

    findings: Annotated[list[Finding], Meta(max_length=MOST_FINDINGS)]
    contents: Contents


class TaskFile(Struct, kw_only=True):
    """A file that the scanner may ask for, by its position in the task."""

    path: str
    size: int


class Task(Struct, kw_only=True):
    """What the scanner is to look at."""

    files: list[TaskFile]


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The worst of the findings; `safe` where there is none."""
    found = {finding.severity for finding in findings}
    for severity in (Verdict.UNSAFE, Verdict.ERROR, Verdict.UNVERIFIED):
        if severity in found:
            return severity
    return Verdict.SAFE
