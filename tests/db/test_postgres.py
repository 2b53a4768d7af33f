"""What only PostgreSQL does: its connections end while the server that uses them goes on."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from db.rows import add, names
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import Unavailable
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx
from modelkeep.db.migrate import create_schema


@pytest.fixture(name="url")
def _url(fresh_postgres: Callable[[], str]) -> str:
    url = fresh_postgres()
    create_schema(url)
    return url


@pytest.fixture(name="database")
def _database(url: str) -> Iterator[Database]:
    opened = open_database(url, ())
    yield opened
    opened.close()


def use_all_connections(database: Database) -> None:
    """Have every connection open and of use just now."""
    together = threading.Barrier(database.readers)
    with ThreadPoolExecutor(database.readers) as threads:
        for _ in range(database.readers):
            threads.submit(database.read_now, SYSTEM, lambda tx: together.wait(60))


def end_connections(url: str) -> int:
    """End all connections of others, as a restart of PostgreSQL does; how many these were."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return len(ended.fetchall())


def test_units_of_work_do_not_notice_that_connections_ended_between_them(database: Database, url: str) -> None:
    """All connections end right after use; the next change and the next read of each thread succeed."""
    use_all_connections(database)

    assert end_connections(url) == database.readers

    with ThreadPoolExecutor(database.readers) as threads:
        for written in [threads.submit(database.write_now, SYSTEM, lambda tx, n=n: add(tx, f"w{n}")) for n in range(9)]:
            written.result()
    assert database.read_now(SYSTEM, names) == [f"w{n}" for n in range(9)]


def test_a_read_does_not_notice_it_either(database: Database, url: str) -> None:
    """All connections end right after use; the first thing asked for is a read, and it is answered."""
    use_all_connections(database)
    end_connections(url)

    assert database.read_now(SYSTEM, names) == []


def test_a_unit_of_work_whose_connection_ends_is_not_run_again(database: Database, url: str) -> None:
    """A connection that ends in the middle of a change makes it fail, once, with nothing written."""
    runs: list[str] = []

    def cut(tx: Tx) -> None:
        add(tx, "half")
        runs.append("half")
        end_connections(url)
        add(tx, "more")

    with pytest.raises(Unavailable):
        database.write_now(SYSTEM, cut)

    assert runs == ["half"]
    assert database.read_now(SYSTEM, names) == []


def test_a_change_that_goes_on_after_a_statement_failed_is_not_called_done(database: Database) -> None:
    """A unit of work that overlooks that PostgreSQL refused a statement fails, for nothing of it was written."""

    def overlook(tx: Tx) -> None:
        add(tx, "before")
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            add(tx, "before")

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        database.write_now(SYSTEM, overlook)

    assert database.read_now(SYSTEM, names) == []
