"""Searches of registered models and of their versions. Prompts are left out unless the filter asks for them."""

from collections.abc import Sequence

from modelkeep.catalog import ModelView, VersionView, models_by_ids, versions_by_keys
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.models import model_names
from modelkeep.search.cursor import arguments
from modelkeep.search.grammar import Expr, PromptScope, parse_filter, prompt_scope
from modelkeep.search.order import parse_order
from modelkeep.search.paging import Asked, Page, by, check_count, page_of, with_ties
from modelkeep.search.schemas import MODELS, VERSIONS, Schema
from modelkeep.search.sight import among_seen
from modelkeep.search.walk import Corner

MODELS_A_PAGE = 100
MOST_MODELS = 1_000
MOST_VERSIONS = 200_000

_KINDS = {PromptScope.MODELS: "model", PromptScope.PROMPTS: "prompt"}


def search_models(
    tx: Tx,
    text: str | None = None,
    max_results: int = MODELS_A_PAGE,
    order_by: Sequence[str] = (),
    page_token: str | None = None,
) -> Page[ModelView]:
    """Registered models in use, by name unless asked. Raises InvalidInput."""
    corner, expr = _corner(tx, text, MODELS)
    asked = Asked(
        "models",
        [corner],
        expr,
        with_ties(parse_order(order_by, MODELS), by("name", ascending=True)),
        arguments("", text, list(order_by)),
        check_count(max_results, MOST_MODELS),
        page_token,
    )
    return page_of(tx, asked, lambda ids: models_by_ids(tx, ids))


def search_versions(
    tx: Tx,
    text: str | None = None,
    max_results: int = MOST_VERSIONS,
    order_by: Sequence[str] = (),
    page_token: str | None = None,
) -> Page[VersionView]:
    """Versions in use, the last changed first unless asked. Raises InvalidInput."""
    corner, expr = _corner(tx, text, VERSIONS)
    keys = parse_order(order_by, VERSIONS)
    first = () if keys else (by("last_updated_timestamp", ascending=False),)
    asked = Asked(
        "versions",
        [corner],
        expr,
        with_ties((*keys, *first), by("name", ascending=True), by("version_number", ascending=False)),
        arguments("", text, list(order_by)),
        _version_count(max_results),
        page_token,
    )
    return page_of(tx, asked, lambda ids: versions_by_keys(tx, ids))


def _corner(tx: Tx, text: str | None, schema: Schema) -> tuple[Corner, Expr | None]:
    """Where to look: models, prompts or both; and the rest of the filter."""
    scope, expr = prompt_scope(parse_filter(text, schema))
    if tx.caller.sight is not None:
        seen = tx.caller.sight.models
        expr = among_seen(expr, seen, lambda: model_names(tx, sorted(seen.ids | seen.hidden_ids)))
    here = {"workspace": tx.workspace}
    if scope is PromptScope.ALL:
        return Corner(("workspace",), ("any_kind",), here), expr
    return Corner(("workspace",), ("kind",), here | {"kind": _KINDS[scope]}), expr


def _version_count(value: int) -> int:
    if value < 1:
        text = f"Invalid value for max_results. It must be a positive integer, but got {value}"
        raise InvalidInput(text, "max_results")
    return check_count(value, MOST_VERSIONS)
