"""PostgreSQL: a pool of connections, a thread for each, whole units of work repeated when the database asks for it."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg import errors, pq
from psycopg_pool import ConnectionPool, PoolTimeout

from modelkeep.core.errors import InvalidInput, StorageFull, Unavailable
from modelkeep.core.types import Caller
from modelkeep.db.clock import now_ms
from modelkeep.db.dialect import POSTGRESQL
from modelkeep.db.tx import Appended, Listener, Tx

T = TypeVar("T")

_TRIES = 8
_RETRIED = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)
_POOL_TIMEOUT_S = 10.0
# Our statements are look-ups and short index walks: compiling them, or sharing them between workers, costs more than
# running them; and the indexes they walk are in memory.
_OPTIONS = "-c jit=off -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"

_Connection = psycopg.Connection[tuple[object, ...]]


class _Gone(Exception):
    """The connection had ended before the unit of work began."""


class PostgresDatabase:
    """A PostgreSQL database; any number of server processes may share it."""

    name = "postgresql"
    # A step is one removal from the artifact store: a handful of requests with half a minute each.
    lingers_ms = 5 * 60 * 1000

    def __init__(self, url: str, listeners: Sequence[Listener] = (), connections: int = 10) -> None:
        self.readers = connections
        self._listeners = listeners
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._pool = ConnectionPool(
            self._url,
            min_size=1,
            max_size=connections,
            timeout=_POOL_TIMEOUT_S,
            # Its waits between tries double: left to itself, it would find PostgreSQL back minutes after it is.
            reconnect_timeout=_POOL_TIMEOUT_S,
            kwargs={"autocommit": True, "application_name": "modelkeep", "options": _OPTIONS},
            open=True,
        )
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="postgres")

    async def write(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.write_now, caller, work)

    async def read(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_now, caller, work)

    async def read_quickly(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        return await self.read(caller, work)

    def write_now(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        return self._repeat(lambda connection: self._write(connection, caller, work))

    def read_now(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        return self._repeat(lambda connection: _read(connection, caller, work))

    @contextmanager
    def alone(self, purpose: str) -> Iterator[Callable[[], None] | None]:
        # A connection of its own: PostgreSQL lets go of the lock as soon as that ends, however it does.
        with _translated(), psycopg.connect(self._url, autocommit=True) as connection:
            taken = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 7270021))", [purpose])
            row = taken.fetchone()

            def check() -> None:
                with _translated():
                    connection.execute("SELECT 1")

            yield check if row and row[0] else None

    def close(self) -> None:
        self._threads.shutdown()
        self._pool.close()

    def _write(self, connection: _Connection, caller: Caller, work: Callable[[Tx], T]) -> T:
        _begin(connection, "BEGIN")
        try:
            with connection.cursor() as cursor:
                appended = Appended()
                result = work(Tx(cursor, POSTGRESQL, caller, now_ms(), self._listeners, appended))
                appended.write(cursor, POSTGRESQL)
            _check_sound(connection)
        except BaseException:
            _roll_back(connection)
            raise
        connection.commit()
        return result

    def _repeat(self, attempt: Callable[[_Connection], T]) -> T:
        """Run a unit of work, again with a fresh connection where it is certain that nothing was committed."""
        for tries in range(1, _TRIES + 1):
            try:
                with self._pool.connection() as connection:
                    return attempt(connection)
            except _Gone as error:
                if tries == _TRIES:
                    raise Unavailable("The database does not answer; try again.") from error
                # Most likely PostgreSQL was restarted, and the others have ended as well.
                self._pool.drain()
            except _RETRIED as error:
                if tries == _TRIES:
                    raise Unavailable("Too many writers at once; try again.") from error
                time.sleep(random.uniform(0, 0.01 * 2**tries))  # noqa: S311 - spreads retries, guards nothing
            except errors.DiskFull as error:
                raise StorageFull("The database's disk is full; nothing was written.") from error
            except errors.ProgramLimitExceeded as error:
                # An index holds no row over 2,700 bytes: nearly always a long path of a file, which no retry shortens.
                raise InvalidInput("A name or path is too long to be stored in PostgreSQL.") from error
            except (psycopg.OperationalError, PoolTimeout) as error:
                raise Unavailable("The database does not answer; try again.") from error
        raise AssertionError("unreachable")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unavailable("The database does not answer; try again.") from error


def _begin(connection: _Connection, statement: str) -> None:
    """Begin a transaction, which shows as well whether the connection still stands; asking would cost more."""
    try:
        connection.execute(statement)
    except psycopg.OperationalError as error:
        raise _Gone from error


def _check_sound(connection: _Connection) -> None:
    """Raise where a statement failed and the unit of work went on: COMMIT would roll all of it back and say nothing."""
    if connection.info.transaction_status == pq.TransactionStatus.INERROR:
        raise errors.InFailedSqlTransaction("a statement failed, and the unit of work went on")


def _roll_back(connection: _Connection) -> None:
    if not connection.closed:
        connection.rollback()


def _read(connection: _Connection, caller: Caller, work: Callable[[Tx], T]) -> T:
    _begin(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        with connection.cursor() as cursor:
            return work(Tx(cursor, POSTGRESQL, caller, now_ms()))
    finally:
        _roll_back(connection)
