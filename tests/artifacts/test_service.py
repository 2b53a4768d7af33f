"""Trees, manifests and published versions, on both databases."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelkeep import artifacts
from modelkeep.artifacts import (
    ArtifactsDeleted,
    ArtifactStored,
    Content,
    Entry,
    Manifest,
    ManifestFile,
    Naming,
    manifest_digest,
)
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import Conflict, DomainError, InvalidInput, NotFound
from modelkeep.core.events import Event
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Database, Tx
from modelkeep.db.migrate import create_schema

ALICE = Caller(Actor("alice", "token"))
OTHER = Caller(Actor("bob", "token"), workspace="team-b")
ROOT = "1/run-1/artifacts"
A, B = Content("a" * 64, 3, None), Content("b" * 64, 5, None)


class Store:
    """One caller's way to the use cases, with paths written as clients write them."""

    def __init__(self, database: Database, caller: Caller = ALICE) -> None:
        self.database = database
        self.caller = caller

    def open(self, root: str = ROOT, owner: str = "run/run-1") -> None:
        """Make a tree."""
        self.write(lambda tx: artifacts.open_tree(tx, f"mlflow-artifacts:/{root}", owner))

    def put(self, path: str, content: Content = A) -> None:
        """Let a path name bytes that are in the store."""
        named = self.write(
            lambda tx: artifacts.put_file(tx, tuple(path.split("/")), content, artifacts.deletion_epoch(tx))
        )
        assert named is Naming.DONE

    def delete(self, path: str) -> int:
        """Delete a path."""
        return self.write(lambda tx: artifacts.delete_files(tx, tuple(path.split("/"))))

    def digest_at(self, path: str) -> str:
        """The blob that a path names."""
        return self.read(lambda tx: artifacts.find_file(tx, tuple(path.split("/")))).sha256

    def entries(self, path: str) -> list[Entry]:
        """What a folder holds."""
        return self.read(lambda tx: artifacts.list_folder(tx, tuple(path.split("/")) if path else ()))

    def names(self, path: str) -> list[str]:
        """The names in a folder."""
        return [entry.name for entry in self.entries(path)]

    def freeze(self, path: str) -> Manifest | None:
        """Freeze what stands at a path."""
        return self.write(lambda tx: artifacts.freeze(tx, tuple(path.split("/"))))

    def publish(self, path: str, model_id: str = "m1", version: int = 1) -> str:
        """Freeze a path and publish it as a version; where it is served."""
        frozen = self.freeze(path)
        assert frozen is not None
        uri = self.write(lambda tx: artifacts.publish(tx, model_id, version, frozen.digest))
        return uri.removeprefix("mlflow-artifacts:/")

    def write(self, work):
        """Run a change."""
        return self.database.write_now(self.caller, work)

    def read(self, work):
        """Run a question."""
        return self.database.read_now(self.caller, work)


@pytest.fixture
def heard() -> list[Event]:
    """The events of the test."""
    return []


@pytest.fixture
def store(database_url: str, heard: list[Event]) -> Iterator[Store]:
    """Alice's way to an empty database with one open tree."""
    create_schema(database_url)
    database = open_database(database_url, [lambda tx, event: heard.append(event)])
    database.write_now(ALICE, artifacts.prepare_artifacts)
    alice = Store(database)
    alice.open()
    yield alice
    database.close()


def test_a_place_is_addressed_within_its_workspace(store: Store):
    """The default workspace has the namespace itself, another one a folder of it."""
    assert store.read(lambda tx: artifacts.artifact_uri(tx, "1", "r")) == "mlflow-artifacts:/1/r"
    other = Store(store.database, OTHER)
    assert other.read(lambda tx: artifacts.artifact_uri(tx, "1")) == "mlflow-artifacts:/workspaces/team-b/1"


def test_a_stored_file_is_found(store: Store):
    """A path answers the blob that was stored there last, its size and its name."""
    store.put(f"{ROOT}/d/x.bin", A)
    store.put(f"{ROOT}/d/x.bin", B)
    found = store.read(lambda tx: artifacts.find_file(tx, ("1", "run-1", "artifacts", "d", "x.bin")))
    assert found[:3] == ("x.bin", B.sha256, B.size)


@pytest.mark.parametrize(
    "path", ["x", "1/run-1/artifacts", "1/run-1", "1/run-1/artifacts/d", "1/run-2/artifacts/d/x", "artifacts"]
)
def test_what_is_no_file_is_not_found(store: Store, path: str):
    """Folders, roots, absent files and paths outside every tree are not found."""
    store.put(f"{ROOT}/d/x")
    with pytest.raises(NotFound):
        store.digest_at(path)


