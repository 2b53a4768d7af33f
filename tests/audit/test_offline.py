"""The offline verifier, as one file without Modelkeep: an exported log, and every way to change such a folder."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.journal import Journal
from modelkeep import audit
from modelkeep.audit import signed
from modelkeep.audit.single_file import verifier_text

WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"cryptography", "modelkeep"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Without())
"""


class Copy:
    """An exported log, its key and last checkpoint kept elsewhere, and the verifier."""

    def __init__(self, folder: Path, keys: audit.Keys) -> None:
        self.folder = folder / "export"
        self.keys = keys
        self.program = folder / "verify_audit.py"
        # Neither Modelkeep nor a library for signatures can be imported.
        self.program.write_text(verifier_text().replace("import argparse", f"{WITHOUT}\nimport argparse", 1))
        self.note = folder / "note.txt"
        self.note.write_text((self.folder / "checkpoint").read_text())

    def verify(self, *arguments: str | Path) -> tuple[int, dict]:
        """The exit code, and the report."""
        command = [sys.executable, "-I", self.program, self.folder, "--json", *arguments]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    def found(self, *arguments: str | Path) -> list[str]:
        """What it finds wrong."""
        code, report = self.verify(*arguments)
        assert code == (1 if report["findings"] else 0)
        assert report["ok"] is (not report["findings"])
        return [f"{one['kind']}: {one['text']}" for one in report["findings"]]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    """The log of 600 entries, with three checkpoints."""
    journal = Journal(f"sqlite:///{tmp_path / 'modelkeep.db'}", tmp_path)
    for count in (100, 200, 300):
        journal.grow(count)
    journal.export(tmp_path / "export")
    journal.close()
    return Copy(tmp_path, journal.keys)


def bundle(number: str) -> str:
    """The path of a bundle."""
    return f"tile/entries/{number}"


