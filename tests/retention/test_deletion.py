"""The way of bytes that nothing names: into the trash, out of it again or away for good, whatever breaks off."""

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, update

from modelkeep import artifacts, retention
from modelkeep.artifacts import BlobStore, Guard, GuardedBlobs
from modelkeep.artifacts.deletion import store as deletion_store
from modelkeep.artifacts.tables import blob_chunks, blob_epochs, blobs
from modelkeep.bootstrap import open_database, require_schema
from modelkeep.core.errors import Conflict, InvalidInput, NotFound, Unavailable
from modelkeep.core.types import SYSTEM
from retention.keeper import DAY_MS, Keeper, opened

LARGE = bytes(range(256)) * 4096 * 3


def digest(data: bytes) -> str:
    """The name of a blob."""
    return hashlib.sha256(data).hexdigest()


def unnamed(keeper: Keeper, data: bytes = b"old") -> str:
    """A blob that was uploaded and whose file is deleted."""
    path = f"{keeper.folder(keeper.run())}/file"
    name = keeper.upload(path, data)
    keeper.delete(path)
    return name


def test_what_nothing_names_goes_to_the_trash_and_a_week_later_away(keeper: Keeper) -> None:
    """gc puts an unnamed blob into the trash, leaves it there for seven days, then deletes bytes, row and chunks."""
    name = unnamed(keeper, LARGE)
    first = keeper.gc()
    assert (first.trashed.count, first.trashed.size, first.deleted.count) == (1, len(LARGE), 0)
    assert keeper.trash() == {name} == keeper.held()
    keeper.days_pass(6)
    assert keeper.gc().deleted.count == 0
    keeper.days_pass(2)
    last = keeper.gc()
    assert (last.deleted.count, last.deleted.size) == (1, len(LARGE))
    assert keeper.held() == keeper.known() == set()
    assert keeper.see(lambda tx: tx.rows(select(blob_chunks))) == []


def test_the_journal_hears_of_it(keeper: Keeper) -> None:
    """Putting blobs into the trash and deleting them is told once each, and a run that does nothing tells nothing."""
    unnamed(keeper)
    keeper.kinds()
    keeper.gc(trash_days=0)
    assert keeper.kinds() == ["blobs.trashed", "blobs.deleted"]
    keeper.gc(trash_days=0)
    assert keeper.kinds() == []


@pytest.mark.parametrize("again", ["other path", "same run"])
def test_uploading_the_same_bytes_takes_them_out_of_the_trash(keeper: Keeper, again: str) -> None:
    """Bytes in the trash that are uploaded again are kept, however long they had been there."""
    folder = keeper.folder(keeper.run())
    keeper.upload(f"{folder}/file", b"again")
    keeper.delete(f"{folder}/file")
    keeper.gc()
    keeper.upload(f"{folder}/file" if again == "same run" else f"{keeper.folder(keeper.run())}/other", b"again")
    assert keeper.trash() == set()
    keeper.days_pass(30)
    keeper.gc(trash_days=0)
    assert keeper.held() == {digest(b"again")}


def test_what_a_run_a_logged_model_or_a_version_names_stays(keeper: Keeper) -> None:
    """Nothing that a file of a tree or a version names is trashed, with zero grace, even if the trees' files went."""
    keeper.model()
    folder = keeper.folder(keeper.run())
    keeper.upload(f"{folder}/kept", b"kept")
    keeper.version("frozen")
    done = keeper.gc(older_than=0, trash_days=0)
    assert (done.trashed.count, done.deleted.count) == (0, 0)
    assert keeper.held() == {digest(b"kept"), digest(b"frozen")}
    assert keeper.content(1) == b"frozen"


def test_other_workspaces_bytes_are_looked_at_too(keeper: Keeper) -> None:
    """A blob that only another workspace names is kept when this one lets go of it."""
    other = keeper.within("team-b")
    other.upload(f"{other.folder(other.run())}/file", b"shared")
    unnamed(keeper, b"shared")
    keeper.gc(trash_days=0)
    assert other.held() == {digest(b"shared")}


@pytest.mark.parametrize("lost", ["nothing", "some bytes", "all bytes"])
def test_a_deletion_that_broke_off_is_finished_first(keeper: Keeper, lost: str) -> None:
    """Blobs marked as being deleted, with their bytes there or gone, are finished by the chore without waiting."""
    names = [unnamed(keeper, b"%d" % index) for index in range(3)]
    keeper.gc()
    assert len(keeper.do(_mark, names)) == 3
    for name in names[: {"nothing": 0, "some bytes": 1, "all bytes": 3}[lost]]:
        keeper.blobs.delete(name)
    keeper.days_pass(1)
    retention.finish_deletions(keeper.database, keeper.blobs)
    assert keeper.held() == keeper.known() == set()


