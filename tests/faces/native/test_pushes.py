"""Pushes and what becomes of them: files of no run, registered as a version, once, exactly as they arrived."""

import hashlib
import threading
from dataclasses import replace

import pytest

from faces.native.pushing import Registry, digest_of
from modelkeep.artifacts import drop_abandoned_pushes, get_push, open_push
from modelkeep.bootstrap import dispatch, open_database, prepare
from modelkeep.core.errors import NotFound
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db.migrate import create_schema
from security.raw import Raw

FILES = {"MLmodel": b"flavors: {}\n", "data/w.bin": b"w" * 3000, "data/\u00fc \U0001f600.txt": b"", "same": b"w" * 3000}


def test_pushed_files_become_a_version(registry: Registry) -> None:
    """A version of a push has its files, their digest, and what was said of it; the model is made if asked for."""
    push = registry.push(FILES)
    body = {"source": push["source"], "description": "why", "tags": {"k": "v"}, "create_model": True}
    version = registry.ok("POST", "models/pushed/versions", body)
    assert (version["version"], version["digest"], version["files"]) == (1, digest_of(FILES), len(FILES))
    assert (version["description"], version["tags"]["k"], version["verified"]) == ("why", "v", True)
    manifest = registry.ok("GET", "models/pushed/versions/1/manifest")
    assert {file["path"]: file["size"] for file in manifest["files"]} == {p: len(c) for p, c in FILES.items()}


def test_a_push_lists_what_has_arrived(registry: Registry) -> None:
    """The files that arrived whole are listed by path with size and hash, so that a killed client can go on."""
    push = registry.push(FILES)
    items = registry.ok("GET", f"pushes/{push['id']}/files")["items"]
    assert [(item["path"], item["size"], item["sha256"]) for item in items] == sorted(
        (path, len(content), hashlib.sha256(content).hexdigest()) for path, content in FILES.items()
    )
    assert registry.ok("GET", f"pushes/{push['id']}") == push


def test_a_registered_push_is_closed(registry: Registry) -> None:
    """After it was registered nothing can be added to a push, listed of it, or registered from it again."""
    push = registry.push({"a": b"a"})
    body = {"source": push["source"], "create_model": True}
    registry.ok("POST", "models/closed/versions", body)
    registry.call("GET", f"pushes/{push['id']}").refused(404)
    registry.call("GET", f"pushes/{push['id']}/files").refused(404)
    registry.put(f"{push['path']}/b", b"b").refused(404)
    registry.call("POST", "models/closed/versions", body).refused(404)
    assert registry.ok("GET", "models/closed")["last_version"] == 1


def test_a_folder_of_a_push_can_be_registered_without_closing_it(registry: Registry) -> None:
    """Registering a part of a push takes that part and leaves the push open."""
    push = registry.push({"in/a": b"a", "out": b"o"})
    version = registry.ok("POST", "models/part/versions", {"source": f"{push['source']}/in", "create_model": True})
    assert version["digest"] == digest_of({"a": b"a"})
    assert registry.put(f"{push['path']}/b", b"b").status == 200


def test_another_digest_registers_nothing(registry: Registry) -> None:
    """Where the files are not those that the caller means, no version and no model is made and the push stays open."""
    push = registry.push({"a": b"a"})
    body = {"source": push["source"], "create_model": True, "digest": digest_of({"a": b"b"})}
    problem = registry.call("POST", "models/other-digest/versions", body).refused(409)
    assert (problem["field"], digest_of({"a": b"a"}) in problem["detail"]) == ("digest", True)
    registry.call("GET", "models/other-digest").refused(404)
    assert len(registry.ok("GET", f"pushes/{push['id']}/files")["items"]) == 1
    registry.ok("POST", "models/other-digest/versions", body | {"digest": digest_of({"a": b"a"})})


def test_a_push_without_files_registers_nothing(registry: Registry) -> None:
    """An empty push is refused by its source, and so is a place in the store that has no files."""
    push = registry.ok("POST", "pushes", {})
    for source, status in ((push["source"], 400), ("mlflow-artifacts:/1/nothing/artifacts", 404)):
        problem = registry.call("POST", "models/empty/versions", {"source": source, "create_model": True})
        assert problem.refused(status)["field"] == "source"
    registry.call("GET", "models/empty").refused(404)


