"""Damaged blobs: noted once, listed with what holds them, not served until they are right."""

import os

import pytest

from artifacts.storing import ALICE, ROOT, Storing
from modelkeep import artifacts
from modelkeep.artifacts import BlobDamaged, BlobHealed, Content, Damaged, DamagedBlob, Holder
from modelkeep.core.types import Caller
from modelkeep.db import Tx

DATA = os.urandom(50_000)
ELSEWHERE = Caller(ALICE.actor, workspace="team-b")


def damaged(storing: Storing) -> Content:
    """A file `x` whose blob was found to be damaged."""
    content = storing.upload("x", DATA)
    assert storing.write(lambda tx: artifacts.note_damage(tx, content.sha256))
    return content


def listed(storing: Storing, caller: Caller = ALICE) -> list[DamagedBlob]:
    """What is damaged, as this caller sees it."""
    return storing.database.read_now(caller, lambda tx: artifacts.damaged_blobs(tx, "", 10))


def test_damage_is_noted_once(storing: Storing) -> None:
    """The first note marks the blob and is told; a second one changes nothing."""
    content = damaged(storing)
    assert not storing.write(lambda tx: artifacts.note_damage(tx, content.sha256))
    assert [event for event in storing.heard if isinstance(event, BlobDamaged)] == [BlobDamaged(content.sha256)]
    assert storing.read(artifacts.count_damaged) == 1


def test_a_damaged_blob_is_not_served(storing: Storing) -> None:
    """Neither its path, nor a line of a manifest that is it, is found any more."""
    content = damaged(storing)
    with pytest.raises(Damaged, match="upload these bytes again"):
        storing.found("x")
    with pytest.raises(Damaged):
        storing.read(lambda tx: artifacts.file_of_blob(tx, "x", content.sha256, content.size))


def test_a_blob_found_right_is_served_again(storing: Storing) -> None:
    """After verification cleared it, it is served, and that was told once."""
    content = damaged(storing)
    assert storing.write(lambda tx: artifacts.note_healed(tx, content.sha256))
    assert not storing.write(lambda tx: artifacts.note_healed(tx, content.sha256))
    assert storing.download("x") == DATA
    assert [event for event in storing.heard if isinstance(event, BlobHealed)] == [BlobHealed(content.sha256)]
    assert listed(storing) == []


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
def test_damage_seen_before_a_heal_is_not_noted_after_it(storing: Storing, noticed: bool) -> None:
    """A reader that met damage, and comes to say so when the bytes were replaced, marks nothing; a later one does."""
    content = storing.upload("x", DATA)
    before = storing.found("x")
    storing.place(content).write_bytes(DATA[:-1])
    with pytest.raises(Damaged) as early:
        storing.read_file(before)
    if noticed:
        assert storing.write(lambda tx: artifacts.note_damage(tx, content.sha256, early.value.seen))
    storing.upload("y", DATA)
    assert not storing.write(lambda tx: artifacts.note_damage(tx, content.sha256, early.value.seen))
    assert storing.download("x") == DATA
    storing.place(content).write_bytes(DATA[:-1])
    with pytest.raises(Damaged) as late:
        storing.download("x")
    assert storing.write(lambda tx: artifacts.note_damage(tx, content.sha256, late.value.seen))


def test_what_nothing_names_any_more_is_not_marked(storing: Storing) -> None:
    """Bytes that are being deleted are missing rightly: that is no damage."""
    content = storing.upload("x", DATA)
    storing.mark_deleting(content)
    assert not storing.write(lambda tx: artifacts.note_damage(tx, content.sha256))
    assert not storing.write(lambda tx: artifacts.note_damage(tx, "0" * 64))


def test_holders_are_files_of_runs_and_versions(storing: Storing) -> None:
    """Every path that is the blob is named with its workspace: in trees, and in versions that still keep theirs."""
    content = damaged_version(storing)
    holders = storing.read(lambda tx: artifacts.holders_of(tx, content.sha256))
    assert holders == [
        Holder("default", "run/run-1", "m/x"),
        Holder("default", "version/m1/1", "x"),
        Holder("team-b", "run/run-9", "y"),
    ]


def test_a_workspace_sees_its_own_damage(storing: Storing) -> None:
    """The list has the blobs that the caller's workspace holds, and only its own holders."""
    content = damaged_version(storing)
    here, there = listed(storing), listed(storing, ELSEWHERE)
    assert [blob.holders for blob in here] == [
        [Holder("default", "run/run-1", "m/x"), Holder("default", "version/m1/1", "x")]
    ]
    assert [blob.holders for blob in there] == [[Holder("team-b", "run/run-9", "y")]]
    assert (here[0].sha256, here[0].size) == (content.sha256, content.size)
    assert listed(storing, Caller(ALICE.actor, workspace="team-c")) == []


def damaged_version(storing: Storing) -> Content:
    """A damaged blob in a run, in a version frozen from it, and in another workspace."""
    content = storing.upload("m/x", DATA)

    def publish(tx: Tx) -> None:
        frozen = artifacts.freeze(tx, (*ROOT, "m"))
        assert frozen is not None
        artifacts.publish(tx, "m1", 1, frozen.digest)

    storing.write(publish)
    root = ("workspaces", "team-b", "1", "run-9", "artifacts")

    def put(tx: Tx) -> None:
        artifacts.open_tree(tx, "mlflow-artifacts:/" + "/".join(root), "run/run-9")
        artifacts.put_file(tx, (*root, "y"), content, artifacts.deletion_epoch(tx))

    storing.database.write_now(ELSEWHERE, put)
    storing.write(lambda tx: artifacts.note_damage(tx, content.sha256))
    return content


def test_damage_is_listed_page_by_page(quick: Storing) -> None:
    """Pages follow each other by digest, without a gap and without the same blob twice."""
    marked = sorted(quick.upload(str(number), bytes([number]) * 10).sha256 for number in range(5))
    for sha256 in marked:
        quick.write(lambda tx, sha256=sha256: artifacts.note_damage(tx, sha256))
    found: list[str] = []
    after = ""
    while page := quick.read(lambda tx, after=after: artifacts.damaged_blobs(tx, after, 2)):  # type: ignore[misc]
        found += [blob.sha256 for blob in page]
        after = found[-1]
    assert found == marked
