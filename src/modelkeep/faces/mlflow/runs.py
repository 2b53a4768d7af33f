"""Runs on MLflow's wire: their life, and what is logged to them; metrics are read in `metrics`."""

from typing import ClassVar

from modelkeep import runs
from modelkeep.access import Permission
from modelkeep.core.names import missing_value
from modelkeep.db import Tx
from modelkeep.faces.mlflow.render_runs import (
    DatasetInput,
    Entry,
    Int64,
    ModelInput,
    ModelOutput,
    Run,
    RunInfo,
    info_message,
    run_message,
)
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation

# A dataset's profile has up to 16 million characters.
_DATASET_BODY = 64 * 1024 * 1024


class NamedRun(Message):
    """A run by its id, which older clients call `run_uuid`."""

    required: ClassVar[tuple[str, ...]] = ("run_id",)
    run_id: str | None = None
    run_uuid: str | None = None

    def __post_init__(self) -> None:
        """Take the older name for the newer one."""
        if not self.run_id:
            self.run_id = self.run_uuid

    @property
    def run(self) -> str:
        """The run's id."""
        return self.run_id or ""


class CreateRun(Message):
    """A run to begin, in experiment 0 if none is named."""

    experiment_id: str | None = None
    user_id: str | None = None
    run_name: str | None = None
    start_time: Int64 | None = None
    tags: list[Entry] | None = None


class RunAnswer(Message):
    """A run."""

    run: Run | None = None


class UpdateRun(NamedRun):
    """What of a run changes."""

    status: int | str | None = None
    end_time: Int64 | None = None
    run_name: str | None = None


class UpdateRunAnswer(Message):
    """The run's info now."""

    run_info: RunInfo | None = None


class LogMetric(NamedRun):
    """A metric point; the step is 0 unless given."""

    required = ("run_id", "key", "value", "timestamp")
    key: str | None = None
    value: float | None = None
    timestamp: Int64 | None = None
    step: Int64 | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class LogParam(NamedRun):
    """A parameter."""

    required = ("run_id", "key")
    key: str | None = None
    value: str | None = None


class SetTag(NamedRun):
    """A tag to set."""

    required = ("run_id", "key")
    key: str | None = None
    value: str | None = None


class DeleteTag(NamedRun):
    """A tag to delete."""

    required = ("run_id", "key")
    key: str | None = None


class BatchMetric(Message):
    """A metric point in a batch."""

    key: str | None = None
    value: float | None = None
    timestamp: Int64 | None = None
    step: Int64 | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class LogBatch(NamedRun):
    """Metrics, parameters and tags to log together."""

    metrics: list[BatchMetric] | None = None
    params: list[Entry] | None = None
    tags: list[Entry] | None = None


class LogInputs(NamedRun):
    """Datasets and logged models that a run read."""

    datasets: list[DatasetInput] | None = None
    models: list[ModelInput] | None = None


class LogOutputs(NamedRun):
    """Logged models that a run made."""

    models: list[ModelOutput] | None = None


class LogModel(NamedRun):
    """What a 2.x client tells of a model that it logged to a run, as JSON."""

    required = ("run_id", "model_json")
    model_json: str | None = None


def create_run(tx: Tx, request: CreateRun) -> RunAnswer:
    """Begin a run."""
    view = runs.create_run(
        tx,
        request.experiment_id or "",
        name=request.run_name,
        user_id=request.user_id,
        start_time=request.start_time,
        tags=request.tags or (),
    )
    return RunAnswer(run=run_message(view))


def get_run(tx: Tx, request: NamedRun) -> RunAnswer:
    """Show a run."""
    return RunAnswer(run=run_message(runs.get_run(tx, request.run)))


def update_run(tx: Tx, request: UpdateRun) -> UpdateRunAnswer:
    """Change a run."""
    status = None if request.status is None else str(request.status)
    row = runs.update_run(tx, request.run, status=status, end_time=request.end_time, name=request.run_name)
    return UpdateRunAnswer(run_info=info_message(row))


def delete_run(tx: Tx, request: NamedRun) -> None:
    """Mark a run deleted."""
    runs.delete_run(tx, request.run)


def restore_run(tx: Tx, request: NamedRun) -> None:
    """Make a run active again."""
    runs.restore_run(tx, request.run)


def log_metric(tx: Tx, request: LogMetric) -> None:
    """Log a metric point."""
    runs.log_metric(tx, request.run, request)