@pytest.mark.parametrize(
    ("folder", "entries"),
    [
        (ROOT, [Entry("a", False, 3), Entry("a.b", True, 0), Entry("c", True, 0)]),
        (f"{ROOT}/c", [Entry("d", True, 0), Entry("e", False, 5)]),
        (f"{ROOT}/c/d", [Entry("f", False, 3)]),
        (f"{ROOT}/a", []),
        (f"{ROOT}/nope", []),
        ("1/run-1", []),
        ("1", []),
        ("", []),
    ],
)
def test_a_folder_lists_what_it_holds(store: Store, folder: str, entries: list[Entry]):
    """Files with sizes and folders once each, by name; nothing for files, absent folders and what is above a tree."""
    for path, blob in (("a", A), ("a.b/x", A), ("c/d/f", A), ("c/e", B), ("a.b/y", B)):
        store.put(f"{ROOT}/{path}", blob)
    assert store.entries(folder) == entries


def test_names_are_data(store: Store):
    """Letters of either case, marks that patterns use, and both spellings of one letter are different names."""
    names = ["%", "0", "A", "_", "a", "a b", "caf\u00e9", "cafe\u0301", "\U0010ffff\U0010ffff"]
    for name in names:
        store.put(f"{ROOT}/d/{name}")
        store.put(f"{ROOT}/e/{name}/x")
    assert store.names(f"{ROOT}/d") == sorted(names)
    assert store.names(f"{ROOT}/e") == sorted(names)
    assert store.delete(f"{ROOT}/e/%") == store.delete(f"{ROOT}/e/_") == 1


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b"), ("a", "a/b/c/d")])
def test_a_file_cannot_be_a_folder_too(store: Store, first: str, second: str):
    """Neither a file below a file nor a file over a folder can be stored, and the first stays."""
    store.put(f"{ROOT}/{first}")
    with pytest.raises(Conflict, match="a file cannot be a folder too"):
        store.put(f"{ROOT}/{second}", B)
    assert store.digest_at(f"{ROOT}/{first}") == A.sha256


@pytest.mark.parametrize("path", ["a.b", "a0", "a-", "b/a", "aa/b"])
def test_neighbours_of_a_file_are_no_conflict(store: Store, path: str):
    """Names that begin alike or sort beside each other can both be."""
    store.put(f"{ROOT}/a")
    store.put(f"{ROOT}/{path}", B)
    assert store.digest_at(f"{ROOT}/{path}") == B.sha256


def test_racing_writers_never_make_a_file_a_folder(store: Store):
    """Of two writers that store a file and a file below it at the same time, exactly one succeeds."""
    for number in range(10):
        start = threading.Barrier(2)

        def attempt(path: str, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                store.put(path)
            except Conflict:
                return False
            return True

        paths = [f"{ROOT}/{number}", f"{ROOT}/{number}/x"]
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(attempt, paths)) == [False, True]


@pytest.mark.parametrize(
    "path", ["x", "1/x", "1/run-1/x", "1/run-2/artifacts/x", "artifacts/x", "workspaces/team-b/1/x"]
)
def test_nothing_is_stored_outside_trees(store: Store, path: str):
    """A path in no run's or logged model's tree is refused with the folders that can be written to."""
    with pytest.raises(NotFound, match="artifact roots"):
        store.put(path)
    with pytest.raises(NotFound, match="artifact roots"):
        store.read(lambda tx: artifacts.check_writable(tx, tuple(path.split("/"))))


def test_a_file_needs_a_name_in_its_tree(store: Store):
    """The root of a tree cannot be a file."""
    with pytest.raises(Conflict):
        store.put(ROOT)


def test_the_innermost_tree_has_the_path(store: Store):
    """Where one tree lies inside another, its paths are its own."""
    store.open(f"{ROOT}/run-2/artifacts", "run/run-2")
    store.put(f"{ROOT}/run-2/artifacts/x", B)
    store.put(f"{ROOT}/x", A)
    assert store.names(ROOT) == ["x"]
    assert store.digest_at(f"{ROOT}/run-2/artifacts/x") == B.sha256
    assert store.delete(ROOT) == 1
    assert store.names(f"{ROOT}/run-2/artifacts") == ["x"]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/1/r/artifacts",
        "file:///1/r/artifacts",
        "mlflow-artifacts:/1/r/files",
        "mlflow-artifacts:/../r/artifacts",
        "mlflow-artifacts:/registered/m1/1/r/artifacts",
    ],
)
def test_no_tree_is_made_elsewhere(store: Store, uri: str):
    """Places that are not ours, or are reserved for versions, get no tree, and nothing can be stored there."""
    store.write(lambda tx: artifacts.open_tree(tx, uri, "run/r"))
    with pytest.raises(DomainError):
        store.put("1/r/artifacts/x")
    with pytest.raises(DomainError):
        store.put("registered/m1/1/r/artifacts/x")


