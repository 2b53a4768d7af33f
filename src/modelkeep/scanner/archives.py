"""Zip archives by what they hold: torch, numpy, Keras and skops models are zip archives with members of known names."""

import re
from functools import partial

from modelkeep.scanner.pickles import inspect_pickle, try_pickle
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Source
from modelkeep.scanner.zips import check_archive, read_archive

_TORCH_PICKLE = re.compile(r"(?:[^/]+/)?data\.pkl")
_TORCH_STORAGE = re.compile(r"(?:[^/]+/)?(data/\d+|\.data/serialization_id)")
_TORCH_CODE = re.compile(r"(?:[^/]+/)?(code/.*|constants\.pkl)")


def inspect_zip(scan: Scan, source: Source) -> str:
    """Look at all members; what the archive is."""
    members = check_archive(scan, source, read_archive(source))
    if any(_TORCH_PICKLE.fullmatch(name) for name in members):
        return _inspect_torch(scan, members)
    for name, content in members.items():
        with scan.inside(name):
            scan.look_at(content, name)
    names = {name.rpartition("/")[2] for name in members}
    if members and all(name.endswith(".npy") for name in members):
        return "zip of numpy arrays"
    if "config.json" in names and any(name.endswith("model.weights.h5") for name in names):
        return "zip of keras"
    return "zip of skops" if "schema.json" in names else "zip"


def _inspect_torch(scan: Scan, members: dict[str, Source]) -> str:
    is_program = any(_TORCH_CODE.fullmatch(name) for name in members)
    if is_program:
        scan.report("code", "It is a TorchScript program, which runs by design.")
    for name, content in members.items():
        with scan.inside(name):
            if name.endswith(".pkl"):
                scan.guarded(partial(inspect_pickle, scan, content, torch=True))
            elif _TORCH_STORAGE.fullmatch(name):
                _check_storage(scan, content)
            elif not (is_program and _TORCH_CODE.fullmatch(name)):
                scan.look_at(content, name)
    return "zip of torch"


def _check_storage(scan: Scan, content: Source) -> None:
    """Numbers; but something else may be put where they should be, for another reader to find."""
    head = content.read_at(0, 2)
    if head[:1] == b"\x80" and head[1:] in {b"\2", b"\3", b"\4", b"\5"}:
        attempt = try_pickle(content)
        for rule, text in attempt.findings if attempt.ended or attempt.calls else []:
            scan.report(rule, text)
    elif head == b"\x7fE" and content.read_at(0, 4) == b"\x7fELF":
        scan.report("executable", "It is an ELF program.")
