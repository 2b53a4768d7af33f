"""Experiments and runs as MLflow's wire writes them: the messages that several answers share."""

from typing import Annotated, Any

from msgspec import Meta

from modelkeep.faces.mlflow.wire import Message
from modelkeep.runs import DatasetView, ExperimentView, MetricView, Pair, RunView

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Entry(Message):
    """A tag or a parameter in a request."""

    key: str | None = None
    value: str | None = None


class Experiment(Message):
    """An experiment."""

    experiment_id: str | None = None
    name: str | None = None
    artifact_location: str | None = None
    lifecycle_stage: str | None = None
    creation_time: int | None = None
    last_update_time: int | None = None
    tags: list[Pair] | None = None


class RunInfo(Message):
    """What a run is."""

    run_id: str | None = None
    run_uuid: str | None = None
    run_name: str | None = None
    experiment_id: str | None = None
    user_id: str | None = None
    status: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    artifact_uri: str | None = None
    lifecycle_stage: str | None = None


class Metric(Message):
    """A metric point. A value that is not a number is the text `NaN`."""

    key: str | None = None
    value: float | str | None = None
    timestamp: int | None = None
    step: int | None = None
    run_id: str | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class RunData(Message):
    """What was logged to a run; the latest point of each metric."""

    metrics: list[Metric] | None = None
    params: list[Pair] | None = None
    tags: list[Pair] | None = None


class Dataset(Message):
    """A dataset."""

    name: str | None = None
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class DatasetInput(Message):
    """A dataset that a run read, and the tags of this use."""

    tags: list[Pair] | None = None
    dataset: Dataset | None = None


class ModelInput(Message):
    """A logged model that a run read."""

    model_id: str | None = None


class RunInputs(Message):
    """What a run read."""

    dataset_inputs: list[DatasetInput] | None = None
    model_inputs: list[ModelInput] | None = None


class ModelOutput(Message):
    """A logged model that a run made, and at which step."""

    model_id: str | None = None
    step: Int64 | None = None


class RunOutputs(Message):
    """What a run made."""

    model_outputs: list[ModelOutput] | None = None


class Run(Message):
    """A run with everything logged to it."""

    info: RunInfo | None = None
    data: RunData | None = None
    inputs: RunInputs | None = None
    outputs: RunOutputs | None = None


def experiment_message(view: ExperimentView) -> Experiment:
    """An experiment on the wire."""
    return Experiment(
        experiment_id=str(view.id),
        name=view.name,
        artifact_location=view.artifact_location,
        lifecycle_stage=view.lifecycle,
        creation_time=view.created_at,
        last_update_time=view.updated_at,
        tags=view.tags or None,
    )


def info_message(run: Any) -> RunInfo:
    """A run's info on the wire, from its view or its row."""
    return RunInfo(
        run_id=run.id,
        run_uuid=run.id,
        run_name=run.name,
        experiment_id=str(run.experiment_id),
        user_id=run.user_id,
        status=run.status,
        start_time=run.start_time,
        end_time=run.end_time,
        artifact_uri=run.artifact_uri,
        lifecycle_stage=run.lifecycle,
    )


def run_message(view: RunView) -> Run:
    """A run on the wire."""
    return Run(
        info=info_message(view),
        data=RunData(
            metrics=[metric_message(point) for point in view.metrics] or None,
            params=view.params or None,
            tags=view.tags or None,
        ),
        inputs=_inputs(view) if view.dataset_inputs or view.model_inputs else _NO_INPUTS,
        outputs=_outputs(view) if view.model_outputs else _NO_OUTPUTS,
    )


_NO_INPUTS = RunInputs()
_NO_OUTPUTS = RunOutputs()


def _inputs(view: RunView) -> RunInputs:
    return RunInputs(
        dataset_inputs=[_dataset_input(dataset) for dataset in view.dataset_inputs] or None,
        model_inputs=[ModelInput(model_id=model_id) for model_id in view.model_inputs] or None,
    )


def _outputs(view: RunView) -> RunOutputs:
    return RunOutputs(
        model_outputs=[ModelOutput(model_id=made.model_id, step=made.step) for made in view.model_outputs]
    )


def metric_message(point: MetricView, run_id: str | None = None) -> Metric:
    """A metric point on the wire, with its run where points of several are shown."""
    return Metric(
        key=point.key,
        value="NaN" if point.is_nan else point.value,
        timestamp=point.timestamp,
        step=point.step,
        run_id=run_id,
        model_id=point.logged_model_id,
        dataset_name=point.dataset_name,
        dataset_digest=point.dataset_digest,
    )


def _dataset_input(view: DatasetView) -> DatasetInput:
    dataset = Dataset(
        name=view.name,
        digest=view.digest,
        source_type=view.source_type,
        source=view.source,
        schema=view.schema,
        profile=view.profile,
    )
    return DatasetInput(tags=view.tags or None, dataset=dataset)