def test_a_root_has_one_owner(store: Store):
    """A second owner cannot have a tree where there is one."""
    with pytest.raises(Conflict):
        store.open(owner="run/run-2")


@pytest.mark.parametrize(
    ("path", "removed", "left"), [("d/a", 1, ["c", "d"]), ("d", 2, ["c"]), ("c", 1, ["d"]), ("nope", 0, ["c", "d"])]
)
def test_deleting_removes_a_file_or_all_below_a_folder(store: Store, path: str, removed: int, left: list[str]):
    """Deleting answers how many files went; doing it again removes none."""
    for name in ("d/a", "d/e/b", "c"):
        store.put(f"{ROOT}/{name}")
    assert store.delete(f"{ROOT}/{path}") == removed
    assert store.delete(f"{ROOT}/{path}") == 0
    assert store.names(ROOT) == left


def test_deleting_a_root_empties_the_tree(store: Store):
    """All files of a tree go, and it can be written to again."""
    store.put(f"{ROOT}/d/a")
    assert store.delete(ROOT) == 1
    store.put(f"{ROOT}/d")
    assert store.names(ROOT) == ["d"]


@pytest.mark.parametrize("path", ["1", "1/run-1", "nope", "artifacts"])
def test_deleting_what_is_in_no_tree_removes_nothing(store: Store, path: str):
    """Folders above trees and unknown places are left alone."""
    store.put(f"{ROOT}/x")
    assert store.delete(path) == 0
    assert store.names(ROOT) == ["x"]


def test_a_workspace_does_not_see_anothers_trees(store: Store):
    """The same path in another workspace finds, lists, changes and deletes nothing."""
    store.put(f"{ROOT}/x")
    other = Store(store.database, OTHER)
    assert other.entries(ROOT) == []
    assert other.delete(ROOT) == 0
    assert other.freeze(ROOT) is None
    for refused in (lambda: other.digest_at(f"{ROOT}/x"), lambda: other.put(f"{ROOT}/y")):
        with pytest.raises(NotFound):
            refused()
    assert store.names(ROOT) == ["x"]


def test_freezing_writes_the_files_down(store: Store):
    """A manifest holds the files under the path by their paths from there, and has their digest."""
    for path, blob in (("m/MLmodel", A), ("m/data/w.bin", B), ("other", B)):
        store.put(f"{ROOT}/{path}", blob)
    lines = [("MLmodel", 3, A.sha256), ("data/w.bin", 5, B.sha256)]
    frozen = store.freeze(f"{ROOT}/m")
    assert frozen == (manifest_digest(lines), 2, 8)
    assert store.freeze(f"{ROOT}/m") == frozen
    assert store.read(lambda tx: artifacts.manifest_files(tx, frozen.digest)) == [ManifestFile(*line) for line in lines]


def test_a_single_file_is_frozen_under_its_name(store: Store):
    """A path that is a file becomes a manifest of that file."""
    store.put(f"{ROOT}/d/model.onnx", B)
    frozen = store.freeze(f"{ROOT}/d/model.onnx")
    assert frozen == (manifest_digest([("model.onnx", 5, B.sha256)]), 1, 5)


@pytest.mark.parametrize("path", [ROOT, f"{ROOT}/nope", "1/run-2/artifacts", "registered/m1/1", "x"])
def test_there_is_nothing_to_freeze_where_nothing_is_stored(store: Store, path: str):
    """An empty tree, an absent folder and an unknown place freeze to nothing."""
    assert store.freeze(path) is None


def test_equal_files_have_one_manifest(store: Store):
    """Two folders with the same files freeze to the same manifest, also when two writers do it at the same time."""
    for folder in ("a", "b"):
        store.put(f"{ROOT}/{folder}/x", A)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(store.freeze, [f"{ROOT}/a", f"{ROOT}/b"])
    assert one == two
    assert len(store.read(lambda tx: artifacts.manifest_files(tx, one.digest))) == 1


