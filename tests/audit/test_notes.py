"""Signed notes, keys and checkpoints: a published example, every damaged form, and key files."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep import audit
from modelkeep.audit import notes, signed
from modelkeep.core.errors import BadSetting

# The example in the documentation of Go's sumdb/note, which C2SP's signed notes come from.
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KNOWN = [notes.read_verifier(VERIFIER)]
SIGNER = notes.read_secret(notes.new_secret("log"))


def test_the_published_example() -> None:
    """The example's private key gives its public key and, byte for byte, its signature; the note opens to its text."""
    signer = notes.read_secret(PRIVATE)
    assert signer.verifier.text == VERIFIER
    assert signer.sign(TEXT) == f"{TEXT}\n{SIGNATURE}"
    assert notes.open_note(f"{TEXT}\n{SIGNATURE}", KNOWN) == TEXT


def test_signatures_of_others_stand_beside() -> None:
    """A note that others have signed as well, a witness for one, opens by the one key that is known."""
    note = SIGNER.sign(TEXT) + SIGNATURE
    assert notes.open_note(note, KNOWN) == notes.open_note(note, [SIGNER.verifier]) == TEXT


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ("", "no signed note"),
        (TEXT, "no signed note"),
        (f"{TEXT}\n{SIGNATURE}"[:-1], "no signed note"),
        (f"{TEXT}\n{SIGNATURE}more\n", "no signed note"),
        (f"{TEXT}\n{SIGNATURE}".replace("answer", "Answer"), "does not hold"),
        (f"{TEXT}\n{SIGNATURE}".replace("PeterNeumann", "PeterNeuman"), "no key that is known"),
        (f"{TEXT}\n{SIGNATURE}".replace("x08g", "x08h"), "no key that is known"),
        (f"{TEXT}\n{SIGNATURE}".replace("nAM=", "nAN="), "one form of base64"),
        (f"{TEXT}\n{SIGNATURE}".replace("nAM=", "n!"), "not valid base64"),
        (SIGNER.sign(TEXT), "no key that is known"),
    ],
    ids=["empty", "unsigned", "cut", "more", "text", "name", "key-id", "tail-bits", "garbled", "stranger"],
)
def test_what_is_no_note_of_a_known_key_is_refused(note: str, why: str) -> None:
    """A note in which anything is missing, more or other is refused with the reason."""
    with pytest.raises(notes.BadNote, match=why):
        notes.open_note(note, KNOWN)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.data())
def test_a_checkpoint_says_what_was_signed(size: int, root: bytes, data: st.DataObject) -> None:
    """A checkpoint opens to its origin, size and root, also in the offline verifier; with another byte in none."""
    note = SIGNER.checkpoint(size, root)
    assert notes.read_checkpoint(notes.open_note(note, [SIGNER.verifier])) == ("log", size, root)
    report, keys = signed.Report(), signed.read_keys(SIGNER.verifier.text)
    (head,) = signed.read_heads([("here", note)], keys, report, outside=True)
    assert (head.size, head.root, head.origin) == (size, root, "log")
    at = data.draw(st.integers(0, len(note) - 2))
    other = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
    with pytest.raises(notes.BadNote):
        notes.read_checkpoint(notes.open_note(other, [SIGNER.verifier]))
    assert signed.read_heads([("here", other)], keys, report, outside=True) == []
    assert report.findings


@pytest.mark.parametrize(
    "text",
    ["", "log\n", "log\n1\n", "log\n-1\nAAAA\n", "log\n01\nAAAA\n", "log\n1\nAAAA\n", "\n1\nAAAA\n", "log\nx\nAAAA\n"],
    ids=["empty", "one-line", "no-root", "negative", "zeros", "short-root", "no-origin", "no-number"],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """A text that is not origin, size and root in their one form is no checkpoint."""
    with pytest.raises(notes.BadNote):
        notes.read_checkpoint(text)


@pytest.mark.parametrize(
    "text",
    ["", "x", "log+x+y", VERIFIER.replace("c74f20a3", "c74f20a4"), VERIFIER[:-4], f"a b{VERIFIER}", PRIVATE],
    ids=["empty", "word", "parts", "id", "cut", "blank", "private"],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """A damaged public key, or a private one in its place, is refused."""
    with pytest.raises(notes.BadNote):
        notes.read_verifier(text)


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """The first start makes a key that only its owner can read, later ones take it; two logs have other names."""
    path = tmp_path / "data" / "audit-key"
    made = audit.load_or_make_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert audit.load_or_make_keys(path).verifiers == audit.load_keys(path).verifiers == made.verifiers
    assert [one.name for one in path.parent.iterdir()] == ["audit-key"]
    assert audit.load_or_make_keys(tmp_path / "other").origin != made.origin


def test_a_key_that_takes_over_keeps_the_name(tmp_path: Path) -> None:
    """After two changes of keys the file has one private key, the newest, and the public ones of those before."""
    path = tmp_path / "audit-key"
    first = audit.load_or_make_keys(path)
    for _ in range(2):
        audit.write_over(path, audit.replaced(audit.load_keys(path)))
    last = audit.load_keys(path)
    assert (last.origin, len(last.earlier), last.earlier[-1]) == (first.origin, 2, first.signer.verifier)
    assert path.read_text().count("PRIVATE") == 1
    assert last.signer.verifier != first.signer.verifier
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        audit.write_new(path, ["x"])


@pytest.mark.parametrize("content", [b"", b"x", VERIFIER.encode(), b"\xff", PRIVATE[:-4].encode()])
def test_a_damaged_key_file_stops_the_start(tmp_path: Path, content: bytes) -> None:
    """A file without a whole private key is refused, and its content is not in the message."""
    path = tmp_path / "audit-key"
    path.write_bytes(content)
    with pytest.raises(BadSetting, match=f"The audit key {path} is none") as refused:
        audit.load_or_make_keys(path)
    assert PRIVATE[20:40] not in str(refused.value)


def test_a_key_file_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    """Where no file can be written, or the file that was named is not there, the setting is refused."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSetting, match="cannot be written"):
        audit.load_or_make_keys(tmp_path / "file" / "audit-key")
    with pytest.raises(BadSetting, match="modelkeep audit new-key"):
        audit.load_keys(tmp_path / "absent")
