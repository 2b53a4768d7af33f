"""Logging metrics, parameters and tags to a run: one entry or a batch, all of it or nothing."""

import json
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any

from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.core.names import check_key
from modelkeep.db import Tx
from modelkeep.runs import rules
from modelkeep.runs.events import RunRecorded, RunTagDeleted
from modelkeep.runs.rules import MODEL_HISTORY_TAG, RUN_NAME_TAG, Entry, LoggedMetric
from modelkeep.runs.service.runs import active_run, rename
from modelkeep.runs.store import metrics as metric_store
from modelkeep.runs.store import records as store
from modelkeep.runs.store import runs as run_store
from modelkeep.runs.store.metrics import MetricPoint

Refusal = Callable[[str, Sequence[tuple[str, str, str]]], InvalidInput]
# A point from a tuple of its fields.
_point = MetricPoint._make
_MODEL_FIELDS = ("run_id", "artifact_path", "utc_time_created", "flavors")
_KEPT_MODEL_FIELDS = (*_MODEL_FIELDS, "model_uuid", "model_id", "mlflow_version")


def log_batch(
    tx: Tx,
    run_id: str,
    metrics: Sequence[LoggedMetric] = (),
    params: Sequence[Entry] = (),
    tags: Sequence[Entry] = (),
) -> None:
    """Log parameters, then metrics, then tags to an active run; everything is checked before anything is written.

    Raises NotFound, InvalidInput for a deleted run, too many or bad entries, or another value for a parameter.
    """
    rules.check_batch(len(metrics), len(params), len(tags))
    points = point_rows(metrics, "metrics[{}].")
    _log(tx, run_id, points, rules.run_params(params), rules.run_tags(tags), rules.changed_params)


def log_metric(tx: Tx, run_id: str, metric: LoggedMetric) -> None:
    """Log one metric point to an active run. Raises NotFound, InvalidInput."""
    _log(tx, run_id, point_rows([metric], ""), {}, {}, rules.changed_params)


def log_param(tx: Tx, run_id: str, param: Entry) -> None:
    """Log one parameter to an active run. Raises NotFound, InvalidInput, also where it has another value already."""
    _log(tx, run_id, [], rules.run_params([param], "key"), {}, rules.changed_param)


def set_tag(tx: Tx, run_id: str, tag: Entry) -> None:
    """Set a tag of an active run; `mlflow.runName` renames it. Raises NotFound, InvalidInput."""
    _log(tx, run_id, [], {}, rules.run_tags([tag], "key"), rules.changed_params)


def delete_tag(tx: Tx, run_id: str, key: str) -> None:
    """Delete a tag of an active run. NotFound if there is no such run or tag."""
    active_run(tx, run_id)
    before = None if "\x00" in key else store.delete_tag(tx, run_id, key)
    if before is None:
        raise NotFound(f"No tag with name: {key} in run with id {run_id}", "key")
    tx.emit(RunTagDeleted(run_id, key, before))


def note_model(tx: Tx, run_id: str, model_json: str) -> None:
    """Append what a 2.x client tells of a model it logged to the tag `mlflow.log-model.history`.

    Raises NotFound, InvalidInput.
    """
    told = _model_in(model_json)
    row = active_run(tx, run_id, run_store.locked_run)
    known = rules.listed_in(store.tag(tx, run_id, MODEL_HISTORY_TAG) or "[]")
    store.set_tags(tx, run_id, row.experiment_id, {MODEL_HISTORY_TAG: json.dumps([*known, told])})
    tx.emit(RunRecorded(run_id, 0, (), (MODEL_HISTORY_TAG,)))


def _model_in(model_json: str) -> dict[str, Any]:
    try:
        told = json.loads(model_json)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("Malformed model info: model_json is not valid JSON.", "model_json") from error
    missing = [name for name in _MODEL_FIELDS if not isinstance(told, dict) or name not in told]
    if missing:
        raise InvalidInput(f"Malformed model info: model_json is missing mandatory fields {missing}.", "model_json")
    return {name: told[name] for name in _KEPT_MODEL_FIELDS if name in told}


