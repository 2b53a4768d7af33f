"""Experiments, on both databases."""

import pytest

from modelkeep import runs
from modelkeep.core.errors import AlreadyExists, DomainError, InvalidInput, NotFound
from modelkeep.core.types import SYSTEM
from modelkeep.runs import ExperimentRenamed, ExperimentTagSet, Pair
from runs.tracking import ELSEWHERE, Entry, Tracking


def test_the_default_experiment_is_made_once(tracking: Tracking):
    """Experiment 0 is there from the start, and preparing again changes nothing."""
    tracking.of(SYSTEM).write(runs.prepare_default_experiment)
    view = tracking.show_experiment("0")
    assert (view.name, view.lifecycle, view.artifact_location) == ("Default", "active", "mlflow-artifacts:/0")
    assert tracking.events == []


def test_a_renamed_default_experiment_stays_the_default(tracking: Tracking):
    """Preparing does not bring the old name back."""
    tracking.write(lambda tx: runs.rename_experiment(tx, "0", "Scratch"))
    tracking.write(runs.prepare_default_experiment)
    assert tracking.show_experiment("0").name == "Scratch"
    with pytest.raises(NotFound):
        tracking.read(lambda tx: runs.get_experiment_by_name(tx, "Default"))


def test_an_unused_workspace_shows_its_default_experiment(tracking: Tracking):
    """Reading shows experiment 0 before the first write makes it, by id and by name."""
    other = tracking.of(ELSEWHERE)
    assert other.show_experiment("0").artifact_location == "mlflow-artifacts:/workspaces/team-b/0"
    assert other.read(lambda tx: runs.get_experiment_by_name(tx, "Default")).id == 0
    assert other.started().experiment_id == 0
    assert other.show_experiment("0").name == "Default"


def test_an_id_belongs_to_its_workspace(tracking: Tracking):
    """Workspaces count for themselves and do not see each other's experiments."""
    mine = tracking.experiment("mine")
    other = tracking.of(ELSEWHERE)
    with pytest.raises(NotFound):
        other.read(lambda tx: runs.get_experiment_by_name(tx, "mine"))
    assert other.experiment("mine") == mine
    assert other.show_experiment(mine).artifact_location.startswith("mlflow-artifacts:/workspaces/team-b/")


def test_ids_follow_each_other(tracking: Tracking):
    """The first experiment after the default one is 1, and a refused one takes no number."""
    assert tracking.experiment("a") == "1"
    with pytest.raises(AlreadyExists):
        tracking.experiment("a")
    assert tracking.experiment("b") == "2"


def test_ids_of_concurrent_creations_are_distinct(tracking: Tracking):
    """Forty writers get forty numbers without a gap, also in a workspace that nothing was written in."""
    other = tracking.of(ELSEWHERE)
    works = [lambda tx, name=f"e{n}": runs.create_experiment(tx, name) for n in range(40)]
    assert other.outcomes(works) == [None] * 40
    ids = [other.read(lambda tx, n=n: runs.get_experiment_by_name(tx, f"e{n}")).id for n in range(40)]
    assert sorted(ids) == list(range(1, 41))
    assert other.show_experiment("0").name == "Default"


def test_one_of_many_gets_a_name(tracking: Tracking):
    """Of concurrent creations and renames to one name exactly one succeeds; the others learn that it is taken."""
    ids = [tracking.experiment(f"e{n}") for n in range(8)]
    works = [lambda tx: runs.create_experiment(tx, "wanted") for _ in range(8)]
    works += [lambda tx, one=one: runs.rename_experiment(tx, one, "wanted") for one in ids]
    refused = [error for error in tracking.outcomes(works) if error]
    assert len(refused) == 15
    assert {type(error) for error in refused} == {AlreadyExists}


def test_a_taken_name_is_told(tracking: Tracking):
    """The refusal names the experiment, also when that one is deleted."""
    tracking.write(lambda tx: runs.delete_experiment(tx, "0"))
    with pytest.raises(AlreadyExists, match=r"^Experiment\(name=Default\) already exists\."):
        tracking.experiment("Default")


@pytest.mark.parametrize("name", ["", "x" * 501, "a\x00b"])
def test_a_bad_name_is_refused(tracking: Tracking, name: str):
    """Empty, overlong and unstorable names are mistakes of the request."""
    with pytest.raises(InvalidInput):
        tracking.experiment(name)


def test_a_given_location_is_kept(tracking: Tracking):
    """An experiment's own location is what its runs lie below; a bad one is refused."""
    experiment = tracking.experiment(artifact_location="s3://bucket/p?x=y")
    run = tracking.started(experiment)
    assert run.artifact_uri == f"s3://bucket/p/{run.id}/artifacts?x=y"
    with pytest.raises(InvalidInput):
        tracking.experiment("other", artifact_location="s3://b/a#part")


def test_tags_are_set_over_and_removed(tracking: Tracking):
    """A tag has its last value until it is deleted, and deleting it again finds nothing."""
    experiment = tracking.experiment(tags=[Entry("team", "risk"), Entry("k", "1")])
    tracking.write(lambda tx: runs.set_experiment_tag(tx, experiment, Entry("k", "2")))
    assert tracking.show_experiment(experiment).tags == [Pair("k", "2"), Pair("team", "risk")]
    tracking.write(lambda tx: runs.delete_experiment_tag(tx, experiment, "k"))
    assert tracking.show_experiment(experiment).tags == [Pair("team", "risk")]
    for key in ("k", "a\x00"):
        with pytest.raises(NotFound, match=f"in experiment with id {experiment}$"):
            tracking.write(lambda tx, key=key: runs.delete_experiment_tag(tx, experiment, key))


