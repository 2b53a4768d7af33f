"""The searches on MLflow's wire."""

from typing import TypeVar

from modelkeep.access import Permission
from modelkeep.core.errors import InvalidInput
from modelkeep.core.names import missing_value
from modelkeep.db import Tx
from modelkeep.faces.mlflow.logged_models import LoggedModelMessage, logged_model_message
from modelkeep.faces.mlflow.render_models import (
    ModelVersionMessage,
    RegisteredModelMessage,
    model_message,
    version_message,
)
from modelkeep.faces.mlflow.render_runs import Experiment, Run, experiment_message, run_message
from modelkeep.faces.mlflow.wire import MLFLOW, Message, routes
from modelkeep.faces.operations import Mode, Operation
from modelkeep.search import (
    LOGGED_MODELS_A_PAGE,
    MODELS_A_PAGE,
    MOST_VERSIONS,
    RUNS_A_PAGE,
    DatasetFilter,
    OrderField,
    ViewType,
    search_experiments,
    search_logged_models,
    search_models,
    search_runs,
    search_versions,
)

_VIEWS = {1: ViewType.ACTIVE_ONLY, 2: ViewType.DELETED_ONLY, 3: ViewType.ALL}
T = TypeVar("T")


class SearchModels(Message):
    """A search of registered models, or of versions."""

    filter: str | None = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class SearchExperiments(Message):
    """A search of experiments; the view by name or number."""

    filter: str | None = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: str | None = None
    view_type: int | str | None = None


class SearchRuns(Message):
    """A search of runs in experiments; the view by name or number."""

    experiment_ids: list[str] | None = None
    filter: str | None = None
    run_view_type: int | str | None = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class DatasetOfSearch(Message):
    """A dataset that metrics are narrowed to."""

    dataset_name: str | None = None
    dataset_digest: str | None = None


class OrderOfSearch(Message):
    """A key to order logged models by: an attribute or `metrics.KEY`, that on a dataset if one is named."""

    field_name: str | None = None
    ascending: bool | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class SearchLoggedModels(Message):
    """A search of logged models in experiments."""

    required = ("experiment_ids",)
    experiment_ids: list[str] | None = None
    filter: str | None = None
    datasets: list[DatasetOfSearch] | None = None
    max_results: int | None = None
    order_by: list[OrderOfSearch] | None = None
    page_token: str | None = None


class ModelsFound(Message):
    """A page of registered models."""

    registered_models: list[RegisteredModelMessage] | None = None
    next_page_token: str | None = None


class VersionsFound(Message):
    """A page of versions."""

    model_versions: list[ModelVersionMessage] | None = None
    next_page_token: str | None = None


class ExperimentsFound(Message):
    """A page of experiments."""

    experiments: list[Experiment] | None = None
    next_page_token: str | None = None


class RunsFound(Message):
    """A page of runs."""

    runs: list[Run] | None = None
    next_page_token: str | None = None


class LoggedModelsFound(Message):
    """A page of logged models."""

    models: list[LoggedModelMessage] | None = None
    next_page_token: str | None = None


def _view(given: int | str | None, name: str) -> ViewType:
    if given is None:
        return ViewType.ACTIVE_ONLY
    text = str(given)
    found = _VIEWS.get(int(text)) if text in ("1", "2", "3") else ViewType.__members__.get(text)
    if found is None:
        raise InvalidInput(
            f"Invalid value for parameter '{name}': it must be one of {', '.join(ViewType.__members__)}.", name
        )
    return found


def _or(given: T | None, default: T) -> T:
    return default if given is None else given


def find_models(tx: Tx, request: SearchModels) -> ModelsFound:
    """A page of registered models."""
    most = _or(request.max_results, MODELS_A_PAGE)
    page = search_models(tx, request.filter, most, request.order_by or (), request.page_token)
    return ModelsFound(
        registered_models=[model_message(view) for view in page.items] or None, next_page_token=page.next_page_token
    )


def find_versions(tx: Tx, request: SearchModels) -> VersionsFound:
    """A page of versions."""
    most = _or(request.max_results, MOST_VERSIONS)
    page = search_versions(tx, request.filter, most, request.order_by or (), request.page_token)
    return VersionsFound(
        model_versions=[version_message(view) for view in page.items] or None, next_page_token=page.next_page_token
    )


def find_experiments(tx: Tx, request: SearchExperiments) -> ExperimentsFound:
    """A page of experiments; how many must be said."""
    view, most = _view(request.view_type, "view_type"), _or(request.max_results, 0)
    page = search_experiments(tx, request.filter, view, most, request.order_by or (), request.page_token)
    return ExperimentsFound(
        experiments=[experiment_message(view) for view in page.items] or None, next_page_token=page.next_page_token
    )


def find_runs(tx: Tx, request: SearchRuns) -> RunsFound:
    """A page of runs."""
    page = search_runs(
        tx,
        request.experiment_ids or (),
        request.filter,
        _view(request.run_view_type, "run_view_type"),
        _or(request.max_results, RUNS_A_PAGE),
        request.order_by or (),
        request.page_token,
    )
    return RunsFound(runs=[run_message(view) for view in page.items] or None, next_page_token=page.next_page_token)


def find_logged_models(tx: Tx, request: SearchLoggedModels) -> LoggedModelsFound:
    """A page of logged models."""
    page = search_logged_models(
        tx,
        request.experiment_ids or (),
        request.filter,
        [DatasetFilter(one.dataset_name or "", one.dataset_digest or "") for one in request.datasets or ()],
        _or(request.max_results, LOGGED_MODELS_A_PAGE),
        [_order_field(one) for one in request.order_by or ()],
        request.page_token,
    )
    return LoggedModelsFound(
        models=[logged_model_message(view) for view in page.items] or None, next_page_token=page.next_page_token
    )


def _order_field(given: OrderOfSearch) -> OrderField:
    if not given.field_name:
        raise missing_value("order_by.field_name")
    return OrderField(
        given.field_name, _or(given.ascending, True), given.dataset_name or "", given.dataset_digest or ""
    )


OPERATIONS = [
    Operation(
        "mlflow.registered-models.search",
        MLFLOW,
        routes("GET", "2.0/mlflow/registered-models/search"),
        SearchModels,
        find_models,
        Mode.READ,
        Permission.MODEL_READ,
        "Search registered models",
        ModelsFound,
    ),
    Operation(
        "mlflow.model-versions.search",
        MLFLOW,
        routes("GET", "2.0/mlflow/model-versions/search"),
        SearchModels,
        find_versions,
        Mode.READ,
        Permission.MODEL_READ,
        "Search model versions",
        VersionsFound,
    ),
    Operation(
        "mlflow.experiments.search",
        MLFLOW,
        routes("POST", "2.0/mlflow/experiments/search", "GET"),
        SearchExperiments,
        find_experiments,
        Mode.READ,
        Permission.EXPERIMENT_READ,
        "Search experiments",
        ExperimentsFound,
    ),
    Operation(
        "mlflow.runs.search",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/search"),
        SearchRuns,
        find_runs,
        Mode.READ,
        Permission.RUN_READ,
        "Search runs",
        RunsFound,
    ),
    Operation(
        "mlflow.logged-models.search",
        MLFLOW,
        routes("POST", "2.0/mlflow/logged-models/search"),
        SearchLoggedModels,
        find_logged_models,
        Mode.READ,
        Permission.LOGGED_MODEL_READ,
        "Search logged models",
        LoggedModelsFound,
    ),
]
