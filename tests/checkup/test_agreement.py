"""Checkups: each way in which database and store can disagree is found, and nothing is found where they agree."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.storing import ALICE, ROOT, Storing
from modelkeep import artifacts, checkup
from modelkeep.checkup import Kind, Stage, Status, agreement
from modelkeep.db import Prepared, Tx
from modelkeep.db.jobs import claim, finish, postpone, queue
from modelkeep.tables import artifacts as tables
from modelkeep.tables import models


@pytest.fixture
def storing(database_url: str, tmp_path: Path) -> Iterator[Storing]:
    """An empty store, and one open tree, on either database."""
    made = Storing(database_url, tmp_path / "store")
    yield made
    made.close()


def found(storing: Storing) -> Counter[Kind]:
    """How often each kind of disagreement is found."""
    kinds: Counter[Kind] = Counter()
    for stage in Stage:
        following: tuple[str, int] | None = ("", 0)
        while following is not None:
            page = checkup.compare(storing.database, ALICE, storing.blobs, stage, following)
            kinds.update(one.kind for one in page.found)
            following = page.following
    return kinds


def register(storing: Storing, number: int) -> str:
    """Publish what the tree holds as a version, with its record; the digest."""

    def publish(tx: Tx) -> str:
        frozen = artifacts.freeze(tx, ROOT)
        assert frozen is not None
        artifacts.publish(tx, "m", number, frozen.digest)
        given = {"model_id": "m", "version": number, "workspace": "default", "name": "m", "digest": frozen.digest}
        fixed = {"source": "", "download_uri": "", "origin": "stored", "status": "READY", "created_by": "alice"}
        columns = given | fixed | {"created_at": 1, "updated_at": 1}
        tx.run(Prepared(models.versions.insert().values(**columns)))
        return frozen.digest

    return storing.write(publish)


def run(storing: Storing, statement: object) -> None:
    """Change the database behind everybody's back."""
    storing.write(lambda tx: tx.run(Prepared(statement)))  # type: ignore[arg-type]


def test_a_sound_registry_agrees(storing: Storing) -> None:
    """Files, versions, the trash and what is being deleted: where all is as it should be nothing is found."""
    for number in range(5):
        storing.upload(str(number), b"%d" % number)
    register(storing, 1)
    storing.upload("trashed", b"trashed")
    gone = storing.upload("gone", b"gone")
    for name in ("trashed", "gone"):
        storing.write(lambda tx, name=name: artifacts.delete_files(tx, (*ROOT, name)))
    storing.mark_deleting(gone)
    storing.place(gone).unlink()
    assert found(storing) == Counter()


