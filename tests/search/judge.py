"""What a filter and an order mean, said once more in plain Python: the tests hold the database to it."""

import re
from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any

from modelkeep.search.grammar import And, Comparison, Expr, Not
from modelkeep.search.order import OrderKey
from search.world import Thing

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "IN": lambda a, b: a in b,
    "NOT IN": lambda a, b: a not in b,
    "LIKE": lambda a, b: like(a, b),
    "ILIKE": lambda a, b: like(small(a), small(b)),
}


def small(text: str) -> str:
    """ASCII letters in lower case."""
    return text.encode().lower().decode()


def like(text: str, pattern: str) -> bool:
    """LIKE: `%` is any text, `_` any character, a backslash itself."""
    parts = {"%": ".*", "_": "."}
    return re.fullmatch("".join(parts.get(char, re.escape(char)) for char in pattern), text, re.DOTALL) is not None


def holds(thing: Thing, expr: Expr | None) -> bool:
    """Whether a filter keeps a thing."""
    if expr is None:
        return True
    if isinstance(expr, Not):
        return not holds(thing, expr.term)
    if not isinstance(expr, Comparison):
        return (all if isinstance(expr, And) else any)(holds(thing, term) for term in expr.terms)
    return any(_meets(value, expr) for value in values(thing, expr.entity, expr.key)) != (expr.operator == "IS NULL")


def values(thing: Thing, entity: str, key: str) -> list[Any]:
    """What a thing has under a key: nothing, one value, or several of a dataset's or alias's."""
    if entity in thing.beside:
        return [thing.beside[entity][key]] if key in thing.beside[entity] else []
    if entity == "dataset":
        return list(thing.many[f"dataset.{key}"])
    if key in thing.many:
        return list(thing.many[key])
    return [thing.attributes[key]] if thing.attributes[key] is not None else []


def _meets(value: Any, comparison: Comparison) -> bool:
    if comparison.operator in ("IS NULL", "IS NOT NULL"):
        return True
    if value == "nan" and comparison.entity == "metric":
        return comparison.operator == "!="
    return OPERATORS[comparison.operator](value, comparison.value)


def ordered(things: Sequence[Thing], keys: Sequence[OrderKey]) -> list[Any]:
    """The ids in order: missing values last, NaN before them, whatever the direction."""

    def compare(left: Thing, right: Thing) -> int:
        for key in keys:
            a, b = _place(left, key), _place(right, key)
            if a[0] != b[0]:
                return -1 if a[0] < b[0] else 1
            if a[1] != b[1]:
                return -1 if (a[1] < b[1]) == key.ascending else 1
        return 0

    return [thing.id for thing in sorted(things, key=cmp_to_key(compare))]


def _place(thing: Thing, key: OrderKey) -> tuple[int, Any]:
    found = values(thing, key.entity, key.key)
    if not found:
        return 2, 0
    return (1, 0) if key.entity == "metric" and found[0] == "nan" else (0, found[0])
