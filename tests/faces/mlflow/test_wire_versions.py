"""Model versions on the wire: numbering, sources, what a record holds, tags, deletion."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from faces.mlflow.build import ELSEWHERE, Build, path_of
from faces.mlflow.wire import Wire

LOCAL_SOURCES = ["/etc", "relative/path", "file:///etc", "./x", "file:/etc/passwd", "C:\\x", "file://localhost/etc"]
CLIMBING_SOURCES = [
    "s3://bucket/../x",
    "s3://bucket/a/../../x",
    "s3://bucket/a/%2e%2e/%2e%2e/x",
    "gs://bucket/%252e%252e/b",
    "mlflow-artifacts:/../x",
    "mlflow-artifacts:/a/%2e%2e/%2e%2e/x",
    "s3://bucket/a/./b",
    "dbfs:/a/../../b",
]
CLIMBING_ON_A_HOST = [
    "http://host/a/../b",
    "https://host/%252e%252e/b",
    "mlflow-artifacts://host:80/../x",
    "ftp://host/..",
]
GOOD_SOURCES = [
    "s3://nope/none",
    "s3://bucket/a/",
    "s3://bucket//a//b",
    "s3://bucket/..../a",
    "dbfs:/path",
    "gs://bucket/x",
]
GOOD_ON_A_HOST = ["http://host/path/to/", "https://host/a?x=y", "mlflow-artifacts://host:9000/models"]


def get(wire: Wire, name: str, version: str = "1") -> dict:
    """The record of a version."""
    return wire.get("model-versions/get", name=name, version=version).ok()["model_version"]


def download_uri(wire: Wire, name: str, version: str) -> str:
    """Where a client fetches a version from."""
    return wire.get("model-versions/get-download-uri", name=name, version=version).ok()["artifact_uri"]


def test_a_new_version_is_ready_and_stands_nowhere(wire: Wire, build: Build):
    """A version is READY at once, in stage None, and its number is text."""
    model = build.model()
    made = build.version(model, description="first", run_link="http://run", tags=[{"key": "k", "value": "v"}])
    assert (made["name"], made["version"], made["status"], made["current_stage"]) == (model, "1", "READY", "None")
    assert (made["description"], made["run_link"], made["source"]) == ("first", "http://run", ELSEWHERE)
    assert made["tags"] == [{"key": "k", "value": "v"}]
    assert made["creation_timestamp"] == made["last_updated_timestamp"]
    assert get(wire, model) == made


def test_the_model_of_a_version_must_exist(wire: Wire, name: str):
    """A version is not created under an unknown name."""
    wire.post("model-versions/create", name=name, source=ELSEWHERE).missing(
        f"Registered Model with name={name} not found"
    )


def test_numbers_are_never_used_twice(wire: Wire, build: Build):
    """Deleting the newest version does not free its number."""
    model = build.model()
    numbers = [build.version(model)["version"], build.version(model)["version"]]
    wire.delete("model-versions/delete", name=model, version="2").ok()
    assert [*numbers, build.version(model)["version"]] == ["1", "2", "3"]


def test_concurrent_creations_get_numbers_of_their_own(wire: Wire, build: Build):
    """Versions created at the same moment are all made, each with another number."""
    model = build.model()
    with ThreadPoolExecutor(3) as callers:
        made = list(callers.map(lambda _: build.version(model)["version"], range(6)))
    assert sorted(made) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("source", LOCAL_SOURCES)
def test_a_local_source_is_refused(wire: Wire, build: Build, source: str):
    """A version cannot point into the server's own file system."""
    wire.post("model-versions/create", name=build.model(), source=source).invalid(
        f"Invalid model version source: '{source}'"
    )


def test_a_local_source_is_refused_with_its_reason(wire: Wire, build: Build):
    """The refusal tells what a local path would need."""
    wire.post("model-versions/create", name=build.model(), source="/etc").invalid(
        "Invalid model version source: '/etc'. To use a local path as a model version source, the run_id request "
        "parameter has to be specified and the local path has to be contained within the artifact directory of the run"
    )


