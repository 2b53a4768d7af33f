"""Registered models on the wire: names, duplicates, renaming, deleting, the fields of a record, its time of change."""

import time
from collections.abc import Callable

import pytest

from faces.mlflow.build import Build
from faces.mlflow.wire import Answer, Wire

BAD_NAMES = [
    ("", "Missing value for required parameter 'name'."),
    ("  ", "Missing value for required parameter 'name'."),
    ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
    ("a:b", "Invalid model name 'a:b'. Names cannot contain '/' or ':'."),
    (".", "Names may be treated as files in certain cases"),
    ("..", "Names may be treated as files in certain cases"),
    ("..x", "Invalid value \"..x\" for parameter 'name' supplied: Names may be treated as files"),
]
CALLS_WITH_A_NAME: list[Callable[[Wire, str], Answer]] = [
    lambda wire, name: wire.get("registered-models/get", name=name),
    lambda wire, name: wire.post("registered-models/rename", name=name, new_name="free"),
    lambda wire, name: wire.patch("registered-models/update", name=name, description="x"),
    lambda wire, name: wire.delete("registered-models/delete", name=name),
    lambda wire, name: wire.post("registered-models/set-tag", name=name, key="k", value="v"),
    lambda wire, name: wire.delete("registered-models/delete-tag", name=name, key="k"),
    lambda wire, name: wire.post("registered-models/alias", name=name, alias="a", version="1"),
    lambda wire, name: wire.get("registered-models/alias", name=name, alias="a"),
    lambda wire, name: wire.delete("registered-models/alias", name=name, alias="a"),
    lambda wire, name: wire.post("registered-models/get-latest-versions", name=name),
    lambda wire, name: wire.post("model-versions/create", name=name, source="s3://a/b"),
    lambda wire, name: wire.get("model-versions/get", name=name, version="1"),
    lambda wire, name: wire.get("model-versions/get-download-uri", name=name, version="1"),
    lambda wire, name: wire.patch("model-versions/update", name=name, version="1", description="x"),
    lambda wire, name: wire.delete("model-versions/delete", name=name, version="1"),
    lambda wire, name: wire.post("model-versions/set-tag", name=name, version="1", key="k", value="v"),
    lambda wire, name: wire.post("model-versions/transition-stage", name=name, version="1", stage="Staging"),
]


def updated(wire: Wire, name: str) -> int:
    """When a registered model last changed, in milliseconds."""
    return get(wire, name)["last_updated_timestamp"]


def get(wire: Wire, name: str) -> dict:
    """The record of a registered model."""
    return wire.get("registered-models/get", name=name).ok()["registered_model"]


@pytest.mark.parametrize(("bad", "text"), BAD_NAMES)
def test_a_bad_name_is_refused_on_creation(wire: Wire, bad: str, text: str):
    """A name must say something, hold no separators, and not look like a path."""
    wire.post("registered-models/create", name=bad).invalid(text)


@pytest.mark.parametrize("call", CALLS_WITH_A_NAME)
def test_a_bad_name_is_refused_on_every_call(wire: Wire, call: Callable[[Wire, str], Answer]):
    """A name that no model can have is a mistake of the request rather than a missing model."""
    call(wire, "a/b").invalid("Invalid model name 'a/b'")


@pytest.mark.parametrize("call", CALLS_WITH_A_NAME)
def test_an_unknown_model_is_missing_on_every_call(wire: Wire, name: str, call: Callable[[Wire, str], Answer]):
    """A call about a model that does not exist is a 404 that names it."""
    call(wire, name).missing(name, "not found")


@pytest.mark.parametrize("given", ["a b", "ok..x", "Ünïcode", "UPPER", "x'y\"z", "100%", "-dash", "x" * 256])
def test_other_names_are_taken_as_they_are(wire: Wire, name: str, given: str):
    """Blanks, dots, quotes, percent signs and letters of any script may stand in a name."""
    full = (given + name)[-256:]
    wire.post("registered-models/create", name=full).ok()
    assert get(wire, full)["name"] == full


def test_names_are_case_sensitive(wire: Wire, build: Build, name: str):
    """Two names that differ in case are two models."""
    build.model(name + "-a")
    build.model(name + "-A")
    assert get(wire, name + "-A")["name"] == name + "-A"


def test_a_duplicate_is_refused_with_the_code_that_register_model_relies_on(wire: Wire, build: Build):
    """Creating a model twice is a 400 RESOURCE_ALREADY_EXISTS."""
    model = build.model()
    wire.post("registered-models/create", name=model).taken(f"Registered Model (name={model}) already exists.")


