"""Giving a path to bytes: the three outcomes, and what an upload makes of each."""

import asyncio
import os
import threading

import pytest
from sqlalchemy import select

from artifacts.storing import ALICE, ROOT, Storing, arriving, content_of
from modelkeep import artifacts
from modelkeep.artifacts import ArtifactStored, BlobHealed, Naming, commit_and_name, deletion_epoch, put_file
from modelkeep.artifacts.tables import blobs
from modelkeep.artifacts.threads import MOVING
from modelkeep.core.errors import InvalidInput, NotFound, Unavailable

DATA = b"some bytes"
CONTENT = content_of(DATA)
LARGE = os.urandom(2 * artifacts.CHUNK + 5)


def name(storing: Storing, epoch: int, *, healed: bool = False) -> Naming:
    """Name the bytes, which are taken to be in the store."""
    return storing.write(lambda tx: put_file(tx, (*ROOT, "x"), CONTENT, epoch, healed=healed))


def assert_unnamed(storing: Storing) -> None:
    """The path names nothing, and nobody was told otherwise."""
    with pytest.raises(NotFound):
        storing.found("x")
    assert not any(isinstance(event, ArtifactStored) for event in storing.heard)


def test_bytes_are_named(storing: Storing) -> None:
    """With the epoch from before the commit the path names the bytes, and that is told once."""
    assert name(storing, storing.read(deletion_epoch)) is Naming.DONE
    assert storing.found("x").sha256 == CONTENT.sha256
    assert storing.heard == [ArtifactStored("run/run-1", "x", CONTENT.sha256, CONTENT.size)]


def test_an_older_epoch_asks_for_another_commit(storing: Storing) -> None:
    """If anything was deleted since the epoch was read, nothing is named or written, and the answer is AGAIN."""
    epoch = storing.read(deletion_epoch)
    storing.raise_epoch()
    assert name(storing, epoch) is Naming.AGAIN
    assert storing.read(lambda tx: tx.rows(select(blobs))) == []
    assert_unnamed(storing)
    assert name(storing, epoch + 1) is Naming.DONE


def test_bytes_that_never_come_leave_no_row(storing: Storing) -> None:
    """If the deletion of others asks for another commit, and that fails, nothing is left of the blob's row."""
    received = asyncio.run(artifacts.receive(storing.blobs, arriving([LARGE[: artifacts.CHUNK], LARGE])))
    received.epoch = storing.read(deletion_epoch)
    storing.raise_epoch()
    received.forget()
    MOVING.submit(int).result()
    with pytest.raises(ValueError, match="aborted"):
        asyncio.run(
            commit_and_name(
                storing.database,
                ALICE,
                received,
                lambda tx, epoch, healed: put_file(tx, (*ROOT, "x"), received.content, epoch, healed=healed),
            )
        )
    assert storing.read(lambda tx: tx.rows(select(blobs.c.sha256))) == []


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
def test_an_upload_corrects_the_size_of_its_blob(storing: Storing, data: bytes) -> None:
    """A row with the size of bytes that were cut short has the right size once the bytes come again."""
    content = storing.upload("other", data)
    storing.change_blob(content, size=1)
    storing.upload("x", data)
    assert [row.size for row in storing.read(lambda tx: tx.rows(select(blobs.c.size)))] == [len(data)]


def test_a_blob_that_is_being_deleted_cannot_be_named(storing: Storing) -> None:
    """While the row is marked as being deleted, nothing is named and the answer is AGAIN."""
    storing.upload("other", DATA)
    storing.heard.clear()
    storing.mark_deleting(CONTENT)
    assert name(storing, storing.read(deletion_epoch)) is Naming.AGAIN
    assert_unnamed(storing)


def test_a_damaged_blob_is_named_only_with_new_bytes(storing: Storing) -> None:
    """A damaged blob answers DAMAGED until the bytes were replaced; then it is healed, which is told."""
    storing.upload("other", DATA)
    storing.change_blob(CONTENT, corrupt_at=1)
    storing.heard.clear()
    epoch = storing.read(deletion_epoch)
    assert name(storing, epoch) is Naming.DAMAGED
    assert_unnamed(storing)
    assert name(storing, epoch, healed=True) is Naming.DONE
    assert BlobHealed(CONTENT.sha256) in storing.heard
    assert storing.download("x") == storing.download("other") == DATA


