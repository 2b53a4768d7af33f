"""Inspection: whether the files of a version are safe to load, and what they are made of."""

from modelkeep.inspection.events import DownloadPolicySet, FilesInspected, InspectionAsked
from modelkeep.inspection.job import JOB, inspect_files, interrupt
from modelkeep.inspection.pictures import LONGEST_IMAGE, Turns, draw_anew
from modelkeep.inspection.preview import LONGEST_TEXT, Shown, is_image, shown_text
from modelkeep.inspection.service import (
    DownloadPolicy,
    Inspection,
    ask_again,
    check_download,
    find_file,
    get_download_policy,
    get_inspection,
    queue_new_version,
    queue_unjudged,
    set_download_policy,
)
from modelkeep.scanner import RULE_SET, Contents, Finding, Verdict

__all__ = [
    "JOB",
    "LONGEST_IMAGE",
    "LONGEST_TEXT",
    "RULE_SET",
    "Contents",
    "DownloadPolicy",
    "DownloadPolicySet",
    "FilesInspected",
    "Finding",
    "Inspection",
    "InspectionAsked",
    "Shown",
    "Turns",
    "Verdict",
    "ask_again",
    "check_download",
    "draw_anew",
    "find_file",
    "get_download_policy",
    "get_inspection",
    "inspect_files",
    "interrupt",
    "is_image",
    "queue_new_version",
    "queue_unjudged",
    "set_download_policy",
    "shown_text",
]
