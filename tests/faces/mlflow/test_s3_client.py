"""The stock client against a server on PostgreSQL whose bytes are in S3: nothing about its code is different."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

import postgres
from conformance.stored import kept_in
from faces.mlflow.conftest import Trained, connect, forget, running
from faces.mlflow.served import Served
from seaweed import Bucket

pytestmark = pytest.mark.beyond_mlflow


@pytest.fixture(scope="module")
def bucket(seaweed_server: str) -> Bucket:
    """A place for all tests here."""
    return Bucket(seaweed_server, secrets.token_hex(8))


@pytest.fixture(scope="module")
def server(bucket: Bucket, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on PostgreSQL and S3, told of both by its environment."""
    folder = tmp_path_factory.mktemp("s3")
    with pytest.MonkeyPatch.context() as environment, postgres.empty_database(postgres_server) as url:
        for name, value in {**bucket.variables, "MODELKEEP_ARTIFACTS": bucket.url}.items():
            environment.setenv(name, value)
        with running(folder, url) as server:
            yield server


@pytest.fixture
def client(server: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """The stock client of that server."""
    yield connect(server, monkeypatch)
    forget()


def test_log_register_load(client: MlflowClient, trained: Trained, name: str, bucket: Bucket) -> None:
    """A model is logged, registered by name, given an alias, and loaded again by it; its run may then go."""
    with mlflow.start_run() as run:
        mlflow.log_param("max_iter", 500)
        mlflow.sklearn.log_model(
            trained.model, name="model", registered_model_name=name, pip_requirements=["scikit-learn"]
        )
    client.set_registered_model_alias(name, "champion", "1")
    client.delete_run(run.info.run_id)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert list(loaded.predict(trained.rows)) == trained.answers
    assert len(kept_in(bucket)) > 0


@pytest.mark.parametrize("multipart", ["false", "true"])
def test_files(client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, multipart: str) -> None:
    """Files and folders, small and of many parts, are uploaded, listed and downloaded as they were."""
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", multipart)
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(6 << 20))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(6 << 20))
    sent = {"a.txt": b"a", "sub/empty": b"", "sub/large.bin": os.urandom((20 << 20) + 3)}
    for path, data in sent.items():
        (tmp_path / "sent" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sent" / path).write_bytes(data)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "sent"), "files")
        assert {entry.path for entry in client.list_artifacts(run.info.run_id, "files")} == {"files/a.txt", "files/sub"}
        came = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="files"))
    assert {path: (came / path).read_bytes() for path in sent} == sent
