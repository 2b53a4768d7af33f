"""Stages and aliases on the wire: how a version is moved, and what refuses to move it."""

import time

import pytest

from faces.mlflow.build import Build
from faces.mlflow.wire import Wire

NO_STAGE = "Invalid Model Version stage: Nowhere. Value must be one of None, Staging, Production, Archived."


def stage_of(wire: Wire, name: str, version: str) -> str:
    """Where a version stands."""
    return wire.get("model-versions/get", name=name, version=version).ok()["model_version"]["current_stage"]


def latest(wire: Wire, name: str, **stages: list[str]) -> dict[str, str]:
    """The newest version of each stage, by stage."""
    found = wire.post("registered-models/get-latest-versions", name=name, **stages).ok().get("model_versions", [])
    return {version["current_stage"]: version["version"] for version in found}


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("staging", "Staging"), ("PRODUCTION", "Production"), ("aRcHiVeD", "Archived"), ("none", "None")],
)
def test_stages_are_read_in_any_case_and_written_in_one(wire: Wire, build: Build, given: str, canonical: str):
    """A stage in any case is taken and comes back in its canonical form."""
    model = build.model()
    build.version(model)
    moved = wire.post("model-versions/transition-stage", name=model, version="1", stage=given).ok()["model_version"]
    assert moved["current_stage"] == stage_of(wire, model, "1") == canonical


def test_an_unknown_stage_is_refused(wire: Wire, build: Build):
    """There are four stages, and the refusal lists them."""
    model = build.model()
    build.version(model)
    wire.post("model-versions/transition-stage", name=model, version="1", stage="Nowhere").invalid(NO_STAGE)
    wire.post("registered-models/get-latest-versions", name=model, stages=["Nowhere"]).invalid(NO_STAGE)


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_archive_existing_versions_empties_the_stage_of_all_others(wire: Wire, build: Build, stage: str):
    """Every other version of the target stage goes to Archived, and versions of other stages stay."""
    model = build.model()
    stages = [stage, stage, "None", "Staging" if stage == "Production" else "Production"]
    for each in stages:
        build.staged(model, each)
    wire.post(
        "model-versions/transition-stage", name=model, version="3", stage=stage, archive_existing_versions=True
    ).ok()
    assert [stage_of(wire, model, number) for number in "1234"] == ["Archived", "Archived", stage, stages[3]]


def test_an_archived_version_has_a_new_time(wire: Wire, build: Build):
    """Being archived is an update of the version."""
    model = build.model()
    build.staged(model, "Production")
    build.version(model)
    before = wire.get("model-versions/get", name=model, version="1").ok()["model_version"]["last_updated_timestamp"]
    time.sleep(0.005)
    wire.post(
        "model-versions/transition-stage", name=model, version="2", stage="Production", archive_existing_versions=True
    ).ok()
    after = wire.get("model-versions/get", name=model, version="1").ok()["model_version"]["last_updated_timestamp"]
    assert after > before


def test_without_archiving_two_versions_may_share_a_stage(wire: Wire, build: Build):
    """A move leaves the others where they are unless told otherwise."""
    model = build.model()
    build.staged(model, "Production")
    build.staged(model, "Production")
    assert [stage_of(wire, model, number) for number in "12"] == ["Production", "Production"]


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("stage", ["None", "Archived"])
def test_only_active_stages_can_be_emptied(wire: Wire, build: Build, stage: str):
    """Archiving the others of an inactive stage is the caller's mistake, where MLflow answers 500."""
    model = build.model()
    build.version(model)
    wire.post(
        "model-versions/transition-stage", name=model, version="1", stage=stage, archive_existing_versions=True
    ).invalid(
        f"Model version transition cannot archive existing model versions because '{stage}' is not an Active stage. "
        "Valid stages are ['Staging', 'Production']"
    )


def test_a_move_to_the_same_stage_is_an_update(wire: Wire, build: Build):
    """Moving a version to where it stands is allowed and changes its time."""
    model = build.model()
    build.staged(model, "Staging")
    before = wire.get("model-versions/get", name=model, version="1").ok()["model_version"]["last_updated_timestamp"]
    time.sleep(0.005)
    moved = wire.post("model-versions/transition-stage", name=model, version="1", stage="Staging").ok()
    assert moved["model_version"]["last_updated_timestamp"] > before