def test_naming_takes_a_blob_out_of_the_trash(storing: Storing) -> None:
    """A blob in the trash that a path comes to name is no candidate for deletion any more."""
    storing.upload("x", DATA)
    storing.write(lambda tx: artifacts.delete_files(tx, (*ROOT, "x")))
    storing.change_blob(CONTENT, trashed_at=1)
    storing.upload("y", DATA)
    assert list(storing.read(lambda tx: artifacts.unnamed_blobs(tx, "", 9))) == []
    assert storing.download("y") == DATA


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
def test_an_upload_waits_for_the_deletion_of_its_bytes(storing: Storing, data: bytes) -> None:
    """An upload of bytes that are being deleted goes on when they are gone, and brings them back."""
    content = storing.upload("other", data)
    storing.mark_deleting(content)

    def delete() -> None:
        storing.place(content).unlink()
        storing.raise_epoch()
        storing.change_blob(content, deleting=0)

    timer = threading.Timer(0.3, delete)
    timer.start()
    storing.upload("x", data)
    timer.join()
    assert storing.download("x") == data


@pytest.mark.slow
def test_an_upload_gives_up_on_a_deletion_that_never_ends(quick: Storing) -> None:
    """If the deletion does not end in the time there is, the client is told to come again, and nothing is staged."""
    quick.upload("other", DATA)
    quick.mark_deleting(CONTENT)
    with pytest.raises(Unavailable, match="try again"):
        quick.upload("x", DATA)
    assert list((quick.folder / "staging").iterdir()) == []


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("how", ["flipped", "shortened", "missing", "link", "pipe"])
def test_uploading_the_same_bytes_heals(quick: Storing, data: bytes, how: str) -> None:
    """Whatever became of the stored bytes, and whether it was noticed or not, uploading them again brings them back."""
    content = quick.upload("x", data)
    place = quick.place(content)
    place.unlink()
    if how == "flipped":
        place.write_bytes(b"\x00" * len(data))
        quick.write(lambda tx: artifacts.note_damage(tx, content.sha256))
    elif how == "shortened":
        place.write_bytes(data[:-1])
    elif how == "link":
        place.symlink_to("/etc/hostname")
    elif how == "pipe":
        os.mkfifo(place)
    quick.upload("y", data)
    assert quick.download("x") == quick.download("y") == data
    assert not place.is_symlink()
    assert list((quick.folder / "staging").iterdir()) == []


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("lie", [{"declared": 7}, {"sha256": "0" * 64}], ids=["size", "sha256"])
def test_a_body_that_is_not_what_was_declared_is_not_stored(
    quick: Storing, data: bytes, lie: dict[str, object]
) -> None:
    """Another size or another SHA-256 than declared is refused, and neither path nor blob nor staging is left."""
    with pytest.raises(InvalidInput, match="declared"):
        quick.upload("x", data, **lie)  # type: ignore[arg-type]
    assert_unnamed(quick)
    assert list(quick.blobs.digests()) == []
    quick.blobs.close()
    assert list((quick.folder / "staging").iterdir()) == []
    quick.blobs = artifacts.LocalBlobs(quick.folder)


def test_two_uploads_of_one_path_at_once_leave_one_of_them(storing: Storing) -> None:
    """Of uploads to one path at the same time, all succeed and the file is exactly one of them."""
    bodies = [bytes([number]) * (artifacts.CHUNK + number) for number in range(1, 7)]

    async def all_at_once() -> None:
        uploads = [
            artifacts.store_file(storing.database, ALICE, storing.blobs, (*ROOT, "x"), arriving([body]), len(body))
            for body in bodies
        ]
        await asyncio.gather(*uploads)

    asyncio.run(all_at_once())
    assert storing.download("x") in bodies
