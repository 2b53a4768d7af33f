"""Experiments and runs as they are shown, put together from a fixed number of statements whatever their count."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from modelkeep.artifacts import artifact_uri
from modelkeep.db import Tx
from modelkeep.runs import rules
from modelkeep.runs.store import datasets, experiments, runs
from modelkeep.runs.store import metrics as metric_store


class Pair(msgspec.Struct, frozen=True):
    """A tag or a parameter."""

    key: str
    value: str


_decode_pairs = msgspec.json.Decoder(list[Pair]).decode
_key = attrgetter("key")


class MetricView(NamedTuple):
    """A metric point; `value` is 0 where `is_nan` is set."""

    key: str
    value: float
    is_nan: int
    timestamp: int
    step: int
    logged_model_id: str | None
    dataset_name: str | None
    dataset_digest: str | None


class DatasetView(NamedTuple):
    """A dataset that a run read, and the tags of this use."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    tags: list[Pair]


class OutputView(NamedTuple):
    """A logged model that a run made, and at which step."""

    model_id: str
    step: int


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """An experiment with its tags. `lifecycle` is `active` or `deleted`; times are in milliseconds."""

    id: int
    name: str
    artifact_location: str
    lifecycle: str
    created_at: int
    updated_at: int
    tags: list[Pair] = field(default_factory=list)


class RunView(msgspec.Struct, frozen=True):
    """A run with everything logged to it. `metrics` are the latest points."""

    id: str
    experiment_id: int
    name: str
    user_id: str
    status: str
    start_time: int | None
    end_time: int | None
    lifecycle: str
    artifact_uri: str
    tags: list[Pair] = []
    params: list[Pair] = []
    metrics: list[MetricView] = []
    dataset_inputs: list[DatasetView] = []
    model_inputs: list[str] = []
    model_outputs: list[OutputView] = []


def load_experiments(tx: Tx, ids: Sequence[int]) -> list[ExperimentView]:
    """These experiments, deleted ones too, in the order of the ids; ids that nothing has are left out."""
    found = {row.id: row for row in experiments.some_experiments(tx, ids)}
    tags = _pairs(experiments.tags_of(tx, list(found))) if found else {}
    return [experiment_view(found[number], tags.get(number, [])) for number in ids if number in found]


def get_experiment(tx: Tx, experiment_id: str) -> ExperimentView:
    """The experiment, deleted or not. InvalidInput if the id is no number, NotFound if there is none."""
    number = rules.experiment_number(experiment_id)
    found = load_experiments(tx, [number])
    if found:
        return found[0]
    if number == 0:
        return _unmade_default(tx)
    raise rules.no_experiment(experiment_id)


def get_experiment_by_name(tx: Tx, name: str) -> ExperimentView:
    """The experiment of this name, deleted or not. NotFound if there is none."""
    rules.check_experiment_name(name, "experiment_name")
    row = experiments.experiment_named(tx, name)
    if row is not None:
        return load_experiments(tx, [row.id])[0]
    if name == rules.DEFAULT_EXPERIMENT and experiments.experiment(tx, 0) is None:
        return _unmade_default(tx)
    raise rules.no_experiment_named(name)


def _unmade_default(tx: Tx) -> ExperimentView:
    """Experiment 0 of a workspace in which nothing was written yet: it is made by the first write."""
    return ExperimentView(0, rules.DEFAULT_EXPERIMENT, artifact_uri(tx, "0"), rules.ACTIVE, tx.now, tx.now)


def experiment_view(row: Any, tags: list[Pair]) -> ExperimentView:
    """An experiment's row as it is shown."""
    return ExperimentView(row.id, row.name, row.artifact_location, row.lifecycle, row.created_at, row.updated_at, tags)


def get_run(tx: Tx, run_id: str) -> RunView:
    """The run, deleted or not. NotFound if there is none."""
    found = load_runs(tx, [run_id]) if "\x00" not in run_id else []
    if not found:
        raise rules.no_run(run_id)
    return found[0]


def run_head(tx: Tx, run_id: str) -> Any | None:
    """The run's own row (id, experiment_id, name, user_id, status, lifecycle, artifact_uri...), or None."""
    return runs.run(tx, run_id) if "\x00" not in run_id else None


def load_runs(tx: Tx, ids: Sequence[str]) -> list[RunView]:
    """These runs, deleted ones too, in the order of the ids; ids that nothing has are left out."""
    found = {row[0]: row for row in runs.some_runs(tx, ids)}
    if not found:
        return []
    listed = json.dumps(list(found))
    metrics, inputs = _metrics(metric_store.latest_of(tx, listed)), _inputs(datasets.inputs_of(tx, listed))
    read, made = _models(datasets.models_of(tx, listed))
    return [
        _run_view(found[one], metrics.get(one, []), inputs.get(one, []), read.get(one, []), made.get(one, []))
        for one in ids
        if one in found
    ]


def _run_view(row: tuple[Any, ...], *parts: Any) -> RunView:
    """A run's row as it is shown, with the rest of what was logged to it in the order of RunView's fields."""
    *own, tags, params = row
    return RunView(*(*own, _pairs_in(tags), _pairs_in(params), *parts))


def _pairs_in(text: str) -> list[Pair]:
    """Tags or parameters by key, out of a JSON aggregate."""
    pairs = _decode_pairs(text)
    pairs.sort(key=_key)
    return pairs


def _pairs(rows: Iterable[Any]) -> dict[Any, list[Pair]]:
    grouped: dict[Any, list[Pair]] = defaultdict(list)
    for owner, key, value in rows:
        grouped[owner].append(Pair(key, value))
    return grouped


def metric_view(row: Any) -> MetricView:
    """A metric point's row as it is shown."""
    return MetricView(
        row.key,
        row.value,
        row.is_nan,
        row.timestamp,
        row.step,
        row.logged_model_id,
        row.dataset_name,
        row.dataset_digest,
    )


def _metrics(rows: Iterable[Any]) -> dict[str, list[MetricView]]:
    grouped: dict[str, list[MetricView]] = defaultdict(list)
    for row in rows:
        grouped[row[0]].append(MetricView._make(row[1:]))
    return grouped


def _inputs(rows: Iterable[Any]) -> dict[str, list[DatasetView]]:
    grouped: dict[str, list[DatasetView]] = defaultdict(list)
    for row in rows:
        tags = [Pair(key, value) for key, value in json.loads(row.tags).items()]
        grouped[row.run_id].append(
            DatasetView(row.name, row.digest, row.source_type, row.source, row.schema, row.profile, tags)
        )
    return grouped


def _models(rows: Iterable[Any]) -> tuple[dict[str, list[str]], dict[str, list[OutputView]]]:
    read: dict[str, list[str]] = defaultdict(list)
    made: dict[str, list[OutputView]] = defaultdict(list)
    for row in rows:
        if row.direction == "input":
            read[row.run_id].append(row.logged_model_id)
        else:
            made[row.run_id].append(OutputView(row.logged_model_id, row.step))
    return read, made
