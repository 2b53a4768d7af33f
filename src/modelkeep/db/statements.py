"""Statements are written in SQLAlchemy Core, compiled once for each dialect, and run by the driver itself.

SQLAlchemy's execution layer costs 50-100 us a statement, several times what SQLite needs to answer it; compiling once
and handing text and a dict to the driver keeps its language without that cost. Columns are therefore of types that
need no conversion on either driver: text, integers, floats and bytes.
"""

from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

# How many rows one INSERT takes on SQLite; each a multiple of the next. Few, so that the driver keeps their statements.
_ROWS_AT_ONCE = (250, 10)
_ROW_TYPES: dict[tuple[str, ...], Any] = {}


def row_type(columns: tuple[str, ...]) -> Any:
    """The named-tuple class for these column names; one class per list of names for the life of the process."""
    found = _ROW_TYPES.get(columns)
    if found is None:
        found = _ROW_TYPES[columns] = namedtuple("Row", columns, rename=True)
    return found


class CompiledStatement:
    """Driver text for one dialect, the values fixed in the statement, and (after its first run) its row type.

    SQLite's driver binds by position, a third cheaper for many rows than by name; psycopg binds by name.
    """

    __slots__ = ("_longer", "_make", "_positions", "fixed", "sql")

    def __init__(self, compiled: SQLCompiler) -> None:
        self.sql = str(compiled)
        binds = compiled.binds
        self._positions = tuple(compiled.positiontup or ()) if compiled.positional else None
        self.fixed = {n: v for n, v in compiled.params.items() if not (n in binds and binds[n].required)}
        self._make: Any = None
        self._longer = self._for_several_rows()

    def values(self, given: Mapping[str, Any]) -> Mapping[str, Any] | Sequence[Any]:
        """What the driver binds: a dict, or a list in the order of the text's placeholders."""
        named = {**self.fixed, **given} if self.fixed else given
        return named if self._positions is None else [named[name] for name in self._positions]

    def batch(self, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """What the driver binds for many rows of values named by `columns`; the rows themselves where it can be."""
        if self._positions == columns and not self.fixed:
            return rows
        return [self.values(dict(zip(columns, row, strict=True))) for row in rows]

    def several(self, batch: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
        """Text and values that write the first rows of a batch, several at once; `left_over` are those behind them.

        SQLite's driver gives up and takes back the interpreter's lock for every row that it is handed by itself.
        """
        start = 0
        for size, sql in self._longer:
            while len(batch) - start >= size:
                yield sql, list(chain.from_iterable(batch[start : start + size]))
                start += size

    def left_over(self, batch: Sequence[Any]) -> Sequence[Any]:
        """The rows of a batch that `several` leaves."""
        return batch[len(batch) - len(batch) % self._longer[-1][0] :] if self._longer else batch

    def _for_several_rows(self) -> list[tuple[int, str]]:
        """The text for each number of rows, where this is an INSERT of one row of values bound by position."""
        row = f"({', '.join('?' * len(self._positions or ()))})"
        if self._positions is None or self.sql.count(f"VALUES {row}") != 1:
            return []
        return [(n, self.sql.replace(f"VALUES {row}", f"VALUES {', '.join([row] * n)}")) for n in _ROWS_AT_ONCE]

    def rows(self, description: Iterable[Sequence[Any]] | None, fetched: list[Any]) -> list[Any]:
        """Fetched tuples as named tuples."""
        if not fetched:
            return fetched
        if self._make is None:
            self._make = row_type(tuple(str(column[0]) for column in description or ()))._make
        return list(map(self._make, fetched))


def compile_statement(statement: ClauseElement, dialect: Dialect) -> CompiledStatement:
    """Compile for a dialect, lists in IN expanded to the values that the statement holds."""
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    if not isinstance(compiled, SQLCompiler):
        raise TypeError("only queries and changes of rows are run here")
    return CompiledStatement(compiled)


class Prepared:
    """A statement built once at import, compiled at its first use on each dialect and kept."""

    __slots__ = ("_compiled", "statement")

    def __init__(self, statement: ClauseElement) -> None:
        self.statement = statement
        self._compiled: dict[str, CompiledStatement] = {}

    def for_dialect(self, dialect: Dialect) -> CompiledStatement:
        """Its compiled form."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = compile_statement(self.statement, dialect)
        return found
