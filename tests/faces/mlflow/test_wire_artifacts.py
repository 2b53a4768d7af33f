"""Artifacts on the wire: upload, download, listing, deletion, and paths that try to leave their root."""

import pytest

from faces.mlflow.build import Build, path_of
from faces.mlflow.wire import Wire

PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
CLIMBING = ["../x", "a/../../x", "..%2fx", "%2e%2e/x", "%252e%252e/x", "a%23b"]
KINDS = [
    ("MLmodel", "text/plain"),
    ("conda.yaml", "text/plain"),
    ("train.log", "text/plain"),
    ("notes.txt", "text/plain"),
    ("metrics.json", "text/plain"),
    ("model.py", "text/plain"),
    ("plot.png", "image/png"),
    ("weights.unknown", "application/octet-stream"),
    ("noextension", "application/octet-stream"),
]


@pytest.fixture
def run(build: Build) -> str:
    """A run of this test's own."""
    return build.run()


@pytest.fixture
def root(build: Build, run: str) -> str:
    """The place of that run's files in the artifact proxy."""
    return build.artifacts_of(run)


@pytest.mark.parametrize("size", [0, 1, 1_048_577])
def test_bytes_come_back_as_they_went(wire: Wire, root: str, size: int):
    """A file of any size, the empty one included, is downloaded to the byte."""
    data = bytes(number % 251 for number in range(size))
    wire.put_file(root + "/d/data.bin", data).ok()
    answer = wire.get_file(root + "/d/data.bin")
    assert answer.status == 200
    assert answer.body == data
    assert answer.headers["content-length"] == str(size)


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/html", "application/json", "image/png"])
def test_an_upload_may_have_any_content_type(wire: Wire, root: str, kind: str):
    """The body of an upload is the file, whatever its type is said to be."""
    wire.put_file(root + "/x.bin", b"{", content_type=kind).ok()
    assert wire.get_file(root + "/x.bin").body == b"{"


def test_an_upload_replaces_the_file(wire: Wire, root: str):
    """A second upload to a path of an open run wins."""
    for data in (b"longer than the next", b"new"):
        wire.put_file(root + "/x.txt", data).ok()
    assert wire.get_file(root + "/x.txt").body == b"new"


@pytest.mark.parametrize(("file", "kind"), KINDS)
def test_downloads_are_attachments_of_a_guessed_type(wire: Wire, root: str, file: str, kind: str):
    """A download tells its type by its name, and that no browser should show or guess it."""
    wire.put_file(f"{root}/d/{file}", b"x").ok()
    headers = wire.get_file(f"{root}/d/{file}").headers
    assert headers["content-type"].split(";")[0] == kind
    assert headers["content-disposition"].replace('"', "") == f"attachment; filename={file}"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("file", ["a b.txt", "ünï.txt", "100%.txt", "plus+sign.txt", "q'uote.txt", "....txt"])
def test_file_names_are_kept(wire: Wire, root: str, file: str):
    """Blanks, letters of any script and marks that URLs encode are part of a name."""
    wire.put_file(f"{root}/d/{file}", b"x").ok()
    assert wire.get_file(f"{root}/d/{file}").body == b"x"
    assert list(wire.list_files(root + "/d")) == [file]


def test_an_absent_file_is_missing(wire: Wire, root: str):
    """Downloading what is not there is a JSON 404, on which a client tries elsewhere."""
    wire.get_file(root + "/nope").missing()


def test_a_directory_is_no_file(wire: Wire, root: str):
    """Downloading a directory is the caller's mistake."""
    wire.put_file(root + "/d/x", b"x").ok()
    assert wire.get_file(root + "/d").status in {400, 404}


def test_a_listing_names_entries_by_their_last_part(wire: Wire, root: str):
    """A directory lists files with their sizes, unless zero, and directories."""
    for path, data in (("d/a.txt", b"12345"), ("d/empty", b""), ("d/deep/b.txt", b"1"), ("other", b"1")):
        wire.put_file(f"{root}/{path}", data).ok()
    entries = wire.list_files(root + "/d")
    assert set(entries) == {"a.txt", "deep", "empty"}
    assert entries["a.txt"] == {"path": "a.txt", "is_dir": False, "file_size": 5}
    assert entries["deep"] == {"path": "deep", "is_dir": True}
    assert entries["empty"]["is_dir"] is False


@pytest.mark.parametrize("path", ["nope", "a.txt"])
def test_an_absent_directory_and_a_file_list_nothing(wire: Wire, root: str, path: str):
    """Only a directory has entries; asking for others is no error."""
    wire.put_file(root + "/a.txt", b"x").ok()
    assert wire.list_files(f"{root}/{path}") == {}


def test_deleting_a_file_or_a_tree_is_repeatable(wire: Wire, root: str):
    """A file and a whole directory can be deleted, and what is absent is already deleted."""
    for path in ("d/a", "d/e/b", "c"):
        wire.put_file(f"{root}/{path}", b"x").ok()
    for path in ("c", "c", "d", "d"):
        wire.call("DELETE", f"{PROXY}{root}/{path}").ok()
    assert wire.list_files(root) == {}
    wire.get_file(root + "/d/e/b").missing()


