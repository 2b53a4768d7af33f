"""Runs on the wire: creation, updates, metrics, parameters, tags, batches, inputs, and what a deleted run refuses."""

import json
import re

import pytest

from faces.mlflow.build import Build
from faces.mlflow.wire import Wire

BAD_KEYS = ["a//b", "a/", "./a", "../a", "/a", ".", ".."]
BAD_CHARACTERS = ["a,b", "a;b", "a?b", "a\\b", "a'b", "a\nb"]
GOOD_KEYS = ["a/b", "a.b", "a b", "a:b", "a-b_c", "Ünï", "x" * 250]
ACTIVE = "must be in the 'active' state. Current state is deleted."


def get(wire: Wire, run: str) -> dict:
    """The record of a run."""
    return wire.get("runs/get", run_id=run).ok()["run"]


def pairs(entries: list[dict]) -> dict[str, str]:
    """Key and value of a list of tags or parameters."""
    return {entry["key"]: entry["value"] for entry in entries}


def test_a_new_run_is_running(build: Build):
    """A run has an id of 32 hex digits, its files below the experiment, and the status RUNNING."""
    experiment = build.experiment()
    info = build.started(experiment, start_time=5)["info"]
    assert re.fullmatch("[0-9a-f]{32}", info["run_id"])
    assert info["run_uuid"] == info["run_id"]
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment}/{info['run_id']}/artifacts"
    assert (info["status"], info["lifecycle_stage"], info["start_time"]) == ("RUNNING", "active", 5)
    assert "end_time" not in info


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("fields", [{}, {"experiment_id": ""}])
def test_a_run_of_no_experiment_is_in_the_default_one(wire: Wire, fields: dict[str, str]):
    """An absent or empty experiment is experiment 0, where MLflow on SQLite trips over its own foreign key."""
    assert wire.post("runs/create", **fields).ok()["run"]["info"]["experiment_id"] == "0"


def test_a_run_needs_an_active_experiment(wire: Wire, build: Build):
    """No run starts in a deleted experiment nor in an unknown one."""
    experiment = build.experiment()
    wire.post("experiments/delete", experiment_id=experiment).ok()
    wire.post("runs/create", experiment_id=experiment).invalid(f"The experiment {experiment} {ACTIVE}")
    wire.post("runs/create", experiment_id="99999999").missing("No Experiment with id=99999999 exists")


def test_a_name_given_either_way_is_kept_both_ways(wire: Wire, build: Build):
    """The name of a run is also its tag mlflow.runName."""
    tag = [{"key": "mlflow.runName", "value": "blue"}]
    for run in (build.started(run_name="blue"), build.started(tags=tag), build.started(run_name="blue", tags=tag)):
        assert run["info"]["run_name"] == "blue"
        assert pairs(run["data"]["tags"])["mlflow.runName"] == "blue"


def test_two_different_names_are_refused(wire: Wire):
    """A name and a tag that contradict each other are a mistake."""
    tag = [{"key": "mlflow.runName", "value": "red"}]
    wire.post("runs/create", experiment_id="0", run_name="blue", tags=tag).invalid("run_name", "mlflow.runName")


def test_a_run_without_a_name_gets_one(wire: Wire, build: Build):
    """A name is made up and stored as the tag as well."""
    run = build.started()
    assert run["info"]["run_name"]
    assert pairs(get(wire, run["info"]["run_id"])["data"]["tags"])["mlflow.runName"] == run["info"]["run_name"]


def test_renaming_either_way_changes_both(wire: Wire, build: Build):
    """Updating the name changes the tag, and setting the tag, alone or in a batch, changes the name."""
    run = build.run()
    wire.post("runs/update", run_id=run, run_name="one").ok()
    assert pairs(get(wire, run)["data"]["tags"])["mlflow.runName"] == "one"
    wire.post("runs/set-tag", run_id=run, key="mlflow.runName", value="two").ok()
    assert get(wire, run)["info"]["run_name"] == "two"
    wire.post("runs/log-batch", run_id=run, tags=[{"key": "mlflow.runName", "value": "three"}]).ok()
    assert get(wire, run)["info"]["run_name"] == "three"


