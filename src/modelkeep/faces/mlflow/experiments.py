"""Experiments on MLflow's wire."""

from modelkeep import runs
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.mlflow.render_runs import Entry, Experiment, experiment_message
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation


class CreateExperiment(Message):
    """A new experiment; without a location its files lie in this store."""

    required = ("name",)
    name: str | None = None
    artifact_location: str | None = None
    tags: list[Entry] | None = None


class CreateExperimentAnswer(Message):
    """The new experiment's id."""

    experiment_id: str | None = None


class NamedExperiment(Message):
    """An experiment by its id."""

    required = ("experiment_id",)
    experiment_id: str | None = None


class GetExperimentByName(Message):
    """An experiment by its name."""

    required = ("experiment_name",)
    experiment_name: str | None = None


class ExperimentAnswer(Message):
    """An experiment."""

    experiment: Experiment | None = None


class UpdateExperiment(Message):
    """A new name for an experiment."""

    required = ("experiment_id",)
    experiment_id: str | None = None
    new_name: str | None = None


class SetExperimentTag(Message):
    """A tag to set."""

    required = ("experiment_id", "key")
    experiment_id: str | None = None
    key: str | None = None
    value: str | None = None


class DeleteExperimentTag(Message):
    """A tag to delete."""

    required = ("experiment_id", "key")
    experiment_id: str | None = None
    key: str | None = None


def create_experiment(tx: Tx, request: CreateExperiment) -> CreateExperimentAnswer:
    """Make an experiment."""
    number = runs.create_experiment(tx, request.name or "", request.artifact_location, request.tags or ())
    return CreateExperimentAnswer(experiment_id=str(number))


def get_experiment(tx: Tx, request: NamedExperiment) -> ExperimentAnswer:
    """Show an experiment."""
    return ExperimentAnswer(experiment=experiment_message(runs.get_experiment(tx, request.experiment_id or "")))


def get_experiment_by_name(tx: Tx, request: GetExperimentByName) -> ExperimentAnswer:
    """Show an experiment."""
    return ExperimentAnswer(
        experiment=experiment_message(runs.get_experiment_by_name(tx, request.experiment_name or ""))
    )


def delete_experiment(tx: Tx, request: NamedExperiment) -> None:
    """Mark an experiment and its runs deleted."""
    runs.delete_experiment(tx, request.experiment_id or "")


def restore_experiment(tx: Tx, request: NamedExperiment) -> None:
    """Make an experiment and its runs active again."""
    runs.restore_experiment(tx, request.experiment_id or "")


def update_experiment(tx: Tx, request: UpdateExperiment) -> None:
    """Rename an experiment."""
    runs.rename_experiment(tx, request.experiment_id or "", request.new_name)


def set_experiment_tag(tx: Tx, request: SetExperimentTag) -> None:
    """Set a tag of an experiment."""
    runs.set_experiment_tag(tx, request.experiment_id or "", request)


def delete_experiment_tag(tx: Tx, request: DeleteExperimentTag) -> None:
    """Delete a tag of an experiment."""
    runs.delete_experiment_tag(tx, request.experiment_id or "", request.key or "")


_READ, _WRITE = Permission.EXPERIMENT_READ, Permission.EXPERIMENT_WRITE

OPERATIONS: list[Operation] = [
    Operation(
        "mlflow.experiments.create",
        MLFLOW,
        routes("POST", "2.0/mlflow/experiments/create"),
        CreateExperiment,
        create_experiment,
        Mode.WRITE,
        Permission.EXPERIMENT_CREATE,
        "Create an experiment",
        CreateExperimentAnswer,
    ),
    Operation(
        "mlflow.experiments.get",
        MLFLOW,
        routes("GET", "2.0/mlflow/experiments/get"),
        NamedExperiment,
        get_experiment,
        Mode.QUICK,
        _READ,
        "Get an experiment",
        ExperimentAnswer,
    ),
    Operation(
        "mlflow.experiments.get-by-name",
        MLFLOW,
        routes("GET", "2.0/mlflow/experiments/get-by-name"),
        GetExperimentByName,
        get_experiment_by_name,
        Mode.QUICK,
        _READ,
        "Get an experiment by its name",
        ExperimentAnswer,
    ),
    Operation(
        "mlflow.experiments.delete",
        MLFLOW,
        routes("POST", "2.0/mlflow/experiments/delete"),
        NamedExperiment,
        delete_experiment,
        Mode.WRITE,
        Permission.EXPERIMENT_DELETE,
        "Mark an experiment and its runs deleted",
        Empty,
    ),
    Operation(
        "mlflow.experiments.restore",
        MLFLOW,
        routes("POST", "2.0/mlflow/experiments/restore"),
        NamedExperiment,
        restore_experiment,
        Mode.WRITE,
        Permission.EXPERIMENT_DELETE,
        "Restore an experiment and its runs",
        Empty,
    ),
    Operation(
        "mlflow.experiments.update",
        MLFLOW,
        routes("POST", "2.0/mlflow/experiments/update"),
        UpdateExperiment,
        update_experiment,
        Mode.WRITE,
        _WRITE,
        "Rename an experiment",
        Empty,
    ),
    Operation(
        "mlflow.experiments.set-tag",
        MLFLOW,
        routes("POST", "2.0/mlflow/experiments/set-experiment-tag"),
        SetExperimentTag,
        set_experiment_tag,
        Mode.WRITE,
        _WRITE,
        "Set a tag of an experiment",
        Empty,
    ),
    Operation(
        "mlflow.experiments.delete-tag",
        MLFLOW,
        routes("POST", "2.0/mlflow/experiments/delete-experiment-tag"),
        DeleteExperimentTag,
        delete_experiment_tag,
        Mode.WRITE,
        _WRITE,
        "Delete a tag of an experiment",
        Empty,
    ),
]
