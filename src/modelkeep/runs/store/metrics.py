"""SQL of metrics as they are logged: every point, the latest of each metric, and those measured on logged models."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts, unindexed, upsert
from modelkeep.runs.tables import latest_metrics, logged_model_metrics, logged_models, metric_points, metric_series


class MetricPoint(NamedTuple):
    """A point of a metric as it is stored; the fields behind the key are the columns of `metric_points`."""

    key: str
    timestamp: int
    step: int
    value: float
    is_nan: int
    logged_model_id: str | None
    dataset_name: str | None
    dataset_digest: str | None


def _is_greater(table: Table, names: Sequence[str]) -> ColumnElement[bool]:
    """The new row's columns, compared as a tuple, exceed the stored row's."""
    offered = table.alias("excluded")
    return tuple_(*(offered.c[name] for name in names)) > tuple_(*(table.c[name] for name in names))


_MEASURED_ON = MetricPoint._fields.index("logged_model_id")
_NOTHING = (None, None, None)
_POINT_COLUMNS = ("series_id", *MetricPoint._fields[1:])
_POINT_KEY = [column.name for column in metric_points.primary_key]
_LATEST_VALUES = ["value", "is_nan", "timestamp", "step", "logged_model_id", "dataset_name", "dataset_digest"]
_LATEST_COLUMNS = ("run_id", "key", *_LATEST_VALUES, "workspace", "experiment_id")
_MODEL_POINT_COLUMNS = tuple(column.name for column in logged_model_metrics.c)
_MODEL_POINT_KEY = [column.name for column in logged_model_metrics.primary_key]

_SERIES = Prepared(
    select(metric_series.c.id, metric_series.c.key).where(
        metric_series.c.run_id == bindparam("run_id"), one_of_texts(metric_series.c.key, "keys")
    )
)
_INSERT_SERIES = Prepared(
    upsert(metric_series, ["run_id", "key"], []).values(run_id=bindparam("run_id"), key=bindparam("key"))
)
_INSERT_POINT = Prepared(upsert(metric_points, _POINT_KEY, []))
_INSERT_PLAIN_POINT = Prepared(
    upsert(metric_points, _POINT_KEY, []).values({name: bindparam(name) for name in _POINT_COLUMNS[:_MEASURED_ON]})
)
_RAISE_LATEST = Prepared(
    upsert(
        latest_metrics,
        ["run_id", "key"],
        _LATEST_VALUES,
        where=_is_greater(latest_metrics, ["step", "timestamp", "value", "is_nan"]),
    )
)
_RAISE_MODEL_POINT = Prepared(
    upsert(
        logged_model_metrics,
        _MODEL_POINT_KEY,
        ["value", "is_nan"],
        where=_is_greater(logged_model_metrics, ["value", "is_nan"]),
    )
)
_KNOWN_MODELS = Prepared(
    select(logged_models.c.id).where(
        unindexed(logged_models.c.workspace) == bindparam("workspace"), one_of_texts(logged_models.c.id, "ids")
    )
)
_LATEST = Prepared(
    select(latest_metrics.c.run_id, *(latest_metrics.c[name] for name in ("key", *_LATEST_VALUES)))
    .where(
        unindexed(latest_metrics.c.workspace) == bindparam("workspace"),
        one_of_texts(latest_metrics.c.run_id, "run_ids"),
    )
    .order_by(latest_metrics.c.run_id, latest_metrics.c.key)
)


def add_points(tx: Tx, run_id: str, points: Sequence[MetricPoint]) -> int:
    """Keep points of a run, equal ones once. How many are new: exact for one point, otherwise how many were given."""
    series = _series(tx, run_id, sorted({point.key for point in points}))
    # Most points were measured on nothing that has a name, and three values less for each are a third of the work.
    plain = all(point[_MEASURED_ON:] == _NOTHING for point in points)
    statement, width = (_INSERT_PLAIN_POINT, _MEASURED_ON) if plain else (_INSERT_POINT, len(_POINT_COLUMNS))
    columns, rows = _POINT_COLUMNS[:width], [(series[point[0]], *point[1:width]) for point in points]
    if len(rows) == 1:
        return tx.run(statement, **dict(zip(columns, rows[0], strict=True)))
    tx.run_rows(statement, columns, rows)
    return len(rows)


def _series(tx: Tx, run_id: str, keys: list[str]) -> dict[str, int]:
    """The numbers of these metrics of a run; those that are new get theirs now."""
    known = _known_series(tx, run_id, keys)
    if len(known) < len(keys):
        # In the order of keys, so that two writers of one run never wait for each other's rows in turn.
        tx.run_many(_INSERT_SERIES, [{"run_id": run_id, "key": key} for key in keys if key not in known])
        known = _known_series(tx, run_id, keys)
    return known


def _known_series(tx: Tx, run_id: str, keys: list[str]) -> dict[str, int]:
    return {row.key: row.id for row in tx.rows(_SERIES, run_id=run_id, keys=json.dumps(keys))}


def raise_latest(tx: Tx, run_id: str, experiment_id: int, points: Iterable[MetricPoint]) -> None:
    """Show each point as its metric's latest unless a greater one is shown; at most one point a key."""
    here = (tx.workspace, experiment_id)
    rows = [(run_id, p.key, p.value, p.is_nan, p.timestamp, p.step, *p[_MEASURED_ON:], *here) for p in points]
    tx.run_rows(_RAISE_LATEST, _LATEST_COLUMNS, rows)


def add_model_points(tx: Tx, run_id: str, points: Iterable[MetricPoint]) -> None:
    """Keep the points that were measured on logged models there as well."""
    rows = [
        (
            p.logged_model_id,
            run_id,
            p.key,
            p.timestamp,
            p.step,
            p.dataset_name or "",
            p.dataset_digest or "",
            p.value,
            p.is_nan,
        )
        for p in points
    ]
    tx.run_rows(_RAISE_MODEL_POINT, _MODEL_POINT_COLUMNS, rows)


def known_models(tx: Tx, model_ids: Sequence[str]) -> set[str]:
    """Which of these logged models this workspace has."""
    return {row.id for row in tx.rows(_KNOWN_MODELS, workspace=tx.workspace, ids=json.dumps(model_ids))}


def latest_of(tx: Tx, run_ids: str) -> list[tuple[Any, ...]]:
    """The latest point of every metric of the runs in a JSON list: the run's id, the key, and the rest of the point."""
    return tx.tuples(_LATEST, workspace=tx.workspace, run_ids=run_ids)
