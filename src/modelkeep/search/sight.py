"""A search narrowed to what its caller may know of: one more condition on names, beside the caller's own filter."""

from collections.abc import Callable, Mapping

from modelkeep.core.sight import Seen
from modelkeep.search.grammar import And, Comparison, Expr, Not, Or
from modelkeep.search.shape import next_text


def among_seen(expr: Expr | None, seen: Seen, names: Callable[[], Mapping[str, str]]) -> Expr | None:
    """The filter, for what is seen only. `names` gives the names behind the ids in `seen`."""
    if seen.is_all:
        return expr
    known = names() if seen.ids or seen.hidden_ids else {}
    terms = [expr] if expr is not None else []
    if not seen.everything:
        terms.append(_any_of(seen.ids, seen.prefixes, known))
    if seen.hidden_ids or seen.hidden_prefixes:
        terms.append(Not(_any_of(seen.hidden_ids, seen.hidden_prefixes, known)))
    return And(tuple(terms)) if len(terms) > 1 else terms[0]


def _any_of(ids: frozenset[str], prefixes: tuple[str, ...], names: Mapping[str, str]) -> Expr:
    listed: Expr = Comparison("attribute", "name", "IN", tuple(sorted(names[one] for one in ids if one in names)))
    if not prefixes:
        return listed
    return Or((listed, *(_begins(prefix) for prefix in prefixes)))


def _begins(prefix: str) -> Expr:
    """LIKE would take `_` and `%` in a name for more than they are."""
    first = Comparison("attribute", "name", ">=", prefix)
    above = next_text(prefix)
    return And((first, Comparison("attribute", "name", "<", above))) if above else first
