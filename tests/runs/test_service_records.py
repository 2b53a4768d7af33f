"""Logging metrics, parameters and tags, on both databases: order, atomicity, and writers at the same time."""

import itertools
import json
import math
import random
from typing import Any

import pytest

from modelkeep import runs
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.runs import Pair, RunRecorded, RunUpdated
from runs.tracking import ELSEWHERE, Entry, Point, Tracking

LARGEST = 1.7976931348623157e308


def latest(tracking: Tracking, run: str) -> dict[str, tuple[Any, ...]]:
    """The shown points of a run as (step, timestamp, value, is_nan)."""
    return {m.key: (m.step, m.timestamp, m.value, m.is_nan) for m in tracking.show(run).metrics}


def test_a_batch_is_shown_whole(tracking: Tracking):
    """Metrics, parameters and tags of a batch are all there, and are told once."""
    run = tracking.run(name="n")
    batch = ([Point("m", 0.5, 3, 2)], [Entry("p", "1")], [Entry("t", "x")])
    assert tracking.told(lambda tx: runs.log_batch(tx, run, *batch)) == [RunRecorded(run, 1, ("p",), ("t",))]
    view = tracking.show(run)
    assert view.params == [Pair("p", "1")]
    assert view.tags == [Pair("mlflow.runName", "n"), Pair("t", "x")]
    assert latest(tracking, run) == {"m": (2, 3, 0.5, 0)}


def test_an_empty_batch_tells_nothing(tracking: Tracking):
    """Nothing logged, nothing told."""
    run = tracking.run()
    assert tracking.told(lambda tx: runs.log_batch(tx, run)) == []


BAD = {
    "metric key": ([Point("ok"), Point("a//b")], [], [], "metrics[1].name"),
    "no metric key": ([Point(None)], [], [], "metrics[0].key"),
    "no value": ([Point(value=None)], [], [], "metrics[0].value"),
    "no time": ([Point(), Point(timestamp=None)], [], [], "metrics[1].timestamp"),
    "before time": ([Point(timestamp=-1)], [], [], "metrics[0].timestamp"),
    "param key": ([], [Entry("ok", "1"), Entry("a//b", "1")], [], "params[1].key"),
    "tag key": ([], [], [Entry(None, "1")], "tags[0].key"),
    "repeated param": ([], [Entry("K", "1"), Entry("K", "1")], [], "['K']"),
    "dataset": ([Point(dataset_name="x" * 501)], [], [], "dataset_name"),
    "wide dataset": ([Point(dataset_name="漢" * 450)], [], [], "dataset_name"),
    "run name": ([], [], [Entry("mlflow.runName", "x" * 501)], "run_name"),
    "NUL": ([], [Entry("p", "a\x00")], [], "NUL"),
}


@pytest.mark.parametrize(("metrics", "params", "tags", "text"), BAD.values(), ids=BAD)
def test_a_bad_entry_leaves_the_whole_batch_unwritten(tracking: Tracking, metrics, params, tags, text: str):
    """Everything is checked before anything is written, and the refusal names the place."""
    run = tracking.run()
    before = tracking.show(run)
    given = [*metrics, Point("good")], [*params, Entry("good", "1")], [*tags, Entry("good", "1")]
    with pytest.raises(InvalidInput) as refused:
        tracking.write(lambda tx: runs.log_batch(tx, run, *given))
    assert text in refused.value.message
    assert tracking.show(run) == before


def test_a_parameter_is_written_once(tracking: Tracking):
    """The same value again is fine and tells nothing; another is refused with both."""
    run = tracking.run()
    again = lambda tx: runs.log_param(tx, run, Entry("K", "A"))  # noqa: E731
    assert [len(tracking.told(again)), len(tracking.told(again))] == [1, 0]
    with pytest.raises(InvalidInput) as refused:
        tracking.write(lambda tx: runs.log_param(tx, run, Entry("K", "B")))
    assert refused.value.message == (
        "Changing param values is not allowed. Param with key='K' was already logged with value='A' for run "
        f"ID='{run}'. Attempted logging new value 'B'."
    )


