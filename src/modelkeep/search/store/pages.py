"""The statements that find one page's rows: their order columns and ids, nothing else."""

from functools import lru_cache
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import BindParameter, and_, bindparam, false, func, literal_column, select
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import FromClause

from modelkeep.db import Prepared
from modelkeep.db.dialect import integer
from modelkeep.search.compile import Condition, beside, holds, on_datasets
from modelkeep.search.shape import Shape, Sort, Term
from modelkeep.search.store.orders import (
    MISSING,
    NAN,
    Part,
    after,
    complete_parts,
    directions,
    equals,
    is_ranked,
    joined,
    keyed,
    lacks,
    parts_equal,
    parts_with,
    parts_without,
)
from modelkeep.search.store.origins import COSTS, Costs, count_of, is_among
from modelkeep.search.store.targets import TARGETS, Side, Target, scope_of

_KEPT = 256
_ONE: ColumnElement[int] = literal_column("1", integer())


class Search(Struct, frozen=True):
    """A search's shape. `scope` and `bounds` name what it is bound to.

    `datasets` are those that metrics are narrowed to, with or without a digest each; where no condition is about a
    metric, `only_measured` asks for any metric on one of them. `origin` is the term whose candidates are gone through,
    `few` whether their number is bound.
    """

    target: str
    scope: tuple[str, ...]
    bounds: tuple[str, ...]
    terms: tuple[Shape, ...]
    sorts: tuple[Sort, ...]
    datasets: tuple[bool, ...] = ()
    only_measured: bool = False
    origin: Term | None = None
    few: bool = False
    costs: Costs = COSTS


class Step(Struct, frozen=True):
    """A stretch of a search's order that one statement walks.

    `prior` says of the first sort keys that they are missing, or equal to what is bound; the next one leads. `phase`:
    rows where it is present, where it is NaN, or all, sorted by computed columns. `part`: the whole stretch, what
    follows the last page's row among its equals, what lies beyond those, or everything after that row.
    """

    prior: tuple[Literal["missing", "equal"], ...]
    phase: Literal["present", "nan", "sorted"]
    part: Literal["all", "ties", "beyond", "after"]


class _Walk(Struct, frozen=True, eq=False):
    """A step in the making: its tables, the rows beside that lead it (if any do), its order columns.

    `start` is where the order columns of the lead begin.
    """

    tables: Any
    rows: FromClause | None
    parts: list[Part]
    start: int


@lru_cache(_KEPT)
def page(search: Search, step: Step, slots: frozenset[int]) -> Prepared:
    """Rows of (order columns..., id columns...) of a step, in order, at most `most`.

    `slots` are conditions on the very key that leads the step.
    """
    target = TARGETS[search.target]
    walk = _walk(target, search, step)
    seen = {} if walk.rows is None else dict.fromkeys(slots, walk.rows)
    constant = walk.start + _constant(target, search.sorts[len(step.prior)], step)
    conditions = [
        *_alive(target, search, within=walk.rows is None and (search.origin is None or target.ids_repeat)),
        *(holds(target, term, search.datasets, seen) for term in search.terms if term is not search.origin),
        *_prior(target, search, step),
        *_phase(target, search, step, walk),
        *_part(step, walk.parts, constant),
    ]
    if search.origin is not None:
        conditions.append(is_among(target, search.scope, search.origin, few=search.few))
    columns = [part.column.label(f"o{at}") for at, part in enumerate(walk.parts)]
    statement = select(*columns, *target.ids).select_from(walk.tables).where(*conditions)
    ordered = [part.ordered for part in walk.parts[constant:]]
    return Prepared(statement.order_by(*ordered).limit(bindparam("most", type_=integer())))


def _walk(target: Target, search: Search, step: Step) -> _Walk:
    parts: list[Part] = []
    for state, sort in zip(step.prior, search.sorts, strict=False):
        known = parts_equal(target, sort, len(parts)) if state == "equal" else parts_without(target, sort, MISSING)
        parts += known
    start, rows = len(parts), None
    tables: Any = target.rows
    later = search.sorts[len(step.prior) :]
    if step.phase != "sorted":
        lead, later = later[0], later[1:]
        if lead.named:
            rows = target.sides[lead.place].rows.alias()
            tables = rows.join(target.rows, and_(*beside(target, target.sides[lead.place], rows)))
        parts += parts_without(target, lead, NAN) if step.phase == "nan" else parts_with(target, lead, rows)
    for sort in later:
        other = target.sides[sort.place].rows.alias() if sort.named else None
        if other is not None:
            tables = tables.outerjoin(other, joined(target, sort, other))
        parts += complete_parts(target, sort, other)
    return _Walk(tables, rows, parts, start)


def _constant(target: Target, lead: Sort, step: Step) -> int:
    """How many of the lead's columns are the same in all rows of the step."""
    if step.phase == "sorted":
        return 0
    return len(directions(target, lead)) if step.phase == "nan" else int(is_ranked(target, lead))


def _alive(target: Target, search: Search, *, within: bool) -> list[Condition]:
    """The conditions on every row. Those that indexes begin with only where no other rows lead to the target's."""
    conditions = [*target.alive, *(target.bounds[name] for name in search.bounds)]
    if within:
        conditions += scope_of(target.rows, search.scope)
    if search.only_measured:
        side = target.sides["metric"]
        rows = side.rows.alias()
        measured = [*beside(target, side, rows), on_datasets(rows, search.datasets)]
        conditions.append(select(_ONE).where(*measured).exists())
    return conditions


