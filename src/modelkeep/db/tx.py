"""A transaction as use cases see it: run statements, know the caller and the time, tell what happened."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Dialect
from sqlalchemy.sql.elements import ClauseElement

from modelkeep.core.events import Event
from modelkeep.core.types import Actor, Caller
from modelkeep.db.statements import CompiledStatement, Prepared, compile_statement

Statement = Prepared | ClauseElement


class Cursor(Protocol):
    """What both drivers' cursors have."""

    @property
    def description(self) -> Any: ...

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: Any, values: Any, /) -> Any: ...

    def executemany(self, sql: Any, values: Any, /) -> Any: ...

    def fetchall(self) -> list[Any]: ...


Listener = Callable[["Tx", Event], None]


class Tx:
    """One unit of work on one connection. Use cases take it as their first argument and never commit."""

    __slots__ = ("_cursor", "_dialect", "_listeners", "caller", "now")

    def __init__(
        self, cursor: Cursor, dialect: Dialect, caller: Caller, now: int, listeners: Sequence[Listener] = ()
    ) -> None:
        self._cursor = cursor
        self._dialect = dialect
        self._listeners = listeners
        self.caller = caller
        self.now = now

    @property
    def workspace(self) -> str:
        """The workspace that every name and query of this unit of work belongs to."""
        return self.caller.workspace

    @property
    def actor(self) -> Actor:
        """Who is calling."""
        return self.caller.actor

    def rows(self, statement: Statement, **values: Any) -> list[Any]:
        """All rows, as named tuples."""
        compiled = self._compiled(statement)
        self._cursor.execute(compiled.sql, compiled.values(values))
        return compiled.rows(self._cursor.description, self._cursor.fetchall())

    def row(self, statement: Statement, **values: Any) -> Any | None:
        """The first row, or None."""
        found = self.rows(statement, **values)
        return found[0] if found else None

    def run(self, statement: Statement, **values: Any) -> int:
        """Change rows; how many it changed."""
        compiled = self._compiled(statement)
        self._cursor.execute(compiled.sql, compiled.values(values))
        return self._cursor.rowcount

    def run_many(self, statement: Statement, values: Iterable[Mapping[str, Any]]) -> None:
        """Run one statement for each dict of values."""
        compiled = self._compiled(statement)
        batch = [compiled.values(one) for one in values]
        if batch:
            self._cursor.executemany(compiled.sql, batch)

    def run_rows(self, statement: Statement, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement for each row of values, which `columns` names; the cheapest way to write many."""
        if rows:
            compiled = self._compiled(statement)
            self._cursor.executemany(compiled.sql, compiled.batch(columns, rows))

    def emit(self, event: Event) -> None:
        """Tell the listeners, inside this transaction: if one of them fails, the change did not happen."""
        for listener in self._listeners:
            listener(self, event)

    def _compiled(self, statement: Statement) -> CompiledStatement:
        if isinstance(statement, Prepared):
            return statement.for_dialect(self._dialect)
        return compile_statement(statement, self._dialect)
