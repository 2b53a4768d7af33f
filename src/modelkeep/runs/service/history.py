"""Reading metric histories: whole, in pages, of many runs, or sampled."""

import base64
import binascii
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelkeep.core.errors import InvalidInput
from modelkeep.core.names import invalid_value, missing_value
from modelkeep.db import Tx
from modelkeep.runs import rules
from modelkeep.runs.rules import sample_steps
from modelkeep.runs.service.views import MetricView, metric_view, run_head
from modelkeep.runs.store import history as store

MAX_PAGE = 25_000
MAX_RUNS = 100
DEFAULT_SAMPLE = 320
MAX_SAMPLE = 2_500
# More points than any database holds.
_EVERYTHING = 2**62
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Points in the order (timestamp, step, value), and the token of the page behind them."""

    metrics: list[MetricView]
    next_page_token: str | None


class RunPoint(NamedTuple):
    """A point of one of several runs."""

    run_id: str
    metric: MetricView


def get_metric_history(
    tx: Tx, run_id: str, key: str, max_results: int | None = None, page_token: str | None = None
) -> HistoryPage:
    """The points of a run's metric, all of them where no limit is given. Raises NotFound, InvalidInput."""
    limit = _EVERYTHING if max_results is None else _checked_limit(max_results, MAX_PAGE)
    after = _position(page_token) if page_token else None
    if run_head(tx, run_id) is None:
        raise rules.no_run(run_id)
    found = store.page(tx, run_id, _storable(key), after, limit + 1)
    more = len(found) > limit
    points = [metric_view(row) for row in found[:limit]]
    return HistoryPage(points, _token(points[-1]) if more else None)


def get_metric_history_bulk(tx: Tx, run_ids: Sequence[str], key: str, max_results: int | None = None) -> list[RunPoint]:
    """Points of a metric of up to 100 runs, run by run; 25,000 together unless a lower limit is given."""
    limit = MAX_PAGE if max_results is None else _checked_limit(max_results, MAX_PAGE)
    return _points(store.points_of_runs(tx, _checked_runs(run_ids, "run_id"), _storable(key), limit))


def sample_metric_history(
    tx: Tx,
    run_ids: Sequence[str],
    key: str,
    interval: tuple[int | None, int | None] = (None, None),
    max_results: int | None = None,
) -> list[RunPoint]:
    """Points of a metric of up to 100 runs at about `max_results` (320) steps, evenly spread over the interval.

    Every run's first and last step in the interval is among them. Raises InvalidInput.
    """
    runs, first, last = _checked_runs(run_ids, "run_ids"), *_checked_interval(interval)
    limit = DEFAULT_SAMPLE if max_results is None else _checked_limit(max_results, MAX_SAMPLE)
    name = _storable(key)
    steps: dict[str, list[int]] = defaultdict(list)
    for row in store.steps_of_runs(tx, runs, name, first, last):
        steps[row.run_id].append(row.step)
    chosen = sample_steps(steps, limit)
    return _points(store.points_at_steps(tx, runs, name, chosen, MAX_SAMPLE * len(runs)))


def _points(rows: Iterable[Any]) -> list[RunPoint]:
    return [RunPoint(row.run_id, metric_view(row)) for row in rows]


def _storable(key: str) -> str:
    """The key; an empty one where it holds what no stored key can."""
    return "" if "\x00" in key else key


def _checked_limit(limit: int, most: int) -> int:
    if limit < 1:
        raise invalid_value("max_results", limit, "It must be a positive integer")
    if limit > most:
        raise invalid_value("max_results", limit, f"It must be at most {most}")
    return limit


def _checked_runs(run_ids: Sequence[str], parameter: str) -> list[str]:
    if not run_ids:
        raise missing_value(parameter)
    if len(run_ids) > MAX_RUNS:
        raise InvalidInput(f"At most {MAX_RUNS} runs can be asked for at once. Received {len(run_ids)}.", parameter)
    for run_id in run_ids:
        rules.check_run_id(run_id)
    return list(dict.fromkeys(run_ids))


def _checked_interval(interval: tuple[int | None, int | None]) -> tuple[int, int]:
    first, last = interval
    if (first is None) != (last is None):
        raise InvalidInput("start_step and end_step must be given together.", "start_step")
    if first is None or last is None:
        return -_INT64, _INT64 - 1
    if first > last:
        raise InvalidInput(f"end_step must not be before start_step. Found {first=} and {last=}.", "end_step")
    return first, last


def _token(point: MetricView) -> str:
    position = [point.timestamp, point.step, point.value, point.is_nan]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(token: str) -> store.Position:
    try:
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("Invalid page token, could not base64-decode", "page_token") from error
    try:
        timestamp, step, value, is_nan = json.loads(text)
        whole = int(timestamp), int(step), int(is_nan)
        if not math.isfinite(value) or any(not -_INT64 <= number < _INT64 for number in whole):
            raise ValueError("out of range")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInput("Invalid page token, it is not one of this server's", "page_token") from error
    return whole[0], whole[1], float(value), whole[2]
