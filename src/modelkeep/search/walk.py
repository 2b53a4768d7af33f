"""How a page is found: among the candidates of a rare condition, or along an index in the wanted order.

A stretch of the order is walked by one statement; the next begins only where the page is not full yet. So a page costs
what its rows cost, wherever it lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from modelkeep.db import Tx
from modelkeep.db.dialect import INDEXED_PREFIX
from modelkeep.search.shape import Filter, Sort, Term
from modelkeep.search.store.orders import MISSING, NAN, PRESENT, directions, is_ranked
from modelkeep.search.store.origins import has_origin, most_candidates
from modelkeep.search.store.pages import (
    Search,
    Step,
    counts,
    first_value,
    group_size,
    number_with,
    offset,
    page,
    totals,
)
from modelkeep.search.store.targets import TARGETS, Target

_MOST_COUNTED = 6
# How many groups of equal values a page goes through one by one; the rest of the order is sorted in one go.
_MOST_GROUPS = 3

Prior = tuple[Literal["missing", "equal"], ...]
Bound = dict[str, Any]
Row = tuple[Any, ...]


class Corner(Struct, frozen=True):
    """A part of what is searched that one index keeps in order: an experiment, a lifecycle.

    `leads` is False where it is too wide for that, and is sorted as a whole.
    """

    scope: tuple[str, ...]
    bounds: tuple[str, ...]
    values: Bound
    leads: bool = True


class Query(Struct):
    """A search ready to run: its shape and values, where to look, after which row, and for how many."""

    search: Search
    filter: Filter
    values: Bound
    corners: Sequence[Corner]
    after: Sequence[Any] | None
    most: int


def find(tx: Tx, query: Query) -> list[Row]:
    """The rows of (order columns..., id columns...) of a page, in order."""
    found: list[Row] = []
    for corner in query.corners:
        found += _Walk(tx, query, corner).rows()
    if len(query.corners) > 1:
        _sort(found, query.search)
    return found[: query.most]


def _sort(rows: list[Row], search: Search) -> None:
    target = TARGETS[search.target]
    ascending = [up for sort in search.sorts for up in directions(target, sort)]
    for at in reversed(range(len(ascending))):
        rows.sort(key=lambda row, at=at: row[at], reverse=not ascending[at])  # type: ignore[misc]


@dataclass(slots=True)
class _Walk:
    """One corner's walk: what it has found so far."""

    tx: Tx
    query: Query
    corner: Corner
    found: list[Row] = field(default_factory=list)
    search: Search = field(init=False)
    values: Bound = field(init=False)
    groups: int = 0

    def __post_init__(self) -> None:
        self.search = replace(self.query.search, scope=self.corner.scope, bounds=self.corner.bounds)
        self.values = {**self.query.filter.values, **self.query.values, **self.corner.values}

    @property
    def target(self) -> Target:
        """What is searched."""
        return TARGETS[self.search.target]

    @property
    def is_full(self) -> bool:
        """True when the page has all its rows."""
        return len(self.found) >= self.query.most

    def rows(self) -> list[Row]:
        """The corner's rows of the page."""
        after = self.query.after
        bound = {} if after is None else {f"c{at}": value for at, value in enumerate(after)}
        lead = self._leads(self.search.sorts[0])
        origin, fewest = self._origin()
        if origin is not None and fewest == 0:
            return []
        few = origin is not None and fewest <= most_candidates(self.target, origin, self.search.costs)
        if few or not lead:
            self.search = replace(self.search, origin=origin, few=few)
            self.values["few"] = fewest
        self._stretch((), bound, placed=after is not None)
        return self.found

    def _origin(self) -> tuple[Term | None, int]:
        """The condition with the fewest candidates, and their number."""
        terms = [term for term in self.search.terms if isinstance(term, Term) and has_origin(self.target, term)]
        terms = sorted(terms, key=lambda term: term.operator != "=")[:_MOST_COUNTED]
        if not terms:
            return None, 0
        numbers = self.tx.rows(counts(self.search, tuple(terms)), **self.values)[0]
        fewest = min(numbers)
        return terms[numbers.index(fewest)], fewest

    def _leads(self, sort: Sort) -> bool:
        return self.corner.leads and self.search.origin is None and sort.place in self.target.leads

    def _stretch(self, prior: Prior, bound: Bound, *, placed: bool) -> None:
        """Walk all that the sort keys before leave, after the last page's row where one is `placed` in it."""
        sort = self.search.sorts[len(prior)]
        if not self._leads(sort):
            self._page(prior, "sorted", "after" if placed else "all", bound)
            return
        ranked = is_ranked(self.target, sort)
        rank = bound[f"c{offset(self.search, len(prior))}"] if placed and ranked else PRESENT
        if rank == PRESENT:
            self._present(prior, bound, placed=placed)
        if ranked and not self.is_full:
            self._absent(prior, bound, rank if placed else PRESENT)

    def _absent(self, prior: Prior, bound: Bound, rank: int) -> None:
        """Walk the rows where the leading key is NaN, then those where it is missing, from the given rank on."""
        sort = self.search.sorts[len(prior)]
        if sort.named and self.target.sides[sort.place].numbers and rank <= NAN:
            self._page(prior, "nan", "after" if rank == NAN else "all", bound)
        if not self.is_full and (rank == MISSING or self._may_miss(sort, len(prior))):
            self._stretch((*prior, "missing"), bound, placed=rank == MISSING)

    def _may_miss(self, sort: Sort, lead: int) -> bool:
        """False where it is certain that no row lacks the key."""
        if not sort.named:
            return True
        if self._about(sort):
            return False
        if self.tx.rows(number_with(self.search, lead), **self.values)[0].number <= self.search.costs.few:
            return True
        total = self.tx.rows(totals(self.search, lead), **self.values)[0]
        return bool(total.rows > total.having_key)

    def _present(self, prior: Prior, bound: Bound, *, placed: bool) -> None:
        """Walk the rows that have the leading key: group by group where groups are large, otherwise along the index."""
        named = self.search.sorts[len(prior)].named
        if placed and named and self._is_large(len(prior), bound):
            self._stretch((*prior, "equal"), bound, placed=True)
        elif placed:
            self._page(prior, "present", "ties", bound)
        while named and not self.is_full and self.groups < _MOST_GROUPS:
            group = self._first_group(len(prior), bound, beyond=placed)
            if group is None:
                return
            if not self._is_large(len(prior), group):
                break
            self.groups += 1
            self._stretch((*prior, "equal"), group, placed=False)
            bound, placed = group, True
        if not self.is_full:
            self._page(prior, "present", "beyond" if placed else "all", bound)

    def _first_group(self, lead: int, bound: Bound, *, beyond: bool) -> Bound | None:
        first = self.tx.row(first_value(self.search, lead, beyond=beyond), **self.values, **bound)
        if first is None:
            return None
        at = offset(self.search, lead) + 1
        return {**bound, f"c{at}": first.value, f"c{at + 1}": first.value}

    def _is_large(self, lead: int, bound: Bound) -> bool:
        value = bound[f"c{offset(self.search, lead) + 1}"]
        if isinstance(value, str) and len(value) >= INDEXED_PREFIX:
            return False
        return bool(
            self.tx.rows(group_size(self.search, lead), **self.values, **bound)[0].size > self.search.costs.large
        )

    def _page(
        self,
        prior: Prior,
        phase: Literal["present", "nan", "sorted"],
        part: Literal["all", "ties", "beyond", "after"],
        bound: Bound,
    ) -> None:
        sort = self.search.sorts[len(prior)]
        slots = self._about(sort) if phase != "sorted" else frozenset()
        statement = page(self.search, Step(prior, phase, part), slots)
        self.found += self.tx.rows(statement, most=self.query.most - len(self.found), **self.values, **bound)

    def _about(self, sort: Sort) -> frozenset[int]:
        return self.query.filter.about(sort.place, self.values[f"s{sort.slot}"]) if sort.named else frozenset()