def test_bytes_and_rows_are_compared_both_ways(storing: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without bytes or with others, and bytes without rows, are all found, however small the pages are."""
    stored = [storing.upload(str(number), b"%d" % number) for number in range(9)]
    storing.place(stored[0]).unlink()
    storing.place(stored[1]).unlink()
    storing.place(stored[2]).write_bytes(b"longer")
    storing.place(stored[3]).unlink()
    storing.place(stored[3]).mkdir()
    for data in (b"orphan", os.urandom(100)):
        with storing.blobs.begin() as staging:
            staging.write(data)
            staging.commit(name_of(data))
    expected = {Kind.BYTES_MISSING: 2, Kind.BYTES_OTHER: 2, Kind.BYTES_UNKNOWN: 2}
    for batch in (500, 2):
        monkeypatch.setattr(agreement, "_BATCH", batch)
        assert found(storing) == expected


def name_of(data: bytes) -> str:
    """The name that bytes have."""
    digests = artifacts.Digests()
    digests.update(data)
    return digests.content().sha256


def test_names_of_blobs_are_compared(storing: Storing) -> None:
    """Files of a run and of a version whose blob has no row or another size are found, those of a released one not."""
    content, other = storing.upload("file", b"data"), storing.upload("other", b"more data")
    register(storing, 1)
    run(storing, tables.blobs.delete().where(tables.blobs.c.sha256 == content.sha256))
    storing.change_blob(other, size=5)
    assert found(storing) == {
        Kind.BYTES_UNKNOWN: 1,
        Kind.BYTES_OTHER: 1,
        Kind.ROW_MISSING: 2,
        Kind.ROW_OTHER: 2,
    }
    storing.write(lambda tx: artifacts.release_version(tx, "m", 1))
    run(storing, models.versions.update().values(reclaimed_at=1))
    assert found(storing)[Kind.ROW_MISSING] == 1


def test_versions_and_their_files_are_compared(storing: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version without its files, with another list than its digest says, and files of no version are found."""
    for number in range(1, 6):
        storing.upload(f"file-{number}", b"%d" % number)
        register(storing, number)
    digests = {row.version: row.digest for row in storing.read(lambda tx: tx.rows(Prepared(models.versions.select())))}
    run(storing, tables.trees.delete().where(tables.trees.c.owner == "version/m/1"))
    lines = tables.manifest_files
    run(storing, lines.delete().where(lines.c.digest == digests[3], lines.c.path == "file-2"))
    run(storing, lines.update().where(lines.c.digest == digests[4], lines.c.path == "file-4").values(path="a/../b"))
    run(storing, models.versions.delete().where(models.versions.c.version == 5))
    expected = {Kind.FILES_MISSING: 1, Kind.MANIFEST_ALTERED: 2, Kind.VERSION_MISSING: 1}
    assert found(storing) == expected
    monkeypatch.setattr(agreement, "_VERSIONS", 1)
    monkeypatch.setattr(agreement, "_BATCH", 1)
    assert found(storing) == expected


def statuses(storing: Storing) -> dict[str, Status]:
    """The worst that is said of each part."""
    urls = "sqlite:///" + str(storing.folder / "absent.db"), f"file://{storing.folder}"
    lines = checkup.look_at_parts(storing.database, ALICE, storing.blobs, *urls)
    lines += checkup.look_at_left_overs(storing.database, storing.blobs)
    order = list(Status)
    worst: dict[str, Status] = {}
    for line in lines:
        worst[line.name] = max(worst.get(line.name, Status.OK), line.status, key=order.index)
        assert line.remedy or line.status is not Status.BAD
    return worst


def test_each_part_has_its_line(storing: Storing) -> None:
    """Of a sound registry each part is fine (but for a schema that is not there); damage and failing jobs are told."""
    before = statuses(storing)
    assert before.pop("schema") is Status.BAD
    assert before.pop("space") in set(Status)
    assert before == dict.fromkeys(
        ("database", "clock", "store", "staging", "uploads", "damage", "deletions", "jobs"), Status.OK
    )
    content = storing.upload("file", b"data")
    storing.change_blob(content, corrupt_at=1, deleting=1)
    storing.write(lambda tx: queue(tx, "inspect", "late", delay_ms=-3_600_000))
    assert [statuses(storing)[name] for name in ("damage", "deletions", "jobs")] == [
        Status.BAD,
        Status.WARN,
        Status.BAD,
    ]


def test_a_failing_job_is_told_with_its_error(storing: Storing) -> None:
    """A job that failed and is to be tried again is a warning that says why."""
    storing.write(lambda tx: queue(tx, "inspect", "x"))

    def fail(tx: Tx) -> None:
        postpone(tx, claim(tx, '["inspect"]', 1000), 60_000, "the reason")

    storing.write(fail)
    urls = "sqlite:///" + str(storing.folder / "absent.db"), f"file://{storing.folder}"
    lines = checkup.look_at_parts(storing.database, ALICE, storing.blobs, *urls)
    (line,) = [line for line in lines if line.name == "jobs"]
    assert (line.status, "the reason" in line.text) == (Status.WARN, True)


def test_a_worker_is_alive_if_it_takes_the_probe(storing: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who takes the probe is bad; somebody who is busy is not, nor of course somebody who took it."""
    monkeypatch.setattr("modelkeep.checkup.lines._PROBED_S", 0.0)
    statuses(storing)
    assert checkup.look_at_worker(storing.database, ALICE).status is Status.BAD
    storing.write(lambda tx: queue(tx, "inspect", "long"))
    storing.write(lambda tx: claim(tx, '["inspect"]', 60_000))
    assert checkup.look_at_worker(storing.database, ALICE).text == "all workers are busy"
    storing.write(lambda tx: finish(tx, claim(tx, f'["{checkup.PROBE}"]', 60_000)))
    assert checkup.look_at_worker(storing.database, ALICE).text == "a worker is alive"


def test_what_broken_off_uploads_left_is_counted_and_stays(storing: Storing) -> None:
    """A checkup warns of old pieces in the staging folder and removes none of them."""
    (piece,) = [folder / ("0" * 32) for folder in storing.folder.rglob("staging") if folder.is_dir()]
    piece.write_bytes(b"left")
    os.utime(piece, (1, 1))
    assert statuses(storing)["staging"] is Status.WARN
    assert piece.exists()
