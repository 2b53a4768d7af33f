"""What a request asks of the database: every statement of its units of work, in their order."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from modelkeep.core.types import Caller
from modelkeep.db import Database, Tx

T = TypeVar("T")


class Listening:
    """A driver's cursor that writes down what it runs."""

    def __init__(self, cursor: Any, heard: list[str]) -> None:
        self._cursor = cursor
        self._heard = heard
        self.fetchall = cursor.fetchall

    def execute(self, sql: str, values: Any) -> Any:
        """Run one statement."""
        self._heard.append(sql)
        return self._cursor.execute(sql, values)

    def executemany(self, sql: str, values: Any) -> Any:
        """Run one statement for several rows."""
        self._heard.append(f"{sql} x {len(values)}")
        return self._cursor.executemany(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class Counting:
    """A database that writes down every statement that is run for one task, and which way it went; others' not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[Any] | None = None
        self._heard: list[str] = []
        self.alone = database.alone
        self.close = database.close
        self.name = database.name
        self.lingers_ms = database.lingers_ms
        self.readers = database.readers
        self.read_now = database.read_now
        self.write_now = database.write_now

    async def listen(self, work: Coroutine[Any, Any, T]) -> tuple[T, list[str]]:
        """What comes of this work, and every statement that it ran before it was done: not what it left for later."""
        self._task, self._heard = asyncio.current_task(), []
        try:
            return await work, self._heard
        finally:
            self._task = None

    async def write(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """A change."""
        return await self._database.write(caller, self._noted("write", work))

    async def read(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """A look in a thread."""
        return await self._database.read(caller, self._noted("read", work))

    async def read_quickly(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """A look by key."""
        return await self._database.read_quickly(caller, self._noted("look", work))

    def _noted(self, way: str, work: Callable[[Tx], T]) -> Callable[[Tx], T]:
        if asyncio.current_task() is not self._task:
            return work
        heard = self._heard

        def run(tx: Tx) -> T:
            heard.append(way)
            tx._cursor = Listening(tx._cursor, heard)
            return work(tx)

        return run