def test_a_changed_parameter_undoes_its_batch(tracking: Tracking):
    """All contradictions are named and nothing else of the batch is kept."""
    run = tracking.run()
    tracking.log(run, params=[Entry("K", "A"), Entry("L", "")])
    with pytest.raises(InvalidInput) as refused:
        tracking.log(run, Point(), params=[Entry("K", "B"), Entry("new", "1"), Entry("L", "x")])
    assert refused.value.message == (
        "Changing param values is not allowed. Params were already logged='[{'key': 'K', 'old_value': 'A', "
        "'new_value': 'B'}, {'key': 'L', 'old_value': '', 'new_value': 'x'}]' for run "
        f"ID='{run}'."
    )
    assert tracking.show(run).params == [Pair("K", "A"), Pair("L", "")]
    assert tracking.show(run).metrics == []


@pytest.mark.parametrize(
    "value", ['"}],[{"', "back\\slash \\n", "line\nand\ttab", "\x01\x7f", "\u2028 é \U0001f600", "100% '{}'", ""]
)
def test_values_are_shown_as_they_were_logged(tracking: Tracking, value: str):
    """No character of a tag's or parameter's value means anything on its way out of the database."""
    run = tracking.run(name="n")
    tracking.log(run, params=[Entry("p", value)], tags=[Entry("t", value)])
    view = tracking.show(run)
    assert (view.params, view.tags) == ([Pair("p", value)], [Pair("mlflow.runName", "n"), Pair("t", value)])


def test_long_values_are_cut_before_they_are_compared(tracking: Tracking):
    """A parameter cut at 6000 characters may be logged again, and a tag is cut at 8000."""
    run = tracking.run()
    for _ in range(2):
        tracking.log(run, params=[Entry("p", "x" * 6001)], tags=[Entry("t", "y" * 8001)])
    view = tracking.show(run)
    assert [len(pair.value) for pair in (*view.params, view.tags[-1])] == [6000, 8000]


def test_concurrent_writers_of_one_parameter_agree_or_one_is_refused(tracking: Tracking):
    """Equal values all succeed; of different ones the first stays and the others are told."""
    run = tracking.run()
    same = [lambda tx: runs.log_batch(tx, run, (), [Entry("same", "1")]) for _ in range(12)]
    assert tracking.outcomes(same) == [None] * 12
    different = [lambda tx, v=str(v): runs.log_param(tx, run, Entry("different", v)) for v in range(12)]
    outcomes = tracking.outcomes(different)
    (kept,) = [index for index, error in enumerate(outcomes) if error is None]
    assert tracking.show(run).params == [Pair("different", str(kept)), Pair("same", "1")]
    assert {type(error) for error in outcomes if error} == {InvalidInput}


def test_the_greatest_point_is_shown_in_whatever_order_it_came(tracking: Tracking):
    """Greatest is by step, then time, then value, within a batch and across batches."""
    points = [Point("m", value, at, step) for step, at, value in [(1, 5, 9.0), (2, 3, 8.0), (2, 4, 1.0), (2, 4, 3.0)]]
    for order in itertools.permutations(points):
        run = tracking.run()
        tracking.log(run, order[0], order[1])
        tracking.log(run, order[2], order[3])
        assert latest(tracking, run) == {"m": (2, 4, 3.0, 0)}


def test_the_greatest_point_of_concurrent_writers_is_shown(tracking: Tracking):
    """Whoever commits last, the greatest point stays."""
    run = tracking.run()
    points = [Point(key, float(step), 1, step) for key in ("a", "b") for step in range(40)]
    random.Random(7).shuffle(points)
    works = [lambda tx, some=points[n : n + 5]: runs.log_batch(tx, run, some) for n in range(0, 80, 5)]
    assert tracking.outcomes(works) == [None] * 16
    assert latest(tracking, run) == {"a": (39, 1, 39.0, 0), "b": (39, 1, 39.0, 0)}
    assert len(tracking.history(run, "a").metrics) == 40


