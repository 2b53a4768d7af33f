"""The scanner: says what files are and what they would do if they were loaded, without loading them.

It runs as a process of its own (`python -I -m modelkeep.scanner`) that can open nothing; `report` is what it says.
"""

from modelkeep.scanner.report import (
    RULE_SET,
    Columns,
    Contents,
    Environment,
    Finding,
    GgufFile,
    InspectedFile,
    MlmodelFacts,
    MlmodelFlavor,
    OnnxFile,
    OnnxOpset,
    OnnxValue,
    Package,
    Report,
    SignatureColumn,
    Task,
    TaskFile,
    Tensor,
    TensorFile,
    Verdict,
    verdict_of,
)
from modelkeep.scanner.wire import HEADER, LONGEST_ANSWER, LONGEST_READ, REFUSED, Request

__all__ = [
    "HEADER",
    "LONGEST_ANSWER",
    "LONGEST_READ",
    "REFUSED",
    "RULE_SET",
    "Columns",
    "Contents",
    "Environment",
    "Finding",
    "GgufFile",
    "InspectedFile",
    "MlmodelFacts",
    "MlmodelFlavor",
    "OnnxFile",
    "OnnxOpset",
    "OnnxValue",
    "Package",
    "Report",
    "Request",
    "SignatureColumn",
    "Task",
    "TaskFile",
    "Tensor",
    "TensorFile",
    "Verdict",
    "verdict_of",
]