def test_latest_versions_are_the_newest_of_every_stage_unless_asked(wire: Wire, build: Build):
    """No stages, and an empty list of them, mean all four."""
    model = build.model()
    for stage in ("Staging", "Production", "Production", "None"):
        build.staged(model, stage)
    expected = {"Staging": "1", "Production": "3", "None": "4"}
    assert latest(wire, model) == latest(wire, model, stages=[]) == expected
    assert latest(wire, model, stages=["production"]) == {"Production": "3"}
    assert latest(wire, model, stages=["Archived"]) == {}


def test_latest_versions_can_be_asked_by_get(wire: Wire, build: Build):
    """The call exists as a GET with repeated stages."""
    model = build.model()
    build.staged(model, "Staging")
    build.version(model)
    found = wire.get("registered-models/get-latest-versions", name=model, stages=["Staging", "None"]).ok()
    assert sorted(version["version"] for version in found["model_versions"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("alias", "text"),
    [
        ("bad name", "Invalid alias name: 'bad name'. Names may only contain alphanumerics, underscores (_), and"),
        ("a.b", "Invalid alias name: 'a.b'"),
        ("a/b", "Invalid alias name: 'a/b'"),
        ("x" * 256, "'Registered model alias name' exceeds the maximum length of 255 characters"),
        ("latest", "'latest' alias name (case insensitive) is reserved."),
        ("LATEST", "'latest' alias name (case insensitive) is reserved."),
        ("v1", "Version alias name 'v1' is reserved."),
        ("V12", "Version alias name 'V12' is reserved."),
    ],
)
def test_a_bad_or_reserved_alias_is_refused(wire: Wire, build: Build, alias: str, text: str):
    """An alias is a word of its own that cannot be mistaken for a version."""
    model = build.model()
    build.version(model)
    wire.post("registered-models/alias", name=model, alias=alias, version="1").invalid(text)


@pytest.mark.parametrize("alias", ["champion", "a-b_C9", "x" * 255, "versatile", "v1a", "42"])
def test_other_aliases_are_taken(wire: Wire, build: Build, alias: str):
    """Letters, digits, underscores and dashes make an alias."""
    model = build.model()
    build.version(model)
    wire.post("registered-models/alias", name=model, alias=alias, version="1").ok()
    assert wire.get("registered-models/alias", name=model, alias=alias).ok()["model_version"]["version"] == "1"


def test_setting_an_alias_again_moves_it(wire: Wire, build: Build):
    """An alias points at one version, the last that it was set to."""
    model = build.model()
    for number in "12":
        build.version(model)
        wire.post("registered-models/alias", name=model, alias="champion", version=number).ok()
    assert wire.get("registered-models/alias", name=model, alias="champion").ok()["model_version"]["version"] == "2"
    first = wire.get("model-versions/get", name=model, version="1").ok()["model_version"]
    assert "aliases" not in first


def test_removing_an_absent_alias_is_fine(wire: Wire, build: Build):
    """An alias that is not there is already removed."""
    model = build.model()
    build.version(model)
    wire.post("registered-models/alias", name=model, alias="champion", version="1").ok()
    for _ in range(2):
        wire.delete("registered-models/alias", name=model, alias="champion").ok()


def test_an_absent_alias_is_an_invalid_parameter(wire: Wire, build: Build):
    """MLflow's clients expect 400 for an unknown alias of a known model."""
    wire.get("registered-models/alias", name=build.model(), alias="champion").invalid(
        "Registered model alias champion not found."
    )


def test_the_alias_latest_is_the_newest_version(wire: Wire, build: Build):
    """`models:/name@latest` works without anybody setting it."""
    model = build.model()
    for _ in range(2):
        build.version(model)
    assert wire.get("registered-models/alias", name=model, alias="latest").ok()["model_version"]["version"] == "2"


def test_the_alias_latest_of_no_versions_is_missing(wire: Wire, build: Build):
    """Without versions there is no latest one."""
    model = build.model()
    wire.get("registered-models/alias", name=model, alias="latest").missing(
        f"Latest version not found for model {model}."
    )
