"""Units of work on both databases: all or nothing, each for itself, right under racing writers."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import bindparam, func, insert, select, update

from db.rows import BINDS, INSERT, WORKSPACES, add, names
from modelkeep import tables
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import InvalidInput
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Prepared, Tx
from modelkeep.db.dialect import json_rows, one_of_integers, one_of_texts, upsert
from modelkeep.db.migrate import create_schema

COUNT = Prepared(select(func.count().label("count")).select_from(WORKSPACES))


@pytest.fixture(name="database")
def _database(database_url: str) -> Iterator[Database]:
    create_schema(database_url)
    opened = open_database(database_url, ())
    yield opened
    opened.close()


def test_what_a_unit_wrote_is_there_for_the_next(database: Database) -> None:
    """A committed row is read by a later unit of work."""
    database.write_now(SYSTEM, lambda tx: add(tx, "a"))

    assert database.read_now(SYSTEM, names) == ["a"]


def test_a_unit_that_raises_leaves_nothing(database: Database) -> None:
    """An exception undoes everything that its unit of work wrote."""

    def fails(tx: Tx) -> None:
        add(tx, "half")
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        database.write_now(SYSTEM, fails)

    assert database.read_now(SYSTEM, names) == []


def test_failing_units_do_not_disturb_the_others_of_their_group(database: Database) -> None:
    """Of many units running at once only those that raise lose their changes."""

    def work(number: int) -> None:
        def unit(tx: Tx) -> None:
            add(tx, f"n{number:03}")
            if number % 3 == 0:
                raise InvalidInput("every third")

        database.write_now(SYSTEM, unit)

    with ThreadPoolExecutor(16) as pool:
        outcomes = [pool.submit(work, number) for number in range(90)]
    failed = [outcome for outcome in outcomes if outcome.exception()]

    assert len(failed) == 30
    assert database.read_now(SYSTEM, names) == [f"n{n:03}" for n in range(90) if n % 3]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 249, 250, 251, 1000])
def test_many_rows_are_written_each_once(database: Database, count: int) -> None:
    """Whatever their number, all rows of a call are there, with their own values, and a repeated key is left out."""
    given = [(f"n{number:04}", f"d{number}", number) for number in range(count)]
    add_rows = Prepared(upsert(WORKSPACES, ["name"], []).values(BINDS))
    columns = ("name", "description", "created_at")

    database.write_now(SYSTEM, lambda tx: tx.run_rows(add_rows, columns, given[: count // 2]))
    database.write_now(SYSTEM, lambda tx: tx.run_rows(add_rows, columns, given + given))

    found = database.read_now(SYSTEM, lambda tx: tx.rows(Prepared(select(WORKSPACES).order_by(WORKSPACES.c.name))))
    assert [(row.name, row.description, row.created_at) for row in found] == given


def test_rows_in_another_order_of_columns_keep_their_values(database: Database) -> None:
    """Many rows may name their columns in any order."""
    rows = [(number, f"n{number:02}", None) for number in range(25)]

    database.write_now(SYSTEM, lambda tx: tx.run_rows(INSERT, ("created_at", "name", "description"), rows))

    found = database.read_now(SYSTEM, lambda tx: tx.rows(Prepared(select(WORKSPACES).order_by(WORKSPACES.c.name))))
    assert [(row.created_at, row.name, row.description) for row in found] == rows


def append(tx: Tx, name: str) -> None:
    tx.append(INSERT, ("name", "description", "created_at"), (name, None, tx.now))


def test_an_appended_row_is_committed_with_its_unit(database: Database) -> None:
    """A row that waits for the end is not there during the unit of work and is there after it."""

    def unit(tx: Tx) -> list[str]:
        append(tx, "later")
        add(tx, "now")
        return names(tx)

    assert database.write_now(SYSTEM, unit) == ["now"]
    assert database.read_now(SYSTEM, names) == ["later", "now"]


def test_an_appended_row_that_cannot_be_written_undoes_its_unit_only(database: Database) -> None:
    """Of units running at once, those whose appended row is refused fail and leave nothing; the others stand."""
    database.write_now(SYSTEM, lambda tx: add(tx, "taken"))

    async def unit(number: int) -> None:
        def work(tx: Tx) -> None:
            add(tx, f"n{number:02}")
            append(tx, f"a{number:02}" if number % 3 else "taken")

        await database.write(SYSTEM, work)

    async def main() -> list[BaseException | None]:
        return list(await asyncio.gather(*(unit(number) for number in range(30)), return_exceptions=True))

    failed = [number for number, outcome in enumerate(asyncio.run(main())) if outcome is not None]

    kept = [number for number in range(30) if number % 3]
    assert failed == [number for number in range(30) if number % 3 == 0]
    assert database.read_now(SYSTEM, names) == [*(f"a{n:02}" for n in kept), *(f"n{n:02}" for n in kept), "taken"]


def test_an_appended_row_of_a_unit_that_raises_is_not_written(database: Database) -> None:
    """What waited for the end goes with the rest."""

    def fails(tx: Tx) -> None:
        append(tx, "half")
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        database.write_now(SYSTEM, fails)

    assert database.read_now(SYSTEM, names) == []


def test_coroutines_get_their_own_answers(database: Database) -> None:
    """Concurrent writes from one event loop each get the result of their own unit."""

    async def main() -> list[int]:
        return list(await asyncio.gather(*(database.write(SYSTEM, lambda tx, n=n: n * n) for n in range(200))))

    assert asyncio.run(main()) == [n * n for n in range(200)]


def test_an_interrupted_reader_sees_one_moment(database: Database) -> None:
    """A read's second statement does not see what was committed after its first."""
    first_read, written = threading.Event(), threading.Event()

    def reader(tx: Tx) -> tuple[int, int]:
        before = tx.row(COUNT).count
        first_read.set()
        written.wait(10)
        return before, tx.row(COUNT).count

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(database.read_now, SYSTEM, reader)
        first_read.wait(10)
        database.write_now(SYSTEM, lambda tx: add(tx, "late"))
        written.set()

    assert outcome.result() == (0, 0)


