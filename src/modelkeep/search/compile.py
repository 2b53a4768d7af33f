"""Conditions in SQL from a filter's shape.

Only names from the tables get into the text; everything a user wrote is bound.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Double, and_, bindparam, exists, func, literal_column, not_, or_
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import FromClause

from modelkeep.db.dialect import INDEXED_PREFIX, integer, one_of_texts, text, unindexed
from modelkeep.search.shape import Group, Shape, Term
from modelkeep.search.store.targets import COMPARED_AS, Side, Target

Condition = ColumnElement[bool]
Datasets = tuple[bool, ...]


_SCORE = 20
# Keeps alternatives together: those of alternatives would be made one chain again.
_TRUE = literal_column("1") == literal_column("1")


def holds(
    target: Target, shape: Shape, datasets: Datasets = (), seen: Mapping[int, FromClause] | None = None
) -> Condition:
    """The condition of a shape on the target's rows.

    `datasets` says for each dataset that metrics are narrowed to whether it has a digest. `seen` has, by slot, rows
    beside the target's that the statement goes through anyway, and that the condition is about.
    """
    if isinstance(shape, Group):
        parts = [holds(target, part, datasets, seen) for part in shape.parts]
        return and_(*parts) if shape.every else _any_of(parts)
    side = target.sides.get(shape.place)
    if side is None:
        return _attribute(target.attributes[shape.place], shape)
    if seen and shape.slot in seen:
        return meets(side, seen[shape.slot], shape)
    rows = side.rows.alias()
    there = exists().where(*beside(target, side, rows), *_of_key(side, rows, shape), *_on(side, rows, datasets))
    if shape.operator not in ("IS NULL", "IS NOT NULL"):
        there = there.where(meets(side, rows, shape))
    return not_(there) if shape.negated != (shape.operator == "IS NULL") else there


def beside(target: Target, side: Side, rows: FromClause) -> list[Condition]:
    """What ties rows beside to the target's."""
    return [rows.c[theirs] == target.rows.c[ours] for theirs, ours in side.link]


def _of_key(side: Side, rows: FromClause, term: Term) -> list[Condition]:
    return [rows.c[side.key] == bindparam(f"k{term.slot}")] if term.named else []


def _on(side: Side, rows: FromClause, datasets: Datasets) -> list[Condition]:
    return [on_datasets(rows, datasets)] if datasets and side.newest else []


def _any_of(parts: list[Condition]) -> Condition:
    """One of them, in brackets by the score: SQLite reads a chain of a thousand as a tree too deep for it."""
    while len(parts) > _SCORE:
        parts = [and_(or_(*parts[at : at + _SCORE]), _TRUE) for at in range(0, len(parts), _SCORE)]
    return or_(*parts)


def on_datasets(rows: FromClause, datasets: Datasets) -> Condition:
    """Points of metrics that were measured on one of the named datasets."""
    digests = [rows.c.dataset_digest == bindparam(f"dd{at}") if has else None for at, has in enumerate(datasets)]
    names = [rows.c.dataset_name == bindparam(f"dn{at}") for at in range(len(datasets))]
    return or_(*(name if digest is None else and_(name, digest) for name, digest in zip(names, digests, strict=True)))


def meets(side: Side, rows: FromClause, term: Term) -> Condition:
    """The comparison, on a row beside that has the key. NaN is unlike every number and neither above nor below one."""
    if term.operator == "IS NOT NULL":
        return rows.c[side.value].is_not(None)
    compared = compare(rows.c[side.value], term)
    if not side.numbers:
        return compared
    if term.operator == "!=":
        return or_(rows.c.is_nan == literal_column("1"), compared)
    return and_(rows.c.is_nan == literal_column("0"), compared)


def _attribute(column: ColumnElement[Any], term: Term) -> Condition:
    compared = compare(COMPARED_AS.get(column, column), term)
    if not term.negated:
        return compared
    return or_(column.is_(None), not_(compared)) if getattr(column, "nullable", False) else not_(compared)


def compare(column: ColumnElement[Any], term: Term) -> Condition:
    """The comparison on a column; it never holds where the column is NULL."""
    name = f"v{term.slot}"
    if term.operator in ("IN", "NOT IN"):
        listed = one_of_texts(column, name)
        return listed if term.operator == "IN" else not_(listed)
    if term.operator == "LIKE":
        return _like(column, name, term)
    if term.operator == "ILIKE":
        return _like(func.lower(column), name, term)
    value: ColumnElement[Any] = bindparam(name, type_=_type_of(column, term))
    return {
        "=": column == value,
        "!=": column != value,
        "<": column < value,
        "<=": column <= value,
        ">": column > value,
        ">=": column >= value,
    }[term.operator]


def _type_of(column: ColumnElement[Any], term: Term) -> Any:
    if term.real:
        return Double()
    return integer() if isinstance(column.type, BigInteger) else text()


def _like(column: ColumnElement[Any], name: str, term: Term) -> Condition:
    # Which index is walked is the plan's decision, not the pattern's.
    return unindexed(column).like(bindparam(name, type_=text()), escape=term.escape or None)


def reached(column: ColumnElement[Any], term: Term, *, prefixed: bool) -> list[Condition]:
    """Conditions that an index of the column's values finds rows by, of their beginnings where it is `prefixed`."""
    indexed = func.substr(column, literal_column("1"), literal_column(str(INDEXED_PREFIX))) if prefixed else column
    low, high = bindparam(f"lo{term.slot}", type_=text()), bindparam(f"hi{term.slot}", type_=text())
    if term.reach in ("value", "value?"):
        return [indexed == low] if prefixed else [compare(column, term)]
    if term.reach in ("start", "start?"):
        return [indexed >= low, indexed < high]
    return []


def is_exact(term: Term) -> bool:
    """True where `reached` is all there is to the comparison."""
    return term.reach in ("value", "start")
