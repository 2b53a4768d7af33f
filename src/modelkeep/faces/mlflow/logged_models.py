"""Logged models on MLflow's wire."""

from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, invalid_value, routes
from modelkeep.faces.operations import Mode, Operation
from modelkeep.runs import (
    LoggedModelView,
    create_logged_model,
    delete_logged_model,
    delete_logged_model_tag,
    finalize_logged_model,
    get_logged_model,
    log_logged_model_params,
    set_logged_model_tags,
)

# Which number and wire name a status has.
_STATUSES = {1: "PENDING", 2: "READY", 3: "FAILED"}
_WIRE_STATUSES = {
    "PENDING": "LOGGED_MODEL_PENDING",
    "READY": "LOGGED_MODEL_READY",
    "FAILED": "LOGGED_MODEL_UPLOAD_FAILED",
}


class LoggedModelTag(Message):
    """A tag."""

    key: str | None = None
    value: str | None = None


class LoggedModelParameter(Message):
    """A parameter."""

    key: str | None = None
    value: str | None = None


class CreateLoggedModel(Message):
    """A logged model to begin."""

    required = ("experiment_id",)
    experiment_id: str | None = None
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: list[LoggedModelParameter] | None = None
    tags: list[LoggedModelTag] | None = None


class GetLoggedModel(Message):
    """A logged model to show."""

    required = ("model_id",)
    model_id: str | None = None
    allow_deleted: bool | None = None


class FinalizeLoggedModel(Message):
    """A logged model's status, by name or number."""

    required = ("model_id", "status")
    model_id: str | None = None
    status: int | str | None = None


class DeleteLoggedModel(Message):
    """A logged model to delete."""

    required = ("model_id",)
    model_id: str | None = None


class SetLoggedModelTags(Message):
    """Tags to set."""

    required = ("model_id",)
    model_id: str | None = None
    tags: list[LoggedModelTag] | None = None


class DeleteLoggedModelTag(Message):
    """A tag to delete."""

    required = ("model_id", "tag_key")
    model_id: str | None = None
    tag_key: str | None = None


class LogLoggedModelParams(Message):
    """Parameters to add."""

    required = ("model_id",)
    model_id: str | None = None
    params: list[LoggedModelParameter] | None = None


class LoggedModelMetric(Message):
    """A metric point that was measured on a logged model."""

    key: str | None = None
    value: float | str | None = None
    timestamp: int | None = None
    step: int | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    model_id: str | None = None
    run_id: str | None = None


class LoggedModelInfo(Message):
    """What a logged model is."""

    model_id: str | None = None
    experiment_id: str | None = None
    name: str | None = None
    creation_timestamp_ms: int | None = None
    last_updated_timestamp_ms: int | None = None
    artifact_uri: str | None = None
    status: str | None = None
    status_message: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    tags: list[LoggedModelTag] | None = None


class LoggedModelData(Message):
    """What was logged to a logged model."""

    params: list[LoggedModelParameter] | None = None
    metrics: list[LoggedModelMetric] | None = None


class LoggedModelMessage(Message):
    """A logged model."""

    info: LoggedModelInfo | None = None
    data: LoggedModelData | None = None


class LoggedModelAnswer(Message):
    """One logged model."""

    model: LoggedModelMessage | None = None


def logged_model_message(view: LoggedModelView) -> LoggedModelMessage:
    """A logged model as the wire writes it."""
    info = LoggedModelInfo(
        model_id=view.id,
        experiment_id=str(view.experiment_id),
        name=view.name,
        creation_timestamp_ms=view.created_at,
        last_updated_timestamp_ms=view.updated_at,
        artifact_uri=view.artifact_uri,
        status=_WIRE_STATUSES[view.status],
        status_message=view.status_message,
        model_type=view.model_type,
        source_run_id=view.source_run_id,
        tags=[LoggedModelTag(key=key, value=value) for key, value in view.tags] or None,
    )
    return LoggedModelMessage(info=info, data=_data(view))


def _data(view: LoggedModelView) -> LoggedModelData:
    return LoggedModelData(
        params=[LoggedModelParameter(key=key, value=value) for key, value in view.params] or None,
        metrics=[
            LoggedModelMetric(
                key=point.key,
                value="NaN" if point.is_nan else point.value,
                timestamp=point.timestamp,
                step=point.step,
                dataset_name=point.dataset_name or None,
                dataset_digest=point.dataset_digest or None,
                model_id=view.id,
                run_id=point.run_id,
            )
            for point in view.metrics
        ]
        or None,
    )


