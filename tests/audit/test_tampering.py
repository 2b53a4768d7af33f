"""Every way to change what was done: each is found, and by its name, on both databases."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Table, delete, insert, select, update

from audit.journal import Journal
from modelkeep import audit
from modelkeep.audit.tables import audit_checkpoints, audit_log, audit_tiles
from modelkeep.audit.tables import journal as rows

SIZE = 600
Saved = dict[Table, list[tuple[object, ...]]]
TABLES = (rows, audit_tiles, audit_log, audit_checkpoints)


@pytest.fixture
def full(journal: Journal) -> Journal:
    """A journal of 600 entries with three checkpoints."""
    for count in (100, 200, 300):
        journal.grow(count)
    return journal


def edit(**values: object) -> Callable[[Journal], None]:
    """Change columns of the row at place 17."""
    return lambda journal: journal.change(update(rows).where(rows.c.seq == 17).values(**values))


def delete_row(journal: Journal) -> None:
    """Take a row away and leave its place."""
    journal.change(delete(rows).where(rows.c.seq == 17))


def delete_tail(journal: Journal) -> None:
    """Take the last rows away."""
    journal.change(delete(rows).where(rows.c.seq >= 590))


def close_gap(journal: Journal) -> None:
    """Take a row away and let all behind it move up."""
    journal.change(delete(rows).where(rows.c.seq == 17))
    move(journal, 18, SIZE, -1)


def move(journal: Journal, start: int, end: int, by: int) -> None:
    """Give rows other places, by way of places that nobody has."""
    those = (rows.c.seq >= start) & (rows.c.seq < end)
    journal.change(update(rows).where(those).values(seq=rows.c.seq + 10_000))
    journal.change(update(rows).where(rows.c.seq >= 10_000).values(seq=rows.c.seq - 10_000 + by))


def swap(journal: Journal) -> None:
    """Let two rows change places."""
    move(journal, 17, 18, 5_000)
    move(journal, 40, 41, -23)
    move(journal, 5_017, 5_018, -4_977)


def copy_of(journal: Journal, seq: int) -> dict[str, object]:
    """A row's values, without its id and place."""
    (found,) = journal.see(lambda tx: tx.tuples(select(rows).where(rows.c.seq == seq)))
    return {name: value for name, value in zip(rows.c.keys(), found, strict=True) if name not in {"id", "seq"}}


def insert_row(journal: Journal) -> None:
    """Put a row in between, and let all behind it move down."""
    made = copy_of(journal, 17) | {"actor": "mallory", "id": 1_000_000, "seq": 17}
    move(journal, 17, SIZE, 1)
    journal.change(insert(rows).values(made))


def append_row(journal: Journal) -> None:
    """Put a row behind the log, with a place."""
    journal.change(insert(rows).values(copy_of(journal, 17) | {"id": 1_000_000, "seq": SIZE}))


def renumber(journal: Journal) -> None:
    """Give a row another id."""
    journal.change(update(rows).where(rows.c.seq == 17).values(id=1_000_000))


def swap_stretches(journal: Journal) -> None:
    """Let two whole bundles change places."""
    move(journal, 0, 256, 5_000)
    move(journal, 256, 512, -256)
    move(journal, 5_000, 5_256, -4_744)


def tile(level: int, number: int) -> Callable[[Journal], None]:
    """Change a hash within a tile."""

    def damage(journal: Journal) -> None:
        where = (audit_tiles.c.level == level) & (audit_tiles.c.number == number)
        (found,) = journal.see(lambda tx: tx.rows(select(audit_tiles).where(where)))
        hashes = bytes(found.hashes)
        journal.change(update(audit_tiles).where(where).values(hashes=hashes[:32] + bytes(32) + hashes[64:]))

    return damage


def delete_tile(journal: Journal) -> None:
    """Take a tile away."""
    journal.change(delete(audit_tiles).where(audit_tiles.c.level == 0, audit_tiles.c.number == 1))


def edit_row_and_tile(journal: Journal) -> None:
    """Change a row, and the tree so that it fits, but not what was signed: that needs the key."""
    edit(actor="mallory")(journal)
    rebuild(journal)


def rebuild(journal: Journal) -> None:
    """Make the tree anew from the rows as they are now."""
    kept = saved(journal)[audit_checkpoints]
    journal.change(delete(audit_tiles), delete(audit_checkpoints), update(audit_log).values(size=0))
    journal.change(update(rows).values(seq=None))
    journal.sequencer = audit.Sequencer(journal.keys)
    journal.sign()
    journal.change(delete(audit_checkpoints))
    restore(journal, {audit_checkpoints: kept})


