"""Uploads in parts where bytes are in S3: parts go around the server, unless clients cannot reach the bucket."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import pytest

from conformance.stored import kept_in
from faces.mlflow.conftest import connect, forget, running
from faces.mlflow.counted import grown, operations
from faces.mlflow.served import Served
from faces.mlflow.wire import Wire
from seaweed import Bucket

CHUNK = 5 << 20
SIZE = 2 * CHUNK + 12_345

pytestmark = pytest.mark.beyond_mlflow


@pytest.fixture(scope="module")
def bucket(seaweed_server: str) -> Bucket:
    """A place for all tests here."""
    return Bucket(seaweed_server, secrets.token_hex(8))


@contextmanager
def serving(bucket: Bucket, folder: Path, **settings: str) -> Iterator[Served]:
    """A server on SQLite and S3 with these settings."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**bucket.variables, "MODELKEEP_ARTIFACTS": bucket.url, **settings}.items():
            environment.setenv(name, value)
        with running(folder, None) as server:
            yield server


@pytest.fixture(scope="module")
def server(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that may send clients to the bucket."""
    with serving(bucket, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def wire(server: Served) -> Wire:
    """Raw HTTP to that server as its administrator."""
    return Wire(server.url, server.token)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's settings, with which files over a megabyte go and come in parts if the server says so."""
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(1 << 20))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(CHUNK))
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(3 << 20))


def there_and_back(server: Served, wire: Wire, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, int]:
    """Send a file and fetch it; how often the server did what."""
    connect(server, monkeypatch)
    file = folder / "big.bin"
    file.write_bytes(os.urandom(SIZE))
    before = operations(wire)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file))
    got = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/big.bin", dst_path=str(folder / "got"))
    after = operations(wire)
    assert Path(got).read_bytes() == file.read_bytes()
    manifest = wire.call(
        "HEAD", f"/api/2.0/mlflow-artifacts/artifacts/{run.info.artifact_uri.partition(':/')[2]}/big.bin"
    )
    assert manifest.headers["etag"] == f'"{hashlib.sha256(file.read_bytes()).hexdigest()}"'
    forget()
    names = ("artifacts.create_parts", "uploads.put_signed_part", "artifacts.upload", "artifacts.download_signed",
             "artifacts.download_link", "artifacts.download")  # fmt: skip
    return {name: count for name in names if (count := grown(before, after, name))}


