"""The columns that rows are ordered by: missing values behind all others, NaN behind all numbers."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Double, String, and_, bindparam, case, cast, func, literal_column, not_, or_, select
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import FromClause

from modelkeep.db.dialect import INDEXED_PREFIX, integer
from modelkeep.search.compile import Condition, beside
from modelkeep.search.shape import Sort
from modelkeep.search.store.targets import Side, Target

PRESENT, NAN, MISSING = 0, 1, 2


class Part(Struct, frozen=True, eq=False):
    """One column to order by."""

    column: ColumnElement[Any]
    ascending: bool

    def beyond(self, bound: ColumnElement[Any]) -> Condition:
        """Values that come after a bound."""
        return self.column > bound if self.ascending else self.column < bound

    @property
    def ordered(self) -> ColumnElement[Any]:
        """Its term of ORDER BY."""
        return self.column.asc() if self.ascending else self.column.desc()


def is_ranked(target: Target, sort: Sort) -> bool:
    """True where rows may have no value to order by; then a rank goes before it."""
    return sort.named or bool(getattr(target.attributes[sort.place], "nullable", False))


def directions(target: Target, sort: Sort) -> list[bool]:
    """Which of the key's columns ascend: its rank, the beginning of a free text, its value."""
    twice = sort.named and not target.sides[sort.place].numbers
    return [True] * is_ranked(target, sort) + [sort.ascending] * (1 + twice)


def complete_parts(target: Target, sort: Sort, rows: FromClause | None) -> list[Part]:
    """The columns of a sort key, with something in each for every row. `rows` are the joined ones of a free key."""
    if not is_ranked(target, sort):
        return [Part(target.attributes[sort.place], sort.ascending)]
    there = _rank(PRESENT)
    if rows is None:
        missing: Condition = target.attributes[sort.place].is_(None)
    else:
        side = target.sides[sort.place]
        missing, there = rows.c[side.key].is_(None), rows.c.is_nan if side.numbers else there
    rank = Part(case((missing, _rank(MISSING)), else_=there), True)
    return [
        rank,
        *(Part(func.coalesce(column, _zero(column)), sort.ascending) for column in _values(target, sort, rows)),
    ]


def parts_with(target: Target, sort: Sort, rows: FromClause | None) -> list[Part]:
    """The columns of a sort key where it is known to be present, without anything that hides them from an index."""
    values = [Part(column, sort.ascending) for column in _values(target, sort, rows)]
    return [Part(_rank(PRESENT), True), *values] if is_ranked(target, sort) else values


def parts_without(target: Target, sort: Sort, rank: int) -> list[Part]:
    """The columns of a sort key that is known to be NaN or missing."""
    return [Part(_rank(rank), True), *(Part(_zero(value), sort.ascending) for value in _values(target, sort, None))]


def parts_equal(target: Target, sort: Sort, at: int) -> list[Part]:
    """The columns of a sort key that is known to be what is bound from column `at` on."""
    values = _values(target, sort, None)
    bound = [bindparam(f"c{at + 1 + i}", type_=value.type) for i, value in enumerate(values)]
    return [Part(_rank(PRESENT), True), *(Part(value, sort.ascending) for value in bound)]


def _rank(rank: int) -> ColumnElement[Any]:
    return literal_column(str(rank), integer())


def _values(target: Target, sort: Sort, rows: FromClause | None) -> list[ColumnElement[Any]]:
    if not sort.named:
        return [target.attributes[sort.place]]
    side = target.sides[sort.place]
    value = (side.rows if rows is None else rows).c[side.value]
    return [value] if side.numbers else [beginning(value), value]


def beginning(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """As much of a text as the indexes of values hold, in the very words of those indexes."""
    return func.substr(value, literal_column("1"), literal_column(str(INDEXED_PREFIX)), type_=value.type)


def _zero(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, String):
        return literal_column("''", column.type)
    return (
        cast(literal_column("0"), column.type) if isinstance(column.type, Double) else literal_column("0", column.type)
    )


def joined(target: Target, sort: Sort, rows: FromClause) -> Condition:
    """What joins the rows of a free sort key, at most one to each of the target's."""
    side = target.sides[sort.place]
    tied = [*beside(target, side, rows), *keyed(side, sort, rows)]
    if side.newest:
        tied.append(_is_newest(side, sort, rows))
    return and_(*tied)


def keyed(side: Side, sort: Sort, rows: FromClause) -> list[Condition]:
    """The rows of a free sort key, and of its dataset."""
    tied = [rows.c[side.key] == bindparam(f"s{sort.slot}")]
    if sort.dataset_name:
        tied.append(rows.c.dataset_name == bindparam(f"n{sort.slot}"))
    if sort.dataset_digest:
        tied.append(rows.c.dataset_digest == bindparam(f"d{sort.slot}"))
    return tied


def lacks(target: Target, sort: Sort) -> Condition:
    """Rows that have no value for this key."""
    return target.attributes[sort.place].is_(None) if not sort.named else not_(_with(target, sort, None))


def equals(target: Target, sort: Sort, at: int) -> Condition:
    """Rows whose value for this free key is what is bound from column `at` on."""
    return _with(target, sort, parts_equal(target, sort, at)[-1].column)


def _with(target: Target, sort: Sort, bound: ColumnElement[Any] | None) -> Condition:
    side = target.sides[sort.place]
    rows = side.rows.alias()
    same: list[Condition] = []
    if bound is not None:
        same = [rows.c[side.value] == bound]
        same += [rows.c.is_nan == literal_column("0")] if side.numbers else []
    return select(literal_column("1")).where(*beside(target, side, rows), *keyed(side, sort, rows), *same).exists()


def _is_newest(side: Side, sort: Sort, rows: FromClause) -> Condition:
    other = side.rows.alias()
    same = [other.c[theirs] == rows.c[theirs] for theirs, _ in side.link]
    newer = [Part(other.c[name.lstrip("-")], not name.startswith("-")) for name in side.newest]
    later = after(newer, [rows.c[name.lstrip("-")] for name in side.newest])
    return not_(select(literal_column("1")).where(*same, *keyed(side, sort, other), later).exists())


def after(parts: Sequence[Part], bounds: Sequence[ColumnElement[Any]]) -> Condition:
    """Rows that come after the bounds, by the first column that differs."""
    condition = parts[-1].beyond(bounds[-1])
    for part, bound in zip(reversed(parts[:-1]), reversed(bounds[:-1]), strict=True):
        condition = or_(part.beyond(bound), and_(part.column == bound, condition))
    return condition