def edit_checkpoint(journal: Journal) -> None:
    """Change what a checkpoint says."""
    (kept,) = [one for one in journal.see(audit.signed_checkpoints, 0, 10) if one.size == 300]
    changed = update(audit_checkpoints).where(audit_checkpoints.c.size == 300)
    journal.change(changed.values(note=kept.note.replace("\n300\n", "\n301\n")))


def swap_checkpoint(journal: Journal) -> None:
    """Put the first checkpoint in the place of the second: it is signed, and over other entries."""
    (first,) = [one for one in journal.see(audit.signed_checkpoints, 0, 10) if one.size == 100]
    changed = update(audit_checkpoints).where(audit_checkpoints.c.size == 300)
    journal.change(changed.values(note=first.note.replace("\n100\n", "\n300\n")))


def cut_log(journal: Journal) -> None:
    """Let the log say that it is shorter, with its checkpoints as they were."""
    journal.change(update(audit_log).values(size=550), update(rows).where(rows.c.seq >= 550).values(seq=None))


@dataclass(frozen=True)
class Tampering:
    """Something that somebody with the database can do, and what verification has to say of it."""

    name: str
    do: Callable[[Journal], None]
    told: tuple[str, ...]


TAMPERINGS = [
    Tampering("edited-actor", edit(actor="mallory"), ("changed entry: 17 is not what was logged",)),
    Tampering("edited-time", edit(at=1), ("changed entry: 17 is not what was logged",)),
    Tampering("edited-data", edit(data='{"name":"other"}'), ("changed entry: 17 is not what was logged",)),
    Tampering("edited-reason", edit(reason=""), ("changed entry: 17 is not what was logged",)),
    Tampering("edited-outcome", edit(outcome="refused"), ("changed entry: 17 is not what was logged",)),
    Tampering("edited-workspace", edit(workspace="other"), ("changed entry: 17 is not what was logged",)),
    Tampering("renumbered", renumber, ("changed entry: 17 is not what was logged",)),
    Tampering(
        "deleted-row",
        delete_row,
        ("missing entry: 17 is not there", "missing entry: the journal has 599 rows of the log's 600 entries"),
    ),
    Tampering("deleted-tail", delete_tail, ("missing entry: 590 is not there", "missing entry: 599 is not there")),
    Tampering(
        "closed-gap",
        close_gap,
        ("missing entry: what was logged as 17 is gone", "moved entry: 17 to 598 are what was logged as 18 to 599"),
    ),
    Tampering(
        "reordered",
        swap,
        ("moved entry: 17 is what was logged as 40", "moved entry: 40 is what was logged as 17"),
    ),
    Tampering(
        "inserted",
        insert_row,
        (
            "added entry: 17 was never logged",
            "moved entry: 18 to 599 are what was logged as 17 to 598",
            "missing entry: what was logged as 599 is gone",
            "added entry: the journal has rows up to place 600; the log has 600 entries",
        ),
    ),
    Tampering("appended", append_row, ("added entry: the journal has rows up to place 600; the log has 600 entries",)),
    Tampering(
        "swapped-bundles",
        swap_stretches,
        (
            "moved entry: 0 to 255 are what was logged as 256 to 511",
            "moved entry: 256 to 511 are what was logged as 0 to 255",
        ),
    ),
    Tampering("changed-tile", tile(0, 1), ("changed tile: 1 hash is not that of its entry, as signed",)),
    Tampering("changed-upper-tile", tile(1, 0), ("changed tile: tile/1/000.p/2 is not what the tiles below it make",)),
    Tampering("deleted-tile", delete_tile, ("missing tile: tile/0/001",)),
    Tampering(
        "rebuilt-tree",
        edit_row_and_tile,
        ("wrong checkpoint: checkpoint (100 entries): the first 100 entries are not those that it was signed over",),
    ),
    Tampering(
        "changed-checkpoint",
        edit_checkpoint,
        ("changed checkpoint: checkpoint: the one of 301 entries has a signature that does not hold",),
    ),
    Tampering(
        "swapped-checkpoint",
        swap_checkpoint,
        ("changed checkpoint: checkpoint: the one of 300 entries has a signature that does not hold",),
    ),
    Tampering(
        "cut-log",
        cut_log,
        (
            "shorter log: checkpoint (600 entries) was signed over 600 entries; the log has 550, its end was cut off "
            "or an older copy put in its place",
        ),
    ),
]


def told(report: object) -> list[str]:
    """What a report finds wrong, in words."""
    return [f"{kind}: {text}" for kind, text in report.findings]


def saved(journal: Journal) -> Saved:
    """All of the log's tables."""
    return {table: journal.see(lambda tx, table=table: tx.tuples(select(table))) for table in TABLES}


