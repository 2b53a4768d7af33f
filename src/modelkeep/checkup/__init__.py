"""Checkup: whether the parts of a registry work, and whether database and store agree."""

from modelkeep.checkup.agreement import Compared, Disagreement, Kind, Stage, compare
from modelkeep.checkup.left_overs import LeftOvers
from modelkeep.checkup.lines import Line, Status, look_at_left_overs, look_at_parts, look_at_worker
from modelkeep.checkup.probe import PROBE, answer_probe

__all__ = [
    "PROBE",
    "Compared",
    "Disagreement",
    "Kind",
    "LeftOvers",
    "Line",
    "Stage",
    "Status",
    "answer_probe",
    "compare",
    "look_at_left_overs",
    "look_at_parts",
    "look_at_worker",
]
