"""From a URI to files: every way to name a version, a logged model or a run's files, in one call."""

from typing import Any
from urllib.parse import quote

import pytest

from faces.native.pushing import FILES as DOWNLOAD
from faces.native.pushing import Registry, digest_of

RPC = "/api/2.0/mlflow/"
ONE, TWO = {"a": b"one", "sub/b": b"b"}, {"a": b"two"}


def resolve(registry: Registry, uri: str) -> Any:
    """The answer about a URI that stands for something."""
    return registry.ok("GET", f"resolve?uri={quote(uri, safe='')}")


def rpc(registry: Registry, call: str, **fields: Any) -> Any:
    """A call over MLflow's wire that must succeed."""
    reply = registry.raw.json("POST", RPC + call, fields)
    assert reply.status == 200, reply
    return reply.json


@pytest.fixture(scope="module")
def named(registry: Registry) -> Registry:
    """A registry with a model `named` of three versions: 1 is `champion`, 2 in Production, 3 kept elsewhere."""
    for files in (ONE, TWO):
        registry.register(files, "named")
    registry.ok("POST", "models/named/versions", {"source": "s3://bucket/x"})
    registry.ok("PUT", "models/named/aliases/champion", {"version": 1})
    registry.ok("POST", "models/named/versions/2/moves", {"stage": "Production"})
    return registry


@pytest.mark.parametrize(
    ("uri", "version", "files"),
    [
        ("models:/named/1", 1, ONE),
        ("models:/named@champion", 1, ONE),
        ("models:/named/production", 2, TWO),
        ("models:/named/2", 2, TWO),
        ("models:/named/1/sub", 1, {"b": b"b"}),
        ("models:/named/1/sub/b", 1, {"b": b"b"}),
    ],
)
def test_a_version_is_found_by_any_name(named: Registry, uri: str, version: int, files: dict[str, bytes]) -> None:
    """Number, alias and stage lead to the version; the answer has its digest and each file where it can be fetched."""
    found = resolve(named, uri)
    assert (found["kind"], found["name"], found["version"], found["digest"]) == (
        "version",
        "named",
        version,
        digest_of(files),
    )
    fetched = {
        one["path"]: named.raw.request("GET", f"{DOWNLOAD}{found['root']}/{one['path']}") for one in found["files"]
    }
    assert {path: reply.body for path, reply in fetched.items()} == files


def test_latest_is_the_newest_version(registry: Registry) -> None:
    """`/latest` is the version with the greatest number, in whatever stage."""
    for files in (ONE, TWO):
        made = registry.register(files, "newest")
    registry.ok("POST", "models/newest/versions/1/moves", {"stage": "Production"})
    assert resolve(registry, "models:/newest/latest")["digest"] == made["digest"]


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("models:/named/3", 409),
        ("models:/named/latest", 409),
        ("models:/named/9", 404),
        ("models:/nobody/1", 404),
        ("models:/named/staging", 404),
        ("models:/named@nobody", 400),
        ("models:/named/no-stage", 400),
        ("models:/named/1/nothing", 404),
        ("models:/m-" + "0" * 32, 404),
        ("runs:/" + "0" * 32 + "/model", 404),
        ("models:/named", 400),
        ("s3://bucket/x", 400),
        ("mlflow-artifacts:/1/2/artifacts", 400),
        ("/etc/passwd", 400),
        ("models:/named/1/../2", 400),
        ("", 400),
    ],
)
def test_what_stands_for_no_files_is_refused(named: Registry, uri: str, status: int) -> None:
    """An external, unknown or malformed URI is refused with an explanation."""
    assert named.call("GET", f"resolve?uri={quote(uri, safe='')}").refused(status)["detail"]


def test_files_of_a_run_and_of_a_logged_model(registry: Registry) -> None:
    """A run's folder or single file, and a logged model, are listed with their hashes as they are now."""
    run = rpc(registry, "runs/create", experiment_id="0", start_time=1)["run"]["info"]
    model = rpc(registry, "logged-models", experiment_id="0", name="m")["model"]["info"]
    for uri, path in ((run["artifact_uri"], "model/x/f"), (model["artifact_uri"], "MLmodel")):
        root = uri.removeprefix("mlflow-artifacts:/")
        assert registry.put(f"{root}/{path}", b"content").status == 200
    folder = resolve(registry, f"runs:/{run['run_id']}/model")
    assert (folder["kind"], folder["name"], folder["digest"]) == ("run", run["run_id"], digest_of({"x/f": b"content"}))
    assert "version" not in folder
    one = resolve(registry, f"runs:/{run['run_id']}/model/x/f")
    assert [file["path"] for file in one["files"]] == ["f"]
    assert registry.raw.request("GET", f"{DOWNLOAD}{one['root']}/f").body == b"content"
    logged = resolve(registry, f"models:/{model['model_id']}")
    assert (logged["kind"], logged["digest"]) == ("logged_model", digest_of({"MLmodel": b"content"}))
    registry.call("GET", f"resolve?uri=runs:/{run['run_id']}/nothing").refused(404)