def test_the_model_is_made_only_if_asked_for(registry: Registry) -> None:
    """Without `create_model` an unknown model is refused, and the push can still be registered elsewhere."""
    body = {"source": registry.push({"a": b"a"})["source"]}
    registry.call("POST", "models/never-made/versions", body).refused(404)
    registry.ok("POST", "models", {"name": "made-before"})
    assert registry.ok("POST", "models/made-before/versions", body)["version"] == 1


def test_a_source_elsewhere_is_recorded(registry: Registry) -> None:
    """A source that the registry does not hold makes an external version, unless a digest is asked for."""
    registry.ok("POST", "models", {"name": "elsewhere"})
    version = registry.ok("POST", "models/elsewhere/versions", {"source": "s3://bucket/model"})
    assert (version["origin"], version["verified"]) == ("external", False)
    body = {"source": "s3://bucket/model", "digest": digest_of({})}
    registry.call("POST", "models/elsewhere/versions", body).refused(409)


def test_a_push_belongs_to_its_workspace(registry: Registry) -> None:
    """In another workspace a push does not exist: its files cannot be seen, added to or registered."""
    registry.call("POST", "workspaces", {"name": "blue"})
    blue = replace(registry, headers=[(b"X-MLFLOW-WORKSPACE", b"blue")])
    ours, theirs = registry.push({"a": b"a"}), blue.push({"b": b"b"})
    assert theirs["source"].startswith("mlflow-artifacts:/workspaces/blue/pushes/")
    for other, push in ((blue, ours), (registry, theirs)):
        other.call("GET", f"pushes/{push['id']}/files").refused(404)
        other.put(f"{push['path']}/c", b"c").refused(404)
        body = {"source": push["source"], "create_model": True}
        other.call("POST", "models/stolen/versions", body).refused(404)
    assert blue.ok("POST", "models/blue-one/versions", {"source": theirs["source"], "create_model": True})["files"] == 1


@pytest.mark.parametrize("push_id", ["x", "A" * 32, "0" * 32, "%2e%2e"])
def test_an_unknown_push_is_not_found(registry: Registry, push_id: str) -> None:
    """An id of no push is not found, whatever its characters."""
    registry.call("GET", f"pushes/{push_id}").refused(404)
    registry.call("GET", f"pushes/{push_id}/files").refused(404)


def test_a_file_is_in_the_version_or_refused(registry: Registry) -> None:
    """Of files that arrive while the push is registered, those that were taken are in the version, and no others."""
    for attempt in range(5):
        push, taken = registry.push({"0": b"0"}), ["0"]

        def add(push=push, taken=taken) -> None:
            with Raw(registry.server.port, registry.server.token) as raw:
                other = replace(registry, raw=raw)
                for number in range(1, 200):
                    if other.put(f"{push['path']}/{number}", b"%d" % number).status != 200:
                        return
                    taken.append(str(number))

        adding = threading.Thread(target=add)
        adding.start()
        while len(taken) < 3 and adding.is_alive():
            pass
        body = {"source": push["source"], "create_model": True}
        version = registry.ok("POST", "models/raced/versions", body)
        adding.join()
        assert version["version"] == attempt + 1
        files = registry.ok("GET", f"models/raced/versions/{version['version']}/manifest")["files"]
        assert sorted(file["path"] for file in files) == sorted(taken)


def test_abandoned_pushes_are_dropped(database_url: str) -> None:
    """A push of any workspace that nothing has come to for so long is dropped; a younger one stays."""
    create_schema(database_url)
    database = open_database(database_url, (dispatch,))
    database.write_now(SYSTEM, prepare)
    blue = Caller(SYSTEM.actor, "blue")
    pushes = [(caller, database.write_now(caller, open_push).id) for caller in (SYSTEM, blue)]
    assert drop_abandoned_pushes(database) == 0
    assert drop_abandoned_pushes(database, older_than_ms=-60_000) == 2
    for caller, push_id in pushes:
        with pytest.raises(NotFound):
            database.read_now(caller, lambda tx, push_id=push_id: get_push(tx, push_id))
    assert drop_abandoned_pushes(database, older_than_ms=-60_000) == 0
    database.close()
