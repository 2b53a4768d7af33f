"""SQL of metric histories: pages in the order (timestamp, step, value), which is the order of the table's key."""

import json
from typing import Any

from sqlalchemy import bindparam, select, tuple_

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, one_of_integers, one_of_texts, real, text, unindexed
from modelkeep.runs.tables import metric_points, metric_series, runs

_ORDER = (metric_points.c.timestamp, metric_points.c.step, metric_points.c.value, metric_points.c.is_nan)
_AFTER = tuple_(
    bindparam("after_timestamp", type_=integer()),
    bindparam("after_step", type_=integer()),
    bindparam("after_value", type_=real()),
    bindparam("after_nan", type_=integer()),
)
_LIMIT = bindparam("limit", type_=integer())
_KEY = metric_series.c.key == bindparam("key")
_THIS = select(metric_series.c.id).where(metric_series.c.run_id == bindparam("run_id"), _KEY).scalar_subquery()

_PAGE = (
    select(bindparam("key", type_=text()).label("key"), *metric_points.c)
    .where(metric_points.c.series_id == _THIS)
    .order_by(*_ORDER)
    .limit(_LIMIT)
)
_FIRST_PAGE = Prepared(_PAGE)
_NEXT_PAGE = Prepared(_PAGE.where(tuple_(*_ORDER) > _AFTER))
_OF_RUNS = (
    select(metric_series.c.run_id, metric_series.c.key, *metric_points.c)
    .join_from(metric_series, metric_points, metric_points.c.series_id == metric_series.c.id)
    .join(runs, runs.c.id == metric_series.c.run_id)
    .where(one_of_texts(metric_series.c.run_id, "run_ids"), unindexed(runs.c.workspace) == bindparam("workspace"), _KEY)
)
_BULK = Prepared(_OF_RUNS.order_by(metric_series.c.run_id, *_ORDER).limit(_LIMIT))
_STEPS = Prepared(
    _OF_RUNS.with_only_columns(metric_series.c.run_id, metric_points.c.step)
    .where(metric_points.c.step.between(bindparam("first"), bindparam("last")))
    .distinct()
    .order_by(metric_series.c.run_id, metric_points.c.step)
)
_AT_STEPS = Prepared(
    _OF_RUNS.where(one_of_integers(metric_points.c.step, "steps"))
    .order_by(metric_series.c.run_id, metric_points.c.step, metric_points.c.timestamp, metric_points.c.value)
    .limit(_LIMIT)
)

Position = tuple[int, int, float, int]


def page(tx: Tx, run_id: str, key: str, after: Position | None, limit: int) -> list[Any]:
    """At most `limit` points behind a position. The caller knows that the run is of this workspace."""
    if after is None:
        return tx.rows(_FIRST_PAGE, run_id=run_id, key=key, limit=limit)
    names = ("after_timestamp", "after_step", "after_value", "after_nan")
    return tx.rows(_NEXT_PAGE, run_id=run_id, key=key, limit=limit, **dict(zip(names, after, strict=True)))


def points_of_runs(tx: Tx, run_ids: list[str], key: str, limit: int) -> list[Any]:
    """At most `limit` points of the runs, run by run."""
    return tx.rows(_BULK, workspace=tx.workspace, run_ids=json.dumps(run_ids), key=key, limit=limit)


def steps_of_runs(tx: Tx, run_ids: list[str], key: str, first: int, last: int) -> list[Any]:
    """Rows (run_id, step) of the distinct steps from `first` to `last`, ascending."""
    ids = json.dumps(run_ids)
    return tx.rows(_STEPS, workspace=tx.workspace, run_ids=ids, key=key, first=first, last=last)


def points_at_steps(tx: Tx, run_ids: list[str], key: str, steps: list[int], limit: int) -> list[Any]:
    """At most `limit` points of the runs at these steps."""
    ids, wanted = json.dumps(run_ids), json.dumps(steps)
    return tx.rows(_AT_STEPS, workspace=tx.workspace, run_ids=ids, key=key, steps=wanted, limit=limit)
