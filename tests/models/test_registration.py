"""What a version is made from: stored files are frozen, everything else is only recorded."""

import hashlib
import json

import pytest

from modelkeep import artifacts, catalog, models, runs
from modelkeep.artifacts import Content
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Tx
from models.registry import ELSEWHERE, Registry

PROMPT = [("mlflow.prompt.is_prompt", "true")]
ABSENT_MODEL = "m-" + "0" * 32
LOCAL = ["/etc", "relative/path", "file:///etc", "C:\\x", "file://localhost/etc"]
REMOTE = ["s3://b/a/", "gs://b//x", "https://host/a?x=y", "mlflow-artifacts://host:9000/models", "an-opaque-word"]


def upload(registry: Registry, uri: str, path: str, content: bytes) -> None:
    """Let a file stand in a run's or logged model's folder."""
    stored = Content(hashlib.sha256(content).hexdigest(), len(content), None)
    registry.do(lambda tx: artifacts.put_file(tx, artifacts.folder_segments(uri, path), stored, epoch=0))


def a_run(registry: Registry, *files: str) -> tuple[str, str]:
    """A run with these files; its id and artifact URI."""
    registry.do(runs.prepare_default_experiment)
    run_id = registry.do(runs.create_run, "0").id
    uri = registry.see(runs.run_head, run_id).artifact_uri
    for path in files:
        upload(registry, uri, path, path.encode())
    return run_id, uri


def a_logged_model(registry: Registry, *files: str, **fields: str) -> tuple[str, str]:
    """A logged model with these files; its id and artifact URI."""
    registry.do(runs.prepare_default_experiment)
    model_id = registry.do(runs.create_logged_model, "0", **fields).id
    uri = registry.see(runs.logged_model_head, model_id).artifact_uri
    for path in files:
        upload(registry, uri, path, path.encode())
    return model_id, uri


def paths(registry: Registry, view: catalog.VersionView) -> list[str]:
    """The files that a version serves."""
    return [one.path for one in registry.see(artifacts.manifest_files, view.digest)]


def test_files_of_a_run_are_frozen(registry: Registry) -> None:
    """A version of a run's folder serves its files of that moment, whatever happens to the run's folder later."""
    run_id, uri = a_run(registry, "model/MLmodel", "model/data/weights", "notes.txt")
    registry.model()
    registry.version(source=f"{uri}/model", run_id=run_id)
    upload(registry, uri, "model/MLmodel", b"changed")
    upload(registry, uri, "model/added", b"late")
    view = registry.get()
    assert paths(registry, view) == ["MLmodel", "data/weights"]
    assert (view.origin, view.verified, view.files, view.size) == (
        "stored",
        True,
        2,
        len("model/MLmodelmodel/data/weights"),
    )
    assert view.download_uri == f"mlflow-artifacts:/registered/{view.model_id}/1"
    segments = artifacts.stored_segments(view.download_uri)
    assert (
        registry.see(artifacts.find_file, [*segments, "MLmodel"]).sha256 == hashlib.sha256(b"model/MLmodel").hexdigest()
    )


def test_the_digest_is_a_tag(registry: Registry) -> None:
    """Clients see the digest as a tag that they cannot set."""
    _, uri = a_run(registry, "model/MLmodel")
    registry.model()
    registry.version(source=f"{uri}/model")
    view = registry.get()
    assert view.tags == [["modelkeep.digest", view.digest]]
    assert view.digest is not None
    assert view.digest.startswith("sha256:")


def test_a_runs_uri_is_looked_up(registry: Registry) -> None:
    """`runs:/ID/path` freezes the same files as their address, and names the run."""
    run_id, uri = a_run(registry, "model/MLmodel")
    registry.model()
    registry.version(source=f"{uri}/model")
    registry.version(source=f"runs:/{run_id}/model")
    first, second = registry.get(number=1), registry.get(number=2)
    assert first.digest == second.digest
    assert (second.run_id, second.source) == (run_id, f"runs:/{run_id}/model")


def test_files_of_a_logged_model_are_frozen(registry: Registry) -> None:
    """`models:/m-...` freezes the logged model's files, names its run, and is noted on it."""
    run_id, _ = a_run(registry)
    logged, _ = a_logged_model(registry, "MLmodel", "data/weights", source_run_id=run_id)
    registry.model()
    registry.version(source=f"models:/{logged}", logged_model_id=logged)
    view = registry.get()
    assert (view.origin, view.run_id, view.logged_model_id) == ("stored", run_id, logged)
    assert paths(registry, view) == ["MLmodel", "data/weights"]
    registry.version(source=f"models:/{logged}/data")
    assert paths(registry, registry.get(number=2)) == ["weights"]
    tags = dict(registry.see(runs.get_logged_model, logged).tags)
    assert [entry["name"] for entry in json.loads(tags["mlflow.modelVersions"])] == ["iris"]


def test_a_logged_model_gives_its_run_to_any_source(registry: Registry) -> None:
    """With `model_id` and no run, the run is the one that made the logged model."""
    run_id, _ = a_run(registry)
    logged, _ = a_logged_model(registry, source_run_id=run_id)
    registry.model()
    registry.version(source=ELSEWHERE, logged_model_id=logged)
    assert registry.get().run_id == run_id


def test_a_copy_of_a_version_has_its_files(registry: Registry) -> None:
    """A copy, and a copy of a copy, have the digest of the original, also after that was retired."""
    _, uri = a_run(registry, "model/MLmodel", "model/data/weights")
    registry.model()
    registry.version(source=f"{uri}/model")
    original = registry.get()
    registry.model("copy")
    registry.version("copy", "models:/iris/1", tags=[(key, value) for key, value in original.tags])
    registry.do(models.retire_model, "iris")
    registry.version("copy", "models:/copy/1")
    assert registry.get("copy", 1).digest == registry.get("copy", 2).digest == original.digest
    assert registry.get("copy", 1).source == "models:/iris/1"
    assert len({original.download_uri, *(registry.get("copy", number).download_uri for number in (1, 2))}) == 3