def test_writers_that_begin_the_same_metrics_at_once_share_them(tracking: Tracking):
    """Many first points of new metrics, logged at the same moment in any order of keys, make one history each."""
    run = tracking.run()
    keys = [f"k{n}" for n in range(12)]
    works = [
        lambda tx, n=n: runs.log_batch(tx, run, [Point(key, step=n) for key in keys[n:] + keys[:n]]) for n in range(12)
    ]
    assert tracking.outcomes(works) == [None] * 12
    for key in keys:
        assert [point.step for point in tracking.history(run, key).metrics] == list(range(12))


def test_a_full_batch_is_stored_point_by_point(tracking: Tracking):
    """A thousand points of several metrics are there as they were sent, beside the same metrics of another run."""
    run, other = tracking.run(), tracking.run()
    points = [Point(f"k{n % 7}", n / 3, n, -n) for n in range(1000)]
    tracking.log(run, *points)
    tracking.log(other, Point("k0", 5.0))
    for key in {point.key for point in points}:
        sent = [(p.timestamp, p.step, p.value) for p in points if p.key == key]
        assert [(p.timestamp, p.step, p.value) for p in tracking.history(run, key).metrics] == sent
        assert {p.key for p in tracking.history(run, key).metrics} == {key}
    assert [p.value for p in tracking.history(other, "k0").metrics] == [5.0]


def test_points_with_and_without_a_dataset_share_a_batch(tracking: Tracking):
    """Each point keeps the dataset it was measured on, or none."""
    run = tracking.run()
    tracking.log(run, *(Point(step=n, dataset_name="iris" if n % 2 else None) for n in range(30)))
    assert [p.dataset_name for p in tracking.history(run).metrics] == [None, "iris"] * 15


def test_nothing_is_logged_to_a_run_after_its_deletion(tracking: Tracking):
    """Of writers beside a deletion, exactly those that were acknowledged are in the history."""
    run = tracking.run()
    works = [lambda tx, n=n: runs.log_metric(tx, run, Point(step=n)) for n in range(40)]
    works.insert(15, lambda tx: runs.delete_run(tx, run))
    outcomes = tracking.outcomes(works)
    acknowledged = [n for n, error in enumerate(outcomes[:15] + outcomes[16:]) if error is None]
    assert sorted(point.step for point in tracking.history(run).metrics) == acknowledged
    assert outcomes[15] is None


def test_equal_points_are_stored_once_and_told_once(tracking: Tracking):
    """The very same point again is no change, within a batch and after it."""
    run = tracking.run()
    again = lambda tx: runs.log_metric(tx, run, Point())  # noqa: E731
    assert [len(tracking.told(again)), len(tracking.told(again))] == [1, 0]
    tracking.log(run, Point(), Point(), Point(value=2.0))
    assert [point.value for point in tracking.history(run).metrics] == [1.0, 2.0]


def test_special_numbers_come_back(tracking: Tracking):
    """NaN is flagged, infinities are the largest doubles, and an absent step is 0."""
    run = tracking.run()
    for key, value in (("nan", math.nan), ("up", math.inf), ("down", -math.inf), ("tiny", 5e-324), ("third", 1 / 3)):
        tracking.log(run, Point(key, value, 1, None))
    assert latest(tracking, run) == {
        "nan": (0, 1, 0.0, 1),
        "up": (0, 1, LARGEST, 0),
        "down": (0, 1, -LARGEST, 0),
        "tiny": (0, 1, 5e-324, 0),
        "third": (0, 1, 1 / 3, 0),
    }


def test_the_ends_of_64_bits_are_kept(tracking: Tracking):
    """Steps and times go up to the limits of the wire's integers."""
    run = tracking.run()
    tracking.log(run, Point("m", 1.0, 2**63 - 1, -(2**63)))
    assert latest(tracking, run) == {"m": (-(2**63), 2**63 - 1, 1.0, 0)}


def test_a_tag_may_rename_the_run(tracking: Tracking):
    """The tag mlflow.runName changes the name, alone or in a batch; an empty one changes neither."""
    run = tracking.run(name="one")
    told = tracking.told(lambda tx: runs.set_tag(tx, run, Entry("mlflow.runName", "two")))
    assert RunUpdated(run, "two", "RUNNING", None, {"name": "one", "status": "RUNNING", "end_time": None}) in told
    tracking.log(run, tags=[Entry("mlflow.runName", ""), Entry("k", "v")])
    view = tracking.show(run)
    assert (view.name, view.tags) == ("two", [Pair("k", "v"), Pair("mlflow.runName", "two")])


