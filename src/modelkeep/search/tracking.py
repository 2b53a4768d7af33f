"""Searches of experiments, runs and logged models."""

import json
import re
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct
from msgspec.structs import asdict

from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.runs import (
    ExperimentView,
    LoggedModelView,
    RunView,
    experiments_among,
    load_experiments,
    load_logged_models,
    load_runs,
)
from modelkeep.search.cursor import arguments
from modelkeep.search.grammar import Expr, parse_filter
from modelkeep.search.order import OrderField, logged_model_order, parse_order
from modelkeep.search.paging import Asked, Page, by, check_count, page_of, with_ties
from modelkeep.search.schemas import EXPERIMENTS, LOGGED_MODELS, RUNS
from modelkeep.search.sight import among_seen
from modelkeep.search.tokens import check_text
from modelkeep.search.walk import Corner

MOST_RESULTS = 50_000
RUNS_A_PAGE = 1_000
LOGGED_MODELS_A_PAGE = 50
MAX_DATASETS = 100

# With up to so many experiments each is walked in order and the pages are merged; more are sorted together.
_MOST_CORNERS = 100
_NUMBER = re.compile(r"-?[0-9]{1,40}", re.ASCII)


class ViewType(Enum):
    """Which lifecycles a search shows."""

    ACTIVE_ONLY = ("active",)
    DELETED_ONLY = ("deleted",)
    ALL = ("active", "deleted")


class DatasetFilter(Struct, frozen=True):
    """A dataset that the metrics of a filter must have been measured on; without a digest, any of that name."""

    dataset_name: str
    dataset_digest: str = ""


def search_runs(
    tx: Tx,
    experiment_ids: Sequence[str],
    text: str | None = None,
    view: ViewType = ViewType.ACTIVE_ONLY,
    max_results: int = RUNS_A_PAGE,
    order_by: Sequence[str] = (),
    page_token: str | None = None,
) -> Page[RunView]:
    """Runs of these experiments, the latest started first unless asked. Raises InvalidInput."""
    order = with_ties(parse_order(order_by, RUNS), by("start_time", ascending=False), by("run_id", ascending=True))
    expr, numbers = parse_filter(text, RUNS), _seen(tx, _numbers(experiment_ids))
    asked = Asked(
        "runs",
        _corners(tx, numbers, view.value),
        expr,
        order,
        arguments([numbers, view.name], text, list(order_by)),
        check_count(max_results, MOST_RESULTS),
        page_token,
    )
    return page_of(tx, asked, lambda ids: load_runs(tx, ids))


def search_experiments(
    tx: Tx,
    text: str | None,
    view: ViewType,
    max_results: int,
    order_by: Sequence[str] = (),
    page_token: str | None = None,
) -> Page[ExperimentView]:
    """Experiments, the newest first unless asked. Raises InvalidInput."""
    keys = parse_order(order_by, EXPERIMENTS)
    first = () if keys else (by("creation_time", ascending=False), by("experiment_id", ascending=True))
    here = {"workspace": tx.workspace}
    asked = Asked(
        "experiments",
        [Corner(("workspace",), ("lifecycle",), here | {"lifecycle": lifecycle}) for lifecycle in view.value],
        _among_seen(tx, parse_filter(text, EXPERIMENTS)),
        with_ties((*keys, *first), by("experiment_id", ascending=False)),
        arguments(view.name, text, list(order_by)),
        check_count(max_results, MOST_RESULTS),
        page_token,
    )
    return page_of(tx, asked, lambda ids: load_experiments(tx, ids))


def search_logged_models(
    tx: Tx,
    experiment_ids: Sequence[str],
    text: str | None = None,
    datasets: Sequence[DatasetFilter] = (),
    max_results: int = LOGGED_MODELS_A_PAGE,
    order_by: Sequence[OrderField] = (),
    page_token: str | None = None,
) -> Page[LoggedModelView]:
    """Logged models of these experiments, the newest first unless asked; deleted runs do not hide them.

    `datasets` narrow the metrics that the filter looks at; where it looks at none, the models are those with any metric
    on them. Raises InvalidInput.
    """
    keys = with_ties(
        logged_model_order(order_by), by("creation_timestamp", ascending=False), by("model_id", ascending=True)
    )
    expr, numbers = parse_filter(text, LOGGED_MODELS), _seen(tx, _numbers(experiment_ids))
    narrowed = _datasets(datasets)
    asked = Asked(
        "logged_models",
        _corners(tx, numbers, ()),
        expr,
        keys,
        arguments([numbers, narrowed], text, [asdict(field) for field in order_by], mark=":"),
        min(check_count(max_results, 2**31), MOST_RESULTS),
        page_token,
        narrowed,
    )
    return page_of(tx, asked, lambda ids: load_logged_models(tx, ids))


def _numbers(experiment_ids: Sequence[str]) -> list[int]:
    for text in experiment_ids:
        if not _NUMBER.fullmatch(text):
            shown = text[:100]
            raise InvalidInput(
                f"Invalid experiment ID '{shown}'. Experiment ID must be a valid integer.", "experiment_ids"
            )
    return sorted({number for number in map(int, experiment_ids) if 0 <= number < 2**63})


def _seen(tx: Tx, numbers: Sequence[int]) -> list[int]:
    """Those of these experiments that the caller may know of."""
    sight = tx.caller.sight
    if sight is None or sight.experiments.is_all:
        return list(numbers)
    found = experiments_among(tx, numbers)
    return [one.id for one in found if sight.experiments.shows(str(one.id), one.name)]


def _among_seen(tx: Tx, expr: Expr | None) -> Expr | None:
    if tx.caller.sight is None:
        return expr
    seen = tx.caller.sight.experiments
    wanted = [int(one) for one in seen.ids | seen.hidden_ids]
    return among_seen(expr, seen, lambda: {str(one.id): one.name for one in experiments_among(tx, wanted)})


def _corners(tx: Tx, numbers: Sequence[int], lifecycles: Sequence[str]) -> list[Corner]:
    """Each experiment and lifecycle by itself, or all experiments together where they are many."""
    here = {"workspace": tx.workspace}
    places: list[tuple[str, dict[str, object]]] = [("experiment", {"experiment": number}) for number in numbers]
    leads = len(places) <= _MOST_CORNERS
    if not leads:
        places = [("experiments", {"experiments": json.dumps(numbers)})]
    bounds = [{"lifecycle": lifecycle} for lifecycle in lifecycles] or [{}]
    return [
        Corner(("workspace", name), tuple(bound), here | place | bound, leads)
        for name, place in places
        for bound in bounds
    ]


def _datasets(datasets: Sequence[DatasetFilter]) -> list[tuple[str, str]]:
    if len(datasets) > MAX_DATASETS:
        raise InvalidInput(f"'datasets' has {len(datasets)} entries; at most {MAX_DATASETS} are allowed", "datasets")
    for dataset in datasets:
        if not dataset.dataset_name:
            raise InvalidInput("`dataset_name` in the `datasets` clause must be specified.", "datasets")
        check_text(dataset.dataset_name, 2048, "datasets")
        check_text(dataset.dataset_digest, 2048, "datasets")
    return [(dataset.dataset_name, dataset.dataset_digest) for dataset in datasets]