def test_an_update_changes_what_it_names_only(wire: Wire, build: Build):
    """Absent fields, and an empty name, leave a run as it is."""
    run = build.run(run_name="kept")
    wire.post("runs/update", run_id=run, status="FINISHED", end_time=9).ok()
    wire.post("runs/update", run_id=run, run_name="").ok()
    info = get(wire, run)["info"]
    assert (info["run_name"], info["status"], info["end_time"]) == ("kept", "FINISHED", 9)


WRITES = {
    "update": {"status": "FINISHED"},
    "log-metric": {"key": "k", "value": 1, "timestamp": 1},
    "log-parameter": {"key": "k", "value": "1"},
    "set-tag": {"key": "k", "value": "1"},
    "log-batch": {"params": [{"key": "k", "value": "1"}]},
}


@pytest.mark.parametrize("call", WRITES)
def test_a_deleted_run_refuses_every_write(wire: Wire, build: Build, call: str):
    """A deleted run cannot be written until it is restored."""
    run = build.run()
    wire.post("runs/delete", run_id=run).ok()
    assert get(wire, run)["info"]["lifecycle_stage"] == "deleted"
    wire.post(f"runs/{call}", run_id=run, **WRITES[call]).invalid(f"The run {run} {ACTIVE}")
    wire.post("runs/restore", run_id=run).ok()
    wire.post(f"runs/{call}", run_id=run, **WRITES[call]).ok()


@pytest.mark.parametrize("call", WRITES)
def test_an_unknown_run_is_missing(wire: Wire, call: str):
    """A write to a run that does not exist is a 404 that names it."""
    absent = "0" * 32
    wire.post(f"runs/{call}", run_id=absent, **WRITES[call]).missing(f"Run with id={absent} not found")
    wire.get("runs/get", run_id=absent).missing(f"Run with id={absent} not found")


def test_a_parameter_is_written_once(wire: Wire, build: Build):
    """The same value again is fine, another one is refused with both."""
    run = build.run()
    for _ in range(2):
        wire.post("runs/log-parameter", run_id=run, key="K", value="A").ok()
    wire.post("runs/log-parameter", run_id=run, key="K", value="B").invalid(
        "Changing param values is not allowed. Param with key='K' was already logged with value='A' for run "
        f"ID='{run}'. Attempted logging new value 'B'."
    )
    wire.post("runs/log-batch", run_id=run, params=[{"key": "K", "value": "B"}]).invalid(
        "Changing param values is not allowed. Params were already logged=", "'key': 'K'", f"for run ID='{run}'."
    )
    assert pairs(get(wire, run)["data"]["params"]) == {"K": "A"}


def test_an_empty_parameter_is_a_value(wire: Wire, build: Build):
    """The empty string is kept."""
    run = build.run()
    wire.post("runs/log-parameter", run_id=run, key="K", value="").ok()
    assert pairs(get(wire, run)["data"]["params"]) == {"K": ""}


def test_the_shown_metric_is_the_greatest_by_step_time_and_value(wire: Wire, build: Build):
    """A run shows for each metric the point of the last step, of these the latest, of these the highest."""
    run = build.run()
    points = [(1, 5, 0.1), (2, 3, 0.2), (2, 4, 0.1), (2, 4, 0.3), (-1, 9, 0.9)]
    metrics = [{"key": "m", "step": step, "timestamp": at, "value": value} for step, at, value in points]
    wire.post("runs/log-batch", run_id=run, metrics=metrics).ok()
    shown = get(wire, run)["data"]["metrics"]
    assert [(point["step"], point["timestamp"], point["value"]) for point in shown] == [(2, 4, 0.3)]