@pytest.mark.parametrize("passed_ms", [0, 4 * 60_000, 6 * 60_000], ids=["at once", "soon", "later"])
def test_a_deletion_is_taken_over_when_nobody_can_be_at_it_any_more(keeper: Keeper, passed_ms: int) -> None:
    """Where others may share the database, marked blobs wait until a removal that was on its way must have ended."""
    name = unnamed(keeper)
    keeper.gc()
    keeper.do(_mark, [name])
    keeper.do(lambda tx: tx.run(update(blobs).values(deleting_at=blobs.c.deleting_at - passed_ms)))
    retention.finish_deletions(keeper.database, keeper.blobs)
    is_taken_over = passed_ms >= keeper.database.lingers_ms
    assert keeper.known() == keeper.held() == (set() if is_taken_over else {name})


class Revoked(GuardedBlobs):
    """A store whose first removal ends all connections that are alone, as a restart of PostgreSQL does."""

    def __init__(self, inner: BlobStore, url: str) -> None:
        super().__init__(inner, Guard("test"))
        self.url = url
        self.removed: list[str] = []
        self.lock = threading.Lock()

    def delete(self, sha256: str) -> None:
        """Remove, and revoke; others wait for that."""
        with self.lock:
            if not self.removed:
                _end_other_connections(self.url)
            self.removed.append(sha256)
        super().delete(sha256)


def test_who_is_no_longer_alone_removes_nothing_more(fresh_postgres: Any, tmp_path: Path) -> None:
    """Once the connection is lost, no further removal begins but those that had begun, and no row is forgotten."""
    url = fresh_postgres()
    for keeper in opened(url, tmp_path / "blobs"):
        names = [unnamed(keeper, b"%d" % index) for index in range(40)]
        keeper.gc()
        store = Revoked(keeper.blobs, url)
        with pytest.raises(Unavailable):
            artifacts.empty_trash(keeper.database, SYSTEM, store, 0)
        assert len(store.removed) <= 16
        assert keeper.known() == set(names)


def test_the_chore_for_broken_off_deletions_leaves_the_trash_alone(keeper: Keeper) -> None:
    """What merely lies in the trash stays there when a broken-off deletion is finished."""
    going, waiting = unnamed(keeper, b"going"), unnamed(keeper, b"waiting")
    keeper.gc()
    keeper.days_pass(100)
    keeper.do(_mark, [going])
    keeper.days_pass(1)
    retention.finish_deletions(keeper.database, keeper.blobs)
    assert keeper.held() == keeper.trash() == {waiting}


def test_the_hourly_chore_deletes_after_seven_days(keeper: Keeper) -> None:
    """The chore deletes what has been in the trash for a week, and trashes nothing by itself."""
    old = unnamed(keeper, b"old")
    keeper.gc()
    keeper.days_pass(8)
    young = unnamed(keeper, b"young")
    retention.empty_old_trash(keeper.database, keeper.blobs)
    assert keeper.held() == {young}
    assert old not in keeper.known()
    assert keeper.trash() == set()


def test_what_is_named_again_leaves_the_trash_instead_of_the_store(keeper: Keeper) -> None:
    """A trash mark on a blob that something names is lifted when its time has come, and nothing is deleted."""
    path = f"{keeper.folder(keeper.run())}/file"
    name = keeper.upload(path, b"named")
    keeper.do(lambda tx: tx.run(blobs.update().values(trashed_at=1)))
    assert keeper.gc().deleted.count == 0
    assert (keeper.held(), keeper.trash()) == ({name}, set())


def test_bytes_without_a_row_are_adopted_through_the_trash(keeper: Keeper) -> None:
    """Bytes that the database does not know are listed as orphans, come into the trash, and go when its time is up."""
    with keeper.blobs.begin() as staging:
        staging.write(b"orphan")
        staging.commit(digest(b"orphan"))
    found = artifacts.orphans(keeper.database, keeper.caller, keeper.blobs, "", 10).found
    assert [(one.sha256, one.size) for one in found] == [(digest(b"orphan"), 6)]
    assert keeper.gc().trashed.count == 1
    assert artifacts.orphans(keeper.database, keeper.caller, keeper.blobs, "", 10) == ([], None)
    assert keeper.held() == keeper.trash() == {digest(b"orphan")}
    assert keeper.gc(trash_days=0).deleted.count == 1
    assert keeper.held() == set()


def _orphan(keeper: Keeper, data: bytes) -> str:
    with keeper.blobs.begin() as staging:
        staging.write(data)
        staging.commit(digest(data))
    return digest(data)