def test_artifacts_of_a_run_are_listed_from_its_root(wire: Wire, run: str, root: str):
    """The listing of a run gives paths relative to the run, and where its files are."""
    wire.put_file(root + "/d/a.txt", b"12345").ok()
    top = wire.get("artifacts/list", run_id=run).ok()
    assert top["files"] == [{"path": "d", "is_dir": True}]
    assert path_of(top["root_uri"]) == root
    inner = wire.get("artifacts/list", run_id=run, path="d").ok()
    assert inner["files"] == [{"path": "d/a.txt", "is_dir": False, "file_size": 5}]
    assert "files" not in wire.get("artifacts/list", run_id=run, path="nope").ok()


def test_artifacts_of_an_unknown_run_are_missing(wire: Wire):
    """A run that does not exist has no listing."""
    wire.get("artifacts/list", run_id="0" * 32).missing("Run with id=")


def test_one_file_of_a_run_is_downloaded(wire: Wire, run: str, root: str):
    """The download link of a run's file answers it as an attachment, and 404 for an absent one."""
    wire.put_file(root + "/d/a.txt", b"hi").ok()
    answer = wire.call("GET", f"/get-artifact?run_id={run}&path=d/a.txt")
    assert (answer.status, answer.body) == (200, b"hi")
    assert answer.headers["content-disposition"].startswith("attachment")
    wire.call("GET", f"/get-artifact?run_id={run}&path=d/nope").missing()


def test_one_file_of_a_version_is_downloaded(wire: Wire, build: Build, run: str, root: str):
    """The download link of a version's file answers it as an attachment."""
    wire.put_file(root + "/m/MLmodel", b"flavors: {}").ok()
    model = build.model()
    build.version(model, f"mlflow-artifacts:/{root}/m", run_id=run)
    answer = wire.call("GET", f"/model-versions/get-artifact?name={model}&version=1&path=MLmodel")
    assert (answer.status, answer.body) == (200, b"flavors: {}")
    assert answer.headers["content-disposition"].startswith("attachment")
    wire.call("GET", f"/model-versions/get-artifact?name={model}&version=9&path=MLmodel").missing()


def test_files_of_a_logged_model_are_listed_and_downloaded(wire: Wire, build: Build):
    """A logged model has a listing and a download link of its own."""
    info = build.logged_model()
    wire.put_file(path_of(info["artifact_uri"]) + "/MLmodel", b"flavors: {}").ok()
    listing = wire.get(f"logged-models/{info['model_id']}/artifacts/directories").ok()
    assert listing["files"] == [{"path": "MLmodel", "is_dir": False, "file_size": 11}]
    page = f"/ajax-api/2.0/mlflow/logged-models/{info['model_id']}/artifacts/files?artifact_file_path=MLmodel"
    assert wire.call("GET", page).body == b"flavors: {}"


@pytest.mark.parametrize("path", CLIMBING)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_path_that_leaves_its_root_is_refused(wire: Wire, root: str, method: str, path: str):
    """However a path is encoded, its segments cannot climb."""
    data = b"x" if method == "PUT" else None
    wire.call(method, f"{PROXY}{root}/{path}", data).invalid("Invalid path")


@pytest.mark.parametrize("path", [*CLIMBING, "/etc/passwd", "file:///etc", "C:%5Cx"])
def test_a_listing_that_leaves_its_root_is_refused(wire: Wire, path: str):
    """A listing's path is held to the same rule."""
    wire.call("GET", f"{PROXY.rstrip('/')}?path={path}").invalid("Invalid path")


@pytest.mark.parametrize("path", ["../x", "%252e%252e/x", "/etc/passwd", "a/../../x"])
def test_the_links_of_runs_are_held_to_the_rule_too(wire: Wire, run: str, path: str):
    """Listing and downloading by run refuse a path that climbs."""
    wire.call("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}").invalid("Invalid path")
    wire.call("GET", f"/get-artifact?run_id={run}&path={path}").invalid("Invalid path")


def upload(wire: Wire, query: str, data: bytes):
    """Send one file by the call that browsers use."""
    return wire.call("POST", "/ajax-api/2.0/mlflow/upload-artifact" + query, data)


def test_a_browser_uploads_a_file_to_a_run(wire: Wire, run: str, root: str):
    """The upload call stores its body under the run."""
    assert upload(wire, f"?run_uuid={run}&path=u/x.txt", b"abc").status == 200
    assert wire.get_file(root + "/u/x.txt").body == b"abc"


def test_a_browser_upload_says_what_it_misses(wire: Wire, run: str):
    """Run, path and data are asked for in turn, and a file over 10 MB is refused."""
    path = f"?run_uuid={run}&path=x.txt"
    upload(wire, "", b"x").invalid("Request must specify run_uuid.")
    upload(wire, f"?run_uuid={run}", b"x").invalid("Request must specify path.")
    upload(wire, path, b"").invalid("Request must specify data.")
    upload(wire, path, b"x" * (10 * 1024 * 1024 + 1)).invalid("Artifact size is too large. Max size is 10MB.")
    upload(wire, f"?run_uuid={run}&path=../x", b"x").invalid("Invalid path")


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("path", ["a%00b", "./x", "a/./b"])
def test_odd_paths_are_the_callers_mistake(wire: Wire, root: str, path: str):
    """A NUL and a dot segment are refused as 400, where MLflow stores the one and answers 500 to the other."""
    wire.call("PUT", f"{PROXY}{root}/{path}", b"x").invalid()
