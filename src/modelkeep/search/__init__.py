"""Search: experiments, runs, logged models, registered models and versions by filters, in order, page by page."""

from modelkeep.search.order import OrderField
from modelkeep.search.paging import Page
from modelkeep.search.registry import MODELS_A_PAGE, MOST_VERSIONS, search_models, search_versions
from modelkeep.search.tracking import (
    LOGGED_MODELS_A_PAGE,
    RUNS_A_PAGE,
    DatasetFilter,
    ViewType,
    search_experiments,
    search_logged_models,
    search_runs,
)

__all__ = [
    "LOGGED_MODELS_A_PAGE",
    "MODELS_A_PAGE",
    "MOST_VERSIONS",
    "RUNS_A_PAGE",
    "DatasetFilter",
    "OrderField",
    "Page",
    "ViewType",
    "search_experiments",
    "search_logged_models",
    "search_models",
    "search_runs",
    "search_versions",
]