def test_the_search_for_orphans_stops_when_its_time_is_up(keeper: Keeper) -> None:
    """With no time a call finds one orphan and says where it stopped; calls from there on find all, each once."""
    names = sorted(_orphan(keeper, b"orphan %d" % index) for index in range(3))
    found, after = [], ""
    for _ in range(4):
        page = artifacts.orphans(keeper.database, keeper.caller, keeper.blobs, after, 10, lambda: False)
        found += [one.sha256 for one in page.found]
        after = page.following or after
    assert (found, page.following) == (names, None)


def test_a_run_without_time_comes_further_with_every_call(keeper: Keeper) -> None:
    """Each call does some of one step and says where it stopped; going on from there empties the trash and ends."""
    trashed = [unnamed(keeper, b"old %d" % index) for index in range(3)]
    orphan = _orphan(keeper, b"orphan")
    place, deleted, calls = retention.START, 0, 0
    while place is not None:
        done = retention.reclaim(keeper.database, keeper.caller, keeper.blobs, retention.Terms(), 0, 0, place)
        place, deleted, calls = done.following, deleted + done.deleted.count, calls + 1
        assert calls < 20
    assert (deleted, keeper.held(), keeper.trash()) == (len(trashed), {orphan}, {orphan})


def test_the_trash_is_emptied_before_the_store_is_walked(keeper: Keeper) -> None:
    """What may be deleted is gone by the time that a run looks for bytes without a row."""
    unnamed(keeper)
    place = retention.START
    while place.step < retention.Step.ADOPTED:
        done = retention.reclaim(keeper.database, keeper.caller, keeper.blobs, retention.Terms(), 0, 0, place)
        assert done.following is not None
        place = done.following
    assert keeper.held() == set()


def test_a_place_that_is_none_is_refused(keeper: Keeper) -> None:
    """A run cannot go on from a step that there is not."""
    with pytest.raises(InvalidInput, match="cursor"):
        retention.reclaim(keeper.database, keeper.caller, keeper.blobs, retention.Terms(), 7, 60, retention.Place(9))


def test_an_adopted_orphan_is_kept_by_its_upload(keeper: Keeper) -> None:
    """An upload whose bytes were adopted between its commit and its naming keeps them."""
    with keeper.blobs.begin() as staging:
        staging.write(b"late")
        staging.commit(digest(b"late"))
    keeper.gc()
    keeper.upload(f"{keeper.folder(keeper.run())}/file", b"late")
    keeper.days_pass(30)
    keeper.gc()
    assert keeper.held() == {digest(b"late")}


def test_a_version_of_bytes_that_are_being_deleted_is_refused(keeper: Keeper) -> None:
    """A manifest whose blobs are being deleted, or are gone, cannot be published; uploading them again heals that."""
    keeper.model()
    folder = keeper.folder(keeper.run())
    name = keeper.upload(f"{folder}/weights", b"going")
    frozen = keeper.do(artifacts.freeze, tuple(folder.split("/")))
    assert frozen is not None
    keeper.delete(f"{folder}/weights")
    keeper.gc()
    keeper.do(_mark, [name])
    with pytest.raises(Conflict, match="upload them again"):
        keeper.do(artifacts.publish, "m", 1, frozen.digest)
    keeper.days_pass(1)
    keeper.gc(trash_days=0)
    with pytest.raises(Conflict, match="upload them again"):
        keeper.do(artifacts.publish, "m", 1, frozen.digest)
    keeper.upload(f"{folder}/weights", b"going")
    keeper.register(folder)
    assert keeper.content(1) == b"going"


def test_publishing_takes_blobs_out_of_the_trash(keeper: Keeper) -> None:
    """A manifest whose blobs lie in the trash can be published, and they are kept from then on."""
    folder = keeper.folder(keeper.run())
    name = keeper.upload(f"{folder}/weights", b"back")
    frozen = keeper.do(artifacts.freeze, tuple(folder.split("/")))
    assert frozen is not None
    keeper.delete(f"{folder}/weights")
    keeper.gc()
    assert keeper.trash() == {name}
    keeper.do(artifacts.publish, "m", 1, frozen.digest)
    assert keeper.trash() == set()
    keeper.days_pass(30)
    keeper.gc(trash_days=0)
    assert keeper.held() == {name}


def test_beginning_and_ending_deletions_raises_the_epoch(keeper: Keeper) -> None:
    """Uploads that overlap a deletion can tell so: the epoch is another one after each of its two steps."""
    name = unnamed(keeper)
    keeper.gc()
    epochs = [_epoch(keeper)]
    keeper.do(_mark, [name])
    epochs.append(_epoch(keeper))
    keeper.days_pass(1)
    retention.finish_deletions(keeper.database, keeper.blobs)
    epochs.append(_epoch(keeper))
    assert len(set(epochs)) == 3


def test_only_one_empties_the_trash(keeper: Keeper) -> None:
    """While somebody empties the trash, another one is refused; afterwards it may."""
    with keeper.database.alone("reclaiming") as check:
        assert check is not None
        check()
        told = []

        def second() -> None:
            try:
                keeper.gc()
            except Conflict as error:
                told.append(str(error))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert "already" in told[0]
    keeper.gc()