def test_a_counter_raised_in_parallel_loses_nothing(database: Database) -> None:
    """Forty parallel units that raise one row's counter raise it by forty and see forty different values."""
    counter = tables.runs.experiment_counters
    raise_it = Prepared(
        update(counter)
        .where(counter.c.workspace == bindparam("of"))
        .values(last_id=counter.c.last_id + 1)
        .returning(counter.c.last_id)
    )
    database.write_now(SYSTEM, lambda tx: tx.run(Prepared(insert(counter)), workspace="w", last_id=0))

    with ThreadPoolExecutor(8) as pool:
        values = list(
            pool.map(lambda _: database.write_now(SYSTEM, lambda tx: tx.row(raise_it, of="w").last_id), range(40))
        )

    assert sorted(values) == list(range(1, 41))


def test_upsert_changes_the_named_columns_only(database: Database) -> None:
    """A second insert of a key sets the columns that were named and leaves the rest."""
    statement = Prepared(upsert(WORKSPACES, ["name"], ["description"]))

    def twice(tx: Tx) -> tuple[str, int]:
        tx.run(statement, name="x", description="old", created_at=1, audit_downloads=0)
        tx.run(statement, name="x", description="new", created_at=2, audit_downloads=0)
        row = tx.row(Prepared(select(WORKSPACES)))
        return row.description, row.created_at

    assert database.write_now(SYSTEM, twice) == ("new", 1)


def test_lists_and_aggregates_speak_json_on_both_databases(database: Database) -> None:
    """A list bound as JSON selects its members; rows aggregate to JSON text, `[]` when there is none."""
    by_name = Prepared(
        select(WORKSPACES.c.name).where(one_of_texts(WORKSPACES.c.name, "names")).order_by(WORKSPACES.c.name)
    )
    by_time = Prepared(select(WORKSPACES.c.name).where(one_of_integers(WORKSPACES.c.created_at, "times")))
    rows = Prepared(
        select(json_rows(WORKSPACES.c.name, WORKSPACES.c.created_at).label("j")).where(
            one_of_texts(WORKSPACES.c.name, "names")
        )
    )

    def work(tx: Tx) -> tuple[object, ...]:
        for number, name in enumerate(["a", "b", "c'\"é"]):
            tx.run(INSERT, name=name, description=None, created_at=number)
        found = [row.name for row in tx.rows(by_name, names='["a", "c\'\\"é", "nope"]')]
        at_one = [row.name for row in tx.rows(by_time, times="[1, 7]")]
        empty = tx.row(rows, names="[]").j
        return found, at_one, tx.row(rows, names='["b"]').j.replace(" ", ""), empty

    assert database.write_now(SYSTEM, work) == (["a", "c'\"é"], ["b"], '[["b",1]]', "[]")