def test_the_history_keeps_every_distinct_point(wire: Wire, build: Build):
    """History holds all points, and equal ones once."""
    run = build.run()
    for value in (0.1, 0.1, 0.2):
        wire.post("runs/log-metric", run_id=run, key="m", value=value, timestamp=1, step=0).ok()
    history = wire.get("metrics/get-history", run_id=run, metric_key="m", max_results=100).ok()["metrics"]
    assert sorted(point["value"] for point in history) == [0.1, 0.2]


def test_a_history_comes_in_pages(wire: Wire, build: Build):
    """Page tokens lead through the whole history, in order."""
    run = build.run()
    points = [{"key": "m", "value": float(step), "timestamp": step, "step": step} for step in range(5)]
    wire.post("runs/log-batch", run_id=run, metrics=points).ok()
    seen, asked = [], {"run_id": run, "metric_key": "m", "max_results": 2}
    while asked.get("page_token") != "":
        page = wire.get("metrics/get-history", **asked).ok()
        seen += [point["step"] for point in page["metrics"]]
        asked["page_token"] = page.get("next_page_token", "")
    assert seen == [0, 1, 2, 3, 4]


def test_the_history_of_an_unlogged_metric_is_empty(wire: Wire, build: Build):
    """A metric that was never logged has no points, which is no error."""
    assert wire.get("metrics/get-history", run_id=build.run(), metric_key="m", max_results=5).ok() == {}


def test_histories_of_several_runs_come_together(wire: Wire, build: Build):
    """The call of comparison charts gives the points of one metric of many runs."""
    runs = [build.run(), build.run()]
    for run in runs:
        wire.post("runs/log-metric", run_id=run, key="m", value=1, timestamp=1).ok()
    charts = wire.under("/ajax-api/2.0/mlflow/")
    found = charts.get("metrics/get-history-bulk", run_id=runs, metric_key="m", max_results=10).ok()
    assert {point["run_id"] for point in found["metrics"]} == set(runs)


@pytest.mark.beyond_mlflow
def test_a_history_without_a_limit_is_whole(wire: Wire, build: Build):
    """No limit means everything, where MLflow answers an empty page."""
    run = build.run()
    wire.post("runs/log-metric", run_id=run, key="m", value=1, timestamp=1).ok()
    assert len(wire.get("metrics/get-history", run_id=run, metric_key="m").ok()["metrics"]) == 1


def test_a_metric_without_a_step_is_of_step_zero(wire: Wire, build: Build):
    """An absent step is 0."""
    run = build.run()
    wire.post("runs/log-metric", run_id=run, key="m", value=1, timestamp=1).ok()
    assert get(wire, run)["data"]["metrics"][0]["step"] == 0


def test_a_metric_cannot_be_of_before_time(wire: Wire, build: Build):
    """A negative timestamp is refused."""
    wire.post("runs/log-metric", run_id=build.run(), key="m", value=1, timestamp=-1).invalid("timestamp")


@pytest.mark.parametrize(
    ("field", "count", "text"),
    [
        ("metrics", 1001, "A batch logging request can contain at most 1000 metrics. Got 1001 metrics."),
        ("params", 101, "A batch logging request can contain at most 100 params. Got 101 params."),
        ("tags", 101, "A batch logging request can contain at most 100 tags. Got 101 tags."),
    ],
)
def test_a_batch_has_limits(wire: Wire, build: Build, field: str, count: int, text: str):
    """At most 1000 metrics, 100 parameters and 100 tags go in one batch."""
    entries = [{"key": f"k{number}", "value": "1", "timestamp": 1} for number in range(count)]
    if field == "metrics":
        entries = [entry | {"value": 1.0} for entry in entries]
    wire.post("runs/log-batch", run_id=build.run(), **{field: entries}).invalid(text, "Please split up")


def test_a_batch_has_a_limit_together(wire: Wire, build: Build):
    """All kinds together are at most 1000."""
    metrics = [{"key": f"m{number}", "value": 1.0, "timestamp": 1} for number in range(1000)]
    answer = wire.post("runs/log-batch", run_id=build.run(), metrics=metrics, params=[{"key": "p", "value": "1"}])
    answer.invalid("A batch logging request can contain at most 1000", "Got 1001")


