"""Uploads in parts and downloads by links through the stock client, which needs nothing but its own settings."""

import hashlib
import os
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from faces.mlflow.counted import grown, operations
from faces.mlflow.wire import Wire

CHUNK = 5 << 20
SIZE = 2 * CHUNK + 12_345

pytestmark = pytest.mark.beyond_mlflow


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's settings, with which files over a megabyte go and come in parts."""
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(1 << 20))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(CHUNK))
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(3 << 20))


@pytest.mark.usefixtures("in_parts")
def test_a_file_goes_and_comes_in_parts(client: MlflowClient, wire: Wire, tmp_path: Path) -> None:
    """A file is sent in parts by signed links and comes back in ranges by one, byte for byte."""
    file = tmp_path / "big ü.bin"
    file.write_bytes(os.urandom(SIZE))
    before = operations(wire)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file), "deep/er")
    there = Path(
        mlflow.artifacts.download_artifacts(
            f"{run.info.artifact_uri}/deep/er/{file.name}", dst_path=str(tmp_path / "got")
        )
    )
    after = operations(wire)
    assert there.read_bytes() == file.read_bytes()
    for name, times in {
        "artifacts.create_parts": 1, "uploads.put_signed_part": 3, "artifacts.complete_parts": 1, "artifacts.upload": 0,
        "artifacts.download_link": 1, "artifacts.download_signed": 4, "artifacts.download": 0,
    }.items():  # fmt: skip
        assert grown(before, after, name) == times, name


@pytest.mark.usefixtures("in_parts")
def test_a_folder_with_large_and_small_files(client: MlflowClient, tmp_path: Path) -> None:
    """Small files go whole beside large ones in parts; a second upload of the same bytes is fine."""
    sizes = {"a.bin": SIZE, "b.bin": 10, "empty": 0, "c.bin": CHUNK}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path), "one")
        mlflow.log_artifacts(str(tmp_path), "two")
    for folder in ("one", "two"):
        assert {e.path: e.file_size or 0 for e in client.list_artifacts(run.info.run_id, folder)} == {
            f"{folder}/{name}": size for name, size in sizes.items()
        }
        got = Path(client.download_artifacts(run.info.run_id, folder, str(tmp_path)))
        for name in sizes:
            assert (got / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.usefixtures("in_parts")
def test_a_version_has_the_bytes_that_came_in_parts(
    client: MlflowClient, wire: Wire, tmp_path: Path, name: str
) -> None:
    """A version registered from files that came in parts lists their digests, and serves them by links too."""
    file = tmp_path / "weights.bin"
    file.write_bytes(os.urandom(SIZE))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file), "model")
    client.create_registered_model(name)
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    manifest = wire.call("GET", f"/api/v1/models/{name}/versions/1/manifest").ok()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["files"] == [{"path": "weights.bin", "size": SIZE, "sha256": sha256}]
    got = mlflow.artifacts.download_artifacts(f"models:/{name}/1", dst_path=str(tmp_path / "got"))
    assert (Path(got) / "weights.bin").read_bytes() == file.read_bytes()


@pytest.mark.usefixtures("in_parts")
def test_a_file_that_cannot_be_is_refused(client: MlflowClient, tmp_path: Path) -> None:
    """Where a file would be a folder too, the client gets the refusal, and what was there stays."""
    file = tmp_path / "x"
    file.write_bytes(os.urandom(SIZE))
    with mlflow.start_run() as run:
        mlflow.log_text("below", "x/below.txt")
        with pytest.raises(Exception, match="409"):
            mlflow.log_artifact(str(file))
    assert [entry.path for entry in client.list_artifacts(run.info.run_id)] == ["x"]


def test_the_client_is_not_told_to_send_parts(wire: Wire) -> None:
    """A server with a local disk takes whole files faster, so it does not recommend parts; it says so to any client."""
    info = wire.call("GET", "/api/3.0/mlflow/server-info").ok()
    assert info == {
        "store_type": "SqlStore", "workspaces_enabled": True,
        "multipart_uploads_enabled": False, "multipart_downloads_enabled": False,
    }  # fmt: skip
