"""Rows get their places in order and without gaps, checkpoints follow, and nothing is signed that contradicts one."""

import logging
import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from audit.journal import Journal, Noted
from modelkeep import audit
from modelkeep.audit import log, notes
from modelkeep.audit.entry import COLUMNS, entry_text
from modelkeep.audit.sequence import place_rows, read_batch
from modelkeep.audit.tables import audit_checkpoints, audit_log, audit_tiles
from modelkeep.audit.tables import journal as rows
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import InvalidInput
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db import Tx


def placed(journal: Journal) -> list[tuple[int, int | None]]:
    """The id and the place of each row, by id."""
    return journal.see(lambda tx: tx.tuples(select(rows.c.id, rows.c.seq).order_by(rows.c.id)))


def root_of_rows(journal: Journal) -> bytes:
    """The root over all rows with a place, from nothing but the rows."""
    found = journal.see(lambda tx: tx.tuples(select(*[rows.c[name] for name in COLUMNS]).order_by(rows.c.seq)))
    tiles = log.append(0, {}, [log.leaf_hash(entry_text(row)) for row in found])
    return log.root(len(found), lambda level, number: tiles[level, number])


def test_rows_get_places_in_their_order(journal: Journal) -> None:
    """Every row has a place, from 0 without gaps, and the checkpoint is signed over the root of exactly these rows."""
    journal.note(1300)
    assert {seq for _, seq in placed(journal)} == {None}
    journal.sign()
    assert [seq for _, seq in placed(journal)] == list(range(1300))
    text = notes.open_note(journal.newest().note, journal.keys.verifiers)
    assert notes.read_checkpoint(text) == (journal.keys.origin, 1300, root_of_rows(journal))
    assert journal.verify().findings == []


def test_the_log_grows_in_steps_of_any_size(journal: Journal) -> None:
    """After each of several runs the tree is that of all rows, and every earlier checkpoint still holds."""
    for count in (1, 2, 253, 1, 300, 512, 7):
        journal.grow(count)
    report = journal.verify()
    assert (report.findings, report.checkpoints, report.size) == ([], 7, 1076)


def test_a_row_that_becomes_visible_late_gets_a_later_place(journal: Journal) -> None:
    """A row with an id below those that have places gets the next place: nothing that is signed moves."""
    journal.grow(10)
    journal.note(2)
    late = placed(journal)[10][0]
    hidden = journal.see(lambda tx: tx.tuples(select(rows).where(rows.c.id == late)))[0]
    journal.change(delete(rows).where(rows.c.id == hidden[0]))
    journal.sign()
    journal.change(rows.insert().values(dict(zip(rows.c.keys(), hidden, strict=True))))
    journal.sign()
    assert [seq for _, seq in placed(journal)] == [*range(10), 11, 10]
    assert journal.verify().findings == []


def test_nothing_new_makes_no_checkpoint(journal: Journal) -> None:
    """An empty log has no checkpoint, and a log that did not grow gets no second one."""
    journal.sign()
    assert journal.see(audit.signed_checkpoints, 0, 10) == []
    journal.grow(3)
    journal.sign()
    assert [kept.size for kept in journal.see(audit.signed_checkpoints, 0, 10)] == [3]


def test_when_a_checkpoint_is_due(journal: Journal) -> None:
    """The first entry is signed at once; then a thousand more are waited for, or a minute, or a clock put back."""

    def sizes_after(count: int, at: int | None = None) -> list[int]:
        journal.note(count)
        if at is not None:
            journal.change(update(audit_checkpoints).values(at=audit_checkpoints.c.at + at))
        journal.sequencer.run(journal.database)
        return [kept.size for kept in journal.see(audit.signed_checkpoints, 0, 100)]

    assert sizes_after(1) == [1]
    assert sizes_after(999) == [1]
    assert sizes_after(1) == [1, 1001]
    assert sizes_after(5, at=-61_000) == [1, 1001, 1006]
    assert sizes_after(5, at=120_000) == [1, 1001, 1006, 1011]


def test_a_change_that_fails_leaves_no_row(journal: Journal) -> None:
    """A unit of work that is refused behind its event is not in the log."""

    def refused(tx: Tx) -> None:
        tx.emit(Noted("x"))
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        journal.database.write_now(SYSTEM, refused)
    journal.grow(1)
    assert journal.newest().size == 1


def test_who_and_whence_stand_in_the_entry(journal: Journal) -> None:
    """The entry has who called with their lasting id, from where and why, and the outcome."""
    journal.grow(1)
    proven = journal.see(audit.proven_entry, 0)
    said = proven.entry.decode()
    for part in ('"actor":"álice"', '"actor_id":"u-1"', '"address":"192.0.2.1"', '"reason":"because"'):
        assert part in said
    assert '"outcome":"done"' in said
    assert '"data":"{\\"name\\":\\"n0\\",\\"text\\":\\"\\"}"' in said