def test_a_version_serves_what_was_frozen(store: Store):
    """What happens to the run's files afterwards does not reach the version."""
    for path, blob in (("m/a", A), ("m/d/b", B)):
        store.put(f"{ROOT}/{path}", blob)
    served = store.publish(f"{ROOT}/m")
    store.put(f"{ROOT}/m/a", B)
    store.put(f"{ROOT}/m/new", B)
    store.delete(f"{ROOT}/m/d")
    assert served == "registered/m1/1"
    assert store.entries(served) == [Entry("a", False, 3), Entry("d", True, 0)]
    assert store.entries(f"{served}/d") == [Entry("b", False, 5)]
    assert (store.digest_at(f"{served}/a"), store.digest_at(f"{served}/d/b")) == (A.sha256, B.sha256)


@pytest.mark.parametrize(
    "path", ["registered/m1/1/a", "registered/m1/1/new", "registered/m1/1", "registered/m9/1/a", "registered"]
)
def test_versions_are_immutable(store: Store, path: str):
    """Nothing can be stored, checked for storing, or deleted where versions are served."""
    store.put(f"{ROOT}/a")
    store.publish(ROOT)
    for refused in (
        lambda: store.put(path, B),
        lambda: store.delete(path),
        lambda: store.read(lambda tx: artifacts.check_writable(tx, tuple(path.split("/")))),
    ):
        with pytest.raises(Conflict, match="versions are immutable"):
            refused()
    assert store.digest_at("registered/m1/1/a") == A.sha256


def test_a_published_version_freezes_to_its_own_manifest(store: Store):
    """A copy of a version has its digest; a folder of it has that of the folder."""
    for path in ("a", "d/b"):
        store.put(f"{ROOT}/{path}")
    served = store.publish(ROOT)
    assert store.freeze(served) == store.freeze(ROOT)
    assert store.freeze(f"{served}/d") == store.freeze(f"{ROOT}/d")
    assert store.freeze(f"{served}/d/b") == store.freeze(f"{ROOT}/d/b")
    assert store.freeze(f"{served}/nope") is None


def test_a_number_is_published_once(store: Store):
    """A version's place is never given to other bytes."""
    store.put(f"{ROOT}/a")
    store.publish(ROOT)
    store.put(f"{ROOT}/a", B)
    with pytest.raises(Conflict):
        store.publish(ROOT)
    assert store.digest_at("registered/m1/1/a") == A.sha256


def test_versions_of_another_workspace_are_served_there(store: Store):
    """A published version has its place in its own workspace, and only there."""
    other = Store(store.database, OTHER)
    root = "workspaces/team-b/1/r/artifacts"
    other.open(root, "run/r")
    other.put(f"{root}/a")
    served = other.publish(root)
    assert served == "workspaces/team-b/registered/m1/1"
    assert other.names(served) == ["a"]
    assert store.names(served) == []
    with pytest.raises(Conflict):
        other.delete(f"{served}/a")


def test_changes_are_told_once(store: Store, heard: list[Event]):
    """Storing and deleting tell whose files changed and how; what changes nothing tells nothing."""
    store.put(f"{ROOT}/d/x", B)
    store.delete(f"{ROOT}/d")
    store.delete(f"{ROOT}/d")
    assert heard == [ArtifactStored("run/run-1", "d/x", B.sha256, 5), ArtifactsDeleted("run/run-1", "d", 1)]
    assert {event.resource for event in heard} == {"run/run-1"}


@pytest.mark.parametrize("uri", ["s3://bucket/x", "models:/m/1", "file:///x", "mlflow-artifacts:/../x"])
def test_files_elsewhere_are_not_ours_to_open(uri: str):
    """A path below an artifact root that is kept elsewhere is refused."""
    with pytest.raises(InvalidInput):
        artifacts.folder_segments(uri, "x")


def test_a_long_path_of_many_possible_roots_is_answered(store: Store):
    """A path whose every segment could end a root still finds its tree."""
    deep = "/".join(["artifacts"] * 300)
    store.put(f"{ROOT}/{deep}")
    assert store.digest_at(f"{ROOT}/{deep}") == A.sha256


def test_an_undone_change_leaves_nothing(store: Store):
    """If the transaction fails after the file was stored, it was not stored."""

    def fail(tx: Tx) -> None:
        artifacts.put_file(tx, (*ROOT.split("/"), "x"), A, artifacts.deletion_epoch(tx))
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        store.write(fail)
    assert store.names(ROOT) == []
