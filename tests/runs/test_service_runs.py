"""The life of runs, on both databases."""

import re

import pytest

from modelkeep import runs
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.runs import Pair, RunDeleted, RunRestored, RunUpdated
from runs.tracking import ELSEWHERE, NOBODY, Entry, Tracking

ACTIVE = r"must be in the 'active' state. Current state is deleted\.$"


def test_a_new_run_is_shown_as_it_was_answered(tracking: Tracking):
    """Creation answers what a later look-up shows."""
    experiment = tracking.experiment()
    view = tracking.started(experiment, name="blue", start_time=5, tags=[Entry("k", "v")])
    assert re.fullmatch("[0-9a-f]{32}", view.id)
    assert (view.status, view.lifecycle, view.start_time, view.end_time) == ("RUNNING", "active", 5, None)
    assert view.artifact_uri == f"mlflow-artifacts:/{experiment}/{view.id}/artifacts"
    assert view.tags == [Pair("k", "v"), Pair("mlflow.runName", "blue")]
    assert tracking.show(view.id) == view


def test_a_new_run_has_a_tree_for_its_files(tracking: Tracking):
    """The place of a run's files is taken by the run."""
    view = tracking.started()
    head = tracking.read(lambda tx: runs.run_head(tx, view.id))
    assert (head.id, head.experiment_id, head.artifact_uri) == (view.id, 0, view.artifact_uri)
    (created,) = [event for event in tracking.events if event.kind == "run.created"]
    assert (created.resource, created.name) == (f"run/{view.id}", view.name)


def test_the_user_is_who_signed_in(tracking: Tracking):
    """A claimed user counts only where nobody signs in."""
    assert tracking.started(user_id="mallory").user_id == "alice"
    assert tracking.of(NOBODY).started(user_id="carol").user_id == "carol"
    assert tracking.of(NOBODY).started().user_id == "local"


def test_a_refused_run_leaves_nothing(tracking: Tracking):
    """A bad tag is refused before anything is written."""
    with pytest.raises(InvalidInput):
        tracking.run(tags=[Entry("good", "1"), Entry("a//b", "1")])
    assert tracking.events == []


def test_an_update_changes_what_it_names(tracking: Tracking):
    """Absent fields and an empty name stay; the rest is told and shown."""
    run = tracking.run(name="old")
    told = tracking.told(lambda tx: runs.update_run(tx, run, status="FINISHED", end_time=9, name=""))
    assert told == [RunUpdated(run, "old", "FINISHED", 9, {"name": "old", "status": "RUNNING", "end_time": None})]
    assert tracking.told(lambda tx: runs.update_run(tx, run, status="3")) == []
    row = tracking.write(lambda tx: runs.update_run(tx, run, name="new"))
    assert (row.name, row.status, row.end_time) == ("new", "FINISHED", 9)
    assert tracking.show(run).tags == [Pair("mlflow.runName", "new")]


@pytest.mark.parametrize("fields", [{"status": "DONE"}, {"name": "x" * 501}, {"name": "a\x00"}])
def test_a_bad_update_is_refused(tracking: Tracking, fields: dict[str, str]):
    """Unknown statuses and impossible names are mistakes of the request."""
    run = tracking.run()
    with pytest.raises(InvalidInput):
        tracking.write(lambda tx: runs.update_run(tx, run, **fields))


def test_delete_and_restore_are_told_when_they_change_something(tracking: Tracking):
    """Both can be repeated, and everything of a deleted run is kept."""
    run = tracking.run(tags=[Entry("k", "v")])
    delete, restore = (lambda tx: runs.delete_run(tx, run)), (lambda tx: runs.restore_run(tx, run))
    assert [tracking.told(delete), tracking.told(delete)] == [[RunDeleted(run)], []]
    assert tracking.show(run).lifecycle == "deleted"
    assert Pair("k", "v") in tracking.show(run).tags
    assert [tracking.told(restore), tracking.told(restore)] == [[RunRestored(run)], []]
    assert tracking.show(run).lifecycle == "active"


WRITES = {
    "update": lambda tx, run: runs.update_run(tx, run, status="FINISHED"),
    "tag": lambda tx, run: runs.set_tag(tx, run, Entry("k", "1")),
    "delete-tag": lambda tx, run: runs.delete_tag(tx, run, "mlflow.runName"),
    "param": lambda tx, run: runs.log_param(tx, run, Entry("k", "1")),
    "batch": lambda tx, run: runs.log_batch(tx, run),
    "outputs": lambda tx, run: runs.log_outputs(tx, run, []),
    "inputs": lambda tx, run: runs.log_inputs(tx, run),
    "model": lambda tx, run: runs.note_model(
        tx, run, '{"run_id": "r", "artifact_path": "m", "utc_time_created": "now", "flavors": {}}'
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_only_active_runs_of_the_workspace_are_written(tracking: Tracking, write):
    """A deleted run refuses every write; unknown ones, and those of another workspace, are missing; bad ids refused."""
    run = tracking.run()
    tracking.write(lambda tx: runs.delete_run(tx, run))
    with pytest.raises(InvalidInput, match=f"^The run {run} {ACTIVE}"):
        tracking.write(lambda tx: write(tx, run))
    tracking.write(lambda tx: runs.restore_run(tx, run))
    with pytest.raises(NotFound, match=f"^Run with id={run} not found$"):
        tracking.of(ELSEWHERE).write(lambda tx: write(tx, run))
    for bad in ("../x", "a b", "x" * 300, "a\x00"):
        with pytest.raises(InvalidInput, match="parameter 'run_id'"):
            tracking.write(lambda tx, bad=bad: write(tx, bad))
    tracking.write(lambda tx: write(tx, run))


def test_an_unknown_run_is_missing(tracking: Tracking):
    """Reading, deleting and restoring what is not there say so; the head of nothing is None."""
    absent = "0" * 32
    for work in (runs.get_run, runs.delete_run, runs.restore_run):
        with pytest.raises(NotFound, match=f"^Run with id={absent} not found$"):
            tracking.write(lambda tx, work=work: work(tx, absent))
    with pytest.raises(NotFound):
        tracking.show("a\x00b")
    assert tracking.read(lambda tx: (runs.run_head(tx, absent), runs.run_head(tx, "\x00"))) == (None, None)


def test_another_workspace_does_not_see_a_run(tracking: Tracking):
    """A run's id means nothing elsewhere."""
    run = tracking.run()
    other = tracking.of(ELSEWHERE)
    with pytest.raises(NotFound):
        other.show(run)
    assert other.read(lambda tx: runs.run_head(tx, run)) is None
    assert other.read(lambda tx: runs.load_runs(tx, [run])) == []


def test_many_are_loaded_in_the_asked_order(tracking: Tracking):
    """Each run comes with its own records, and ids that nothing has are left out."""
    ids = [tracking.run(name=f"r{n}") for n in range(4)]
    for n, one in enumerate(ids):
        tracking.log(one, params=[Entry("p", str(n))])
    views = tracking.read(lambda tx: runs.load_runs(tx, [ids[3], "0" * 32, ids[1]]))
    assert [(view.name, view.params) for view in views] == [("r3", [Pair("p", "3")]), ("r1", [Pair("p", "1")])]


def test_two_runs_never_share_a_place(tracking: Tracking):
    """Runs of one experiment have trees of their own."""
    places = {tracking.started().artifact_uri for _ in range(5)}
    assert len(places) == 5
    assert not any(isinstance(error, Conflict) for error in tracking.outcomes([runs.create_run] * 10))