def restore(journal: Journal, contents: Saved) -> None:
    """Put tables back as they were."""
    for table, found in contents.items():
        names = list(table.c.keys())
        values = [dict(zip(names, row, strict=True)) for row in found]
        journal.change(delete(table), *(insert(table).values(one) for one in values))


def test_an_untouched_log_is_right(full: Journal) -> None:
    """Nothing is found where nothing was changed; and it is said what that does not prove."""
    report = full.verify()
    assert (report.findings, report.size, report.signed, report.checkpoints) == ([], SIZE, SIZE, 3)
    assert "Not proven" in list(report.lines())[-1]
    report = full.verify(full.newest().note)
    assert (report.findings, report.outside) == ([], 1)
    assert "Not proven" not in "".join(report.lines())


@pytest.mark.parametrize("one", TAMPERINGS, ids=lambda one: one.name)
def test_tampering_is_found_and_named(full: Journal, one: Tampering) -> None:
    """Whatever is changed in the database is found, also without a checkpoint from outside, and by its name."""
    one.do(full)
    found = told(full.verify())
    for text in one.told:
        assert text in found, found
    kinds = {text.partition(":")[0] for text in one.told}
    assert {text.partition(":")[0] for text in found} <= kinds | {"wrong checkpoint"}


def test_a_database_put_back_is_found_from_outside_only(full: Journal) -> None:
    """An older copy of the whole database is right in itself; a checkpoint that was kept shows that it is older."""
    kept = full.newest().note
    older = saved(full)
    full.grow(50)
    newest = full.newest().note
    restore(full, older)
    assert told(full.verify()) == []
    assert told(full.verify(kept)) == []
    (found,) = told(full.verify(newest))
    assert found.startswith("shorter log: outside 0 (650 entries) was signed over 650 entries; the log has 600")


def test_a_database_put_back_that_has_grown_since_is_found_from_outside_only(full: Journal) -> None:
    """Other entries after the older copy make another log, which the kept checkpoint contradicts."""
    older = saved(full)
    full.grow(50)
    newest = full.newest().note
    restore(full, older)
    full.sequencer = audit.Sequencer(full.keys)
    full.note(80, "other")
    full.sign()
    assert told(full.verify()) == []
    assert told(full.verify(newest)) == [
        "rewritten log: outside 0 (650 entries): the first 650 entries are not those that it was signed over"
    ]


def test_a_whole_rewrite_with_the_key_is_found_from_outside_only(full: Journal) -> None:
    """Whoever has the database and the key can make a right log of other entries; not one that a kept note fits."""
    kept = full.see(audit.signed_checkpoints, 0, 10)
    edit(actor="mallory")(full)
    rebuild(full)
    full.change(delete(audit_checkpoints))
    full.sequencer = audit.Sequencer(full.keys)
    full.sign()
    assert told(full.verify()) == []
    report = full.verify(*(one.note for one in kept))
    assert [kind for kind, _ in report.findings].count("rewritten log") == 3
    assert "split view" in {kind for kind, _ in report.findings}


def test_a_checkpoint_by_another_key_counts_for_nothing(full: Journal, tmp_path) -> None:
    """A note that a stranger signed, of the same name, is a finding and proves nothing."""
    stranger = audit.load_or_make_keys(tmp_path / "strange")
    note = stranger.signer.checkpoint(SIZE, bytes(32))
    report = full.verify(note)
    assert (told(report), report.outside) == (
        ["changed checkpoint: outside 0: the one of 600 entries is signed by no key that is known here"],
        0,
    )
    report = full.verify(keys=[stranger.signer.verifier.text])
    assert [kind for kind, _ in report.findings] == ["changed checkpoint"] * 3


def test_two_histories_of_one_length_are_found(full: Journal) -> None:
    """Two checkpoints that the same key has signed over the same number of entries show that it told two stories."""
    other = full.keys.signer.checkpoint(SIZE, bytes(32))
    assert [kind for kind, _ in full.verify(full.newest().note, other).findings] == ["split view", "rewritten log"]


def test_checkpoints_of_an_earlier_key_count(full: Journal, tmp_path) -> None:
    """After another key took over, what the earlier one has signed still holds, and the log goes on."""
    path = tmp_path / "audit-key"
    audit.write_over(path, audit.replaced(full.keys))
    full.keys = audit.load_keys(path)
    full.sequencer = audit.Sequencer(full.keys)
    full.grow(5)
    report = full.verify()
    assert (report.findings, report.checkpoints, len(full.keys.earlier)) == ([], 4, 1)
    assert [kind for kind, _ in full.verify(keys=[full.keys.signer.verifier.text]).findings] == [
        "changed checkpoint"
    ] * 3