def test_a_parameter_twice_in_a_batch_is_refused(wire: Wire, build: Build):
    """Keys of one batch are distinct."""
    params = [{"key": "K", "value": "1"}, {"key": "K", "value": "1"}]
    wire.post("runs/log-batch", run_id=build.run(), params=params).invalid(
        "Duplicate parameter keys have been submitted: ['K']"
    )


def test_a_bad_entry_leaves_the_whole_batch_unwritten(wire: Wire, build: Build):
    """Everything is checked before anything is written."""
    run = build.run()
    good, bad = {"key": "good", "value": 1.0, "timestamp": 1}, {"key": "a//b", "value": 1.0, "timestamp": 1}
    wire.post("runs/log-batch", run_id=run, metrics=[good, bad], params=[{"key": "p", "value": "1"}]).invalid("a//b")
    data = get(wire, run)["data"]
    assert "metrics" not in data
    assert "params" not in data


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_must_not_look_like_another_path(wire: Wire, build: Build, key: str):
    """Keys become files in some stores, so they must be their own normal path."""
    run = build.run()
    for call in ("log-parameter", "set-tag"):
        wire.post(f"runs/{call}", run_id=run, key=key, value="1").invalid("Names may be treated as files")
    batch = [{"key": key, "value": 1, "timestamp": 1}]
    wire.post("runs/log-batch", run_id=run, metrics=batch).invalid(
        f"Invalid value \"{key}\" for parameter 'metrics[0].name' supplied: Names may be treated as files"
    )


@pytest.mark.parametrize("key", BAD_CHARACTERS)
def test_a_key_has_an_alphabet(wire: Wire, build: Build, key: str):
    """Keys hold word characters, dashes, dots, blanks, colons and slashes only."""
    wire.post("runs/log-metric", run_id=build.run(), key=key, value=1, timestamp=1).invalid(
        "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
        "slashes (/)."
    )


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_other_keys_are_kept(wire: Wire, build: Build, key: str):
    """A good key works for metrics, parameters and tags alike."""
    run = build.run()
    wire.post("runs/log-metric", run_id=run, key=key, value=1, timestamp=1).ok()
    wire.post("runs/log-parameter", run_id=run, key=key, value="1").ok()
    wire.post("runs/set-tag", run_id=run, key=key, value="1").ok()
    data = get(wire, run)["data"]
    assert data["metrics"][0]["key"] == data["params"][0]["key"] == key
    assert pairs(data["tags"])[key] == "1"


@pytest.mark.parametrize("call", ["log-metric", "log-parameter", "set-tag"])
def test_a_key_has_at_most_250_characters(wire: Wire, build: Build, call: str):
    """A longer key is refused rather than cut."""
    wire.post(f"runs/{call}", run_id=build.run(), key="k" * 251, value="1", timestamp=1).invalid(
        "exceeds the maximum length of 250 characters"
    )


def test_long_values_are_cut(wire: Wire, build: Build):
    """A parameter is cut at 6000 characters and a tag at 8000."""
    run = build.run()
    wire.post("runs/log-parameter", run_id=run, key="p", value="x" * 6001).ok()
    wire.post("runs/set-tag", run_id=run, key="t", value="x" * 8001).ok()
    data = get(wire, run)["data"]
    assert len(pairs(data["params"])["p"]) == 6000
    assert len(pairs(data["tags"])["t"]) == 8000


def test_removing_an_absent_tag_is_missing(wire: Wire, build: Build):
    """Run tags differ from those of models: an absent one is a 404."""
    run = build.run()
    wire.post("runs/set-tag", run_id=run, key="k", value="1").ok()
    wire.post("runs/delete-tag", run_id=run, key="k").ok()
    wire.post("runs/delete-tag", run_id=run, key="k").missing(f"No tag with name: k in run with id {run}")