def test_a_local_source_is_refused_with_a_run_as_well(wire: Wire, build: Build):
    """A run whose files are behind the artifact proxy vouches for no local path."""
    run = build.run()
    answer = wire.post("model-versions/create", name=build.model(), source="/etc", run_id=run)
    answer.invalid("Invalid model version source: '/etc'")


@pytest.mark.beyond_mlflow
def test_a_file_source_on_another_host_is_refused(wire: Wire, build: Build):
    """A file URI with a foreign host is the caller's mistake, where MLflow answers 500."""
    wire.post("model-versions/create", name=build.model(), source="file://remotehost/x").invalid(
        "is not a valid remote uri"
    )


@pytest.mark.parametrize("source", CLIMBING_SOURCES)
def test_a_source_that_climbs_is_refused(wire: Wire, build: Build, source: str):
    """Relative segments in a remote source are refused, however they are encoded."""
    wire.post("model-versions/create", name=build.model(), source=source).invalid(
        f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, "
        "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
        "present. Please provide an absolute path."
    )


@pytest.mark.parametrize("source", CLIMBING_ON_A_HOST)
def test_a_source_that_climbs_on_another_host_is_refused(wire: Wire, build: Build, source: str):
    """Relative segments are refused in a source on any host."""
    wire.post("model-versions/create", name=build.model(), source=source).invalid("source")


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("source", GOOD_ON_A_HOST)
def test_a_source_on_another_host_is_kept_as_given(wire: Wire, build: Build, source: str):
    """A server that never opens a client's URI can record any host, where MLflow must refuse it."""
    assert build.version(build.model(), source)["source"] == source


def test_a_source_in_a_run_is_registered_with_that_run(wire: Wire, build: Build):
    """What a 2.x client registers is a path below a run's artifacts, together with the run's id."""
    run, model = build.started(), build.model()
    made = build.version(model, run["info"]["artifact_uri"] + "/model", run_id=run["info"]["run_id"])
    assert made["source"] == run["info"]["artifact_uri"] + "/model"
    assert made["run_id"] == run["info"]["run_id"]


@pytest.mark.parametrize("source", GOOD_SOURCES)
def test_other_sources_are_kept_as_given(wire: Wire, build: Build, source: str):
    """A remote source is stored to the letter and is what a client is sent to."""
    model = build.model()
    assert build.version(model, source)["source"] == source
    assert download_uri(wire, model, "1") == source


@pytest.mark.parametrize("source", ["/etc/passwd", "file:///etc/passwd"])
def test_a_local_source_of_a_prompt_is_refused_in_its_own_words(wire: Wire, build: Build, source: str):
    """A prompt cannot point into the server's file system either."""
    mark = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    wire.post("model-versions/create", name=build.prompt(), source=source, tags=mark).invalid(
        f"Invalid prompt source: '{source}'."
    )


@pytest.mark.parametrize("source", ["dummy-source", "prompt-template"])
def test_a_prompt_may_have_a_placeholder_as_its_source(wire: Wire, build: Build, source: str):
    """Prompts have no files, so any word will do."""
    mark = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    made = wire.post("model-versions/create", name=build.prompt(), source=source, tags=mark).ok()["model_version"]
    assert made["source"] == source


def test_a_copy_keeps_its_source_and_resolves_to_the_original_files(wire: Wire, build: Build):
    """A version made of `models:/name/1`, and a copy of that copy, lead to where the first one's files are."""
    first, second, third = build.model(), build.model(), build.model()
    build.version(first)
    assert build.version(second, f"models:/{first}/1")["source"] == f"models:/{first}/1"
    build.version(third, f"models:/{second}/1")
    wire.delete("model-versions/delete", name=second, version="1").ok()
    assert download_uri(wire, third, "1") == download_uri(wire, first, "1")