def create(tx: Tx, request: CreateLoggedModel) -> LoggedModelAnswer:
    """Begin a logged model."""
    view = create_logged_model(
        tx,
        request.experiment_id or "",
        request.name,
        request.model_type,
        request.source_run_id,
        request.params or (),
        request.tags or (),
    )
    return LoggedModelAnswer(model=logged_model_message(view))


def get(tx: Tx, request: GetLoggedModel) -> LoggedModelAnswer:
    """Show a logged model."""
    view = get_logged_model(tx, request.model_id or "", allow_deleted=bool(request.allow_deleted))
    return LoggedModelAnswer(model=logged_model_message(view))


def finalize(tx: Tx, request: FinalizeLoggedModel) -> LoggedModelAnswer:
    """Set a logged model's status."""
    view = finalize_logged_model(tx, request.model_id or "", _status(request.status))
    return LoggedModelAnswer(model=logged_model_message(view))


def delete(tx: Tx, request: DeleteLoggedModel) -> None:
    """Delete a logged model."""
    delete_logged_model(tx, request.model_id or "")


def set_tags(tx: Tx, request: SetLoggedModelTags) -> LoggedModelAnswer:
    """Set tags of a logged model."""
    model_id = request.model_id or ""
    set_logged_model_tags(tx, model_id, request.tags or ())
    return LoggedModelAnswer(model=logged_model_message(get_logged_model(tx, model_id, allow_deleted=True)))


def delete_tag(tx: Tx, request: DeleteLoggedModelTag) -> None:
    """Delete a tag of a logged model."""
    delete_logged_model_tag(tx, request.model_id or "", request.tag_key or "")


def log_params(tx: Tx, request: LogLoggedModelParams) -> None:
    """Add parameters to a logged model."""
    log_logged_model_params(tx, request.model_id or "", request.params or ())


def _status(given: int | str | None) -> str:
    by_name = {wire: status for status, wire in _WIRE_STATUSES.items()}
    status = _STATUSES.get(given) if isinstance(given, int) else by_name.get(given or "")
    if status is None:
        raise invalid_value("status", given)
    return status


_ALL = "2.0/mlflow/logged-models"
_ONE = f"{_ALL}/{{model_id}}"
_READ, _WRITE = Permission.LOGGED_MODEL_READ, Permission.LOGGED_MODEL_WRITE

OPERATIONS: list[Operation] = [
    Operation(
        "logged_models.create",
        MLFLOW,
        routes("POST", _ALL),
        CreateLoggedModel,
        create,
        Mode.WRITE,
        _WRITE,
        "Begin a logged model",
        LoggedModelAnswer,
    ),
    Operation(
        "logged_models.get",
        MLFLOW,
        routes("GET", _ONE),
        GetLoggedModel,
        get,
        Mode.QUICK,
        _READ,
        "Show a logged model",
        LoggedModelAnswer,
    ),
    Operation(
        "logged_models.finalize",
        MLFLOW,
        routes("PATCH", _ONE),
        FinalizeLoggedModel,
        finalize,
        Mode.WRITE,
        _WRITE,
        "Set a logged model's status",
        LoggedModelAnswer,
    ),
    Operation(
        "logged_models.delete",
        MLFLOW,
        routes("DELETE", _ONE),
        DeleteLoggedModel,
        delete,
        Mode.WRITE,
        Permission.LOGGED_MODEL_DELETE,
        "Delete a logged model",
        Empty,
    ),
    Operation(
        "logged_models.set_tags",
        MLFLOW,
        routes("PATCH", f"{_ONE}/tags"),
        SetLoggedModelTags,
        set_tags,
        Mode.WRITE,
        _WRITE,
        "Set tags of a logged model",
        LoggedModelAnswer,
    ),
    Operation(
        "logged_models.delete_tag",
        MLFLOW,
        routes("DELETE", f"{_ONE}/tags/{{tag_key:path}}"),
        DeleteLoggedModelTag,
        delete_tag,
        Mode.WRITE,
        _WRITE,
        "Delete a tag of a logged model",
        Empty,
    ),
    Operation(
        "logged_models.log_params",
        MLFLOW,
        routes("POST", f"{_ONE}/params"),
        LogLoggedModelParams,
        log_params,
        Mode.WRITE,
        _WRITE,
        "Add parameters to a logged model",
        Empty,
    ),
]