def change(path: str, how: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the bytes of a file."""
    return lambda folder: (folder / path).write_bytes(how((folder / path).read_bytes()))


def swap(one: str, other: str) -> Callable[[Path], None]:
    """Let two files change places."""

    def work(folder: Path) -> None:
        (folder / one).rename(folder / "between")
        (folder / other).rename(folder / one)
        (folder / "between").rename(folder / other)

    return work


def remove(path: str) -> Callable[[Path], None]:
    """Take a file away."""
    return lambda folder: (folder / path).unlink()


LAST = bundle("002.p/88")
TAMPERINGS: dict[str, tuple[Callable[[Path], None], str]] = {
    "edited-entry": (change(bundle("000"), lambda data: data.replace(b'"n7"', b'"n8"', 1).replace(b"n7", b"n8", 1)),
                     "changed entry: 7 is not what was logged"),
    "truncated-bundle": (change(bundle("001"), lambda data: data[:-5]),
                         "wrong bundle: tile/entries/001 has 255 whole entries and should have 256"),
    "emptied-bundle": (change(bundle("001"), lambda _: b""),
                       "wrong bundle: tile/entries/001 has 0 whole entries and should have 256"),
    "extended-bundle": (change(bundle("001"), lambda data: data + b"\x00\x02{}"),
                        "wrong bundle: tile/entries/001 has 257 whole entries and should have 256"),
    "swapped-bundles": (swap(bundle("000"), bundle("001")),
                        "moved entry: 0 to 255 are what was logged as 256 to 511"),
    "deleted-bundle": (remove(LAST), "missing bundle: tile/entries/002.p/88: the log ends at entry 512 of 600"),
    "deleted-tile": (remove("tile/0/000"), "missing tile: tile/0/000"),
    "changed-tile": (change("tile/0/000", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
                     "changed tile: 1 hash is not that of its entry, as signed"),
    "short-tile": (change("tile/0/000", lambda data: data[:-32]),
                   "changed tile: tile/0/000 has 8160 bytes and should have 8192"),
    "changed-upper-tile": (change("tile/1/000.p/2", lambda data: data[32:] + data[:32]),
                           "changed tile: tile/1/000.p/2 is not what the tiles below it make"),
    "deleted-upper-tile": (remove("tile/1/000.p/2"), "missing tile: tile/1/000.p/2"),
    "changed-checkpoint": (change("checkpoint", lambda data: data.replace(b"\n600\n", b"\n599\n")),
                           "changed checkpoint: checkpoint: the one of 599 entries has a signature that does not hold"),
    "garbled-checkpoint": (change("checkpoint", lambda _: b"nothing\n"),
                           "changed checkpoint: checkpoint has something in it that is no signed checkpoint"),
    "unsigned-checkpoint": (change("checkpoint", lambda data: data.replace("\u2014 ".encode(), "\u2014 x".encode())),
                            "changed checkpoint: checkpoint: the one of 600 entries is signed by no key that is known "
                            "here"),
}  # fmt: skip


def test_an_untouched_copy_is_right(copy: Copy) -> None:
    """Nothing is found, and the report says what was looked at; for people it says what is not proven."""
    code, report = copy.verify("--checkpoint", copy.note, "--key", copy.keys.signer.verifier.text)
    assert (code, report) == (
        0,
        {"ok": True, "size": 600, "signed": 600, "checkpoints": 3, "outside": 1, "findings": []},
    )
    plain = subprocess.run(
        [sys.executable, "-I", copy.program, copy.folder], capture_output=True, text=True, timeout=60, check=True
    )
    assert plain.stdout.startswith("600 entries, 600 of them signed, 3 checkpoints\nEvery entry is as it was signed.")
    assert "Not proven: without a checkpoint that was kept elsewhere" in plain.stdout


def test_one_entry_is_told_in_the_singular() -> None:
    """The report of the shortest log, with one checkpoint and one from outside, is grammatical."""
    report = signed.Report(size=1, signed=1, checkpoints=1, outside=1)
    assert list(report.lines()) == [
        "1 entry, 1 of them signed, 1 checkpoint",
        "Every entry is as it was signed. 1 checkpoint from outside agrees.",
    ]


@pytest.mark.parametrize("name", sorted(TAMPERINGS))
def test_tampering_is_found_and_named(copy: Copy, name: str) -> None:
    """Whatever is changed in the folder is found and named, with or without a checkpoint kept elsewhere."""
    tamper, told = TAMPERINGS[name]
    tamper(copy.folder)
    assert told in copy.found()
    assert told in copy.found("--checkpoint", copy.note)


def test_a_shorter_copy_is_found_by_a_kept_checkpoint(copy: Copy, tmp_path: Path) -> None:
    """A copy that ends at an earlier checkpoint is right in itself; a newer note tells that entries are missing."""
    texts = signed.split_notes((copy.folder / "checkpoints").read_text())
    (copy.folder / "checkpoint").write_text(texts[1])
    (copy.folder / "checkpoints").write_text("\n".join(texts[:2]))
    entries, hashes = (copy.folder / bundle("001")).read_bytes(), (copy.folder / "tile/0/001").read_bytes()
    for path, data in ((bundle("001.p/44"), first_entries(entries, 44)), ("tile/0/001.p/44", hashes[: 44 * 32])):
        (copy.folder / path).parent.mkdir(exist_ok=True)
        (copy.folder / path).write_bytes(data)
    (copy.folder / "tile/1/000.p/1").write_bytes((copy.folder / "tile/1/000.p/2").read_bytes()[:32])
    assert copy.found() == []
    (found,) = copy.found("--checkpoint", copy.note)
    assert found.startswith("shorter log: ")


def first_entries(data: bytes, count: int) -> bytes:
    """The beginning of a bundle."""
    at = 0
    for _ in range(count):
        at += 2 + int.from_bytes(data[at : at + 2])
    return data[:at]


def test_a_rewritten_copy_is_found_by_a_kept_checkpoint(copy: Copy, tmp_path: Path) -> None:
    """A copy of other entries, rightly signed with the same key, does not fit a note of the true one."""
    other = Journal(f"sqlite:///{tmp_path / 'other.db'}", tmp_path)
    other.note(600, "other")
    other.sign()
    other.export(copy.folder)
    other.close()
    assert copy.found() == []
    found = copy.found("--checkpoint", copy.note)
    assert [text.partition(":")[0] for text in found] == ["split view", "rewritten log"]


def test_another_key_than_the_one_that_is_trusted(copy: Copy, tmp_path: Path) -> None:
    """With a key of the auditor's own, what another has signed counts for nothing; what is no key stops the program."""
    stranger = audit.load_or_make_keys(tmp_path / "strange").signer.verifier.text
    assert {text.partition(":")[0] for text in copy.found("--key", stranger)} == {"changed checkpoint"}
    done = subprocess.run(
        [sys.executable, "-I", copy.program, copy.folder, "--key", "x"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cannot verify: ")


@given(st.binary(max_size=80), st.binary(min_size=32, max_size=32), st.integers(0, 511), st.integers(0, 255))
def test_signatures_are_judged_as_the_library_judges_them(message: bytes, seed: bytes, bit: int, other: int) -> None:
    """The verifier's own Ed25519 takes each right signature, and none in which a bit of it or of the key is another."""
    secret = Ed25519PrivateKey.from_private_bytes(seed)
    public, right = secret.public_key().public_bytes_raw(), secret.sign(message)
    assert signed.has_signed_slowly(public, right, message)
    assert signed.has_signed(public, right, message)
    wrong, wrong_key = bytearray(right), bytearray(public)
    wrong[bit // 8] ^= 1 << bit % 8
    wrong_key[other // 8] ^= 1 << other % 8
    assert not signed.has_signed_slowly(public, bytes(wrong), message)
    assert not signed.has_signed_slowly(bytes(wrong_key), right, message)
    assert not signed.has_signed_slowly(public, right, message + b"x")


def test_a_signature_has_one_form() -> None:
    """A signature whose second half has the group's order added to it, or that is cut, is refused."""
    secret = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, right = secret.public_key().public_bytes_raw(), secret.sign(b"x")
    order = 2**252 + 27742317777372353535851937790883648493
    twin = right[:32] + (int.from_bytes(right[32:], "little") + order).to_bytes(32, "little")
    for wrong in (twin, right[:-1], b"", bytes([255] * 32) + right[32:]):
        assert not signed.has_signed_slowly(public, wrong, b"x")
        assert not signed.has_signed(public, wrong, b"x")
