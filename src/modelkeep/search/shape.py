"""Filters and orders with their values taken out, so that a compiled statement serves all searches of a shape."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from modelkeep.db.dialect import INDEXED_PREFIX
from modelkeep.search.grammar import And, Comparison, Expr, Not
from modelkeep.search.order import OrderKey

_WILDCARDS = frozenset("%_")
_FREE_KEYS = ("metric", "param", "tag")
_LAST_CHAR = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)

# What an index of values can do for a term: find one value or all that begin alike, exactly or as candidates.
Reach: TypeAlias = Literal["", "value", "value?", "start", "start?"]


class Term(Struct, frozen=True):
    """A comparison without its values, which are bound as `v<slot>` (with `lo`, `hi`), a free key as `k<slot>`."""

    place: str
    named: bool
    operator: str
    negated: bool
    slot: int
    real: bool = False
    escape: str = ""
    reach: Reach = ""


class Group(Struct, frozen=True):
    """All or any of several terms. Negation stands at the terms."""

    every: bool
    parts: "tuple[Shape, ...]"


Shape: TypeAlias = Term | Group


class Sort(Struct, frozen=True):
    """A key to order by; a free one is bound as `s<slot>`, its dataset as `n<slot>` and `d<slot>` where it has one."""

    place: str
    named: bool
    ascending: bool
    slot: int = 0
    dataset_name: bool = False
    dataset_digest: bool = False


class Filter(Struct, frozen=True):
    """The conditions that must all hold, the values they are bound to, and what each free-key condition is about."""

    terms: tuple[Shape, ...]
    values: dict[str, Any]

    def about(self, place: str, key: str) -> frozenset[int]:
        """The slots of the conditions on this free key that hold only where the key is present."""
        return frozenset(
            term.slot
            for term in self.terms
            if isinstance(term, Term)
            and (term.place, self.values.get(f"k{term.slot}")) == (place, key)
            and not term.negated
            and term.operator != "IS NULL"
        )

    def compares(self, place: str) -> bool:
        """True where some condition is about such keys."""
        return any(_compares(term, place) for term in self.terms)


def _compares(shape: Shape, place: str) -> bool:
    if isinstance(shape, Term):
        return shape.place == place
    return any(_compares(part, place) for part in shape.parts)


def take_apart(expr: Expr | None) -> Filter:
    """A filter's shape and its values; what must hold in any case comes as separate terms."""
    values: dict[str, Any] = {}
    if expr is None:
        return Filter((), values)
    shape = _shape(expr, values, count(), negated=False)
    if isinstance(shape, Group) and shape.every:
        return Filter(_flat(shape), values)
    return Filter((shape,), values)


def sort_of(key: OrderKey, slot: int, values: dict[str, Any]) -> Sort:
    """The shape of an order key; its values go into `values`."""
    named = key.entity in _FREE_KEYS
    given = {f"s{slot}": key.key if named else "", f"n{slot}": key.dataset_name, f"d{slot}": key.dataset_digest}
    values.update({name: value for name, value in given.items() if value})
    place = key.entity if named else key.key
    return Sort(place, named, key.ascending, slot if named else 0, bool(key.dataset_name), bool(key.dataset_digest))


def _flat(group: Group) -> tuple[Shape, ...]:
    parts: list[Shape] = []
    for part in group.parts:
        parts += _flat(part) if isinstance(part, Group) and part.every else (part,)
    return tuple(parts)


def _shape(expr: Expr, values: dict[str, Any], slots: Iterator[int], *, negated: bool) -> Shape:
    if isinstance(expr, Not):
        return _shape(expr.term, values, slots, negated=not negated)
    if isinstance(expr, Comparison):
        return _term(expr, values, next(slots), negated)
    parts = tuple(_shape(term, values, slots, negated=negated) for term in expr.terms)
    return Group(isinstance(expr, And) != negated, parts)


def _term(comparison: Comparison, values: dict[str, Any], slot: int, negated: bool) -> Term:
    named = comparison.entity in _FREE_KEYS
    if named:
        values[f"k{slot}"] = comparison.key
    place = comparison.entity if named else comparison.key
    if comparison.entity == "dataset":
        place = f"dataset.{comparison.key}"
    value = comparison.value
    if comparison.entity == "metric" and isinstance(value, int):
        value = float(value)
    values[f"v{slot}"] = value
    term = Term(place, named, comparison.operator, negated, slot, isinstance(value, float))
    if isinstance(value, tuple):
        values[f"v{slot}"] = json.dumps(value)
    return _text_term(term, value, values) if isinstance(value, str) else term


def _text_term(term: Term, value: str, values: dict[str, Any]) -> Term:
    place, named, operator, negated, slot = term.place, term.named, term.operator, term.negated, term.slot
    if operator == "=":
        values[f"lo{slot}"] = value[:INDEXED_PREFIX]
        return Term(place, named, operator, negated, slot, reach="value" if len(value) < INDEXED_PREFIX else "value?")
    if operator not in ("LIKE", "ILIKE"):
        return term
    if operator == "ILIKE":
        values[f"v{slot}"] = _lower(value)
        return Term(place, named, operator, negated, slot, escape=_escape(value))
    start = _start(value)
    if start:
        values[f"lo{slot}"], values[f"hi{slot}"] = start, next_text(start)
    exact = start + "%" == value
    reach: Reach = "" if not start else ("start" if exact else "start?")
    return Term(place, named, operator, negated, slot, escape=_escape(value), reach=reach)


def _lower(text: str) -> str:
    """Small letters where both databases make them small: in ASCII."""
    return text.encode().lower().decode()


def _escape(pattern: str) -> str:
    """A character to name as LIKE's escape, so that a backslash is itself on every database; '' without backslash."""
    if "\\" not in pattern:
        return ""
    return next(char for char in map(chr, range(0xE000, 0xF8FF)) if char not in pattern)


def _start(pattern: str) -> str:
    """What every match of a pattern begins with, as far as an index holds it."""
    end = next((at for at, char in enumerate(pattern) if char in _WILDCARDS), len(pattern))
    start = pattern[: min(end, INDEXED_PREFIX)]
    return start if start and next_text(start) else ""


def next_text(start: str) -> str:
    """The least text above all that begin so; empty where there is none."""
    kept = start.rstrip(chr(_LAST_CHAR))
    if not kept:
        return ""
    above = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if above in _SURROGATES else above)
