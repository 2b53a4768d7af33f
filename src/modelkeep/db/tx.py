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


class Appended:
    """Rows that wait for the end of their unit of work, or of the group of units that is committed with it."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[Prepared, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {}

    def add(self, statement: Prepared, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Keep a row of values, which `columns` names."""
        self._rows.setdefault(statement, (columns, []))[1].append(row)

    def write(self, cursor: Cursor, dialect: Dialect) -> None:
        """Write all rows, each statement's in the order they came."""
        for statement, (columns, rows) in self._rows.items():
            write_rows(cursor, statement.for_dialect(dialect), columns, rows)


def write_rows(
    cursor: Cursor, compiled: CompiledStatement, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Run a statement for each row of values, in as few calls of the driver as its database allows."""
    batch = compiled.batch(columns, rows)
    for sql, values in compiled.several(batch):
        cursor.execute(sql, values)
    rest = compiled.left_over(batch)
    if len(rest) == 1:
        cursor.execute(compiled.sql, rest[0])
    elif rest:
        cursor.executemany(compiled.sql, rest)


class Tx:
    """One unit of work on one connection. Use cases take it as their first argument and never commit."""

    __slots__ = ("_appended", "_cursor", "_dialect", "_listeners", "caller", "now")

    def __init__(
        self,
        cursor: Cursor,
        dialect: Dialect,
        caller: Caller,
        now: int,
        listeners: Sequence[Listener] = (),
        appended: Appended | None = None,
    ) -> None:
        self._cursor = cursor
        self._dialect = dialect
        self._listeners = listeners
        self._appended = Appended() if appended is None else appended
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

    def tuples(self, statement: Statement, **values: Any) -> list[tuple[Any, ...]]:
        """All rows as the driver gives them, in the order of the statement's columns: for many rows of few columns."""
        compiled = self._compiled(statement)
        self._cursor.execute(compiled.sql, compiled.values(values))
        return self._cursor.fetchall()

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
            write_rows(self._cursor, self._compiled(statement), columns, rows)

    def append(self, statement: Prepared, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Write a row of values at the end of the transaction, before its commit, together with others like it."""
        self._appended.add(statement, columns, row)

    def emit(self, event: Event) -> None:
        """Tell the listeners, inside this transaction: if one of them fails, the change did not happen."""
        for listener in self._listeners:
            listener(self, event)

    def _compiled(self, statement: Statement) -> CompiledStatement:
        if isinstance(statement, Prepared):
            return statement.for_dialect(self._dialect)
        return compile_statement(statement, self._dialect)