def _prior(target: Target, search: Search, step: Step) -> list[Condition]:
    conditions, at = [], 0
    for state, sort in zip(step.prior, search.sorts, strict=False):
        conditions.append(equals(target, sort, at) if state == "equal" else lacks(target, sort))
        at += len(directions(target, sort))
    return conditions


def _phase(target: Target, search: Search, step: Step, walk: _Walk) -> list[Condition]:
    lead = search.sorts[len(step.prior)]
    if walk.rows is not None:
        side = target.sides[lead.place]
        nan = [walk.rows.c.is_nan == literal_column(str(int(step.phase == "nan")))] if side.numbers else []
        return [*scope_of(walk.rows, _scope(side, search)), *keyed(side, lead, walk.rows), *nan]
    if step.phase == "present" and is_ranked(target, lead):
        return [target.attributes[lead.place].is_not(None)]
    return []


def _scope(side: Side, search: Search) -> tuple[str, ...]:
    return tuple(name for name in search.scope if name.removesuffix("s") in side.scope)


def _part(step: Step, parts: list[Part], constant: int) -> list[Condition]:
    parts = parts[constant:]
    bounds = [bindparam(f"c{constant + at}", type_=part.column.type) for at, part in enumerate(parts)]
    if step.part == "after":
        return [after(parts, bounds)]
    if step.part == "beyond":
        return [parts[0].beyond(bounds[0])]
    if step.part == "ties":
        # Where a key of its own leads, such as the name of a model, no two rows tie.
        return [parts[0].column == bounds[0], after(parts[1:], bounds[1:])] if len(parts) > 1 else [false()]
    return []


@lru_cache(_KEPT)
def counts(search: Search, terms: tuple[Term, ...]) -> Prepared:
    """One row: how many candidates each of the terms has, up to one above the most that are worth it."""
    target = TARGETS[search.target]
    return Prepared(select(*(count_of(target, search.scope, term, search.costs) for term in terms)))


@lru_cache(_KEPT)
def first_value(search: Search, lead: int, *, beyond: bool) -> Prepared:
    """At most one row: the first of a free sort key's values, or of those beyond what is bound. Texts are cut."""
    target, sort, side = _lead(search, lead)
    rows = side.rows.alias()
    part = parts_with(target, sort, rows)[1]
    conditions = _inside(side, search, sort, rows)
    if beyond:
        conditions.append(part.beyond(_bound(search, lead, part)))
    return Prepared(select(part.column.label("value")).where(*conditions).order_by(part.ordered).limit(_ONE))


@lru_cache(_KEPT)
def group_size(search: Search, lead: int) -> Prepared:
    """One row: how many rows share the value bound for a free sort key, up to one above what is worth sorting."""
    target, sort, side = _lead(search, lead)
    rows = side.rows.alias()
    part = parts_with(target, sort, rows)[1]
    same = [*_inside(side, search, sort, rows), part.column == _bound(search, lead, part)]
    some = select(_ONE.label("one")).where(*same).limit(literal_column(str(search.costs.large + 1))).subquery()
    return Prepared(select(func.count().label("size")).select_from(some))


def _lead(search: Search, lead: int) -> tuple[Target, Sort, Side]:
    target, sort = TARGETS[search.target], search.sorts[lead]
    return target, sort, target.sides[sort.place]


def _bound(search: Search, lead: int, part: Part) -> BindParameter[Any]:
    return bindparam(f"c{offset(search, lead) + 1}", type_=part.column.type)


def _inside(side: Side, search: Search, sort: Sort, rows: FromClause) -> list[Condition]:
    numbers = [rows.c.is_nan == literal_column("0")] if side.numbers else []
    return [*scope_of(rows, _scope(side, search)), *keyed(side, sort, rows), *numbers]


def offset(search: Search, lead: int) -> int:
    """Where the columns of a sort key begin among all order columns."""
    return sum(len(directions(TARGETS[search.target], sort)) for sort in search.sorts[:lead])


@lru_cache(_KEPT)
def number_with(search: Search, lead: int) -> Prepared:
    """One row: how many rows have a free sort key, up to one above what is few."""
    _, sort, side = _lead(search, lead)
    rows = side.rows.alias()
    some = select(_ONE.label("one")).where(*scope_of(rows, _scope(side, search)), *keyed(side, sort, rows))
    few = some.limit(literal_column(str(search.costs.few + 1))).subquery()
    return Prepared(select(func.count().label("number")).select_from(few))


@lru_cache(_KEPT)
def totals(search: Search, lead: int) -> Prepared:
    """One row: how many rows there are in scope, and how many have the free sort key."""
    target, sort, side = _lead(search, lead)
    rows = side.rows.alias()
    everything = select(func.count()).select_from(target.rows).where(*scope_of(target.rows, search.scope))
    having = (
        select(func.count()).select_from(rows).where(*scope_of(rows, _scope(side, search)), *keyed(side, sort, rows))
    )
    return Prepared(select(everything.scalar_subquery().label("rows"), having.scalar_subquery().label("having_key")))


@lru_cache(_KEPT)
def column_types(search: Search) -> tuple[type, ...]:
    """What a page's last row has in its order columns: ranks and integers, floats, or texts."""
    target = TARGETS[search.target]
    rows = [target.sides[sort.place].rows if sort.named else None for sort in search.sorts]
    pairs = zip(search.sorts, rows, strict=True)
    return tuple(part.column.type.python_type for sort, side in pairs for part in complete_parts(target, sort, side))
