"""Metric histories, on both databases."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelkeep import runs
from modelkeep.core.errors import InvalidInput, NotFound
from runs.tracking import ELSEWHERE, Point, Tracking


def values(page: runs.HistoryPage) -> list[tuple[int, int, float]]:
    """A page's points as (timestamp, step, value)."""
    return [(point.timestamp, point.step, point.value) for point in page.metrics]


def test_a_history_is_ordered_by_time_step_and_value(tracking: Tracking):
    """Points come in the order they were measured in, whatever order they were logged in."""
    run = tracking.run()
    points = [(2, 0, 1.0), (1, 5, 3.0), (1, 5, -2.0), (1, -1, 9.0), (0, 7, 0.0)]
    tracking.log(run, *(Point("loss", value, at, step) for at, step, value in points), Point("other"))
    page = tracking.history(run)
    assert values(page) == sorted(points)
    assert page.next_page_token is None


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=st.sets(
        st.tuples(st.integers(0, 3), st.integers(-2, 2), st.sampled_from([0.0, 0.1, 1 / 3, float("nan"), -1e300])),
        max_size=25,
    ),
    size=st.integers(1, 30),
)
def test_pages_make_up_the_whole(tracking: Tracking, points: set[tuple[int, int, float]], size: int):
    """Following the tokens shows every point once, in order, and the last page has none."""
    run = tracking.run()
    tracking.log(run, *(Point("loss", value, at, step) for at, step, value in points))
    pages = [tracking.history(run, max_results=size)]
    while token := pages[-1].next_page_token:
        pages.append(tracking.history(run, max_results=size, page_token=token))
    assert [point for page in pages for point in page.metrics] == tracking.history(run).metrics
    assert {len(page.metrics) for page in pages[:-1]} <= {size}


@pytest.mark.parametrize("limit", [0, -1, 25_001])
def test_a_limit_has_limits(tracking: Tracking, limit: int):
    """A page has at least one point and at most 25,000."""
    run = tracking.run()
    with pytest.raises(InvalidInput, match=f"^Invalid value {limit} for parameter 'max_results' supplied"):
        tracking.history(run, max_results=limit)


def forged(content: object) -> str:
    """A token that holds something else."""
    return base64.b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "token",
    ["x", "é", "====", forged([]), forged([1, 2, 3]), forged({"offset": 1}), forged([2**70, 0, 0.0, 0]),
     forged(["a", 0, 0.0, 0]), forged([0, 0, float("nan"), 0]), forged([0, 0, "x", 0]), forged(None)],
)  # fmt: skip
def test_a_forged_token_is_refused(tracking: Tracking, token: str):
    """Whatever a token holds, a wrong one is a mistake of the request."""
    run = tracking.run()
    with pytest.raises(InvalidInput, match=r"^Invalid page token, "):
        tracking.history(run, max_results=1, page_token=token)


def test_a_history_belongs_to_its_workspace(tracking: Tracking):
    """No way of asking shows points of another workspace's run."""
    run = tracking.run()
    tracking.log(run, Point())
    other = tracking.of(ELSEWHERE)
    with pytest.raises(NotFound, match=f"^Run with id={run} not found$"):
        other.history(run)
    assert other.read(lambda tx: runs.get_metric_history_bulk(tx, [run], "loss")) == []
    assert other.read(lambda tx: runs.sample_metric_history(tx, [run], "loss")) == []
    assert len(tracking.history(run).metrics) == 1
    assert tracking.history(run, key="a\x00").metrics == []


def test_bulk_shows_runs_one_after_the_other(tracking: Tracking):
    """Points of several runs come run by run, each named, up to the limit together."""
    ids = sorted(tracking.run() for _ in range(3))
    for one in ids:
        tracking.log(one, *(Point(step=step) for step in range(4)))
    found = tracking.read(lambda tx: runs.get_metric_history_bulk(tx, [*ids, ids[0]], "loss"))
    assert [point.run_id for point in found] == [one for one in ids for _ in range(4)]
    assert len(tracking.read(lambda tx: runs.get_metric_history_bulk(tx, ids, "loss", 5))) == 5


@pytest.mark.parametrize("ask", [runs.get_metric_history_bulk, runs.sample_metric_history])
def test_between_one_and_a_hundred_runs_are_asked_for(tracking: Tracking, ask):
    """None and more than a hundred are refused, and so are ids that no run can have."""
    for ids in ([], ["a"] * 101, ["a/b"]):
        with pytest.raises(InvalidInput):
            tracking.read(lambda tx, ids=ids: ask(tx, ids, "loss"))


def test_a_sample_is_spread_and_holds_the_ends(tracking: Tracking):
    """About the asked number of steps is shown, among them every run's first and last in the interval."""
    long, short = tracking.run(), tracking.run()
    tracking.log(long, *(Point(step=step) for step in range(1000)))
    tracking.log(short, *(Point(step=step) for step in (101, 102, 103)))
    found = tracking.read(lambda tx: runs.sample_metric_history(tx, [long, short], "loss", (100, 899), 20))
    steps = {one: [point.metric.step for point in found if point.run_id == one] for one in (long, short)}
    assert {100, 899} <= set(steps[long])
    assert {101, 103} <= set(steps[short])
    assert 20 <= len(steps[long]) <= 23
    assert steps[long] == sorted(steps[long])


def test_few_steps_are_all_shown(tracking: Tracking):
    """Below the limit nothing is left out, whether or not an interval is given."""
    run = tracking.run()
    tracking.log(run, *(Point(step=step) for step in (-5, 0, 7)))
    assert [p.metric.step for p in tracking.read(lambda tx: runs.sample_metric_history(tx, [run], "loss"))] == [
        -5,
        0,
        7,
    ]
    assert tracking.read(lambda tx: runs.sample_metric_history(tx, [run], "loss", (8, 9))) == []


@pytest.mark.parametrize("interval", [(1, None), (None, 1), (2, 1)])
def test_an_interval_has_two_ends_in_order(tracking: Tracking, interval):
    """Half an interval, or one that ends before it starts, is refused."""
    run = tracking.run()
    with pytest.raises(InvalidInput, match="_step"):
        tracking.read(lambda tx: runs.sample_metric_history(tx, [run], "loss", interval))
