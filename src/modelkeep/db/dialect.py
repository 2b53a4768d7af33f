"""Every difference between SQLite and PostgreSQL in the language of statements."""

from typing import Any

from sqlalchemy import BigInteger, BindParameter, Dialect, Double, LargeBinary, String, Table, bindparam, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean, TypeEngine

SQLITE: Dialect = sqlite.dialect(paramstyle="qmark")
POSTGRESQL: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]

# The longest prefix of a tag or parameter value that an index holds: PostgreSQL refuses index rows over 2,700 bytes.
INDEXED_PREFIX = 200


def text() -> TypeEngine[str]:
    """Text that sorts and compares by code point on both databases."""
    return String().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def integer() -> TypeEngine[int]:
    """A 64-bit integer; SQLite's own INTEGER there, so that a primary key is the row id."""
    return BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def real() -> TypeEngine[float]:
    """A double. NaN is not stored (SQLite turns it into NULL): a column beside it says so."""
    return Double().with_variant(sqlite.REAL(), "sqlite")


def blob() -> TypeEngine[bytes]:
    """Raw bytes."""
    return LargeBinary()


def upsert(table: Table, keys: list[str], changed: list[str], where: ColumnElement[bool] | None = None) -> Any:
    """INSERT that, when the key is taken, sets `changed` to the new values (or does nothing if there are none)."""
    insert = postgresql.insert(table)
    if not changed:
        return insert.on_conflict_do_nothing(index_elements=keys)
    return insert.on_conflict_do_update(
        index_elements=keys, set_={name: insert.excluded[name] for name in changed}, where=where
    )


class json_rows(FunctionElement[str]):  # noqa: N801
    """Aggregate: its arguments of every row as JSON text, `[[a, b], ...]`; `[]` when there is no row."""

    inherit_cache = True
    type = String()
    name = "json_rows"


@compiles(json_rows, "sqlite")
def _json_rows_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **kw)}))"


@compiles(json_rows, "postgresql")
def _json_rows_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    inner = compiler.process(element.clauses, **kw)
    return f"coalesce(cast(json_agg(json_build_array({inner})) AS text), '[]')"


class json_objects(FunctionElement[str]):  # noqa: N801
    """Aggregate: its arguments, columns, of every row as JSON text, `[{"column": value, ...}, ...]`; `[]` for none.

    Not for floats, of which SQLite's JSON keeps 15 digits.
    """

    inherit_cache = True
    type = String()
    name = "json_objects"


def _named_members(element: Any, compiler: Any, kw: dict[str, Any]) -> str:
    return ", ".join(f"'{column.name}', {compiler.process(column, **kw)}" for column in element.clauses)


@compiles(json_objects, "sqlite")
def _json_objects_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_group_array(json_object({_named_members(element, compiler, kw)}))"


@compiles(json_objects, "postgresql")
def _json_objects_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    members = _named_members(element, compiler, kw)
    return f"coalesce(cast(json_agg(json_build_object({members})) AS text), '[]')"


class _OneOf(ColumnElement[bool]):
    """`column IN (members of a JSON list bound as text)`: one statement text for lists of any length."""

    inherit_cache = False
    type = Boolean()
    member_type = "text"
    # Without this SQLAlchemy writes `... = 1` behind it on SQLite, which no index serves.
    _is_implicitly_boolean = True

    def __init__(self, column: ColumnElement[Any], members: str | BindParameter[str]) -> None:
        self.column = column
        self.members = bindparam(members, type_=String()) if isinstance(members, str) else members


class one_of_texts(_OneOf):  # noqa: N801
    """`column` is one of the texts in the JSON list bound under the given name."""


class one_of_integers(_OneOf):  # noqa: N801
    """`column` is one of the integers in the JSON list bound under the given name."""

    member_type = "bigint"


@compiles(one_of_texts, "sqlite")
@compiles(one_of_integers, "sqlite")
def _one_of_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    column, members = compiler.process(element.column, **kw), compiler.process(element.members, **kw)
    return f"{column} IN (SELECT value FROM json_each({members}))"  # noqa: S608 - both are compiled, not texts


@compiles(one_of_texts, "postgresql")
@compiles(one_of_integers, "postgresql")
def _one_of_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    column, members = compiler.process(element.column, **kw), compiler.process(element.members, **kw)
    member = f"cast(jsonb_array_elements_text(cast({members} AS jsonb)) AS {element.member_type})"
    return f"{column} = ANY(ARRAY(SELECT {member}))"


def upsert_changed(table: Table, keys: list[str], value: str) -> Any:
    """INSERT that, when the key is taken by another value, replaces it; it counts no row where nothing changed."""
    insert = postgresql.insert(table)
    new = insert.excluded[value]
    return insert.on_conflict_do_update(index_elements=keys, set_={value: new}, where=table.c[value] != new)


def insert_unless_taken(table: Table) -> Any:
    """INSERT that does nothing where any unique index has the values already, and waits for whoever is taking them."""
    return postgresql.insert(table).on_conflict_do_nothing()


class key_rows(FunctionElement[Any]):  # noqa: N801
    """The JSON list `[[text, integer], ...]` bound to its argument, as rows of (position, text, number).

    Use with `.table_valued("position", "text", "number")`: a join to it asks for any number of keys in one statement.
    """

    inherit_cache = True
    name = "key_rows"


@compiles(key_rows, "sqlite")
def _key_rows_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    keys = compiler.process(element.clauses, **kw)
    return f'(SELECT key AS position, value ->> 0 AS "text", value ->> 1 AS number FROM json_each({keys}))'  # noqa: S608


@compiles(key_rows, "postgresql")
def _key_rows_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    keys = compiler.process(element.clauses, **kw)
    columns = 'ordinality AS position, value ->> 0 AS "text", cast(value ->> 1 AS bigint) AS number'
    return f"(SELECT {columns} FROM jsonb_array_elements(cast({keys} AS jsonb)) WITH ORDINALITY)"  # noqa: S608


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """A text column as an expression that no index serves.

    For conditions that only check what others found: SQLite, which keeps no statistics here, believes that any equality
    on the first column of an index leaves ten rows: it would rather read a whole workspace than look up a hundred keys.
    """
    return column.concat(literal_column("''"))
