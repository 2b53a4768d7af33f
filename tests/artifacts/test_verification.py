"""Verification: every way in which stored bytes can be wrong is found, named, marked, and unmarked when it is over."""

import hashlib
import os
from pathlib import Path

import pytest

from artifacts.storing import ALICE, ROOT, Storing
from modelkeep import artifacts
from modelkeep.artifacts import (
    Content,
    Damaged,
    Holder,
    Place,
    Problem,
    Scope,
    Verified,
    WrongBlob,
)
from modelkeep.artifacts.events import BlobDamaged, BlobHealed
from modelkeep.artifacts.integrity import hashing, rehashing, verification
from modelkeep.core.errors import Unavailable
from modelkeep.core.types import Caller
from modelkeep.db import Prepared, Tx
from modelkeep.tables import artifacts as tables

MIB = 1 << 20
SMALL, LARGE = b"some few bytes", os.urandom(3 * MIB + 5)
EVERYTHING = Scope()
OTHERS = Caller(ALICE.actor, "others")


def verified(storing: Storing, *, deep: bool = False, scope: Scope = EVERYTHING, caller: Caller = ALICE) -> Verified:
    """What all calls together say, from the first to the last."""
    total = Verified(following=Place())
    while total.following is not None:
        page = artifacts.verify_blobs(storing.database, caller, storing.blobs, scope, total.following, deep=deep)
        total.checked += page.checked
        total.size += page.size
        total.wrong += page.wrong
        total.following = page.following
    return total


def only(storing: Storing, *, deep: bool = False) -> WrongBlob:
    """The one wrong blob of a store."""
    (wrong,) = verified(storing, deep=deep).wrong
    return wrong


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def overwrite(storing: Storing, content: Content, data: bytes) -> None:
    """Put other bytes in the place of a blob."""
    storing.place(content).write_bytes(data)


def verified_at(storing: Storing, content: Content) -> int | None:
    """When a blob was last found to be right."""
    rows = storing.read(lambda tx: tx.rows(Prepared(tables.blobs.select())))
    return next(row.verified_at for row in rows if row.sha256 == content.sha256)


def test_a_sound_store_is_all_right(storing: Storing) -> None:
    """Every blob is counted once with its bytes, none is wrong, and each has the time of it."""
    stored = [storing.upload(str(size), os.urandom(size)) for size in (0, 1, 16384, 16385, MIB, 2 * MIB, 2 * MIB + 1)]
    for deep in (False, True):
        found = verified(storing, deep=deep)
        assert (found.checked, found.size, found.wrong) == (7, sum(one.size for one in stored), [])
    assert storing.read(lambda tx: artifacts.amount_to_verify(tx, Scope())) == artifacts.Amount(
        7, sum(one.size for one in stored)
    )
    assert all(verified_at(storing, one) for one in stored)


@pytest.mark.parametrize("deep", [False, True], ids=["chunks", "deep"])
@pytest.mark.parametrize("at", [0, MIB - 1, 3 * MIB + 4])
def test_a_flipped_bit_is_found(quick: Storing, at: int, *, deep: bool) -> None:
    """One changed bit anywhere in a large blob is found, named with its holder, and the blob marked; others are not."""
    content, sound = quick.upload("large", LARGE), quick.upload("sound", SMALL)
    flip(quick.place(content), at)
    quick.heard.clear()
    wrong = only(quick, deep=deep)
    holder = Holder("default", "run/run-1", "large")
    assert (wrong.sha256, wrong.size, wrong.problem) == (content.sha256, len(LARGE), Problem.FLIPPED)
    assert (wrong.found, wrong.holders) == (None, [holder])
    assert quick.heard == [BlobDamaged(content.sha256)]
    with pytest.raises(Damaged, match=content.sha256):
        quick.found("large")
    assert quick.download("sound") == SMALL
    assert verified_at(quick, content) is None
    assert verified_at(quick, sound)


@pytest.mark.parametrize(
    ("data", "instead", "problem"),
    [
        (SMALL, SMALL[:-1], Problem.TRUNCATED),
        (LARGE, LARGE[:-1], Problem.TRUNCATED),
        (LARGE, LARGE[: 2 * MIB], Problem.TRUNCATED),
        (LARGE, b"", Problem.TRUNCATED),
        (SMALL, SMALL + b"!", Problem.LONGER),
        (LARGE, LARGE + b"!", Problem.LONGER),
        (SMALL, SMALL[::-1], Problem.FLIPPED),
    ],
    ids=["small-1", "large-1", "whole-chunks", "emptied", "small+1", "large+1", "reversed"],
)
def test_other_bytes_are_told_apart(quick: Storing, data: bytes, instead: bytes, problem: Problem) -> None:
    """A blob that lost or won bytes, or has others, is reported as just that."""
    overwrite(quick, quick.upload("file", data), instead)
    wrong = only(quick)
    assert (wrong.problem, wrong.found) == (problem, None)


