"""Whatever the bytes, the parsers end, in bounded time and memory, with a finding or without."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from inspection.benign import benign
from inspection.hostile import hostile
from modelkeep.scanner.look import look
from modelkeep.scanner.report import Finding, Verdict, verdict_of
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Budget, Held

# Small ones of every format, to be damaged.
SEEDS = {
    f"{kind}-{name}": content
    for kind, models in (("hostile", hostile()), ("benign", benign()))
    for name, files in models.items()
    for content in files.values()
    if 0 < len(content) < 20_000
}
NAMES = ["model.pkl", "m.h5", "m.onnx", "saved_model.pb", "x.yaml", "requirements.txt", "t.jinja", "noname"]


def looked_at(content: bytes, name: str) -> list[Finding]:
    """What is found in bytes by the parsers in this process; anything that they raise fails the test."""
    scan = Scan(look, frozenset({name}), Budget(unpacked=64 << 20, members=2_000))
    scan.file = name
    scan.look_at(Held(content), name)
    return list(scan.findings.values())


@given(st.binary(max_size=2_000), st.sampled_from(NAMES))
def test_any_bytes_are_looked_at_without_an_error(content: bytes, name: str) -> None:
    """No bytes make a parser fail in a way of its own."""
    assert isinstance(looked_at(content, name), list)


@given(st.sampled_from(sorted(SEEDS)), st.sampled_from(NAMES), st.data())
def test_damaged_models_are_looked_at_without_an_error(seed: str, name: str, data: Any) -> None:
    """Models with changed, missing and repeated bytes are no harder."""
    content = bytearray(SEEDS[seed])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        change = data.draw(st.integers(0, 3))
        if change == 0 and content:
            content[at] = data.draw(st.integers(0, 255))
        elif change == 1:
            del content[at : at + data.draw(st.integers(1, 64))]
        elif change == 2:
            content[at:at] = data.draw(st.binary(min_size=1, max_size=16))
        else:
            content[at : at + 4] = data.draw(
                st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
            )
    looked_at(bytes(content), name)


def test_noise_is_unverified_and_hardly_ever_unsafe() -> None:
    """Raw weights may begin with any byte: by chance fewer than one in 500 reads as a pickle that does harm."""
    noise = random.Random(3)
    verdicts = Counter(verdict_of(looked_at(noise.randbytes(1_000), "weights")) for _ in range(5_000))
    assert verdicts[Verdict.SAFE] == 0
    assert verdicts[Verdict.UNSAFE] < 10, verdicts


PICKLE_OPCODES = b"(.012FGIJKLMNPQRSTUVXabcdeghijlopqrstu})]BC" + bytes(range(0x80, 0x99))


@given(
    st.lists(st.one_of(st.sampled_from([bytes([code]) for code in PICKLE_OPCODES]), st.binary(max_size=4)), max_size=60)
)
def test_any_opcodes_end(pieces: list[bytes]) -> None:
    """Sequences of opcodes end, and none that imports by name what can do harm is left without a finding."""
    evil = b"cos\nsystem\n(S'id'\ntR."
    assert any(finding.rule == "pickle.import" for finding in looked_at(b"\x80\x04" + evil, "x"))
    looked_at(b"\x80\x04" + b"".join(pieces) + evil, "x")


def chain(count: int) -> bytes:
    """Tuples of tuples, each twice in the next: short to write, endless to write out."""
    return b"\x80\x04)" + b"2\x86" * count + b"."


HEAVY: dict[str, Callable[[], bytes]] = {
    "tuples-in-tuples": lambda: chain(200_000),
    "marks": lambda: b"\x80\x04" + b"(" * 3_000_000,
    "memo": lambda: b"\x80\x04N" + b"\x94" * 2_000_000 + b".",
    "json-nested": lambda: b"[" * 2_000_000,
    "yaml-nested": lambda: b"!!python " + b"[" * 200_000,
    "gzip-of-nothing": lambda: (b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0") * 100_000,
    "huge-length": lambda: b"\x80\x04\x8e" + b"\xff" * 8 + b"x" * 100,
    "safetensors-of-braces": lambda: (8 << 20).to_bytes(8, "little") + b'{"a":' * ((8 << 20) // 5 + 1),
    "npy-of-brackets": lambda: b"\x93NUMPY\x01\x00\xff\xff" + b"{'descr': " + b"[" * 66_000,
    "tar-of-empty-members": lambda: empty_members(),
    "text-of-c": lambda: b"c" * 5_000_000,
    "random": lambda: random.Random(7).randbytes(3_000_000),
    "protobuf-of-groups": lambda: b"\x0a\x02\x0a\x00" * 1_000_000,
}


def empty_members() -> bytes:
    """Sixty thousand headers of nothing."""
    header = bytearray(512)
    header[:1], header[124:135], header[156:157] = b"x", b"0" * 11, b"0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) * 60_000


SCAN = """
import resource, sys
from inspection.scans import scanned
from inspection.test_fuzz import HEAVY

report = scanned({"x.bin": HEAVY[sys.argv[1]]()})
failed = sum(finding.rule == "inspection.failed" for finding in report.findings)
print(failed, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HEAVY))
def test_heavy_bytes_end_without_a_failed_process(name: str) -> None:
    """What is short to write and long to read comes to an end inside the process's limits."""
    # By a process of its own: what the scanner's took at most is told together with what any child before took.
    ran = subprocess.run([sys.executable, "-c", SCAN, name], env=ENVIRONMENT, capture_output=True, text=True)
    failed, kibibytes = ran.stdout.split() or pytest.fail(ran.stderr)
    assert int(failed) == 0
    assert int(kibibytes) < 1 << 20
