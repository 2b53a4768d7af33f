"""Logged models on the wire: creation, status, tags, parameters, deletion, search and its page tokens."""

import re

import pytest

from faces.mlflow.build import Build
from faces.mlflow.wire import Wire

BAD_NAMES = ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b"]


def get(wire: Wire, model: str) -> dict:
    """The record of a logged model."""
    return wire.get(f"logged-models/{model}").ok()["model"]


def found(wire: Wire, experiment: str, **fields: object) -> list[str]:
    """The names that a search gives, in its order."""
    answer = wire.post("logged-models/search", experiment_ids=[experiment], **fields).ok()
    return [model["info"]["name"] for model in answer.get("models", [])]


def test_a_new_logged_model_is_pending(build: Build):
    """A logged model has an id of m- and 32 hex digits and its files below the experiment's models."""
    experiment = build.experiment()
    run = build.run(experiment)
    info = build.logged_model(experiment, name="clf", model_type="tree", source_run_id=run)
    assert re.fullmatch("m-[0-9a-f]{32}", info["model_id"])
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment}/models/{info['model_id']}/artifacts"
    assert (info["name"], info["model_type"], info["source_run_id"]) == ("clf", "tree", run)
    assert (info["experiment_id"], info["status"]) == (experiment, "LOGGED_MODEL_PENDING")
    assert info["creation_timestamp_ms"] == info["last_updated_timestamp_ms"]


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_a_bad_name_is_refused(wire: Wire, bad: str):
    """The name of a logged model holds none of the characters that its URI gives a meaning to."""
    wire.post("logged-models", experiment_id="0", name=bad).invalid(
        f"Invalid model name ({bad!r}) provided. Model name must be a non-empty string and cannot contain the "
        "following characters:"
    )


@pytest.mark.parametrize("fields", [{}, {"name": ""}])
def test_a_logged_model_without_a_name_gets_one(build: Build, fields: dict[str, str]):
    """A name is made up."""
    assert build.logged_model(**fields)["name"]


def test_names_of_logged_models_are_not_unique(build: Build, name: str):
    """Two logged models of one name are two models."""
    assert build.logged_model(name=name)["model_id"] != build.logged_model(name=name)["model_id"]


@pytest.mark.parametrize("status", ["LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"])
def test_finalizing_sets_the_status(wire: Wire, build: Build, status: str):
    """A logged model is ready, or its upload failed, once the client says so."""
    model = build.logged_model()["model_id"]
    assert wire.patch(f"logged-models/{model}", model_id=model, status=status).ok()["model"]["info"]["status"] == status
    assert get(wire, model)["info"]["status"] == status


def test_tags_and_parameters_given_at_creation_are_shown(wire: Wire, build: Build):
    """A logged model may be born with tags and parameters."""
    entries = [{"key": "k", "value": "v"}]
    model = build.logged_model(tags=entries, params=entries)["model_id"]
    record = get(wire, model)
    assert record["info"]["tags"] == record["data"]["params"] == entries


def test_tags_are_set_over_and_removed(wire: Wire, build: Build):
    """Setting a tag again replaces it, and removing it leaves none."""
    model = build.logged_model()["model_id"]
    for value in ("1", "2"):
        wire.patch(f"logged-models/{model}/tags", model_id=model, tags=[{"key": "k", "value": value}]).ok()
    assert get(wire, model)["info"]["tags"] == [{"key": "k", "value": "2"}]
    wire.delete(f"logged-models/{model}/tags/k").ok()
    assert "tags" not in get(wire, model)["info"]


def test_removing_an_absent_tag_is_missing(wire: Wire, build: Build):
    """An absent tag of a logged model is a 404."""
    model = build.logged_model()["model_id"]
    wire.delete(f"logged-models/{model}/tags/k").missing(f"No tag with key 'k' found for model with ID '{model}'.")