def test_renaming_writers_leave_name_and_tag_equal(tracking: Tracking):
    """Whatever order concurrent renames happen in, the name is what its tag says."""
    run = tracking.run()
    works = [lambda tx, n=n: runs.set_tag(tx, run, Entry("mlflow.runName", f"n{n}")) for n in range(10)]
    works += [lambda tx, n=n: runs.update_run(tx, run, name=f"u{n}") for n in range(10)]
    assert tracking.outcomes(works) == [None] * 20
    view = tracking.show(run)
    assert view.tags == [Pair("mlflow.runName", view.name)]


def test_a_tag_is_set_over_and_removed(tracking: Tracking):
    """A tag has its last value until it is deleted, and deleting an absent one is a 404."""
    run = tracking.run(name="n")
    for value in ("1", "2"):
        tracking.write(lambda tx, value=value: runs.set_tag(tx, run, Entry("k", value)))
    assert tracking.told(lambda tx: runs.set_tag(tx, run, Entry("k", "2"))) == []
    assert Pair("k", "2") in tracking.show(run).tags
    tracking.write(lambda tx: runs.delete_tag(tx, run, "k"))
    for key in ("k", "\x00"):
        with pytest.raises(NotFound, match=f"in run with id {run}$"):
            tracking.write(lambda tx, key=key: runs.delete_tag(tx, run, key))


def test_a_metric_of_a_model_is_kept_on_the_model(tracking: Tracking):
    """The point is on the run and on the model, with its dataset; of two at one moment the greater stays."""
    run = tracking.run()
    model = tracking.write(lambda tx: runs.create_logged_model(tx, "0")).id
    tracking.log(
        run, *(Point("acc", v, 1, 1, model, "iris", "abc") for v in (0.5, 0.7, 0.6)), Point("acc", 0.1, 1, 1, model)
    )
    metrics = tracking.read(lambda tx: runs.get_logged_model(tx, model)).metrics
    assert sorted((m.key, m.value, m.dataset_name, m.run_id) for m in metrics) == [
        ("acc", 0.1, "", run),
        ("acc", 0.7, "iris", run),
    ]
    (shown,) = tracking.show(run).metrics
    assert (shown.logged_model_id, shown.dataset_name, shown.dataset_digest) == (model, "iris", "abc")


def test_a_metric_of_no_model_of_the_workspace_is_refused(tracking: Tracking):
    """Nobody records anything on a model that is unknown or of another workspace."""
    other = tracking.of(ELSEWHERE)
    foreign = other.write(lambda tx: runs.create_logged_model(tx, "0")).id
    run = tracking.run()
    for model in (foreign, "m-" + "0" * 32, "m-\x00"):
        with pytest.raises(NotFound):
            tracking.log(run, Point(), Point("acc", model_id=model))
    assert tracking.show(run).metrics == []
    assert other.read(lambda tx: runs.get_logged_model(tx, foreign)).metrics == []


def test_models_of_2x_clients_are_appended_to_a_tag(tracking: Tracking):
    """Each model told of is one more entry, also when told at the same time."""
    run = tracking.run()
    told = {"run_id": run, "utc_time_created": "now", "flavors": {}, "signature": "long"}
    works = [lambda tx, n=n: runs.note_model(tx, run, json.dumps(told | {"artifact_path": f"m{n}"})) for n in range(6)]
    assert tracking.outcomes(works) == [None] * 6
    tags = {tag.key: tag.value for tag in tracking.show(run).tags}
    noted = json.loads(tags["mlflow.log-model.history"])
    assert sorted(entry["artifact_path"] for entry in noted) == [f"m{n}" for n in range(6)]
    assert not any("signature" in entry for entry in noted)


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"run_id": "r"}', "[" * 100_000])
def test_a_malformed_model_is_refused(tracking: Tracking, text: str):
    """What is no JSON object with the mandatory fields is a mistake of the request."""
    run = tracking.run()
    with pytest.raises(InvalidInput, match=r"^Malformed model info"):
        tracking.write(lambda tx: runs.note_model(tx, run, text))
