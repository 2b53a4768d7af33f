"""Where a condition's candidates are found by an index: to count them, and to search among them only."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Select, bindparam, case, func, literal_column, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from modelkeep.db.dialect import integer
from modelkeep.models.tables import models
from modelkeep.search.compile import Condition, compare, is_exact, meets, reached
from modelkeep.search.shape import Shape, Term
from modelkeep.search.store.targets import VERSIONS, Side, Target, scope_of


class Costs(Struct, frozen=True):
    """From how many rows on another plan is cheaper; measured where 100,000 rows are searched.

    candidates: walking the wanted order and testing each row beats sorting the candidates of a condition; by_beginning:
    the same where an index holds only the beginnings of values, and counting takes longer. large: equal values are
    walked in the order of the next key, not sorted by it. few: rows are gone through sooner than all are counted.
    """

    candidates: int = 2500
    by_beginning: int = 1500
    large: int = 1500
    few: int = 5000


COSTS = Costs()

# The ids below this text are one in so many of all hexadecimal ones. More than twice their share is no chance.
_SAMPLE_END = "'1'"
_SAMPLE = 16
_MORE_THAN_ITS_SHARE = 2


def has_origin(target: Target, shape: Shape) -> bool:
    """True where an index finds the rows that a condition may hold for."""
    if not isinstance(shape, Term) or shape.negated or shape.operator == "IS NULL":
        return False
    side = target.sides.get(shape.place)
    if side is not None:
        return bool(side.scope) and (shape.named or shape.operator in ("=", "IN"))
    if shape.place not in target.found_by:
        return False
    return _through_models(target, shape) or shape.operator in ("=", "IN") or shape.reach in ("start", "start?")


def count_of(target: Target, scope: tuple[str, ...], term: Term, costs: Costs) -> ColumnElement[int]:
    """How many candidates a condition has; it counts to one above the most that are worth it.

    Where ids are scattered, a sample that is too large for that many candidates stands for one above.
    """
    most = most_candidates(target, term, costs)
    found = _candidates(target, scope, term, whole=False)
    number = _up_to(found, most + 1)
    if not _can_sample(target, term):
        return number
    in_sample = most * _MORE_THAN_ITS_SHARE // _SAMPLE
    sample = _up_to(found.where(found.selected_columns[0] < literal_column(_SAMPLE_END)), in_sample + 1)
    return case((sample > literal_column(str(in_sample)), literal_column(str(most + 1), integer())), else_=number)


def _up_to(found: Select[Any], most: int) -> ColumnElement[int]:
    one: ColumnElement[int] = literal_column("1", integer())
    some = found.with_only_columns(one.label("one")).limit(literal_column(str(most))).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _can_sample(target: Target, term: Term) -> bool:
    """True where an index has the rows of one value in the order of scattered ids."""
    side = target.sides.get(term.place)
    return side is not None and side.scattered and term.named and term.operator == "="


def most_candidates(target: Target, term: Term, costs: Costs) -> int:
    """How many candidates are few."""
    side = target.sides.get(term.place)
    return costs.by_beginning if side is not None and term.named and not side.numbers else costs.candidates


def is_among(target: Target, scope: tuple[str, ...], term: Term, *, few: bool) -> Condition:
    """The condition itself, in the form that makes its candidates the only rows looked at.

    `few` says that their number is bound: PostgreSQL, which would guess it, then looks them up one by one.
    """
    own = target.ids
    row: Any = own[0] if len(own) == 1 else tuple_(*own)
    candidates = _candidates(target, scope, term, whole=True)
    found: Condition = row.in_(candidates.limit(bindparam("few", type_=integer())) if few else candidates)
    return found


def _candidates(target: Target, scope: tuple[str, ...], term: Term, *, whole: bool) -> Select[Any]:
    side = target.sides.get(term.place)
    if side is not None:
        return _beside(target, side, scope, term, whole)
    if _through_models(target, term):
        return _of_models(target, term)
    rows = target.rows.alias()
    column = rows.c[target.attributes[term.place].name]
    found = reached(column, term, prefixed=False) or [compare(column, term)]
    if whole and not is_exact(term):
        found.append(compare(column, term))
    return select(*(rows.c[name] for name in target.id)).where(*scope_of(rows, scope), *found)


def _beside(target: Target, side: Side, scope: tuple[str, ...], term: Term, whole: bool) -> Select[Any]:
    rows = side.rows.alias()
    conditions = scope_of(rows, tuple(name for name in scope if name.removesuffix("s") in side.scope))
    if side.key and term.named:
        conditions.append(rows.c[side.key] == bindparam(f"k{term.slot}"))
    if side.numbers or not term.named:
        conditions.append(meets(side, rows, term))
    else:
        conditions += reached(rows.c[side.value], term, prefixed=True)
        if whole and not is_exact(term):
            conditions.append(meets(side, rows, term))
    link = {ours: theirs for theirs, ours in side.link}
    return select(*(rows.c[link[name]] for name in target.id if name in link)).where(*conditions)


def _through_models(target: Target, term: Term) -> bool:
    """Names of versions are found by looking at the models, which are few beside their versions."""
    return target is VERSIONS and term.place == "name"


def _of_models(target: Target, term: Term) -> Select[Any]:
    owner, rows = models.alias(), target.rows.alias()
    found = reached(owner.c.name, term, prefixed=False)
    if not is_exact(term):
        found.append(compare(owner.c.name, term))
    return (
        select(rows.c.model_id, rows.c.version)
        .join_from(owner, rows, rows.c.model_id == owner.c.id)
        .where(owner.c.workspace == bindparam("workspace"), owner.c.retired_at.is_(None), *found)
    )