def _log(
    tx: Tx,
    run_id: str,
    points: list[MetricPoint],
    params: dict[str, str],
    tags: dict[str, str],
    refusal: Refusal,
) -> None:
    if not tags.get(RUN_NAME_TAG, "name"):
        del tags[RUN_NAME_TAG]
    row = active_run(tx, run_id, run_store.locked_run if RUN_NAME_TAG in tags else run_store.shared_run)
    changed = _add_params(tx, row, params, refusal) if params else 0
    changed += _add_points(tx, row, points) if points else 0
    if tags:
        changed += store.set_tags(tx, run_id, row.experiment_id, tags)
        rename(tx, row, tags.get(RUN_NAME_TAG, row.name))
    if changed:
        tx.emit(RunRecorded(run_id, len(points), tuple(params), tuple(tags)))


def _add_params(tx: Tx, row: Any, params: dict[str, str], refusal: Refusal) -> int:
    """Keep new parameters, then compare those that were there: right beside other writers, too."""
    added = store.add_params(tx, row.id, row.experiment_id, params)
    kept = store.params_named(tx, row.id, list(params))
    changes = [(key, kept[key], value) for key, value in params.items() if kept[key] != value]
    if changes:
        raise refusal(row.id, changes)
    return added


def _add_points(tx: Tx, row: Any, points: list[MetricPoint]) -> int:
    on_models = [point for point in points if point.logged_model_id]
    if on_models:
        _check_models(tx, {point.logged_model_id or "" for point in on_models})
    added = metric_store.add_points(tx, row.id, points)
    metric_store.raise_latest(tx, row.id, row.experiment_id, greatest(points))
    if on_models:
        metric_store.add_model_points(tx, row.id, on_models)
    return added


def _check_models(tx: Tx, model_ids: set[str]) -> None:
    unknown = model_ids - metric_store.known_models(tx, sorted(model_ids))
    if unknown:
        raise NotFound(f"Logged model with ID '{min(unknown)}' not found.", "model_id")


def greatest(points: Iterable[MetricPoint]) -> list[MetricPoint]:
    """For each key, in their order, the point greatest by (step, timestamp, value)."""
    best: dict[str, MetricPoint] = {}
    for point in points:
        known = best.get(point.key)
        if known is None or point.step > known.step or (point.step == known.step and _rank(point) > _rank(known)):
            best[point.key] = point
    return [best[key] for key in sorted(best)]


def _rank(point: MetricPoint) -> tuple[int, float, int]:
    return point.timestamp, point.value, point.is_nan


def point_rows(metrics: Iterable[LoggedMetric], path: str) -> list[MetricPoint]:
    """Metric points checked and as they are stored; `path` is where point number `{}` stands. Raises InvalidInput."""
    rows: list[MetricPoint] = []
    known: set[tuple[str | None, ...]] = set()
    for index, metric in enumerate(metrics):
        key, value, timestamp = metric.key or "", metric.value, metric.timestamp
        model_id, dataset, digest = metric.model_id or None, metric.dataset_name, metric.dataset_digest
        named = (key, model_id, dataset, digest)
        if named not in known:
            _check_names(metric, path.format(index))
            known.add(named)
        if value is None or timestamp is None or timestamp < 0:
            raise rules.metric_refusal(metric, path.format(index))
        number, is_nan = (value, 0) if isfinite(value) else rules.storable(value)
        # As the class itself does it, without its detour over named arguments: there are a thousand of these.
        rows.append(_point((key, timestamp, metric.step or 0, number, is_nan, model_id, dataset, digest)))
    return rows


def _check_names(metric: LoggedMetric, prefix: str) -> None:
    check_key(metric.key, prefix + ("name" if metric.key else "key"), "Metric name")
    rules.check_metric_dataset(metric.dataset_name, metric.dataset_digest)
    if metric.model_id and "\x00" in metric.model_id:
        raise NotFound("Logged model with an ID that holds a NUL character not found.", "model_id")