def test_models_and_prompts_share_their_names(wire: Wire, build: Build):
    """A name taken by a prompt cannot become a model, nor the reverse, and each text says which."""
    prompt, model, mark = build.prompt(), build.model(), [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    wire.post("registered-models/create", name=prompt).taken(
        f"Tried to create a registered model with name '{prompt}', but the name is already taken by a prompt. "
        "MLflow does not allow creating a model and a prompt with the same name."
    )
    wire.post("registered-models/create", name=model, tags=mark).taken(
        f"Tried to create a prompt with name '{model}', but the name is already taken by a registered model."
    )
    wire.post("registered-models/create", name=prompt, tags=mark).taken(f"Prompt (name={prompt}) already exists.")


def test_the_last_of_repeated_tags_wins(wire: Wire, name: str):
    """A tag given twice in one request has the second value."""
    tags = [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]
    wire.post("registered-models/create", name=name, tags=tags).ok()
    assert get(wire, name)["tags"] == [{"key": "k", "value": "2"}]


def test_an_unknown_model_is_named_in_the_refusal(wire: Wire, name: str):
    """The text of a 404 is the one that clients match on."""
    wire.get("registered-models/get", name=name).missing(f"Registered Model with name={name} not found")


def test_a_new_model_has_its_name_and_times(wire: Wire, name: str):
    """A record always has name, creation and last update, and no words that it does not know."""
    made = wire.post("registered-models/create", name=name, description="why").ok()["registered_model"]
    assert made["name"] == name
    assert made["description"] == "why"
    assert made["creation_timestamp"] == made["last_updated_timestamp"]
    assert {"latest_versions", "aliases", "deployment_job_id", "tags"}.isdisjoint(made)


def test_a_model_without_a_description_has_no_such_field(wire: Wire, build: Build):
    """A description never given is left out."""
    assert "description" not in get(wire, build.model())


def test_rename_moves_versions_tags_and_aliases(wire: Wire, build: Build, name: str):
    """Everything that hangs on a model follows its new name, and the old one is gone."""
    old = build.model(tags=[{"key": "team", "value": "risk"}])
    build.version(old, tags=[{"key": "k", "value": "v"}])
    wire.post("registered-models/alias", name=old, alias="champion", version="1").ok()
    renamed = wire.post("registered-models/rename", name=old, new_name=name).ok()["registered_model"]
    assert renamed["name"] == name
    version = wire.get("registered-models/alias", name=name, alias="champion").ok()["model_version"]
    assert (version["name"], version["version"], version["tags"]) == (name, "1", [{"key": "k", "value": "v"}])
    assert get(wire, name)["tags"] == [{"key": "team", "value": "risk"}]
    wire.get("registered-models/get", name=old).missing()
    wire.get("model-versions/get", name=old, version="1").missing()


def test_rename_changes_the_time_of_the_model_and_its_versions(wire: Wire, build: Build, name: str):
    """A rename is an update of the model and of every version."""
    old = build.model()
    before = build.version(old)["last_updated_timestamp"]
    time.sleep(0.005)
    wire.post("registered-models/rename", name=old, new_name=name).ok()
    version = wire.get("model-versions/get", name=name, version="1").ok()["model_version"]
    assert version["last_updated_timestamp"] > before
    assert updated(wire, name) > before


def test_rename_to_a_taken_name_is_refused(wire: Wire, build: Build):
    """A rename cannot replace another model."""
    one, other = build.model(), build.model()
    wire.post("registered-models/rename", name=one, new_name=other).taken(
        f"Registered Model (name={other}) already exists."
    )


@pytest.mark.parametrize("new", [None, ""])
def test_rename_needs_a_new_name(wire: Wire, build: Build, new: str | None):
    """A blank new name is a missing one."""
    wire.post("registered-models/rename", name=build.model(), new_name=new).invalid("Missing value", "name'")


def test_rename_to_a_bad_name_is_refused(wire: Wire, build: Build):
    """A new name obeys the rules of names."""
    wire.post("registered-models/rename", name=build.model(), new_name="a/b").invalid("Invalid model name 'a/b'")


def test_update_replaces_the_description_even_when_absent(wire: Wire, build: Build):
    """Updating a model without a description clears it."""
    model = build.model(description="one")
    wire.patch("registered-models/update", name=model, description="two").ok()
    assert get(wire, model)["description"] == "two"
    wire.patch("registered-models/update", name=model).ok()
    assert get(wire, model).get("description", "") == ""


def test_delete_takes_versions_tags_and_aliases_along(wire: Wire, build: Build):
    """Nothing of a deleted model can be read, whatever stage its versions stood in."""
    model = build.model()
    build.staged(model, "Production")
    wire.post("registered-models/alias", name=model, alias="champion", version="1").ok()
    wire.delete("registered-models/delete", name=model).ok()
    wire.get("registered-models/get", name=model).missing()
    wire.get("model-versions/get", name=model, version="1").missing()
    wire.get("registered-models/alias", name=model, alias="champion").missing()
    assert wire.get("model-versions/search", filter=f"name='{model}'").ok() == {}


def test_a_deleted_name_is_free_again(wire: Wire, build: Build):
    """A model of a deleted one's name starts without its tags and aliases."""
    model = build.model(tags=[{"key": "k", "value": "v"}])
    wire.delete("registered-models/delete", name=model).ok()
    build.model(model)
    assert {"tags", "aliases", "latest_versions"}.isdisjoint(get(wire, model))


@pytest.mark.beyond_mlflow
def test_numbering_continues_after_a_model_was_deleted(wire: Wire, build: Build):
    """`models:/name/1` never comes to mean other bytes: a recreated name goes on counting."""
    model = build.model()
    build.version(model)
    build.version(model)
    wire.delete("registered-models/delete", name=model).ok()
    assert build.version(build.model(model))["version"] == "3"


def test_latest_versions_holds_the_newest_of_each_stage(wire: Wire, build: Build):
    """One version stands for each stage that has any, None and Archived included."""
    model = build.model()
    for stage in ("None", "Staging", "Staging", "Production", "Archived", "None"):
        build.staged(model, stage)
    latest = {version["current_stage"]: version["version"] for version in get(wire, model)["latest_versions"]}
    assert latest == {"None": "6", "Staging": "3", "Production": "4", "Archived": "5"}


def test_a_deleted_version_is_not_among_the_latest(wire: Wire, build: Build):
    """The newest version left stands for its stage."""
    model = build.model()
    build.version(model)
    build.version(model)
    wire.delete("model-versions/delete", name=model, version="2").ok()
    assert [version["version"] for version in get(wire, model)["latest_versions"]] == ["1"]


def test_aliases_of_a_model_name_their_versions_as_text(wire: Wire, build: Build):
    """A model lists its aliases with version numbers in text form."""
    model = build.model()
    build.version(model)
    wire.post("registered-models/alias", name=model, alias="champion", version="1").ok()
    assert get(wire, model)["aliases"] == [{"alias": "champion", "version": "1"}]


MOVES = {
    "update": lambda wire, name: wire.patch("registered-models/update", name=name, description="x"),
    "version created": lambda wire, name: wire.post("model-versions/create", name=name, source="s3://a/b"),
    "version deleted": lambda wire, name: wire.delete("model-versions/delete", name=name, version="1"),
    "stage": lambda wire, name: wire.post("model-versions/transition-stage", name=name, version="1", stage="Staging"),
}
STILL = {
    "tag": lambda wire, name: wire.post("registered-models/set-tag", name=name, key="k", value="v"),
    "version tag": lambda wire, name: wire.post("model-versions/set-tag", name=name, version="1", key="k", value="v"),
    "alias": lambda wire, name: wire.post("registered-models/alias", name=name, alias="a", version="1"),
    "description": lambda wire, name: wire.patch("model-versions/update", name=name, version="1", description="x"),
}


@pytest.mark.parametrize("change", MOVES)
def test_these_changes_move_the_time_of_the_model(wire: Wire, build: Build, change: str):
    """Updating a model, and creating, deleting or moving a version, is an update of the model."""
    model = build.model()
    build.version(model)
    before = updated(wire, model)
    time.sleep(0.005)
    MOVES[change](wire, model).ok()
    assert updated(wire, model) > before


@pytest.mark.parametrize("change", STILL)
def test_these_changes_leave_the_time_of_the_model(wire: Wire, build: Build, change: str):
    """Tags, aliases and a version's description are no update of the model."""
    model = build.model()
    build.version(model)
    before = updated(wire, model)
    time.sleep(0.005)
    STILL[change](wire, model).ok()
    assert updated(wire, model) == before


def test_tags_are_set_over_and_removed(wire: Wire, build: Build):
    """Setting a tag again replaces it; removing it, even twice, leaves none."""
    model = build.model()
    for value in ("1", "2"):
        wire.post("registered-models/set-tag", name=model, key="k", value=value).ok()
    assert get(wire, model)["tags"] == [{"key": "k", "value": "2"}]
    for _ in range(2):
        wire.delete("registered-models/delete-tag", name=model, key="k").ok()
    assert "tags" not in get(wire, model)
