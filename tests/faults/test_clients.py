"""Clients that stop half way, say nothing, take nothing, or lie, and bytes that go bad under a running server."""

import contextlib
import hashlib
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from faces.mlflow.wire import Wire
from modelkeep.bootstrap import build
from modelkeep.cli.connection import Connection
from modelkeep.cli.outlet import Outlet
from modelkeep.config import Settings
from modelkeep.faces.table import build_http
from servers import RunningServer, free_port

PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
BIG = os.urandom(5 * 1024 * 1024 + 3)


class Hasty(Connection):
    """A connection that waits for a second where others wait for a minute."""

    idle_s = head_s = slow_s = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server on SQLite."""
    with RunningServer(tmp_path_factory.mktemp("clients") / "data") as running:
        yield running


@pytest.fixture
def wire(server: RunningServer) -> Wire:
    """Raw HTTP to it."""
    return Wire(server.url, server.token)


@pytest.fixture
def folder(wire: Wire) -> str:
    """The path of a new run's files."""
    info = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]
    return f"0/{info['run_id']}/artifacts"


class AtTheLimit(Connection):
    """A connection whose process may open no more files when threads are to answer."""

    def _begin_outlet(self, cycle: RequestResponseCycle, head: bytes) -> Outlet | None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            return super()._begin_outlet(cycle, head)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextmanager
def served(data: Path, connection: type[Connection]) -> Iterator[Wire]:
    """A server in this process with connections of a kind."""
    app, _ = build(Settings(data=data, auth="none"))
    port = free_port()
    config = uvicorn.Config(build_http(app), port=port, loop="uvloop", http=connection, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Wire(f"http://127.0.0.1:{port}", None)
    server.should_exit = True
    thread.join()
    app.close()


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Wire]:
    """A server in this process whose connections wait for a second only."""
    with served(tmp_path / "data", Hasty) as wire:
        yield wire


@contextmanager
def connected(wire: Wire) -> Iterator[socket.socket]:
    """A bare connection."""
    host, _, port = wire.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def head(wire: Wire, method: str, path: str, *lines: str) -> bytes:
    """The head of a request for a file."""
    token = [f"Authorization: Bearer {wire.token}"] if wire.token else []
    return "\r\n".join([f"{method} {PROXY}{path} HTTP/1.1", f"Host: {wire.host}", *token, *lines, "", ""]).encode()


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold within a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def staged(server: RunningServer) -> list[Path]:
    """What is being uploaded."""
    return list((server.data / "staging").iterdir())


def hung_up(connection: socket.socket) -> bool:
    """Read until the server hangs up."""
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("sent", [1, 100_000, len(BIG) - 1])
def test_a_client_that_stops_half_way_leaves_nothing(server: RunningServer, wire: Wire, folder: str, sent: int) -> None:
    """An upload whose client hangs up is forgotten, bytes and all, and the earlier file stays."""
    wire.put_file(f"{folder}/x", b"before").ok()
    with connected(wire) as connection:
        connection.sendall(head(wire, "PUT", f"{folder}/x", f"Content-Length: {len(BIG)}") + BIG[:sent])
        assert sent < 2_000_000 or soon(lambda: bool(staged(server)))
    assert soon(lambda: staged(server) == [])
    assert wire.get_file(f"{folder}/x").body == b"before"


@pytest.mark.parametrize("sent", [b"0123456789abc", b"012" * 100_000], ids=["few", "many"])
def test_bytes_beyond_the_declared_length_are_refused(wire: Wire, folder: str, sent: bytes) -> None:
    """What follows the declared length is taken for the next request, which it is not: the client is hung up on.

    The file is there as it was declared, or not at all.
    """
    with connected(wire) as connection:
        connection.sendall(head(wire, "PUT", f"{folder}/x", "Content-Length: 10") + sent)
        answers = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answers += piece
    assert answers.count(b"HTTP/1.1 400") <= 1
    stored = wire.get_file(f"{folder}/x")
    assert stored.status == 404 or stored.body == sent[:10]
    assert wire.call("GET", "/health").status == 200


def test_a_chunked_body_is_a_body(wire: Wire, folder: str) -> None:
    """An upload of unknown length in chunks of any size is stored whole."""
    with connected(wire) as connection:
        connection.sendall(head(wire, "PUT", f"{folder}/x", "Transfer-Encoding: chunked", "Connection: close"))
        for start in range(0, len(BIG), 777_777):
            piece = BIG[start : start + 777_777]
            connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert b"200 OK" in connection.recv(65536)
    assert wire.get_file(f"{folder}/x").body == BIG


def test_slow_bytes_are_taken(wire: Wire, folder: str) -> None:
    """A client that sends byte by byte is waited for, and holds up nobody."""
    with connected(wire) as connection:
        connection.sendall(head(wire, "PUT", f"{folder}/slow", "Content-Length: 20"))
        for number in range(20):
            connection.sendall(b"%d" % (number % 10))
            began = time.monotonic()
            assert wire.call("GET", "/health").status == 200
            assert time.monotonic() - began < 10
        assert b"200 OK" in connection.recv(65536)
    assert wire.get_file(f"{folder}/slow").body == b"01234567890123456789"