def test_parameters_are_added(wire: Wire, build: Build):
    """Parameters come in later calls too."""
    model = build.logged_model(params=[{"key": "a", "value": "1"}])["model_id"]
    wire.post(f"logged-models/{model}/params", model_id=model, params=[{"key": "b", "value": "2"}]).ok()
    params = {param["key"]: param["value"] for param in get(wire, model)["data"]["params"]}
    assert params == {"a": "1", "b": "2"}


def test_a_parameter_cannot_be_added_twice(wire: Wire, build: Build):
    """A parameter of a logged model is written once."""
    model = build.logged_model(params=[{"key": "a", "value": "1"}])["model_id"]
    answer = wire.post(f"logged-models/{model}/params", model_id=model, params=[{"key": "a", "value": "2"}])
    assert answer.status == 400
    assert get(wire, model)["data"]["params"] == [{"key": "a", "value": "1"}]


def test_a_deleted_logged_model_is_missing_unless_asked_for(wire: Wire, build: Build):
    """Deleting hides a logged model from everyone who does not ask for deleted ones."""
    experiment = build.experiment()
    model = build.logged_model(experiment)["model_id"]
    wire.delete(f"logged-models/{model}").ok()
    wire.get(f"logged-models/{model}").missing(f"Logged model with ID '{model}' not found.")
    assert found(wire, experiment) == []
    shown = wire.get(f"logged-models/{model}", allow_deleted="true").ok()["model"]["info"]
    assert shown["model_id"] == model


@pytest.mark.parametrize(
    "call",
    [
        lambda wire, model: wire.get(f"logged-models/{model}"),
        lambda wire, model: wire.delete(f"logged-models/{model}"),
        lambda wire, model: wire.patch(f"logged-models/{model}", model_id=model, status="LOGGED_MODEL_READY"),
        lambda wire, model: wire.post(f"logged-models/{model}/params", model_id=model, params=[]),
        lambda wire, model: wire.patch(f"logged-models/{model}/tags", tags=[{"key": "k", "value": "v"}]),
    ],
)
def test_an_unknown_logged_model_is_missing(wire: Wire, call):
    """Every call about a logged model that does not exist is a 404 that names it."""
    absent = "m-" + "0" * 32
    call(wire, absent).missing(f"Logged model with ID '{absent}' not found.")


def test_search_needs_experiments(wire: Wire):
    """A search says where to look."""
    wire.post("logged-models/search").invalid("Missing value for required parameter 'experiment_ids'.")


def test_a_deleted_run_does_not_hide_its_models(wire: Wire, build: Build):
    """Logged models are found after their run was deleted."""
    experiment = build.experiment()
    run = build.run(experiment)
    build.logged_model(experiment, name="kept", source_run_id=run)
    wire.post("runs/delete", run_id=run).ok()
    assert found(wire, experiment) == ["kept"]


