"""A server whose bytes are in S3, on either database: what its clients see while S3 is well, spoiled, and gone."""

import http.client
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.stored import kept_in
from faces.mlflow.wire import Answer, Wire
from faults.s3_proxy import Fault, Kind, S3Proxy
from faults.test_s3 import LARGE, proxy
from seaweed import Bucket
from servers import RunningServer

__all__ = ["proxy"]

KIB = 1024


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket, proxy: S3Proxy) -> Iterator[RunningServer]:
    """A server on each database that reaches its bucket through the proxy."""
    url = request.getfixturevalue("fresh_postgres")() if request.param == "postgresql" else None
    variables = bucket.through(proxy.url).variables
    arguments = ["--artifacts", bucket.url]
    with RunningServer(tmp_path / "data", database=url, arguments=arguments, environment=variables) as server:
        yield server


@pytest.fixture
def wire(server: RunningServer) -> Wire:
    """Raw HTTP to the server as its administrator."""
    return Wire(server.url, server.token)


@pytest.fixture
def folder(wire: Wire) -> str:
    """The path of a run's files."""
    info = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]
    return f"{info['experiment_id']}/{info['run_id']}/artifacts"


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait for what the server does after its answer."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.1)


SIZES = [0, 100 * KIB, LARGE, 2 * LARGE + 12_345]


def test_files_and_versions(wire: Wire, folder: str, bucket: Bucket) -> None:
    """Files of any size come back, whole and in ranges, also from a registered version; equal ones are kept once."""
    files = {f"model/{size}.bin": os.urandom(size) for size in SIZES}
    for path, data in files.items():
        wire.put_file(f"{folder}/{path}", data).ok()
        wire.put_file(f"{folder}/copy/{path}", data).ok()
    expected = len(SIZES) + 1  # the largest has a pointer besides
    wait_for(lambda: len(kept_in(bucket)) == expected)
    wire.post("registered-models/create", name="model").ok()
    source = f"mlflow-artifacts:/{folder}/model"
    wire.post("model-versions/create", name="model", source=source).ok()
    uri = wire.get("model-versions/get-download-uri", name="model", version="1").ok()["artifact_uri"]
    for path, data in files.items():
        assert wire.get_file(f"{folder}/{path}").body == data
        frozen = f"{uri.removeprefix('mlflow-artifacts:/')}/{path.removeprefix('model/')}"
        assert wire.get_file(frozen).body == data
    target = f"/api/2.0/mlflow-artifacts/artifacts/{folder}/model/{SIZES[-1]}.bin"
    for first, last in ((0, 0), (LARGE - 5, LARGE + 5), (SIZES[-1] - 10, SIZES[-1] - 1)):
        part = wire.call("GET", target, range=f"bytes={first}-{last}")
        assert (part.status, part.body) == (206, files[f"model/{SIZES[-1]}.bin"][first : last + 1])
    shown = wire.call("GET", "/metrics").body.decode()
    assert 'modelkeep_blob_calls_total{call="commit",outcome="ok",store="s3"}' in shown


UPLOADS = {
    "500s": Fault(Kind.ANSWER, "PUT", least_body=1, times=3),
    "cut": Fault(Kind.CUT_REQUEST, "PUT", at=50_000, least_body=60_000, times=3),
    "flipped": Fault(Kind.FLIP_REQUEST, "PUT", at=50_000, least_body=60_000, times=3),
    "lost answers": Fault(Kind.LOSE_ANSWER, "PUT", times=3),
    "slow": Fault(Kind.SLOW, "PUT", seconds=1, times=2),
}


@pytest.mark.parametrize("fault", UPLOADS)
def test_spoiled_uploads(wire: Wire, folder: str, proxy: S3Proxy, fault: str) -> None:
    """Faults that pass are not noticed by whoever uploads."""
    for number, size in enumerate(SIZES[1:]):
        data, spoiled = os.urandom(size), proxy.spoil(Fault(**vars(UPLOADS[fault])))
        wire.put_file(f"{folder}/{number}", data).ok()
        assert spoiled.hits > 0
        proxy.heal()
        assert wire.get_file(f"{folder}/{number}").body == data


DOWNLOADS = [Kind.CUT_ANSWER, Kind.FLIP_ANSWER, Kind.SHORTEN_ANSWER]


@pytest.mark.parametrize("kind", DOWNLOADS, ids=lambda kind: kind.name.lower())
def test_spoiled_downloads(wire: Wire, folder: str, proxy: S3Proxy, kind: Kind) -> None:
    """Whatever happens to bytes on their way out of S3, a client never takes wrong ones for a success."""
    for number, size in enumerate(SIZES[1:]):
        data = os.urandom(size)
        wire.put_file(f"{folder}/{number}", data).ok()
        spoiled = proxy.spoil(Fault(kind, "GET", at=50_000, times=1))
        assert_right_or_refused(wire, f"{folder}/{number}", data)
        assert spoiled.hits > 0
        proxy.heal()


def assert_right_or_refused(wire: Wire, path: str, data: bytes) -> None:
    """The file is downloaded right, or the download fails: by its status, or by ending early."""
    try:
        answer = wire.get_file(path)
    except http.client.IncompleteRead:
        return
    assert answer.body == data if answer.status == 200 else answer.status in {500, 503}, answer.status


def away_for(seconds: float, proxy: S3Proxy) -> threading.Timer:
    """S3 is gone now, and comes back after so many seconds."""
    proxy.away()
    timer = threading.Timer(seconds, proxy.back)
    timer.start()
    return timer


def test_gone(wire: Wire, folder: str, proxy: S3Proxy, bucket: Bucket) -> None:
    """While S3 is gone, /ready and downloads say 503, what needs no bytes works; afterwards all is as it was."""
    wire.put_file(f"{folder}/kept", b"kept" * 1000).ok()
    proxy.away()
    try:
        assert wire.call("GET", "/health").status == 200
        wire.post("registered-models/create", name="model").ok()
        assert wire.get_file(f"{folder}/kept").status == 503
        assert wire.put_file(f"{folder}/new", b"new").status == 503
        assert wire.list_files(folder).keys() == {"kept"}
        assert wire.call("GET", "/ready").status == 503
    finally:
        proxy.back()
    assert wire.call("GET", "/ready").status == 200
    assert wire.get_file(f"{folder}/kept").body == b"kept" * 1000
    assert len(kept_in(bucket)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [60, 120])
def test_gone_amid_an_upload(server: RunningServer, wire: Wire, folder: str, proxy: S3Proxy, seconds: int) -> None:
    """S3 gone for a minute amid an upload delays it; for longer ends it with 503, and no half is to be seen."""
    data = os.urandom(6 * LARGE)
    connection = http.client.HTTPConnection(wire.host, timeout=300)
    connection.putrequest("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/large")
    connection.putheader("authorization", f"Bearer {wire.token}")
    connection.putheader("content-length", str(len(data)))
    connection.endheaders(data[: 2 * LARGE])
    timer = away_for(seconds, proxy)
    try:
        connection.send(data[2 * LARGE :])
        reply = connection.getresponse()
        answer = Answer(reply.status, {}, reply.read())
    finally:
        connection.close()
        timer.join()
    if seconds == 60:
        answer.ok()
        assert wire.get_file(f"{folder}/large").body == data
    else:
        assert answer.status == 503
        assert wire.list_files(folder) == {}
        wire.put_file(f"{folder}/large", data).ok()
        assert wire.get_file(f"{folder}/large").body == data