def test_a_copy_of_an_unknown_version_is_refused(wire: Wire, build: Build):
    """A source that names no version is missing."""
    model = build.model()
    wire.post("model-versions/create", name=model, source=f"models:/{model}/7").missing("not found")


def test_a_version_of_a_logged_model_leads_to_its_files_and_run(wire: Wire, build: Build):
    """With source `models:/m-...` the files are the logged model's and the run is the one that made it."""
    run, model = build.run(), build.model()
    logged = build.logged_model(source_run_id=run)
    source = f"models:/{logged['model_id']}"
    made = build.version(model, source, model_id=logged["model_id"])
    assert (made["source"], made["run_id"]) == (source, run)
    assert wire.list_files(path_of(download_uri(wire, model, "1"))) == {}


@pytest.mark.beyond_mlflow
def test_an_unknown_logged_model_is_refused(wire: Wire, build: Build):
    """A version cannot be made of a logged model that does not exist, a mistake for which MLflow answers 500."""
    absent = "m-" + "0" * 32
    answer = wire.post("model-versions/create", name=build.model(), source=f"models:/{absent}", model_id=absent)
    assert answer.status in {400, 404}
    assert f"Logged model with ID '{absent}' not found." in answer.json["message"]


def test_a_logged_model_remembers_where_it_was_registered(wire: Wire, build: Build):
    """Each registration is appended to the tag that the client shows."""
    one, two, logged = build.model(), build.model(), build.logged_model()["model_id"]
    for name in (one, two):
        build.version(name, f"models:/{logged}", model_id=logged)
    tags = wire.get(f"logged-models/{logged}").ok()["model"]["info"]["tags"]
    noted = json.loads(next(tag["value"] for tag in tags if tag["key"] == "mlflow.modelVersions"))
    assert [(entry["name"], str(entry["version"])) for entry in noted] == [(one, "1"), (two, "1")]


ABSENT = {
    "get": lambda wire, **which: wire.get("model-versions/get", **which),
    "get-download-uri": lambda wire, **which: wire.get("model-versions/get-download-uri", **which),
    "update": lambda wire, **which: wire.patch("model-versions/update", **which, description="x"),
    "delete": lambda wire, **which: wire.delete("model-versions/delete", **which),
    "set-tag": lambda wire, **which: wire.post("model-versions/set-tag", **which, key="k", value="v"),
    "delete-tag": lambda wire, **which: wire.delete("model-versions/delete-tag", **which, key="k"),
    "transition-stage": lambda wire, **which: wire.post("model-versions/transition-stage", **which, stage="Staging"),
    "set-alias": lambda wire, **which: wire.post("registered-models/alias", **which, alias="champion"),
}


@pytest.mark.parametrize("call", ABSENT)
def test_a_version_that_never_was_is_missing(wire: Wire, build: Build, call: str):
    """Every call about an unknown number is a 404 that names it."""
    model = build.model()
    ABSENT[call](wire, name=model, version="9").missing(f"Model Version (name={model}, version=9) not found")


@pytest.mark.parametrize("call", ABSENT)
def test_a_deleted_version_is_missing(wire: Wire, build: Build, call: str):
    """Every call about a deleted version is the same 404."""
    model = build.model()
    build.version(model)
    wire.delete("model-versions/delete", name=model, version="1").ok()
    ABSENT[call](wire, name=model, version="1").missing(f"Model Version (name={model}, version=1) not found")


@pytest.mark.parametrize("call", ABSENT)
def test_a_version_is_an_integer(wire: Wire, build: Build, call: str):
    """A word in place of a number is refused."""
    ABSENT[call](wire, name=build.model(), version="one").invalid("Parameter 'version' must be an integer, got 'one'.")