@pytest.mark.parametrize(
    ("one", "two"), [(SMALL, SMALL[::-1]), (LARGE, LARGE[::-1]), (LARGE, SMALL)], ids=["small", "large", "sizes"]
)
def test_swapped_blobs_are_named(storing: Storing, one: bytes, two: bytes) -> None:
    """Two blobs that have each other's bytes are both reported, each with the digest of what it really is."""
    first, second = storing.upload("one", one), storing.upload("two", two)
    overwrite(storing, first, two)
    overwrite(storing, second, one)
    found = {wrong.sha256: (wrong.problem, wrong.found) for wrong in verified(storing).wrong}
    assert found == {
        first.sha256: (Problem.SWAPPED, second.sha256),
        second.sha256: (Problem.SWAPPED, first.sha256),
    }


def test_a_missing_blob_is_found(storing: Storing) -> None:
    """A blob that the store has lost is reported with all that it was."""
    content = storing.upload("file", SMALL)
    storing.upload("again", SMALL)
    storing.place(content).unlink()
    wrong = only(storing)
    assert wrong.problem is Problem.MISSING
    assert [holder.path for holder in wrong.holders] == ["again", "file"]


def test_what_the_store_did_not_write_is_found(quick: Storing, tmp_path: Path) -> None:
    """A link, a folder or a pipe in the place of a blob, or a second name of it, is reported and not followed."""
    place = [quick.place(quick.upload(str(number), b"%d" % number)) for number in range(4)]
    (tmp_path / "elsewhere").write_bytes(b"0")
    for path in place[:3]:
        path.unlink()
    place[0].symlink_to(tmp_path / "elsewhere")
    place[1].mkdir()
    os.mkfifo(place[2])
    os.link(place[3], tmp_path / "second")
    assert [wrong.problem for wrong in verified(quick).wrong] == [Problem.UNREADABLE] * 4


def test_a_blob_deleted_meanwhile_is_not_missed(quick: Storing) -> None:
    """A blob that is being deleted is not looked at, and one whose row goes while it is looked at is not reported."""
    content = quick.upload("file", SMALL)
    quick.write(lambda tx: artifacts.delete_files(tx, (*ROOT, "file")))
    quick.place(content).unlink()
    assert only(quick).holders == []
    quick.mark_deleting(content)
    assert verified(quick) == Verified()


def test_a_healed_blob_is_unmarked(storing: Storing) -> None:
    """A blob that was marked and is right again is served again; while it is wrong it stays marked."""
    for name, data in (("small", SMALL), ("large", LARGE)):
        content = storing.upload(name, data)
        flip(storing.place(content), 3)
        for _ in range(2):
            assert only(storing).problem is Problem.FLIPPED
        overwrite(storing, content, data)
        storing.heard.clear()
        assert verified(storing).wrong == []
        assert storing.heard == [BlobHealed(content.sha256)]
        assert storing.download(name) == data