def test_a_part_of_a_version_is_frozen_from_it(registry: Registry) -> None:
    """A path behind a version's number takes that folder alone."""
    _, uri = a_run(registry, "model/MLmodel", "model/data/weights")
    registry.model()
    registry.version(source=f"{uri}/model")
    registry.version(source="models:/iris/1/data")
    assert paths(registry, registry.get(number=2)) == ["weights"]


def test_a_copy_of_an_external_version_leads_where_that_leads(registry: Registry) -> None:
    """What the registry does not hold is found where the original said, however often it was copied."""
    registry.model()
    registry.version()
    registry.version(source="models:/iris/1")
    registry.version(source="models:/iris/2")
    view = registry.get(number=3)
    assert (view.source, view.download_uri, view.origin) == ("models:/iris/2", ELSEWHERE, "external")


def test_a_digest_is_not_claimed(registry: Registry) -> None:
    """A request may carry the digest that the files really have, and no other."""
    _, uri = a_run(registry, "model/MLmodel")
    registry.model()
    for source in (ELSEWHERE, f"{uri}/model"):
        with pytest.raises(InvalidInput, match=r"modelkeep\.digest"):
            registry.version(source=source, tags=[("modelkeep.digest", "sha256:" + "0" * 64)])
    assert registry.numbers() == []


def test_an_empty_folder_is_external(registry: Registry) -> None:
    """Where nothing is stored there is nothing to freeze."""
    _, uri = a_run(registry)
    registry.model()
    registry.version(source=f"{uri}/model")
    view = registry.get()
    assert (view.origin, view.digest, view.tags, view.download_uri) == ("external", None, [], f"{uri}/model")


@pytest.mark.parametrize("source", REMOTE)
def test_a_source_elsewhere_is_kept_to_the_letter(registry: Registry, source: str) -> None:
    """What the registry does not hold is recorded as it was said."""
    registry.model()
    registry.version(source=source)
    view = registry.get()
    assert (view.source, view.download_uri, view.origin) == (source, source, "external")


@pytest.mark.parametrize("source", LOCAL)
def test_a_local_source_is_refused(registry: Registry, source: str) -> None:
    """A version cannot point into anybody's file system, and a prompt's refusal has its own words."""
    registry.model()
    with pytest.raises(InvalidInput, match="Invalid model version source"):
        registry.version(source=source)
    with pytest.raises(InvalidInput, match="Invalid prompt source"):
        registry.version(source=source, tags=PROMPT)


def test_a_file_of_another_host_is_refused_in_its_own_words(registry: Registry) -> None:
    """A file URI with a host is no remote place."""
    registry.model()
    with pytest.raises(InvalidInput, match="is not a valid remote uri"):
        registry.version(source="file://remotehost/x")


@pytest.mark.parametrize("source", ["models:/iris/latest", "models:/iris/Production", "models:/iris@champion"])
def test_a_source_that_can_move_is_refused(registry: Registry, source: str) -> None:
    """A source names a version by its number, because an alias or stage would mean something else tomorrow."""
    registry.model()
    registry.version()
    with pytest.raises(InvalidInput, match="by its number"):
        registry.version(source=source)


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "models:/iris/7"},
        {"source": f"models:/{ABSENT_MODEL}"},
        {"source": "runs:/0123456789abcdef0123456789abcdef/model"},
        {"source": ELSEWHERE, "logged_model_id": ABSENT_MODEL},
    ],
)
def test_an_origin_that_does_not_exist_is_not_found(registry: Registry, fields: dict[str, str]) -> None:
    """A version, run or logged model that a request names must exist."""
    registry.model()
    with pytest.raises(NotFound):
        registry.version(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"run_id": "../etc"},
        {"run_id": "x\x00"},
        {"logged_model_id": "m\x00"},
        {"run_link": "x" * 4097},
        {"description": "nul \x00"},
        {"tags": [("k", "nul \x00")]},
        {"source": "s3://b/\x00"},
    ],
)
def test_what_cannot_be_stored_is_refused(registry: Registry, fields: dict[str, str]) -> None:
    """No text that a database cannot hold gets as far as one."""
    registry.model()
    with pytest.raises(InvalidInput):
        registry.version(**{"source": ELSEWHERE, **fields})


def test_another_workspaces_files_are_not_taken(registry: Registry) -> None:
    """The address of files in one workspace freezes nothing in another, and its versions are not there."""
    _, uri = a_run(registry, "model/MLmodel")
    registry.model()
    registry.version(source=f"{uri}/model")
    registry.caller = Caller(Actor("bob", "token"), "other")
    registry.model()
    registry.version(source=f"{uri}/model")
    assert registry.get().origin == "external"
    with pytest.raises(NotFound):
        registry.version(source="models:/iris/2")


def test_equal_files_registered_at_once_share_their_manifest(registry: Registry) -> None:
    """Eight models made of the same files at the same moment have one digest."""
    _, uri = a_run(registry, "model/MLmodel")
    for index in range(8):
        registry.model(f"m{index}")

    def one(tx: Tx, index: int) -> int:
        return models.create_version(tx, models.NewVersion(f"m{index}", f"{uri}/model"))

    assert registry.at_once(8, one) == [1] * 8
    assert len({registry.get(f"m{index}").digest for index in range(8)}) == 1