@pytest.mark.parametrize("bad", ["../x", "a b", "x" * 300, "-x", "a/b"])
@pytest.mark.parametrize("call", ["log-batch", "log-inputs"])
def test_a_run_id_has_an_alphabet(wire: Wire, call: str, bad: str):
    """An id that no run can have is a mistake of the request."""
    wire.post(f"runs/{call}", run_id=bad).invalid(f"Invalid value \"{bad}\" for parameter 'run_id' supplied")


DATASET = {"name": "iris", "digest": "abc", "source_type": "local", "source": "{}"}


def test_inputs_are_noted_once(wire: Wire, build: Build):
    """Logging the same dataset again changes nothing."""
    run = build.run(build.experiment())
    entry = {"dataset": DATASET, "tags": [{"key": "mlflow.data.context", "value": "training"}]}
    for _ in range(2):
        wire.post("runs/log-inputs", run_id=run, datasets=[entry]).ok()
    (noted,) = get(wire, run)["inputs"]["dataset_inputs"]
    assert (noted["dataset"]["name"], noted["dataset"]["digest"]) == ("iris", "abc")
    assert pairs(noted["tags"]) == {"mlflow.data.context": "training"}


@pytest.mark.parametrize(("field", "limit"), [("name", 500), ("digest", 36), ("source", 65_535), ("schema", 1_048_575)])
def test_a_dataset_has_limits(wire: Wire, build: Build, field: str, limit: int):
    """Each part of a dataset has its own greatest length."""
    run, dataset = build.run(build.experiment()), DATASET | {field: "x" * (limit + 1)}
    wire.post("runs/log-inputs", run_id=run, datasets=[{"dataset": dataset}]).invalid(field, str(limit))


def test_outputs_name_the_models_of_a_run(wire: Wire, build: Build):
    """A run shows the logged models that it made, with their steps."""
    run = build.run()
    model = build.logged_model(source_run_id=run)["model_id"]
    wire.post("runs/outputs", run_id=run, models=[{"model_id": model, "step": 3}]).ok()
    (noted,) = get(wire, run)["outputs"]["model_outputs"]
    assert (noted["model_id"], noted["step"]) == (model, 3)


def test_a_metric_of_a_model_is_shown_by_the_model(wire: Wire, build: Build):
    """A metric logged with a model's id is recorded on the model, with its dataset."""
    run = build.run()
    model = build.logged_model(source_run_id=run)["model_id"]
    wire.post(
        "runs/log-metric",
        run_id=run,
        key="acc",
        value=0.5,
        timestamp=1,
        model_id=model,
        dataset_name="iris",
        dataset_digest="abc",
    ).ok()
    (metric,) = wire.get(f"logged-models/{model}").ok()["model"]["data"]["metrics"]
    assert (metric["key"], metric["value"], metric["dataset_name"], metric["dataset_digest"]) == (
        "acc",
        0.5,
        "iris",
        "abc",
    )


def test_runs_log_model_is_noted_as_a_tag(wire: Wire, build: Build):
    """A 2.x client tells which folder holds a model; it is kept in the run's tag mlflow.log-model.history."""
    run = build.run()
    told = {"run_id": run, "artifact_path": "model", "utc_time_created": "2026-01-01", "flavors": {}}
    wire.post("runs/log-model", run_id=run, model_json=json.dumps(told)).ok()
    assert '"artifact_path": "model"' in pairs(get(wire, run)["data"]["tags"])["mlflow.log-model.history"]


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("junk", ["oops", "5", "{}", "null"])
def test_a_model_is_noted_over_a_history_that_a_client_spoiled(wire: Wire, build: Build, junk: str):
    """The tag of noted models is the client's to write too; what is no list there does not stop the next note."""
    run = build.run()
    wire.post("runs/set-tag", run_id=run, key="mlflow.log-model.history", value=junk).ok()
    told = {"artifact_path": "model", "flavors": {}, "run_id": run, "utc_time_created": "2026-01-01 00:00:00"}
    wire.post("runs/log-model", run_id=run, model_json=json.dumps(told)).ok()
    (noted,) = json.loads(pairs(get(wire, run)["data"]["tags"])["mlflow.log-model.history"])
    assert noted["artifact_path"] == "model"
