"""Metric histories on MLflow's wire."""

from collections.abc import Iterable

from modelkeep import runs
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.mlflow.render_runs import Int64, Metric, metric_message
from modelkeep.faces.mlflow.runs import NamedRun
from modelkeep.faces.mlflow.wire import MLFLOW, Message, routes
from modelkeep.faces.operations import Mode, Operation


class GetHistory(NamedRun):
    """A metric of a run; no limit means all of it."""

    required = ("run_id", "metric_key")
    metric_key: str | None = None
    max_results: Int64 | None = None
    page_token: str | None = None


class GetHistoryBulk(Message):
    """A metric of several runs."""

    required = ("run_id", "metric_key")
    run_id: list[str] | None = None
    metric_key: str | None = None
    max_results: Int64 | None = None


class GetHistoryInterval(Message):
    """A metric of several runs, sampled between two steps."""

    required = ("run_ids", "metric_key")
    run_ids: list[str] | None = None
    metric_key: str | None = None
    start_step: Int64 | None = None
    end_step: Int64 | None = None
    max_results: Int64 | None = None


class HistoryAnswer(Message):
    """Metric points, and the token of the page behind them if there is one."""

    metrics: list[Metric] | None = None
    next_page_token: str | None = None


def get_history(tx: Tx, request: GetHistory) -> HistoryAnswer:
    """The points of a metric."""
    page = runs.get_metric_history(tx, request.run, request.metric_key or "", request.max_results, request.page_token)
    return HistoryAnswer(
        metrics=[metric_message(point) for point in page.metrics] or None, next_page_token=page.next_page_token
    )


def get_history_bulk(tx: Tx, request: GetHistoryBulk) -> HistoryAnswer:
    """The points of a metric of several runs."""
    return _answer(
        runs.get_metric_history_bulk(tx, request.run_id or [], request.metric_key or "", request.max_results)
    )


def get_history_interval(tx: Tx, request: GetHistoryInterval) -> HistoryAnswer:
    """Some points of a metric of several runs."""
    interval = request.start_step, request.end_step
    found = runs.sample_metric_history(
        tx, request.run_ids or [], request.metric_key or "", interval, request.max_results
    )
    return _answer(found)


def _answer(points: Iterable[runs.RunPoint]) -> HistoryAnswer:
    return HistoryAnswer(metrics=[metric_message(point.metric, point.run_id) for point in points] or None)


_READ = Permission.RUN_READ

OPERATIONS: list[Operation] = [
    Operation(
        "mlflow.metrics.get-history",
        MLFLOW,
        routes("GET", "2.0/mlflow/metrics/get-history"),
        GetHistory,
        get_history,
        Mode.READ,
        _READ,
        "Get the points of a metric",
        HistoryAnswer,
    ),
    Operation(
        "mlflow.metrics.get-history-bulk",
        MLFLOW,
        routes("GET", "2.0/mlflow/metrics/get-history-bulk"),
        GetHistoryBulk,
        get_history_bulk,
        Mode.READ,
        _READ,
        "Get the points of a metric of several runs",
        HistoryAnswer,
    ),
    Operation(
        "mlflow.metrics.get-history-bulk-interval",
        MLFLOW,
        routes("GET", "2.0/mlflow/metrics/get-history-bulk-interval"),
        GetHistoryInterval,
        get_history_interval,
        Mode.READ,
        _READ,
        "Get points of a metric of several runs at evenly spread steps",
        HistoryAnswer,
    ),
]
