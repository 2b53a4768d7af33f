"""Experiments on the wire: identity, names, locations, tags, deleting and restoring."""

import pytest

from faces.mlflow.build import Build
from faces.mlflow.wire import Wire


def get(wire: Wire, experiment: str) -> dict:
    """The record of an experiment."""
    return wire.get("experiments/get", experiment_id=experiment).ok()["experiment"]


def test_the_default_experiment_is_there_from_the_start(wire: Wire):
    """Experiment 0 is named Default."""
    record = get(wire, "0")
    assert (record["experiment_id"], record["name"], record["lifecycle_stage"]) == ("0", "Default", "active")
    assert record["artifact_location"] == "mlflow-artifacts:/0"


def test_ids_are_ascending_integers_as_text(build: Build):
    """A later experiment has a greater number."""
    first, second = build.experiment(), build.experiment()
    assert int(second) > int(first) > 0


def test_a_word_is_no_experiment_id(wire: Wire):
    """An id that is not an integer is refused as such."""
    wire.get("experiments/get", experiment_id="x").invalid(
        "Invalid experiment ID 'x'. Experiment ID must be a valid integer."
    )


def test_absent_experiments_are_missing(wire: Wire, name: str):
    """An unknown id and an unknown name are 404, each in its own words."""
    wire.get("experiments/get", experiment_id="99999999").missing("No Experiment with id=99999999 exists")
    wire.get("experiments/get-by-name", experiment_name=name).missing(f"Could not find experiment with name '{name}'")


def test_a_deleted_experiment_is_found_by_name(wire: Wire, build: Build, name: str):
    """The client learns from the answer that the name belongs to a deleted experiment."""
    experiment = build.experiment(name)
    wire.post("experiments/delete", experiment_id=experiment).ok()
    found = wire.get("experiments/get-by-name", experiment_name=name).ok()["experiment"]
    assert (found["experiment_id"], found["lifecycle_stage"]) == (experiment, "deleted")


@pytest.mark.parametrize("bad", ["", "x" * 501])
def test_a_name_has_1_to_500_characters(wire: Wire, bad: str):
    """An empty and an overlong name are refused."""
    wire.post("experiments/create", name=bad).invalid("name")


def test_the_longest_name_is_taken(wire: Wire, build: Build, name: str):
    """500 characters are allowed."""
    full = name + "x" * (500 - len(name))
    assert get(wire, build.experiment(full))["name"] == full


def test_a_taken_name_is_refused_even_when_deleted(wire: Wire, build: Build, name: str):
    """A deleted experiment keeps its name, since it can be restored."""
    experiment = build.experiment(name)
    text = f"Experiment(name={name}) already exists."
    wire.post("experiments/create", name=name).taken(text)
    wire.post("experiments/delete", experiment_id=experiment).ok()
    wire.post("experiments/create", name=name).taken(text)


def test_the_artifact_location_is_below_the_root_unless_given(wire: Wire, build: Build):
    """Without a location the files of experiment N lie under N."""
    experiment = build.experiment()
    assert get(wire, experiment)["artifact_location"] == f"mlflow-artifacts:/{experiment}"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("s3://bucket/a#part", "'artifact_location' URL can't include fragments or params."),
        ("s3://bucket/a?x=/../..", "Invalid query string"),
        ("runs:/abc/x", "runs:"),
        ("s3://bucket/" + "x" * 2048, "2048 characters"),
    ],
)
def test_a_bad_location_is_refused(wire: Wire, name: str, location: str, text: str):
    """A location cannot carry fragments, climb in its query, point at a run, or be overlong."""
    wire.post("experiments/create", name=name, artifact_location=location).invalid(text)


@pytest.mark.parametrize(
    ("location", "expected"),
    [("s3://b/p", "s3://b/p/{run}/artifacts"), ("s3://b/p?x=y", "s3://b/p/{run}/artifacts?x=y")],
)
def test_runs_lie_below_the_given_location(build: Build, location: str, expected: str):
    """A run's files lie under the experiment's location, whose query stays at the end."""
    info = build.started(build.experiment(artifact_location=location))["info"]
    assert info["artifact_uri"] == expected.format(run=info["run_id"])


def test_delete_and_restore_take_the_runs_along(wire: Wire, build: Build):
    """Deleting an experiment deletes its runs and restoring it restores them."""
    experiment = build.experiment()
    run = build.run(experiment)
    for call, stage in (("delete", "deleted"), ("restore", "active")):
        wire.post(f"experiments/{call}", experiment_id=experiment).ok()
        assert get(wire, experiment)["lifecycle_stage"] == stage
        assert wire.get("runs/get", run_id=run).ok()["run"]["info"]["lifecycle_stage"] == stage