def test_a_lost_connection_ends_being_alone(fresh_postgres: Any, tmp_path: Any) -> None:
    """On PostgreSQL, whoever lost the connection that made it the only one is told so before it goes on."""
    url = fresh_postgres()
    require_schema(url)
    database = open_database(url)
    try:
        with pytest.raises(Unavailable), database.alone("reclaiming") as check:
            assert check is not None
            _end_other_connections(url)
            check()
    finally:
        database.close()


def _end_other_connections(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND pid <> pg_backend_pid()"
        )


def test_a_store_that_does_not_answer_leaves_work_for_the_next_run(keeper: Keeper, tmp_path: Any) -> None:
    """If bytes cannot be deleted, the run says so, and the next one deletes them."""
    name = unnamed(keeper)
    keeper.gc()
    shard = tmp_path / "blobs" / "sha256" / name[:2] / name[2:4]
    hidden = shard.rename(shard.with_name("hidden"))
    shard.write_bytes(b"not a folder")
    with pytest.raises(Exception, match="did not write"):
        keeper.gc(trash_days=0)
    shard.unlink()
    hidden.rename(shard)
    keeper.days_pass(1)
    assert keeper.gc(trash_days=0).deleted.count == 1
    assert keeper.held() == keeper.known() == set()


def test_many_blobs_go_in_batches(keeper: Keeper) -> None:
    """More blobs than one transaction takes are all trashed and deleted, and all listed page by page."""
    folder = keeper.folder(keeper.run())
    for index in range(1203):
        keeper.do(_name_only, f"{folder}/{index}", f"{index:064x}")
    keeper.delete(folder)
    listed: list[str] = []
    while page := keeper.see(artifacts.unnamed_blobs, listed[-1] if listed else "", 500):
        listed += [one.sha256 for one in page]
    assert len(listed) == len(set(listed)) == 1203
    done = keeper.gc(trash_days=0)
    assert (done.trashed.count, done.deleted.count) == (1203, 1203)
    assert keeper.known() == set()


def test_files_of_a_reclaimed_version_are_not_served(keeper: Keeper) -> None:
    """Reading a file of a released version is refused by a message that says what happened, and listing it too."""
    keeper.model()
    keeper.version("gone")
    uri = keeper.show(1).download_uri.removeprefix("mlflow-artifacts:/")
    keeper.do(artifacts.release_version, keeper.show(1).model_id, 1)
    for use_case in (artifacts.list_folder, artifacts.freeze, artifacts.files_at):
        with pytest.raises(NotFound, match="reclaimed"):
            keeper.do(use_case, tuple(uri.split("/")))
    with pytest.raises(NotFound, match="reclaimed"):
        keeper.see(artifacts.find_file, (*uri.split("/"), "weights"))


def _mark(tx: Any, names: list[str]) -> list[Any]:
    return deletion_store.mark(tx, names, tx.now + DAY_MS)


def _epoch(keeper: Keeper) -> int:
    return int(keeper.database.read_now(SYSTEM, lambda tx: tx.row(select(blob_epochs.c.epoch)).epoch))


def _name_only(tx: Any, path: str, sha256: str) -> None:
    content = artifacts.Content(sha256, 1, None)
    artifacts.put_file(tx, tuple(path.split("/")), content, artifacts.deletion_epoch(tx))


@pytest.mark.parametrize("how", ["upload", "version"])
def test_whoever_is_naming_a_blob_keeps_it(keeper: Keeper, how: str) -> None:
    """A deletion that begins while a transaction names the blob waits for that, and then leaves the blob alone."""
    folder = keeper.folder(keeper.run())
    name = keeper.upload(f"{folder}/file", b"contested")
    frozen = keeper.do(artifacts.freeze, tuple(folder.split("/")))
    assert frozen is not None
    keeper.delete(f"{folder}/file")
    keeper.gc()
    named, marking = threading.Event(), threading.Event()
    marked: list[Any] = []

    def naming(tx: Any) -> None:
        if how == "upload":
            content = artifacts.Content(name, 9, None)
            artifacts.put_file(tx, (*folder.split("/"), "file"), content, artifacts.deletion_epoch(tx))
        else:
            artifacts.publish(tx, "m", 1, frozen.digest)
        named.set()
        marking.wait(30)
        time.sleep(0.3)  # so that the deletion is well under way, if it does not wait

    def deletion() -> None:
        named.wait(30)
        marking.set()
        marked.extend(keeper.do(_mark, [name]))

    thread = threading.Thread(target=deletion)
    thread.start()
    keeper.do(naming)
    thread.join()
    assert marked == []
    keeper.gc(trash_days=0)
    assert keeper.held() == {name}