@pytest.mark.usefixtures("in_parts")
def test_the_client_sends_parts_because_the_server_says_so(
    server: Served, wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without any setting the client asks what the server offers, and sends the parts straight to the bucket."""
    assert wire.call("GET", "/api/3.0/mlflow/server-info").ok()["multipart_uploads_enabled"]
    done = there_and_back(server, wire, monkeypatch, tmp_path)
    assert done == {"artifacts.create_parts": 1, "artifacts.download": 1}


@pytest.mark.usefixtures("in_parts")
def test_a_file_is_fetched_in_ranges_where_the_client_wants_that(
    server: Served, wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the client's setting a file comes in ranges through the server, which checks what it gives."""
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
    done = there_and_back(server, wire, monkeypatch, tmp_path)
    assert done == {
        "artifacts.create_parts": 1, "artifacts.download_link": 1, "artifacts.download_signed": 4,
    }  # fmt: skip


@pytest.mark.usefixtures("in_parts")
def test_direct_downloads(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the server was told so, and the client too, a file comes straight from the bucket, in ranges."""
    (tmp_path / "server").mkdir()
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
    with serving(bucket, tmp_path / "server", MODELKEEP_DIRECT_DOWNLOADS="true") as server:
        done = there_and_back(server, Wire(server.url, server.token), monkeypatch, tmp_path)
    assert done == {"artifacts.create_parts": 1, "artifacts.download_link": 1}


@pytest.mark.usefixtures("in_parts")
def test_clients_that_cannot_reach_the_bucket(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server that may not send clients there takes the parts itself, and gives links to itself."""
    (tmp_path / "server").mkdir()
    with serving(bucket, tmp_path / "server", MODELKEEP_DIRECT_LINKS="false") as server:
        wire = Wire(server.url, server.token)
        assert not wire.call("GET", "/api/3.0/mlflow/server-info").ok()["multipart_uploads_enabled"]
        for setting in ("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"):
            monkeypatch.setenv(setting, "true")
        done = there_and_back(server, wire, monkeypatch, tmp_path)
    assert done == {
        "artifacts.create_parts": 1, "uploads.put_signed_part": 3,
        "artifacts.download_link": 1, "artifacts.download_signed": 4,
    }  # fmt: skip


def begun(wire: Wire, parts: int) -> tuple[str, str, list[str]]:
    """An upload to a new run: where it goes, its id, and the links of its parts."""
    run = wire.post("runs/create", experiment_id="0", start_time=1).ok()["run"]["info"]
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    fields = json.dumps({"path": "x.bin", "num_parts": parts}).encode()
    target = f"/api/2.0/mlflow-artifacts/mpu/create/{root}"
    made = wire.call("POST", target, fields, content_type="application/json").ok()
    return root, made["upload_id"], [one["url"] for one in made["credentials"]]


def step(wire: Wire, name: str, root: str, **fields: object) -> int:
    """The status of a further step of an upload of `x.bin`."""
    body = json.dumps({"path": "x.bin", **fields}).encode()
    target = f"/api/2.0/mlflow-artifacts/mpu/{name}/{root}"
    return wire.call("POST", target, body, content_type="application/json").status


def put_directly(url: str, data: bytes) -> str:
    """Send a part to the bucket; its etag."""
    place = urlsplit(url)
    answer = Wire(f"http://{place.netloc}", None).call("PUT", f"{place.path}?{place.query}", data)
    assert answer.status == 200, answer
    return answer.headers["etag"]


def test_wrong_ends_of_an_upload_to_the_bucket(wire: Wire, bucket: Bucket) -> None:
    """A part that never came or has another etag is refused, after which the right parts become the file."""
    root, upload, links = begun(wire, 2)
    data = os.urandom(CHUNK), b"end"
    parts = [{"part_number": 1, "etag": put_directly(links[0], data[0])}, {"part_number": 2, "etag": f'"{"0" * 32}"'}]
    assert step(wire, "complete", root, upload_id=upload, parts=parts) == 409
    etag = put_directly(links[1], data[1])
    assert step(wire, "complete", root, upload_id=upload, parts=parts) == 409
    parts[1] = {"part_number": 2, "etag": etag}
    for _ in range(2):
        assert step(wire, "complete", root, upload_id=upload, parts=parts) == 200
    assert wire.call("GET", f"/api/2.0/mlflow-artifacts/artifacts/{root}/x.bin").body == b"".join(data)


def test_an_upload_to_the_bucket_is_given_up(wire: Wire, bucket: Bucket) -> None:
    """After an abort nothing of the upload is in the bucket."""
    before = kept_in(bucket)
    root, upload, links = begun(wire, 2)
    put_directly(links[0], os.urandom(CHUNK))
    assert kept_in(bucket) != before
    assert step(wire, "abort", root, upload_id=upload) == 200
    assert kept_in(bucket) == before


def test_native_parts_through_the_server(wire: Wire) -> None:
    """The native calls work on a bucket as on a disk: parts in any order, sent again, completed twice."""
    run = wire.post("runs/create", experiment_id="0", start_time=1).ok()["run"]["info"]
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/big.bin"
    data = os.urandom(SIZE)
    fields = json.dumps({"path": path, "size": SIZE, "part_size": CHUNK}).encode()
    upload = wire.call("POST", "/api/v1/uploads", fields, content_type="application/json").json["id"]
    for number in (3, 1, 2, 1):
        wire.call("PUT", f"/api/v1/uploads/{upload}/parts/{number}", data[(number - 1) * CHUNK : number * CHUNK]).ok()
    said = json.dumps({"sha256": hashlib.sha256(data).hexdigest()}).encode()
    for _ in range(2):
        wire.call("POST", f"/api/v1/uploads/{upload}/complete", said, content_type="application/json").ok()
    assert wire.call("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}").body == data
