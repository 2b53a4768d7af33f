"""What all searches share: from a caller's arguments to the ids of a page, and the token for the next one."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.search.cursor import Arguments, read_token, write_token
from modelkeep.search.grammar import Expr
from modelkeep.search.order import OrderKey
from modelkeep.search.shape import Filter, Sort, sort_of, take_apart
from modelkeep.search.store.origins import COSTS
from modelkeep.search.store.pages import Search, column_types
from modelkeep.search.walk import Corner, Query, find

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """What a search answers: entries in order, and a token if there is a further page."""

    items: list[T]
    next_page_token: str | None


class Asked(Struct, frozen=True):
    """A search in the terms of this slice: what is searched and where, by which filter and order, from where on."""

    target: str
    corners: Sequence[Corner]
    expr: Expr | None
    order: Sequence[OrderKey]
    arguments: Arguments
    most: int
    page_token: str | None
    datasets: Sequence[tuple[str, str]] = ()


def page_of(tx: Tx, asked: Asked, load: Callable[[list[Any]], list[T]]) -> Page[T]:
    """One page: its ids are found, then loaded. Ids of more than one column come as tuples.

    InvalidInput: a page token that is not of this search.
    """
    filtered, values = take_apart(asked.expr), _dataset_values(asked.datasets)
    search = _search(asked, filtered, values)
    types = column_types(search)
    after = read_token(asked.page_token, asked.arguments, types) if asked.page_token else None
    found = find(tx, Query(search, filtered, values, asked.corners, after, asked.most + 1))
    rows, width = found[: asked.most], len(types)
    ids = [row[width] if len(row) == width + 1 else tuple(row[width:]) for row in rows]
    token = write_token(asked.arguments, rows[-1][:width]) if len(found) > asked.most else None
    return Page(load(ids) if ids else [], token)


def _search(asked: Asked, filtered: Filter, values: dict[str, Any]) -> Search:
    sorts: list[Sort] = [sort_of(key, at, values) for at, key in enumerate(asked.order)]
    digests = tuple(bool(digest) for _, digest in asked.datasets)
    only_measured = bool(digests) and not filtered.compares("metric")
    return Search(asked.target, (), (), filtered.terms, tuple(sorts), digests, only_measured, costs=COSTS)


def _dataset_values(datasets: Sequence[tuple[str, str]]) -> dict[str, Any]:
    values = {f"dn{at}": name for at, (name, _) in enumerate(datasets)}
    return values | {f"dd{at}": digest for at, (_, digest) in enumerate(datasets) if digest}


def with_ties(keys: Sequence[OrderKey], *ties: OrderKey) -> tuple[OrderKey, ...]:
    """The keys and, behind them, those ties that are not among them."""
    named = {(key.entity, key.key) for key in keys}
    return (*keys, *(tie for tie in ties if (tie.entity, tie.key) not in named))


def by(key: str, *, ascending: bool) -> OrderKey:
    """An attribute to order by."""
    return OrderKey("attribute", key, ascending)


def check_count(value: int, most: int) -> int:
    """The number of results asked for. InvalidInput: not within the bounds."""
    if value < 1:
        why = "It must be a positive integer"
    elif value > most:
        why = f"It must be at most {most}"
    else:
        return value
    raise InvalidInput(f"Invalid value {value} for parameter 'max_results' supplied. {why}", "max_results")
