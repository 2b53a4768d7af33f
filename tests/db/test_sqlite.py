"""What is promised of SQLite alone: settings, one process, a full disk."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from modelkeep.bootstrap import open_database
from modelkeep.core.errors import Unavailable
from modelkeep.core.types import SYSTEM
from modelkeep.db.migrate import create_schema
from modelkeep.db.sqlite import connect


def test_connections_are_durable_and_keep_references(tmp_path: Path) -> None:
    """Every connection is WAL, synchronous FULL, with foreign keys on."""
    connection = connect(str(tmp_path / "m.db"))

    found = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
    ]

    assert found == ["wal", 2, 1]


def test_a_second_process_on_one_file_is_refused(tmp_path: Path) -> None:
    """Opening a database that is being served says so and what to do instead."""
    url = f"sqlite:///{tmp_path / 'm.db'}"
    create_schema(url)
    first = open_database(url)
    try:
        with pytest.raises(Unavailable, match=r"in use by another modelkeep process.*postgresql"):
            open_database(url)
    finally:
        first.close()

    open_database(url).close()


def test_files_are_private(tmp_path: Path) -> None:
    """The database file is readable by its owner only."""
    path = tmp_path / "data" / "m.db"
    create_schema(f"sqlite:///{path}")
    open_database(f"sqlite:///{path}").close()

    assert oct(path.stat().st_mode)[-3:] == "600"
    assert oct(path.parent.stat().st_mode)[-3:] == "700"


FULL = """
    import resource, signal, sys
    from modelkeep import tables
    from modelkeep.bootstrap import open_database
    from modelkeep.core.errors import StorageFull
    from modelkeep.core.types import SYSTEM
    from modelkeep.db import Prepared
    from modelkeep.db.migrate import create_schema
    from sqlalchemy import insert, select, func

    workspaces = tables.access.workspaces
    add = Prepared(insert(workspaces))
    count = Prepared(select(func.count().label("n")).select_from(workspaces))
    create_schema(sys.argv[1])
    database = open_database(sys.argv[1], ())
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    written = 0
    try:
        while written < 100:
            name = f"w{written}"
            row = {"name": name, "description": "x" * 100_000, "created_at": 1, "audit_downloads": 0}
            database.write_now(SYSTEM, lambda tx: tx.run(add, **row))
            written += 1
    except StorageFull:
        print("full")
    print(database.read_now(SYSTEM, lambda tx: tx.row(count).n) == written)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    row = {"name": "after", "description": "x" * 100_000, "created_at": 1, "audit_downloads": 0}
    database.write_now(SYSTEM, lambda tx: tx.run(add, **row))
    print(database.read_now(SYSTEM, lambda tx: tx.row(count).n) == written + 1)
    database.close()
"""


def test_a_full_disk_is_told_reads_go_on_and_writing_resumes(tmp_path: Path) -> None:
    """When the file may not grow, writes raise StorageFull, reads answer, and later writes work in the same process."""
    url = f"sqlite:///{tmp_path / 'm.db'}"

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), url], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout.split()) == (0, ["full", "True", "True"]), done.stderr


def test_closing_answers_what_was_queued(tmp_path: Path) -> None:
    """Units of work that were accepted before close are committed and answered."""
    url = f"sqlite:///{tmp_path / 'm.db'}"
    create_schema(url)
    database = open_database(url)

    async def main() -> list[int]:
        waiting = [asyncio.ensure_future(database.write(SYSTEM, lambda tx, n=n: n)) for n in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(main()) == list(range(50))
