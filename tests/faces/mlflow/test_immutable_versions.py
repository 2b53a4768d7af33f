"""What Modelkeep promises and MLflow does not: a registered version means the same bytes for ever."""

import re
from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import RestException
from mlflow.tracking import MlflowClient

from faces.mlflow.build import ELSEWHERE, Build, path_of
from faces.mlflow.conftest import Trained
from faces.mlflow.wire import Wire

pytestmark = pytest.mark.beyond_mlflow


@pytest.fixture
def registered(build: Build, wire: Wire) -> tuple[str, str]:
    """A version registered from a folder of a run; the model's name and the folder's place in the proxy."""
    run = build.started()
    place = path_of(run["info"]["artifact_uri"]) + "/m"
    wire.put_file(place + "/MLmodel", b"flavors: {}").ok()
    wire.put_file(place + "/data/weights.bin", b"\x00\x01").ok()
    name = build.model()
    build.version(name, f"mlflow-artifacts:/{place}", run_id=run["info"]["run_id"])
    return name, place


def served(wire: Wire, name: str) -> dict[str, bytes]:
    """The files of version 1 as a client downloads them."""
    uri = wire.get("model-versions/get-download-uri", name=name, version="1").ok()["artifact_uri"]
    root = path_of(uri)
    files = {"MLmodel": wire.get_file(root + "/MLmodel"), "weights": wire.get_file(root + "/data/weights.bin")}
    assert {answer.status for answer in files.values()} == {200}
    return {key: answer.body for key, answer in files.items()}


BYTES = {"MLmodel": b"flavors: {}", "weights": b"\x00\x01"}


def digest(wire: Wire, name: str, version: str = "1") -> str:
    """The digest that a version shows."""
    tags = wire.get("model-versions/get", name=name, version=version).ok()["model_version"]["tags"]
    return next(tag["value"] for tag in tags if tag["key"] == "modelkeep.digest")


def test_an_overwrite_of_the_source_does_not_reach_the_version(wire: Wire, registered: tuple[str, str]):
    """Whatever becomes of the source's path afterwards, the version serves what was registered."""
    name, place = registered
    before = digest(wire, name)
    wire.put_file(place + "/data/weights.bin", b"other")
    wire.put_file(place + "/extra", b"more")
    assert served(wire, name) == BYTES
    assert digest(wire, name) == before


def test_an_added_file_is_not_part_of_the_version(wire: Wire, registered: tuple[str, str]):
    """Files uploaded to the source later are not listed by the version."""
    name, place = registered
    wire.put_file(place + "/extra", b"more")
    uri = wire.get("model-versions/get-download-uri", name=name, version="1").ok()["artifact_uri"]
    assert set(wire.list_files(path_of(uri))) == {"MLmodel", "data"}


def test_deleting_the_source_does_not_reach_the_version(wire: Wire, registered: tuple[str, str]):
    """Deleted source files stay with the version."""
    name, place = registered
    wire.call("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{place}")
    assert served(wire, name) == BYTES


def test_a_version_outlives_its_run(wire: Wire, registered: tuple[str, str]):
    """Deleting the run leaves the version as it was, its link to the run included."""
    name, _ = registered
    run = wire.get("model-versions/get", name=name, version="1").ok()["model_version"]["run_id"]
    wire.post("runs/delete", run_id=run).ok()
    assert served(wire, name) == BYTES
    assert wire.get("model-versions/get", name=name, version="1").ok()["model_version"]["run_id"] == run


def test_a_version_outlives_its_logged_model(
    client: MlflowClient, wire: Wire, log_trained: Callable[..., Any], trained: Trained, name: str
):
    """After overwriting and deleting the logged model and its run, `models:/name/1` loads the same model."""
    info = log_trained(registered_model_name=name)
    place = path_of(mlflow.get_logged_model(info.model_id).artifact_location)
    wire.put_file(place + "/MLmodel", b"broken: {")
    wire.put_file(place + "/model.pkl", b"broken")
    client.delete_logged_model(info.model_id)
    client.delete_run(info.run_id)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
    assert list(loaded.predict(trained.rows)) == trained.answers


def test_a_copy_outlives_its_original(
    client: MlflowClient, log_trained: Callable[..., Any], trained: Trained, name: str
):
    """A copied version has the original's digest and loads after the original is gone."""
    log_trained(registered_model_name=name)
    copied = client.copy_model_version(f"models:/{name}/1", name + "-copy")
    original = client.get_model_version(name, "1").tags["modelkeep.digest"]
    client.delete_registered_model(name)
    assert client.get_model_version(copied.name, copied.version).tags["modelkeep.digest"] == original
    loaded = mlflow.pyfunc.load_model(f"models:/{name}-copy/1")
    assert list(loaded.predict(trained.rows)) == trained.answers


def test_the_digest_of_a_version_is_a_tag(wire: Wire, registered: tuple[str, str]):
    """A version shows the digest of its files, in get and in search."""
    name, _ = registered
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest(wire, name))
    (found,) = wire.get("model-versions/search", filter=f"name = '{name}'").ok()["model_versions"]
    assert {"key": "modelkeep.digest", "value": digest(wire, name)} in found["tags"]


def test_equal_files_have_equal_digests(wire: Wire, build: Build, registered: tuple[str, str]):
    """The digest depends on paths and bytes alone: the same folder again has the same, a changed one another."""
    name, place = registered
    run = place.split("/")[-3]
    build.version(name, f"mlflow-artifacts:/{place}", run_id=run)
    wire.put_file(place + "/data/weights.bin", b"other")
    changed = build.version(build.model(), f"mlflow-artifacts:/{place}", run_id=run)["name"]
    assert digest(wire, name, "2") == digest(wire, name)
    assert digest(wire, changed) != digest(wire, name)


@pytest.mark.parametrize("key", ["modelkeep.digest", "modelkeep.anything"])
def test_tags_of_the_server_are_read_only(wire: Wire, registered: tuple[str, str], key: str):
    """Nobody sets or deletes a tag that the server answers for, on versions and on models."""
    name, _ = registered
    before = digest(wire, name)
    wire.post("model-versions/set-tag", name=name, version="1", key=key, value="x").invalid("modelkeep.")
    wire.delete("model-versions/delete-tag", name=name, version="1", key=key).invalid("modelkeep.")
    wire.post("registered-models/set-tag", name=name, key=key, value="x").invalid("modelkeep.")
    assert digest(wire, name) == before


def test_tags_of_the_server_cannot_be_born_with_a_version(wire: Wire, build: Build):
    """A version cannot be created with a digest of the caller's choice."""
    tags = [{"key": "modelkeep.digest", "value": "sha256:" + "0" * 64}]
    wire.post("model-versions/create", name=build.model(), source=ELSEWHERE, tags=tags).invalid("modelkeep.")


def test_numbers_of_a_deleted_model_are_not_used_again(client: MlflowClient, name: str):
    """After deleting a model and creating its name again, numbering goes on."""
    for expected in ("1", "2"):
        client.create_registered_model(name)
        assert client.create_model_version(name, ELSEWHERE).version == expected
        client.delete_registered_model(name)
    with pytest.raises(RestException, match="not found"):
        client.get_model_version(name, "1")


def test_the_caller_is_who_made_a_version(wire: Wire, build: Build):
    """A claimed user is not believed: version and run carry the name of the token's owner."""
    assert build.version(build.model(), user_id="mallory")["user_id"] == "admin"
    assert build.started(user_id="mallory")["info"]["user_id"] == "admin"