def test_deleting_or_restoring_twice_is_missing(wire: Wire, build: Build):
    """An experiment in the other state is not found."""
    experiment = build.experiment()
    wire.post("experiments/restore", experiment_id=experiment).missing()
    wire.post("experiments/delete", experiment_id=experiment).ok()
    wire.post("experiments/delete", experiment_id=experiment).missing()


def test_rename_changes_the_name(wire: Wire, build: Build, name: str):
    """An update with a new name renames the experiment."""
    experiment = build.experiment()
    wire.post("experiments/update", experiment_id=experiment, new_name=name).ok()
    assert get(wire, experiment)["name"] == name


@pytest.mark.beyond_mlflow
def test_a_rename_that_cannot_be_is_the_callers_mistake(wire: Wire, build: Build, name: str):
    """Renaming to a taken name, or a deleted experiment, is refused as 400, where MLflow answers otherwise."""
    taken, experiment = build.experiment(name), build.experiment()
    wire.post("experiments/update", experiment_id=experiment, new_name=name).taken("already exists")
    wire.post("experiments/delete", experiment_id=taken).ok()
    answer = wire.post("experiments/update", experiment_id=taken, new_name=name + "-2")
    assert answer.status == 400
    assert "Cannot rename a non-active experiment." in answer.json["message"]


def test_tags_of_an_experiment_are_set_over_and_removed(wire: Wire, build: Build):
    """Setting a tag again replaces it, and removing it leaves none."""
    experiment = build.experiment(tags=[{"key": "team", "value": "risk"}])
    for value in ("1", "2"):
        wire.post("experiments/set-experiment-tag", experiment_id=experiment, key="k", value=value).ok()
    tags = {tag["key"]: tag["value"] for tag in get(wire, experiment)["tags"]}
    assert (tags["team"], tags["k"]) == ("risk", "2")
    wire.post("experiments/delete-experiment-tag", experiment_id=experiment, key="k").ok()
    assert "k" not in {tag["key"] for tag in get(wire, experiment)["tags"]}


def test_removing_an_absent_tag_is_missing(wire: Wire, build: Build):
    """Experiment tags differ from those of models: an absent one is a 404."""
    experiment = build.experiment()
    wire.post("experiments/delete-experiment-tag", experiment_id=experiment, key="k").missing(
        f"No tag with name: k in experiment with id {experiment}"
    )


@pytest.mark.parametrize("key", ["k" * 251, "a,b", "a//b"])
def test_keys_of_an_experiments_tags_have_limits(wire: Wire, build: Build, key: str):
    """A key has at most 250 characters of the alphabet of keys."""
    wire.post("experiments/set-experiment-tag", experiment_id=build.experiment(), key=key, value="v").invalid()


def test_a_long_tag_of_an_experiment_is_kept_whole(wire: Wire, build: Build):
    """A value of 5000 characters is not cut."""
    experiment = build.experiment()
    wire.post("experiments/set-experiment-tag", experiment_id=experiment, key="k", value="v" * 5000).ok()
    assert get(wire, experiment)["tags"] == [{"key": "k", "value": "v" * 5000}]


@pytest.mark.parametrize("view", ["ALL", 3])
def test_a_view_is_given_by_name_or_number(wire: Wire, build: Build, name: str, view: object):
    """The stages that a search shows may be named or numbered."""
    wire.post("experiments/delete", experiment_id=build.experiment(name)).ok()
    found = wire.post("experiments/search", max_results=10, filter=f"name = '{name}'", view_type=view).ok()
    assert [experiment["name"] for experiment in found["experiments"]] == [name]


@pytest.mark.parametrize(
    ("view", "stages"),
    [(None, ["active"]), ("ACTIVE_ONLY", ["active"]), ("DELETED_ONLY", ["deleted"]), ("ALL", ["active", "deleted"])],
)
def test_search_shows_the_asked_lifecycle_stages(
    wire: Wire, build: Build, name: str, view: str | None, stages: list[str]
):
    """A search finds active experiments unless asked for deleted ones or all."""
    build.experiment(name + "-1")
    wire.post("experiments/delete", experiment_id=build.experiment(name + "-2")).ok()
    asked = {"view_type": view} if view else {}
    found = wire.post("experiments/search", max_results=10, filter=f"name LIKE '{name}%'", **asked).ok()
    assert sorted(experiment["lifecycle_stage"] for experiment in found["experiments"]) == stages