def log_param(tx: Tx, request: LogParam) -> None:
    """Log a parameter."""
    runs.log_param(tx, request.run, request)


def set_tag(tx: Tx, request: SetTag) -> None:
    """Set a tag."""
    runs.set_tag(tx, request.run, request)


def delete_tag(tx: Tx, request: DeleteTag) -> None:
    """Delete a tag."""
    runs.delete_tag(tx, request.run, request.key or "")


def log_batch(tx: Tx, request: LogBatch) -> None:
    """Log metrics, parameters and tags together."""
    runs.log_batch(tx, request.run, request.metrics or (), request.params or (), request.tags or ())


def log_inputs(tx: Tx, request: LogInputs) -> None:
    """Note what a run read."""
    uses = []
    for index, used in enumerate(request.datasets or ()):
        if used.dataset is None:
            raise missing_value(f"datasets[{index}].dataset")
        uses.append(runs.DatasetUse(used.dataset, used.tags or ()))
    runs.log_inputs(tx, request.run, uses, [model.model_id for model in request.models or ()])


def log_outputs(tx: Tx, request: LogOutputs) -> None:
    """Note what a run made."""
    runs.log_outputs(tx, request.run, request.models or ())


def log_model(tx: Tx, request: LogModel) -> None:
    """Note a model that a 2.x client logged."""
    runs.note_model(tx, request.run, request.model_json or "")


_WRITE = Permission.RUN_WRITE

OPERATIONS: list[Operation] = [
    Operation(
        "mlflow.runs.create",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/create"),
        CreateRun,
        create_run,
        Mode.WRITE,
        _WRITE,
        "Begin a run",
        RunAnswer,
    ),
    Operation(
        "mlflow.runs.get",
        MLFLOW,
        routes("GET", "2.0/mlflow/runs/get"),
        NamedRun,
        get_run,
        Mode.READ,
        Permission.RUN_READ,
        "Get a run with everything logged to it",
        RunAnswer,
    ),
    Operation(
        "mlflow.runs.update",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/update"),
        UpdateRun,
        update_run,
        Mode.WRITE,
        _WRITE,
        "Change a run's status, end or name",
        UpdateRunAnswer,
    ),
    Operation(
        "mlflow.runs.delete",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/delete"),
        NamedRun,
        delete_run,
        Mode.WRITE,
        Permission.RUN_DELETE,
        "Mark a run deleted",
        Empty,
    ),
    Operation(
        "mlflow.runs.restore",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/restore"),
        NamedRun,
        restore_run,
        Mode.WRITE,
        Permission.RUN_DELETE,
        "Restore a deleted run",
        Empty,
    ),
    Operation(
        "mlflow.runs.log-metric",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/log-metric"),
        LogMetric,
        log_metric,
        Mode.WRITE,
        _WRITE,
        "Log a metric point",
        Empty,
    ),
    Operation(
        "mlflow.runs.log-parameter",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/log-parameter"),
        LogParam,
        log_param,
        Mode.WRITE,
        _WRITE,
        "Log a parameter, once",
        Empty,
    ),
    Operation(
        "mlflow.runs.log-batch",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/log-batch"),
        LogBatch,
        log_batch,
        Mode.WRITE,
        _WRITE,
        "Log metrics, parameters and tags together",
        Empty,
    ),
    Operation(
        "mlflow.runs.set-tag",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/set-tag"),
        SetTag,
        set_tag,
        Mode.WRITE,
        _WRITE,
        "Set a tag of a run",
        Empty,
    ),
    Operation(
        "mlflow.runs.delete-tag",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/delete-tag"),
        DeleteTag,
        delete_tag,
        Mode.WRITE,
        _WRITE,
        "Delete a tag of a run",
        Empty,
    ),
    Operation(
        "mlflow.runs.log-inputs",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/log-inputs"),
        LogInputs,
        log_inputs,
        Mode.WRITE,
        _WRITE,
        "Note datasets and logged models that a run read",
        Empty,
        _DATASET_BODY,
    ),
    Operation(
        "mlflow.runs.outputs",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/outputs"),
        LogOutputs,
        log_outputs,
        Mode.WRITE,
        _WRITE,
        "Note logged models that a run made",
        Empty,
    ),
    Operation(
        "mlflow.runs.log-model",
        MLFLOW,
        routes("POST", "2.0/mlflow/runs/log-model"),
        LogModel,
        log_model,
        Mode.WRITE,
        _WRITE,
        "Note a model that a 2.x client logged",
        Empty,
    ),
]