@pytest.fixture(scope="module")
def zoo(wire: Wire, build: Build) -> str:
    """An experiment with three logged models of different kinds and accuracies."""
    experiment = build.experiment()
    run = build.run(experiment)
    for name, kind, score in (("Ape", "tree", 0.3), ("bee", "net", 0.9), ("cat", "tree", None)):
        entries = [{"key": "kind", "value": kind}]
        model = build.logged_model(experiment, name=name, model_type=kind, tags=entries, params=entries)["model_id"]
        if score is not None:
            place = {"model_id": model, "dataset_name": "iris", "dataset_digest": kind}
            wire.post("runs/log-metric", run_id=run, key="acc", value=score, timestamp=1, **place).ok()
    wire.patch(f"logged-models/{model}", model_id=model, status="LOGGED_MODEL_READY").ok()
    return experiment


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name = 'bee'", ["bee"]),
        ("attributes.name != 'bee'", ["Ape", "cat"]),
        ("name LIKE 'a%'", []),
        ("name ILIKE 'a%'", ["Ape"]),
        ("name IN ('bee', 'cat')", ["bee", "cat"]),
        ("name NOT IN ('bee', 'cat')", ["Ape"]),
        ("model_type = 'tree'", ["Ape", "cat"]),
        ("tags.kind = 'tree' AND params.kind = 'tree'", ["Ape", "cat"]),
        ("metrics.acc > 0.5", ["bee"]),
        ("metrics.acc >= 0.3 and name LIKE 'A%'", ["Ape"]),
        ("creation_timestamp > 0", ["Ape", "bee", "cat"]),
        ("last_updated_timestamp < 5", []),
        ("", ["Ape", "bee", "cat"]),
    ],
)
def test_filters_of_logged_models(wire: Wire, zoo: str, text: str, names: list[str]):
    """A search finds the logged models that meet every condition."""
    assert sorted(found(wire, zoo, filter=text)) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "metric.acc > 1",
            "Invalid entity type: 'metric'. Expected one of ['attributes', 'metrics', 'params', 'tags'].",
        ),
        ("tag.k = 'v'", "Invalid entity type: 'tag'."),
    ],
)
def test_prefixes_of_logged_models_are_exact(wire: Wire, zoo: str, text: str, said: str):
    """A filter of logged models spells its prefixes in full."""
    wire.post("logged-models/search", experiment_ids=[zoo], filter=text).invalid(said)


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("text", ["naem = 'a'", "metrics.acc > 'a'"])
def test_a_filter_that_cannot_be_is_the_callers_mistake(wire: Wire, zoo: str, text: str):
    """An unknown attribute and a number that is none are refused as 400, where MLflow answers 500."""
    wire.post("logged-models/search", experiment_ids=[zoo], filter=text).invalid()


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ([], ["cat", "bee", "Ape"]),
        ([{"field_name": "creation_timestamp"}], ["Ape", "bee", "cat"]),
        ([{"field_name": "name", "ascending": False}], ["cat", "bee", "Ape"]),
        ([{"field_name": "metrics.acc"}], ["Ape", "bee", "cat"]),
        ([{"field_name": "metrics.acc", "ascending": False}], ["bee", "Ape", "cat"]),
    ],
)
def test_orders_of_logged_models(wire: Wire, zoo: str, order: list[dict], names: list[str]):
    """Newest first unless asked, ascending when asked, and missing metrics last both ways."""
    assert found(wire, zoo, order_by=order) == names


def test_datasets_narrow_the_metrics_of_a_filter(wire: Wire, zoo: str):
    """Named datasets say on which data a metric must hold."""
    for digest, names in (("net", ["bee"]), ("tree", [])):
        datasets = [{"dataset_name": "iris", "dataset_digest": digest}]
        assert found(wire, zoo, filter="metrics.acc > 0.5", datasets=datasets) == names


@pytest.mark.parametrize("field", ["foo", "params.kind"])
def test_an_unknown_order_is_refused(wire: Wire, zoo: str, field: str):
    """Attributes and metrics give an order, nothing else."""
    wire.post("logged-models/search", experiment_ids=[zoo], order_by=[{"field_name": field}]).invalid(
        f"Invalid order by field name: {field}"
    )


def test_a_page_token_belongs_to_its_search(wire: Wire, zoo: str):
    """A token leads on with the same arguments and is refused with others, each by name."""
    page = wire.post("logged-models/search", experiment_ids=[zoo], max_results=2).ok()
    token = page["next_page_token"]
    assert found(wire, zoo, page_token=token, max_results=2) == ["Ape"]
    others = [
        ({"experiment_ids": ["0"]}, "Experiment IDs in the page token do not match the requested experiment IDs."),
        ({"filter": "name = 'x'"}, "Filter string in the page token does not match"),
        ({"order_by": [{"field_name": "name"}]}, "Order by in the page token does not match"),
        ({"page_token": "!!"}, "Invalid page token: "),
    ]
    for changed, text in others:
        fields = {"experiment_ids": [zoo], "page_token": token} | changed
        wire.post("logged-models/search", **fields).invalid(text)