def test_a_damaged_blob_is_not_healed_by_its_end(quick: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the last stretch only of a damaged blob does not get it unmarked: it is read from its start."""
    monkeypatch.setattr(verification, "STRETCH", MIB)
    content = quick.upload("large", LARGE)
    flip(quick.place(content), 0)
    assert only(quick).problem is Problem.FLIPPED
    page = artifacts.verify_blobs(quick.database, ALICE, quick.blobs, Scope(), Place(content.sha256, 3 * MIB))
    assert [wrong.problem for wrong in page.wrong] == [Problem.FLIPPED]


def test_blobs_without_chunk_digests_get_them(quick: Storing) -> None:
    """A blob that is older than the digests of chunks is checked by its name, and has them from then on."""
    content = quick.upload("large", LARGE)
    quick.forget_chunks()
    assert verified(quick).wrong == []
    assert quick.found("large").chunks == content.chunks
    flip(quick.place(content), 2 * MIB)
    assert only(quick).problem is Problem.FLIPPED


def test_wrong_chunk_digests_are_put_right(quick: Storing) -> None:
    """Where the bytes are what the name says and only the digests of chunks are not, those are replaced."""
    content = quick.upload("large", LARGE)
    assert content.chunks is not None
    wrong = Prepared(tables.blob_chunks.update().values(digests=content.chunks.digests[::-1]))
    quick.write(lambda tx: tx.run(wrong))
    assert verified(quick).wrong == []
    assert quick.found("large").chunks == content.chunks
    assert quick.download("large") == LARGE


def test_a_call_stops_and_the_next_goes_on(quick: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that may read little go on within a large blob, find the same faults, and count every byte once."""
    monkeypatch.setattr(verification, "STRETCH", MIB)
    monkeypatch.setattr(verification, "_BYTES", MIB)
    contents = [quick.upload(str(n), bytes([n]) * (4 * MIB), os.urandom(n)) for n in range(1, 4)]
    flip(quick.place(contents[1]), 2 * MIB)
    calls, place = 0, Place()
    total = Verified()
    while place is not None:
        page = artifacts.verify_blobs(quick.database, ALICE, quick.blobs, Scope(), place)
        calls, place = calls + 1, page.following
        total.checked, total.size, total.wrong = (
            total.checked + page.checked,
            total.size + page.size,
            total.wrong + page.wrong,
        )
    assert calls >= 9
    assert (total.checked, total.size) == (3, sum(one.size for one in contents))
    assert [wrong.sha256 for wrong in total.wrong] == [contents[1].sha256]


def test_a_store_that_is_away_stops_it(quick: Storing, tmp_path: Path) -> None:
    """While the store as a whole does not answer, nothing is reported or marked: the call is refused."""
    quick.upload("file", SMALL)
    quick.folder.rename(tmp_path / "moved")
    for name in ("sha256", "staging"):
        for path in sorted((tmp_path / "moved" / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "moved" / name).rmdir()
    with pytest.raises(Unavailable):
        verified(quick)
    assert storing_damage(quick) == 0


def storing_damage(storing: Storing) -> int:
    """How many blobs are marked."""
    return storing.read(artifacts.count_damaged)


def register(storing: Storing, model_id: str, number: int, *names: str) -> str:
    """Publish a version of these files of the tree; the digest of its manifest."""

    def publish(tx: Tx) -> str:
        frozen = artifacts.freeze(tx, (*ROOT, *names))
        assert frozen is not None
        artifacts.publish(tx, model_id, number, frozen.digest)
        return frozen.digest

    return storing.write(publish)


def test_a_scope_is_a_model_or_a_version(storing: Storing) -> None:
    """Of a model exactly the blobs of its versions are looked at, of a version its own; no other model's by prefix."""
    for name in ("a", "b", "c"):
        flip(storing.place(storing.upload(name, name.encode() * 100)), 5)
    register(storing, "m", 1, "a")
    register(storing, "m", 12, "b")
    register(storing, "m0", 1, "c")
    digest = {name: hashlib.sha256(name.encode() * 100).hexdigest() for name in "abc"}
    for scope, names in ((Scope("m", 1), "a"), (Scope("m", 12), "b"), (Scope("m"), "ab"), (Scope("m0"), "c")):
        found = verified(storing, scope=scope)
        assert {wrong.sha256 for wrong in found.wrong} == {digest[name] for name in names}
        assert storing.read(lambda tx, scope=scope: artifacts.amount_to_verify(tx, scope)).count == len(names)
    assert verified(storing, scope=Scope("other")) == Verified()


def test_a_model_s_report_stays_in_its_workspace(storing: Storing) -> None:
    """Of a model another workspace's holders are not told, nor that it has a blob of the bytes that are found."""
    mine, others = storing.upload("mine", SMALL), storing.upload("others", LARGE)
    register(storing, "m", 1, "mine")
    digest = register(storing, "other", 1, "others")
    storing.write(lambda tx: artifacts.release_version(tx, "other", 1))
    storing.database.write_now(OTHERS, lambda tx: artifacts.publish(tx, "n", 1, digest))
    storing.write(lambda tx: artifacts.delete_files(tx, ROOT))
    overwrite(storing, mine, LARGE)
    (everywhere,) = verified(storing).wrong
    assert (everywhere.problem, everywhere.found) == (Problem.SWAPPED, others.sha256)
    (here,) = verified(storing, scope=Scope("m")).wrong
    assert (here.problem, here.found) == (Problem.LONGER, None)
    assert [holder.owner for holder in here.holders] == ["version/m/1"]
    assert verified(storing, scope=Scope("m"), caller=OTHERS) == Verified()


def test_every_chunk_needs_its_digest() -> None:
    """Digests of chunks count only if there is one for each chunk of a blob."""
    assert not rehashing.has_sound_chunks(5, None)
    for size, count in ((1, 1), (MIB, 1), (MIB + 1, 2)):
        assert rehashing.has_sound_chunks(size, artifacts.Chunks(MIB, bytes(32 * count)))
        assert not rehashing.has_sound_chunks(size, artifacts.Chunks(MIB, bytes(32 * count - 32)))
        assert not rehashing.has_sound_chunks(size, artifacts.Chunks(MIB, bytes(32 * count + 1)))


def turns(storing: Storing, *, deep: bool) -> list[Verified]:
    """Every call's own answer, from the first to the last."""
    answers: list[Verified] = []
    place: Place | None = Place()
    while place is not None:
        answers.append(artifacts.verify_blobs(storing.database, ALICE, storing.blobs, EVERYTHING, place, deep=deep))
        place = answers[-1].following
    return answers


def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call hashes but one MiB of a blob, as if it were huge."""
    monkeypatch.setattr(hashing, "_SECONDS", -1.0)
    monkeypatch.setattr(rehashing, "_QUICKLY_HASHED", 0)
    monkeypatch.setattr(verification, "_SECONDS", 60.0)


def test_a_huge_blob_is_hashed_in_turns(quick: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deep verification goes on where the last call stopped: many calls, every byte counted once, all right."""
    without_patience(monkeypatch)
    stored = [quick.upload(str(n), os.urandom(n * MIB + n)) for n in range(4)]
    answers = turns(quick, deep=True)
    assert len(answers) == 1 + 1 + 2 + 3
    assert all(answer.size <= 2 * MIB + 1 for answer in answers[1:])
    assert sum(answer.checked for answer in answers) == 4
    assert sum(answer.size for answer in answers) == sum(one.size for one in stored)
    assert [wrong for answer in answers for wrong in answer.wrong] == []
    assert all(verified_at(quick, one) for one in stored)


@pytest.mark.parametrize("deep", [False, True], ids=["chunks", "deep"])
def test_a_huge_wrong_blob_is_identified_in_turns(
    quick: Storing, monkeypatch: pytest.MonkeyPatch, *, deep: bool
) -> None:
    """What a wrong blob is instead is found out over several calls too, told once, and counted once."""
    without_patience(monkeypatch)
    first, other = quick.upload("first", LARGE), quick.upload("other", LARGE[::-1])
    overwrite(quick, first, LARGE[::-1])
    answers = turns(quick, deep=deep)
    assert len(answers) > 3
    (wrong,) = [wrong for answer in answers for wrong in answer.wrong]
    assert (wrong.sha256, wrong.problem, wrong.found) == (first.sha256, Problem.SWAPPED, other.sha256)
    assert sum(answer.checked for answer in answers) == 2
    assert sum(answer.size for answer in answers) == 2 * len(LARGE)


def test_another_process_begins_anew_and_comes_to_the_end(quick: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody remembers how far a blob was hashed, the calls start over, count no byte twice, and still end."""
    without_patience(monkeypatch)
    content = quick.upload("large", LARGE)
    page = artifacts.verify_blobs(quick.database, ALICE, quick.blobs, EVERYTHING, Place(), deep=True)
    monkeypatch.setattr(hashing, "_BEGUN", hashing._Begun())
    total, place = page.size, page.following
    while place is not None:
        page = artifacts.verify_blobs(quick.database, ALICE, quick.blobs, EVERYTHING, place, deep=True)
        total, place = total + page.size, page.following
    assert (total, page.checked, page.wrong) == (content.size, 1, [])


def test_a_new_verification_trusts_no_old_one(quick: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that were put right since somebody broke off a verification are found right by the next one."""
    without_patience(monkeypatch)
    content = quick.upload("large", LARGE)
    flip(quick.place(content), 0)
    assert artifacts.verify_blobs(quick.database, ALICE, quick.blobs, EVERYTHING, Place(), deep=True).following
    overwrite(quick, content, LARGE)
    assert [wrong for answer in turns(quick, deep=True) for wrong in answer.wrong] == []
