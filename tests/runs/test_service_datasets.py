"""What runs read and made, on both databases."""

from typing import NamedTuple

import pytest

from modelkeep import runs
from modelkeep.core.errors import InvalidInput
from modelkeep.runs import DatasetUse, OutputView, Pair, RunInputsLogged, RunOutputsLogged
from runs.tracking import Entry, Tracking

TRAINING = (Entry("mlflow.data.context", "training"),)


class Dataset(NamedTuple):
    """A dataset as a client describes it."""

    name: str | None = "iris"
    digest: str | None = "abc"
    source_type: str | None = "local"
    source: str | None = "{}"
    schema: str | None = None
    profile: str | None = None


class Made(NamedTuple):
    """A logged model that a run made."""

    model_id: str | None = "m-1"
    step: int | None = None


def test_inputs_are_noted_once(tracking: Tracking):
    """The same inputs again change and tell nothing."""
    run = tracking.run()
    work = lambda tx: runs.log_inputs(tx, run, [DatasetUse(Dataset(), TRAINING)], ["m-1"])  # noqa: E731
    assert tracking.told(work) == [RunInputsLogged(run, 1, 1)]
    assert tracking.told(work) == []
    view = tracking.show(run)
    assert view.dataset_inputs == [runs.DatasetView(*Dataset(), tags=[Pair("mlflow.data.context", "training")])]
    assert view.model_inputs == ["m-1"]


def test_a_dataset_of_one_digest_is_shared_in_its_experiment(tracking: Tracking):
    """Runs of one experiment share the first description of a dataset; another experiment has its own."""
    first, second, elsewhere = tracking.run(), tracking.run(), tracking.run(tracking.experiment())
    for run, source in ((first, "a"), (second, "b"), (elsewhere, "c")):
        use = DatasetUse(Dataset(source=source))
        tracking.write(lambda tx, run=run, use=use: runs.log_inputs(tx, run, [use]))
    assert [tracking.show(run).dataset_inputs[0].source for run in (first, second, elsewhere)] == ["a", "a", "c"]


def test_concurrent_runs_share_a_dataset(tracking: Tracking):
    """Writers who bring the same dataset at the same time all succeed."""
    ids = [tracking.run() for _ in range(10)]
    use = [DatasetUse(Dataset(profile="p" * 1000))]
    assert tracking.outcomes([lambda tx, one=one: runs.log_inputs(tx, one, use) for one in ids]) == [None] * 10
    assert {len(tracking.show(one).dataset_inputs) for one in ids} == {1}


@pytest.mark.parametrize(
    ("field", "limit"),
    [("name", 500), ("digest", 36), ("source", 65_535), ("schema", 1_048_575), ("profile", 16_777_215)],
)
def test_a_dataset_has_limits(tracking: Tracking, field: str, limit: int):
    """Each part of a dataset has its own greatest length."""
    run = tracking.run()
    with pytest.raises(InvalidInput, match=f"^'{field}' exceeds the maximum length of {limit} characters$"):
        tracking.write(lambda tx: runs.log_inputs(tx, run, [DatasetUse(Dataset(**{field: "x" * (limit + 1)}))]))


BAD = {
    "no name": DatasetUse(Dataset(name=None)),
    "no digest": DatasetUse(Dataset(digest="")),
    "no source": DatasetUse(Dataset(source=None)),
    "NUL": DatasetUse(Dataset(source="\x00")),
    "tag key": DatasetUse(Dataset(), [Entry("k" * 256, "v")]),
    "tag value": DatasetUse(Dataset(), [Entry("k", "v" * 501)]),
    "no tag key": DatasetUse(Dataset(), [Entry("", "v")]),
}


@pytest.mark.parametrize("use", BAD.values(), ids=BAD)
def test_a_bad_dataset_leaves_nothing(tracking: Tracking, use: DatasetUse):
    """One bad dataset among good ones is refused with all of them."""
    run = tracking.run()
    with pytest.raises(InvalidInput):
        tracking.write(lambda tx: runs.log_inputs(tx, run, [DatasetUse(Dataset(name="good")), use]))
    assert tracking.show(run).dataset_inputs == []


def test_outputs_have_their_steps(tracking: Tracking):
    """Models that a run made are shown by step; the last step told of a model counts."""
    run = tracking.run()
    told = tracking.told(lambda tx: runs.log_outputs(tx, run, [Made("m-2", 5), Made("m-1")]))
    assert told == [RunOutputsLogged(run, 2)]
    assert tracking.show(run).model_outputs == [OutputView("m-1", 0), OutputView("m-2", 5)]
    assert tracking.told(lambda tx: runs.log_outputs(tx, run, [Made("m-2", 5)])) == []
    tracking.write(lambda tx: runs.log_outputs(tx, run, [Made("m-1", 9)]))
    assert tracking.show(run).model_outputs == [OutputView("m-2", 5), OutputView("m-1", 9)]


@pytest.mark.parametrize("model_id", [None, "", "m" * 257, "m-\x00"])
def test_a_model_needs_an_id(tracking: Tracking, model_id: str | None):
    """An absent or impossible id is refused, for inputs and outputs."""
    run = tracking.run()
    with pytest.raises(InvalidInput, match="model_id"):
        tracking.write(lambda tx: runs.log_inputs(tx, run, models=[model_id]))
    with pytest.raises(InvalidInput, match="model_id"):
        tracking.write(lambda tx: runs.log_outputs(tx, run, [Made(model_id)]))
