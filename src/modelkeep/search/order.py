"""What a search is ordered by: `KEY [ASC|DESC]` clauses, and the structures that searches of logged models send."""

from collections.abc import Sequence

from msgspec import Struct

from modelkeep.core.errors import InvalidInput
from modelkeep.search.schemas import LOGGED_MODELS, Schema
from modelkeep.search.tokens import Token, after_quote, check_text, content, tokens

MAX_ORDER_CLAUSES = 20
MAX_ORDER_BYTES = 1024


class OrderKey(Struct, frozen=True):
    """One key to order by; a dataset, where named, restricts which of a metric's points count."""

    entity: str
    key: str
    ascending: bool
    dataset_name: str = ""
    dataset_digest: str = ""


def parse_order(clauses: Sequence[str], schema: Schema) -> tuple[OrderKey, ...]:
    """The keys of `KEY [ASC|DESC]` clauses, first one first.

    InvalidInput: a clause that does not parse, a key this search has no order by, a field twice, too many clauses.
    """
    _check_count(clauses)
    return _without_repeats([_order_key(clause, schema) for clause in clauses], schema)


class OrderField(Struct, frozen=True):
    """One clause of an order given as a structure, as searches of logged models do."""

    field_name: str
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


def logged_model_order(fields: Sequence[OrderField]) -> tuple[OrderKey, ...]:
    """The keys of structured order clauses: attributes, or `metrics.KEY` with everything after the dot as the key.

    InvalidInput: a field this search has no order by, too many clauses.
    """
    _check_count(fields)
    return _without_repeats([_structured_key(field) for field in fields], LOGGED_MODELS)


def _check_count(clauses: Sequence[object]) -> None:
    if len(clauses) > MAX_ORDER_CLAUSES:
        message = f"'order_by' has {len(clauses)} clauses; at most {MAX_ORDER_CLAUSES} are allowed"
        raise InvalidInput(message, "order_by")


def _order_key(clause: str, schema: Schema) -> OrderKey:
    check_text(clause, MAX_ORDER_BYTES, "order_by")
    match tokens(clause):
        case [key, _] if key.names:
            direction = "ASC"
        case [key, word, _] if key.names and word.kind == "word":
            direction = word.raw.upper()
        case _:
            raise InvalidInput(f"Invalid order_by clause '{clause}'. Could not be parsed.", "order_by")
    if direction not in ("ASC", "DESC"):
        raise InvalidInput(f"Invalid ordering key in order_by clause '{clause}'.", "order_by")
    entity, name = schema.resolve_order(*_address(key, schema))
    return OrderKey(entity, name, direction == "ASC")


def _address(key: Token, schema: Schema) -> tuple[str, str]:
    """The prefix and name of an order key, which may stand in quotes as a whole."""
    prefix, dot, name = key.name.partition(".")
    if not key.prefix and dot and schema.knows(prefix):
        return prefix, name
    return key.prefix, key.name


def _structured_key(field: OrderField) -> OrderKey:
    for text in (field.field_name, field.dataset_name, field.dataset_digest):
        check_text(text, MAX_ORDER_BYTES, "order_by")
    prefix, dot, name = field.field_name.partition(".")
    if dot and not (name and LOGGED_MODELS.knows(prefix)):
        raise InvalidInput(f"Invalid order by field name: {field.field_name}. Only metrics are supported.", "order_by")
    address = (prefix, _unquoted(name)) if dot else ("", field.field_name)
    entity, key = LOGGED_MODELS.resolve_order(*address)
    return OrderKey(entity, key, field.ascending, field.dataset_name, field.dataset_digest)


def _unquoted(name: str) -> str:
    whole = len(name) > 1 and name[0] in '`"' and after_quote(name, 0) == len(name)
    return content(name) if whole else name


def _without_repeats(keys: list[OrderKey], schema: Schema) -> tuple[OrderKey, ...]:
    first: dict[tuple[str, str, str, str], OrderKey] = {}
    for key in keys:
        first.setdefault((key.entity, key.key, key.dataset_name, key.dataset_digest), key)
    if len(first) < len(keys) and not schema.order_repeats:
        raise InvalidInput(f"`order_by` contains duplicate fields: {[key.key for key in keys]}", "order_by")
    return tuple(first.values())