def test_only_a_change_of_a_tag_is_told(tracking: Tracking):
    """Setting the value that a tag has tells nothing."""
    experiment = tracking.experiment()
    work = lambda tx: runs.set_experiment_tag(tx, experiment, Entry("k", "1"))  # noqa: E731
    assert tracking.told(work) == [ExperimentTagSet(int(experiment), "k", "1", None)]
    assert tracking.told(work) == []


def test_only_a_change_of_name_is_told(tracking: Tracking):
    """Renaming to the present name, or to none, changes nothing."""
    experiment = tracking.experiment("old")
    for name in ("old", "", None):
        assert tracking.told(lambda tx, name=name: runs.rename_experiment(tx, experiment, name)) == []
    told = tracking.told(lambda tx: runs.rename_experiment(tx, experiment, "new"))
    assert told == [ExperimentRenamed(int(experiment), "old", "new")]


def test_a_deleted_experiment_takes_no_changes(tracking: Tracking):
    """Tags, names and new runs wait for its restoration."""
    experiment = tracking.experiment()
    tracking.write(lambda tx: runs.delete_experiment(tx, experiment))
    text = f"The experiment {experiment} must be in the 'active' state. Current state is deleted."
    with pytest.raises(InvalidInput, match=f"^{text}$"):
        tracking.run(experiment)
    with pytest.raises(InvalidInput, match=f"^{text}$"):
        tracking.write(lambda tx: runs.set_experiment_tag(tx, experiment, Entry("k", "1")))
    with pytest.raises(InvalidInput, match=r"^Cannot rename a non-active experiment\.$"):
        tracking.write(lambda tx: runs.rename_experiment(tx, experiment, "new"))


def test_delete_and_restore_take_the_runs_along(tracking: Tracking):
    """The facts tell how many runs went and came back."""
    experiment = tracking.experiment()
    ids = [tracking.run(experiment) for _ in range(3)]
    elsewhere = tracking.run()
    (deleted,) = tracking.told(lambda tx: runs.delete_experiment(tx, experiment))
    assert (deleted.kind, deleted.runs) == ("experiment.deleted", 3)
    assert {tracking.show(one).lifecycle for one in ids} == {"deleted"}
    assert tracking.show(elsewhere).lifecycle == "active"
    (restored,) = tracking.told(lambda tx: runs.restore_experiment(tx, experiment))
    assert (restored.kind, restored.runs) == ("experiment.restored", 3)
    assert {tracking.show(one).lifecycle for one in ids} == {"active"}


@pytest.mark.parametrize("change", [runs.delete_experiment, runs.restore_experiment])
def test_a_change_to_the_present_lifecycle_finds_nothing(tracking: Tracking, change):
    """Deleting what is deleted and restoring what is active are 404."""
    experiment = tracking.experiment()
    if change is runs.delete_experiment:
        tracking.write(lambda tx: change(tx, experiment))
    with pytest.raises(NotFound, match=f"^No Experiment with id={experiment} exists$"):
        tracking.write(lambda tx: change(tx, experiment))


def test_no_active_run_is_left_in_a_deleted_experiment(tracking: Tracking):
    """Runs that begin while their experiment is deleted are refused or deleted with it."""
    experiment = tracking.experiment()
    works = [lambda tx: runs.create_run(tx, experiment) for _ in range(12)]
    works.insert(6, lambda tx: runs.delete_experiment(tx, experiment))
    outcomes = tracking.outcomes(works)
    made = [event.run_id for event in tracking.events if event.kind == "run.created"]
    kept = tracking.read(lambda tx: runs.load_runs(tx, made))  # a unit of work that was repeated told of more
    assert outcomes[6] is None
    assert {run.lifecycle for run in kept} <= {"deleted"}


def test_many_are_loaded_in_the_asked_order(tracking: Tracking):
    """Ids that nothing has are left out."""
    ids = [int(tracking.experiment(f"e{n}")) for n in range(3)]
    views = tracking.read(lambda tx: runs.load_experiments(tx, [ids[2], 999, ids[0]]))
    assert [view.id for view in views] == [ids[2], ids[0]]
    assert tracking.read(lambda tx: runs.load_experiments(tx, [])) == []


UNKNOWN = [
    lambda tx: runs.get_experiment(tx, "77"),
    lambda tx: runs.delete_experiment(tx, "77"),
    lambda tx: runs.restore_experiment(tx, "77"),
    lambda tx: runs.rename_experiment(tx, "77", "n"),
    lambda tx: runs.set_experiment_tag(tx, "77", Entry("k", "v")),
    lambda tx: runs.delete_experiment_tag(tx, "77", "k"),
    lambda tx: runs.create_run(tx, "77"),
]


def test_an_unknown_experiment_is_missing_everywhere(tracking: Tracking):
    """Every use case says so in the same words."""
    refused: list[DomainError | None] = [tracking.outcome(work) for work in UNKNOWN]
    assert {(type(error), str(error)) for error in refused} == {(NotFound, "No Experiment with id=77 exists")}