@pytest.mark.parametrize("workers", [4], ids=str)
def test_several_processes_place_rows_at_once(journal: Journal, workers: int) -> None:
    """While several writers and sequencers work on one database, every row gets one place and checkpoints hold."""
    several = journal.url.startswith("postgresql")
    databases = [open_database(journal.url) if several else journal.database for _ in range(workers)]
    stop = threading.Event()
    failures: list[BaseException] = []

    def sequence(database) -> None:
        own = audit.Sequencer(journal.keys)
        while not stop.is_set():
            try:
                own.run(database, at_once=True)
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=sequence, args=(database,)) for database in databases]
    writers = [threading.Thread(target=journal.note, args=(400,)) for _ in range(3)]
    for thread in threads + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in threads:
        thread.join()
    journal.sign()
    assert failures == []
    assert sorted(seq for _, seq in placed(journal)) == list(range(1200))
    assert journal.verify().findings == []
    if several:
        for database in databases:
            database.close()


def test_only_one_of_two_batches_that_were_read_together_counts(journal: Journal) -> None:
    """A batch that was read before another process placed the same rows changes nothing."""
    journal.note(5)
    first, second = (journal.see(read_batch, 512) for _ in range(2))
    assert (place_rows(journal.database, first), place_rows(journal.database, second)) == (5, 0)
    journal.sign()
    assert (journal.newest().size, journal.verify().findings) == (5, [])


def broken(journal: Journal, caplog: pytest.LogCaptureFixture) -> str:
    """Let the log grow; what was logged instead of a checkpoint."""
    sizes = [kept.size for kept in journal.see(audit.signed_checkpoints, 0, 100)]
    with caplog.at_level(logging.ERROR, "modelkeep.audit"):
        for _ in range(2):
            journal.grow(1)
    assert [kept.size for kept in journal.see(audit.signed_checkpoints, 0, 100)] == sizes
    (record,) = caplog.records
    return record.getMessage()


def test_a_damaged_tile_stops_signing(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Over tiles that no longer make the signed root nothing is signed; it is logged once."""
    journal.grow(300)
    journal.change(update(audit_tiles).where(audit_tiles.c.number == 1).values(hashes=bytes(44 * 32)))
    assert "its first 300 entries are not those that were signed" in broken(journal, caplog)


def test_a_short_tile_stops_placing(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A tile that has lost hashes is never built upon."""
    journal.grow(300)
    journal.change(update(audit_tiles).where(audit_tiles.c.number == 1).values(hashes=bytes(32)))
    assert "its tiles are damaged: tile 0/1 has 1 hashes, not 44" in broken(journal, caplog)


def test_an_older_copy_of_the_database_is_not_signed_by_the_same_process(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that signed five entries signs nothing over a database that has three."""
    journal.grow(5)
    journal.change(
        delete(rows),
        delete(audit_tiles),
        delete(audit_checkpoints),
        update(audit_log).values(size=0),
    )
    assert "it has 1 entries and had 5: an older copy has taken its place" in broken(journal, caplog)


def test_other_contents_of_the_same_length_are_not_signed_either(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """What the process itself signed counts, whatever the database says was signed."""
    journal.grow(3)
    journal.change(
        update(rows).values(seq=None),
        update(rows).values(actor="mallory"),
        delete(audit_tiles),
        delete(audit_checkpoints),
        update(audit_log).values(size=0),
    )
    assert "its first 3 entries are not those that were signed" in broken(journal, caplog)


def test_a_restarted_process_goes_on(journal: Journal) -> None:
    """A process that begins anew takes up the log where the last one left it, with rows that still wait."""
    journal.grow(20)
    journal.note(20)
    journal.close()
    journal.open()
    journal.sign()
    assert (journal.newest().size, journal.verify().findings) == (40, [])


def test_a_key_that_nobody_knows_is_told_at_the_start(
    journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server whose key did not sign the newest checkpoint says so in its log; one with the key says nothing."""
    audit.tell_unknown_key(journal.database, journal.keys)
    journal.grow(1)
    audit.tell_unknown_key(journal.database, journal.keys)
    assert caplog.records == []
    audit.tell_unknown_key(journal.database, audit.load_or_make_keys(tmp_path / "other-key"))
    assert "all servers of a database need the same --audit-key" in caplog.text


def test_proofs_hold_for_the_checkpoint(journal: Journal) -> None:
    """The proof of every entry, and that of every earlier size, holds for the newest checkpoint's root."""
    journal.grow(270)
    journal.grow(3)
    checkpoint = notes.read_checkpoint(notes.open_note(journal.newest().note, journal.keys.verifiers))
    for seq in (0, 1, 255, 256, 269, 272):
        proven = journal.see(audit.proven_entry, seq)
        assert proven.leaf == log.leaf_hash(proven.entry)
        assert log.includes(checkpoint.root, checkpoint.size, seq, proven.leaf, proven.proof)
    first, last = journal.see(audit.signed_checkpoints, 0, 10)
    old = notes.read_checkpoint(notes.open_note(first.note, journal.keys.verifiers))
    size, proof = journal.see(audit.consistency, first.size, None)
    assert size == last.size
    assert log.is_consistent(old.root, old.size, checkpoint.root, checkpoint.size, proof)


def test_journal_entries_of_other_callers_are_in_the_same_log(journal: Journal) -> None:
    """There is one log for all workspaces."""
    for workspace in ("default", "other"):
        caller = Caller(SYSTEM.actor, workspace)
        journal.database.write_now(caller, lambda tx: tx.emit(Noted("n")))
    journal.sign()
    assert journal.newest().size == 2