@pytest.mark.parametrize("beginning", ["nothing", "half a head", "half a body"])
def test_a_client_that_sends_nothing_more_is_hung_up_on(hasty: Wire, beginning: str) -> None:
    """Who has to send the next byte and does not, for as long as there is, loses the connection."""
    info = hasty.post("runs/create", experiment_id="0").ok()["run"]["info"]
    whole = head(hasty, "PUT", f"0/{info['run_id']}/artifacts/x", "Content-Length: 1000000")
    sent = {"nothing": b"", "half a head": whole[:40], "half a body": whole + BIG[:70_000]}[beginning]
    with connected(hasty) as connection:
        connection.sendall(sent)
        assert hung_up(connection)
    hasty.get_file(f"0/{info['run_id']}/artifacts/x").missing()


@pytest.mark.parametrize("beginning", ["in the head", "in the body", "in a part"])
def test_a_client_that_sends_a_byte_now_and_then_is_hung_up_on(hasty: Wire, beginning: str) -> None:
    """Who never stops, but sends next to nothing, loses the connection too, and what came is forgotten."""
    info = hasty.post("runs/create", experiment_id="0").ok()["run"]["info"]
    path = f"0/{info['run_id']}/artifacts/x"
    whole = head(hasty, "PUT", path, "Content-Length: 1000000")
    if beginning == "in a part":
        create = f"/api/2.0/mlflow-artifacts/mpu/create/{path.rpartition('/')[0]}"
        begun = hasty.call("POST", create, b'{"path": "x", "num_parts": 1}', content_type="application/json").ok()
        link = begun["credentials"][0]["url"].partition(hasty.host)[2]
        whole = f"PUT {link} HTTP/1.1\r\nHost: {hasty.host}\r\nContent-Length: 1000000\r\n\r\n".encode()
    with connected(hasty) as connection:
        connection.sendall(whole[:-4] + b"\r\nX-Slow: " if beginning == "in the head" else whole)
        with pytest.raises(ConnectionError):
            for _ in range(400):
                connection.sendall(b"x")
                time.sleep(0.05)
    hasty.get_file(path).missing()


def test_a_client_that_is_slow_but_comes_to_an_end_is_waited_for(hasty: Wire) -> None:
    """A body that takes several times the stretch that a client may say nothing is taken."""
    info = hasty.post("runs/create", experiment_id="0").ok()["run"]["info"]
    path = f"0/{info['run_id']}/artifacts/x"
    data = BIG[:300_000]
    with connected(hasty) as connection:
        connection.sendall(head(hasty, "PUT", path, f"Content-Length: {len(data)}"))
        for at in range(0, len(data), 10_000):
            connection.sendall(data[at : at + 10_000])
            time.sleep(0.1)
        assert b"200 OK" in connection.recv(65536)
    assert hasty.get_file(path).body == data


def test_a_client_that_takes_nothing_is_hung_up_on(hasty: Wire) -> None:
    """A download that nobody reads is broken off; one that is read slowly, but is read, is not."""
    info = hasty.post("runs/create", experiment_id="0").ok()["run"]["info"]
    path = f"0/{info['run_id']}/artifacts/x"
    large = BIG * 4
    hasty.put_file(path, large).ok()
    with connected(hasty) as connection:
        connection.sendall(head(hasty, "GET", path))
        time.sleep(4)
        taken = 0
        try:
            while piece := connection.recv(1 << 20):
                taken += len(piece)
        except ConnectionError:
            pass
        assert taken < len(large)
    with connected(hasty) as connection:
        connection.sendall(head(hasty, "GET", path, "Connection: close"))
        taken = 0
        for _ in range(15):
            time.sleep(0.2)
            taken += len(connection.recv(1 << 20))
        while piece := connection.recv(1 << 20):
            taken += len(piece)
        assert taken > len(large)


def test_a_client_that_takes_none_of_several_answers_leaves_nothing(hasty: Wire, tmp_path: Path) -> None:
    """With further requests sent behind it, too, a download that nobody reads is given up, and its file closed."""
    info = hasty.post("runs/create", experiment_id="0").ok()["run"]["info"]
    path = f"0/{info['run_id']}/artifacts/x"
    hasty.put_file(path, BIG * 4).ok()

    def is_read() -> bool:
        inside = f"{tmp_path / 'data' / 'sha256'}/"
        return any(str(entry.resolve()).startswith(inside) for entry in Path("/proc/self/fd").iterdir())

    with connected(hasty) as connection:
        connection.sendall(head(hasty, "GET", path) * 2)
        assert soon(is_read)
        assert soon(lambda: not is_read())


