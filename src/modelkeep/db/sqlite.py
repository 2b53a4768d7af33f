"""SQLite: one writer thread that commits in groups, readers on connections of their own beside it.

A group is BEGIN IMMEDIATE, the units of work, one COMMIT (one fsync, synchronous=FULL), then all answers. A unit that
fails loses its own changes only. Format and guarantees: https://www.sqlite.org/wal.html
"""

import asyncio
import fcntl
import os
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from modelkeep.core.errors import StorageFull, Unavailable
from modelkeep.core.types import Caller
from modelkeep.db.clock import now_ms
from modelkeep.db.dialect import SQLITE
from modelkeep.db.engine import Job, settle_all
from modelkeep.db.tx import Appended, Listener, Tx

T = TypeVar("T")

_MOST_IN_A_GROUP = 256
_READERS = 4
_FSYNC_FAILED = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA case_sensitive_like=ON",
    "PRAGMA cache_size=-32000",
    "PRAGMA temp_store=MEMORY",
    # Four times the usual: a page that changes again and again is copied into the database file less often.
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA journal_size_limit=67108864",
)


def connect(path: str) -> sqlite3.Connection:
    """A connection in autocommit mode (transactions are begun by hand) with our settings."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512, uri=path.startswith("file:")
    )
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection


class SqliteDatabase:
    """A database file served by this process alone."""

    name = "sqlite"
    readers = _READERS
    lingers_ms = 0  # no other process can open the file

    def __init__(self, path: Path, listeners: Sequence[Listener] = ()) -> None:
        self.path = path
        self._listeners = listeners
        self._purposes: dict[str, threading.Lock] = {}
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_file = lock(path)
        _make_private(path)
        self._writer = connect(str(path))
        self._quick = connect(str(path))
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-read")
        self._queue: deque[Job | None] = deque()
        self._wake = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._write_groups, name="sqlite-write", daemon=True)
        self._thread.start()

    async def write(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()
        self._submit(Job(caller, work, future, loop))
        return cast(T, await future)

    async def read(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, caller, work)

    async def read_quickly(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        with _translated():
            return work(Tx(self._quick.cursor(), SQLITE, caller, now_ms()))

    def write_now(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        future: Future[object] = Future()
        self._submit(Job(caller, work, future, None))
        return cast(T, future.result())

    def read_now(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        cursor = self._reader().cursor()
        with _translated():
            cursor.execute("BEGIN")
            try:
                return work(Tx(cursor, SQLITE, caller, now_ms()))
            finally:
                cursor.execute("ROLLBACK")

    @contextmanager
    def alone(self, purpose: str) -> Iterator[Callable[[], None] | None]:
        lock_of = self._purposes.setdefault(purpose, threading.Lock())
        if not lock_of.acquire(blocking=False):
            yield None
            return
        try:
            yield lambda: None  # no other process can open the file
        finally:
            lock_of.release()

    def close(self) -> None:
        self._queue.append(None)
        self._wake.release()
        self._thread.join()
        self._readers.shutdown()
        for connection in (*self._opened, self._quick, self._writer):
            connection.close()
        os.close(self._lock_file)

    def _submit(self, job: Job) -> None:
        if not self._thread.is_alive():
            raise Unavailable("The database writer has stopped; see the server's log.")
        self._queue.append(job)
        self._wake.release()

    def _reader(self) -> sqlite3.Connection:
        found = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = connect(str(self.path))
            self._opened.append(found)
        return cast(sqlite3.Connection, found)

    def _write_groups(self) -> None:
        while True:
            group = self._take_group()
            if group:
                self._commit(group)
                _answer(group)
            else:
                return

    def _take_group(self) -> list[Job]:
        """Wait for a job and take with it all that have queued up; empty when closing."""
        group: list[Job] = []
        self._wake.acquire()
        while True:
            job = self._queue.popleft()
            if job is None:
                self._queue.appendleft(None)
                self._wake.release()
                return group
            group.append(job)
            if len(group) == _MOST_IN_A_GROUP or not self._wake.acquire(blocking=False):
                return group

    def _commit(self, group: list[Job]) -> None:
        """Run and commit a group; every job has its result or its error afterwards.

        Savepoints cost two statements a job, so the first attempt goes without. If a job fails, nothing of that
        attempt is kept, and a group of several runs again with a savepoint each.
        """
        cursor = self._writer.cursor()
        try:
            if not self._attempt(cursor, group, self._run_together) and len(group) > 1:
                for job in group:
                    job.error = None
                self._attempt(cursor, group, self._run_apart)
        except BaseException as error:  # everybody in the group is told, and the thread must go on
            for job in group:
                job.error = job.error or error
        finally:
            cursor.close()

    def _attempt(
        self, cursor: sqlite3.Cursor, group: list[Job], run: Callable[[sqlite3.Cursor, list[Job]], bool]
    ) -> bool:
        """One transaction of all jobs; False, and nothing kept, if `run` gave up."""
        try:
            with _translated():
                cursor.execute("BEGIN IMMEDIATE")
            if not run(cursor, group):
                return False
            with _translated():
                cursor.execute("COMMIT")
            return True
        finally:
            if self._writer.in_transaction:
                cursor.execute("ROLLBACK")

    def _run_together(self, cursor: sqlite3.Cursor, group: list[Job]) -> bool:
        appended = Appended()
        return all(self._run(cursor, job, appended) for job in group) and _write(cursor, group[-1], appended)

    def _run_apart(self, cursor: sqlite3.Cursor, group: list[Job]) -> bool:
        for job in group:
            appended = Appended()
            cursor.execute("SAVEPOINT unit")
            if not (self._run(cursor, job, appended) and _write(cursor, job, appended)):
                if not self._writer.in_transaction:
                    # SQLite rolled the whole transaction back (a full disk does that): nothing before this is kept.
                    raise StorageFull("The disk is full; nothing was written.") from job.error
                cursor.execute("ROLLBACK TO unit")
            cursor.execute("RELEASE unit")
        return True

    def _run(self, cursor: sqlite3.Cursor, job: Job, appended: Appended) -> bool:
        try:
            with _translated():
                job.result = job.work(Tx(cursor, SQLITE, job.caller, now_ms(), self._listeners, appended))
        except BaseException as error:  # it belongs to whoever asked for the work
            job.error = error
        return job.error is None


def _write(cursor: sqlite3.Cursor, job: Job, appended: Appended) -> bool:
    """Write what waited for the end of a job; False, and the job has the error, if that fails."""
    try:
        with _translated():
            appended.write(cursor, SQLITE)
    except BaseException as error:  # the job fails as if it had written them itself
        job.error = error
    return job.error is None


def _make_private(path: Path) -> None:
    """Close the database file to others before it is opened: its log and shared memory are made with the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _answer(group: list[Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop | None, list[Job]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        if loop is None:
            settle_all(jobs)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(settle_all, jobs)


class _translated:  # noqa: N801 - used as a with-statement
    """SQLite's errors of disk and file in our words; an fsync that failed ends the process.

    After a failed fsync the kernel may have dropped the pages, so a retry would report success for lost data.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, sqlite3.OperationalError):
            return
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _FSYNC_FAILED:
            sys.stderr.write(f"modelkeep: the disk refused to make the database durable ({error}); stopping\n")
            sys.stderr.flush()
            os._exit(70)
        if code in _FULL:
            raise StorageFull("The disk is full; nothing was written.") from error
        if code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
            raise Unavailable("The database does not answer; try again.") from error


def lock(path: Path) -> int:
    """Hold the database file for this process alone; `Unavailable` if another process does."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Unavailable(
            f"{path} is in use by another modelkeep process. SQLite serves one server process; "
            "stop the other one, or use --database postgresql+psycopg://... for several."
        ) from error
    return handle