def test_the_description_of_a_version_is_replaced(wire: Wire, build: Build):
    """Updating a version sets its description and its time."""
    model = build.model()
    build.version(model, description="one")
    changed = wire.patch("model-versions/update", name=model, version="1", description="two").ok()["model_version"]
    assert changed["description"] == get(wire, model)["description"] == "two"


def test_an_update_without_a_description_clears_it(wire: Wire, build: Build):
    """Leaving the description out removes it."""
    model = build.model()
    build.version(model, description="one")
    wire.patch("model-versions/update", name=model, version="1").ok()
    assert get(wire, model).get("description", "") == ""


def test_a_deleted_version_is_gone_from_every_search(wire: Wire, build: Build):
    """Neither search nor the list of latest versions shows a deleted version."""
    model = build.model()
    build.version(model)
    wire.delete("model-versions/delete", name=model, version="1").ok()
    assert wire.get("model-versions/search", filter=f"name='{model}'").ok() == {}
    assert wire.post("registered-models/get-latest-versions", name=model).ok() == {}


def test_a_deleted_version_takes_its_aliases_along(wire: Wire, build: Build):
    """No alias is left pointing at nothing."""
    model = build.model()
    build.version(model)
    wire.post("registered-models/alias", name=model, alias="champion", version="1").ok()
    wire.delete("model-versions/delete", name=model, version="1").ok()
    assert "aliases" not in wire.get("registered-models/get", name=model).ok()["registered_model"]
    wire.get("registered-models/alias", name=model, alias="champion").invalid("alias champion not found")


def test_tags_of_a_version_are_set_over_and_removed(wire: Wire, build: Build):
    """Setting a tag again replaces it; removing it, even twice, leaves none."""
    model = build.model()
    build.version(model)
    for value in ("1", "2"):
        wire.post("model-versions/set-tag", name=model, version="1", key="k", value=value).ok()
    assert get(wire, model)["tags"] == [{"key": "k", "value": "2"}]
    for _ in range(2):
        wire.delete("model-versions/delete-tag", name=model, version="1", key="k").ok()
    assert "tags" not in get(wire, model)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("k" * 251, "v", "exceeds the maximum length of 250 characters"),
        ("k", "v" * 100_001, "exceeds the maximum length of 100000 characters"),
        ("a,b", "v", "Names may only contain alphanumerics"),
        ("a//b", "v", "Names may be treated as files"),
    ],
)
def test_tags_have_limits(wire: Wire, build: Build, key: str, value: str, text: str):
    """A key is at most 250 characters of its alphabet, a value at most 100 000."""
    model = build.model()
    build.version(model)
    wire.post("model-versions/set-tag", name=model, version="1", key=key, value=value).invalid(text)
    wire.post("registered-models/set-tag", name=model, key=key, value=value).invalid(text)


def test_the_longest_tag_is_kept_whole(wire: Wire, build: Build):
    """A tag at both limits is stored to the last character."""
    model, key, value = build.model(), "k" * 250, "v" * 100_000
    build.version(model)
    wire.post("model-versions/set-tag", name=model, version="1", key=key, value=value).ok()
    assert get(wire, model)["tags"] == [{"key": key, "value": value}]


def test_a_prompt_text_over_the_limit_is_refused_in_its_own_words(wire: Wire, build: Build):
    """The text of a prompt is a tag with a message of its own."""
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "mlflow.prompt.text", "value": "x" * 100_001}]
    wire.post("model-versions/create", name=build.prompt(), source="dummy-source", tags=tags).invalid(
        "Prompt text exceeds max length of 100000 characters."
    )


def test_aliases_of_a_version_are_names(wire: Wire, build: Build):
    """A version lists the names of its aliases."""
    model = build.model()
    build.version(model)
    for alias in ("champion", "blue"):
        wire.post("registered-models/alias", name=model, alias=alias, version="1").ok()
    assert sorted(get(wire, model)["aliases"]) == ["blue", "champion"]