def test_a_client_that_stops_within_a_refused_body_is_hung_up_on(hasty: Wire) -> None:
    """What is left of a body that was refused has to come as well, or the connection is lost."""
    with connected(hasty) as connection:
        connection.sendall(head(hasty, "PUT", "0/nobody/artifacts/x", f"Content-Length: {len(BIG)}") + BIG[:20_000])
        assert b" 404 " in connection.recv(65536)
        connection.sendall(b"x")
        assert hung_up(connection)


def test_who_comes_when_too_many_files_are_open_is_served(tmp_path: Path) -> None:
    """Where there is no descriptor left that threads could write to, a download goes out the common way."""
    with served(tmp_path / "data", AtTheLimit) as wire:
        info = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]
        path = f"0/{info['run_id']}/artifacts/x"
        wire.put_file(path, BIG).ok()
        assert wire.get_file(path).body == BIG


def test_a_client_that_says_nothing_between_requests_is_kept(hasty: Wire) -> None:
    """A connection whose last answer is complete is kept for the time that connections are kept, which is longer."""
    with connected(hasty) as connection:
        request = f"GET /health HTTP/1.1\r\nHost: {hasty.host}\r\n\r\n".encode()
        for _ in range(2):
            connection.sendall(request)
            assert b"200 OK" in connection.recv(65536)
            time.sleep(2.5)


def damage(server: RunningServer, data: bytes, at: int) -> str:
    """Flip a bit of a stored blob; its name."""
    sha256 = hashlib.sha256(data).hexdigest()
    place = server.data / "sha256" / sha256[:2] / sha256[2:4] / sha256
    stored = bytearray(place.read_bytes())
    stored[at] ^= 1
    place.write_bytes(stored)
    return sha256


def metric(wire: Wire, name: str) -> float:
    """A figure of /metrics."""
    lines = wire.call("GET", "/metrics").body.decode().splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[1])


def logged(server: RunningServer, message: str) -> list[dict[str, object]]:
    """The log's lines with this message."""
    lines = [json.loads(line) for line in server.stderr_path.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("message") == message]


def test_damage_in_the_midst_of_a_download(server: RunningServer, wire: Wire, folder: str) -> None:
    """The connection breaks before a wrong byte; figures rise, the log and the API say what is hit; uploading heals."""
    data = os.urandom(len(BIG))
    wire.put_file(f"{folder}/m/weights.bin", data).ok()
    wire.post("registered-models/create", name="hit").ok()
    wire.post("model-versions/create", name="hit", source=f"mlflow-artifacts:/{folder}/m").ok()
    found, now = metric(wire, "modelkeep_corrupt_blobs_total"), metric(wire, "modelkeep_blobs_corrupt_now")
    sha256 = damage(server, data, 4 * 1024 * 1024)
    with connected(wire) as connection:
        connection.sendall(head(wire, "GET", f"{folder}/m/weights.bin"))
        answer = b""
        while piece := connection.recv(1 << 20):
            answer += piece
    body = answer.partition(b"\r\n\r\n")[2]
    assert answer.startswith(b"HTTP/1.1 200")
    assert data.startswith(body)
    assert len(body) < len(data)
    assert metric(wire, "modelkeep_corrupt_blobs_total") == found + 1
    assert metric(wire, "modelkeep_blobs_corrupt_now") == now + 1
    told = [line for line in logged(server, "stored bytes are damaged") if line["sha256"] == sha256]
    assert len(told) == 1
    assert "version hit/1 (default)" in str(told[0]["holders"])
    run_id = folder.split("/")[1]
    [listed] = [item for item in wire.call("GET", "/api/v1/artifacts/damage").ok()["items"] if item["sha256"] == sha256]
    assert listed["holders"] == [
        {"path": "m/weights.bin", "run_id": run_id},
        {"path": "weights.bin", "model": "hit", "version": 1},
    ]
    wire.get_file(f"{folder}/m/weights.bin").refused(500, "DATA_LOSS")
    wire.put_file(f"{folder}/again", data).ok()
    assert wire.get_file(f"{folder}/m/weights.bin").body == data
    assert metric(wire, "modelkeep_blobs_corrupt_now") == now
    kinds = [
        entry["kind"] for entry in wire.call("GET", "/api/v1/journal").ok()["items"] if sha256 in entry["resource"]
    ]
    assert kinds == ["blob.healed", "blob.damaged"]


def test_damage_is_listed_page_by_page(server: RunningServer, wire: Wire, folder: str) -> None:
    """Each page says where the next one begins; each damaged blob is on one of them."""
    names = set()
    for number in range(3):
        data = os.urandom(100 + number)
        wire.put_file(f"{folder}/{number}", data).ok()
        names.add(damage(server, data, 0))
        wire.get_file(f"{folder}/{number}").refused(500, "DATA_LOSS")
    found: list[str] = []
    cursor = ""
    while True:
        page = wire.call("GET", f"/api/v1/artifacts/damage?limit=1{cursor}").ok()
        found += [item["sha256"] for item in page["items"]]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == sorted(found)
    assert names <= set(found)
