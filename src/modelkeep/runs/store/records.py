"""SQL of what is logged to runs: metric points, parameters and tags."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, delete, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts, unindexed, upsert
from modelkeep.runs.tables import latest_metrics, logged_model_metrics, logged_models, metric_points, params, tags

Row = dict[str, Any]


class MetricPoint(NamedTuple):
    """A point of a metric as it is stored; its fields are the columns of `metric_points`, in their order."""

    run_id: str
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


def _of_runs(table: Table) -> Any:
    """Rows (run_id, key, value) of a table of parameters or tags."""
    mine = (unindexed(table.c.workspace) == bindparam("workspace"), one_of_texts(table.c.run_id, "run_ids"))
    return select(table.c.run_id, table.c.key, table.c.value).where(*mine).order_by(table.c.run_id, table.c.key)


_LATEST_VALUES = ["value", "is_nan", "timestamp", "step", "logged_model_id", "dataset_name", "dataset_digest"]
_LATEST_COLUMNS = ("run_id", "key", *_LATEST_VALUES, "workspace", "experiment_id")
_MEASURED_ON = MetricPoint._fields.index("logged_model_id")
_POINT_KEY = [column.name for column in metric_points.primary_key]
_MODEL_POINT_KEY = [column.name for column in logged_model_metrics.primary_key]

_INSERT_POINT = Prepared(upsert(metric_points, _POINT_KEY, []))
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
_INSERT_PARAM = Prepared(upsert(params, ["run_id", "key"], []))
_PARAMS_NAMED = Prepared(
    select(params.c.key, params.c.value).where(
        params.c.workspace == bindparam("workspace"),
        params.c.run_id == bindparam("run_id"),
        one_of_texts(params.c.key, "keys"),
    )
)
_SET_TAG = Prepared(upsert(tags, ["run_id", "key"], ["value"], where=tags.alias("excluded").c.value != tags.c.value))
_TAG = Prepared(
    select(tags.c.value).where(
        tags.c.workspace == bindparam("workspace"), tags.c.run_id == bindparam("run_id"), tags.c.key == bindparam("key")
    )
)
_DELETE_TAG = Prepared(
    delete(tags).where(
        tags.c.workspace == bindparam("workspace"), tags.c.run_id == bindparam("run_id"), tags.c.key == bindparam("key")
    )
)
_PARAMS = Prepared(_of_runs(params))
_TAGS = Prepared(_of_runs(tags))
_LATEST = Prepared(
    select(latest_metrics)
    .where(
        unindexed(latest_metrics.c.workspace) == bindparam("workspace"),
        one_of_texts(latest_metrics.c.run_id, "run_ids"),
    )
    .order_by(latest_metrics.c.run_id, latest_metrics.c.key)
)


def _change(tx: Tx, statement: Prepared, rows: Sequence[Row]) -> int:
    """Run a statement for each row. How many rows changed: exact for one row, otherwise how many were given."""
    if len(rows) == 1:
        return tx.run(statement, **rows[0])
    tx.run_many(statement, rows)
    return len(rows)


def add_points(tx: Tx, points: Sequence[MetricPoint]) -> int:
    """Keep metric points, equal ones once. How many are new: exact for one point, otherwise how many were given."""
    if len(points) == 1:
        return tx.run(_INSERT_POINT, **points[0]._asdict())
    tx.run_rows(_INSERT_POINT, MetricPoint._fields, points)
    return len(points)


def raise_latest(tx: Tx, experiment_id: int, points: Sequence[MetricPoint]) -> None:
    """Show each point as its metric's latest unless a greater one is shown; at most one point a key."""
    here = (tx.workspace, experiment_id)
    rows = [(p.run_id, p.key, p.value, p.is_nan, p.timestamp, p.step, *p[_MEASURED_ON:], *here) for p in points]
    tx.run_rows(_RAISE_LATEST, _LATEST_COLUMNS, rows)


def add_model_points(tx: Tx, points: Sequence[MetricPoint]) -> None:
    """Keep the points that were measured on logged models there as well."""
    named = [
        point._replace(dataset_name=point.dataset_name or "", dataset_digest=point.dataset_digest or "")
        for point in points
    ]
    tx.run_rows(_RAISE_MODEL_POINT, MetricPoint._fields, named)


def known_models(tx: Tx, model_ids: Sequence[str]) -> set[str]:
    """Which of these logged models this workspace has."""
    return {row.id for row in tx.rows(_KNOWN_MODELS, workspace=tx.workspace, ids=json.dumps(model_ids))}


def add_params(tx: Tx, run_id: str, experiment_id: int, values: dict[str, str]) -> int:
    """Keep parameters that the run does not have yet."""
    return _change(tx, _INSERT_PARAM, _entries(tx, run_id, experiment_id, values))


def params_named(tx: Tx, run_id: str, keys: Sequence[str]) -> dict[str, str]:
    """The run's values of these parameters."""
    found = tx.rows(_PARAMS_NAMED, workspace=tx.workspace, run_id=run_id, keys=json.dumps(keys))
    return {row.key: row.value for row in found}


def set_tags(tx: Tx, run_id: str, experiment_id: int, values: dict[str, str]) -> int:
    """Set tags."""
    return _change(tx, _SET_TAG, _entries(tx, run_id, experiment_id, values))


def _entries(tx: Tx, run_id: str, experiment_id: int, values: dict[str, str]) -> list[Row]:
    # In the order of keys, so that two writers of one run never wait for each other's rows in turn.
    here = {"run_id": run_id, "workspace": tx.workspace, "experiment_id": experiment_id}
    return [{**here, "key": key, "value": values[key]} for key in sorted(values)]


def tag(tx: Tx, run_id: str, key: str) -> str | None:
    """The value of a run's tag."""
    found = tx.row(_TAG, workspace=tx.workspace, run_id=run_id, key=key)
    return None if found is None else str(found.value)


def delete_tag(tx: Tx, run_id: str, key: str) -> bool:
    """Delete a tag; False if there was none."""
    return tx.run(_DELETE_TAG, workspace=tx.workspace, run_id=run_id, key=key) == 1


def params_of(tx: Tx, run_ids: str) -> list[Any]:
    """Rows (run_id, key, value) of the runs in a JSON list."""
    return tx.rows(_PARAMS, workspace=tx.workspace, run_ids=run_ids)


def tags_of(tx: Tx, run_ids: str) -> list[Any]:
    """Rows (run_id, key, value) of the runs in a JSON list."""
    return tx.rows(_TAGS, workspace=tx.workspace, run_ids=run_ids)


def latest_of(tx: Tx, run_ids: str) -> list[Any]:
    """The latest point of every metric of the runs in a JSON list."""
    return tx.rows(_LATEST, workspace=tx.workspace, run_ids=run_ids)
