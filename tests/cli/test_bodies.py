"""Bodies that are received past the HTTP parser: whole, in order, and the connection serves the next request after."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from faces.mlflow.wire import Wire
from modelkeep.bootstrap import build
from modelkeep.cli.bodies import Rest
from modelkeep.config import Settings
from modelkeep.faces.table import build_http
from servers import RunningServer, free_port

PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
KIB, MIB = 1 << 10, 1 << 20
LARGE = os.urandom(5 * MIB + 3)


@pytest.fixture
def wire(running: RunningServer) -> Wire:
    """Raw HTTP to the server."""
    return Wire(running.url, running.token)


@pytest.fixture
def folder(wire: Wire) -> str:
    """The path of a new run's files."""
    return f"0/{wire.post('runs/create', experiment_id='0').ok()['run']['info']['run_id']}/artifacts"


@pytest.fixture
def connection(running: RunningServer) -> Iterator[socket.socket]:
    """A bare connection."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection:
        yield connection


def head(running: RunningServer, method: str, target: str, *lines: str) -> bytes:
    """The head of a request."""
    known = [f"Host: 127.0.0.1:{running.port}", f"Authorization: Bearer {running.token}"]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *known, *lines, "", ""]).encode()


def put(running: RunningServer, path: str, size: int, *lines: str) -> bytes:
    """The head of an upload."""
    return head(running, "PUT", f"{PROXY}{path}", f"Content-Length: {size}", *lines)


def status(connection: socket.socket) -> int:
    """The status of the next answer, which is read to its end."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += connection.recv(1) or pytest.fail("the server hung up")
    length = int(came.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while length:
        length -= len(connection.recv(length))
    return int(came.split()[1])


@pytest.mark.parametrize(
    "size", [16 * KIB, 16 * KIB + 1, 128 * KIB, 256 * KIB + 1, MIB, MIB + 1, 3 * MIB - 1, len(LARGE)]
)
@pytest.mark.parametrize("step", [7 * KIB + 1, 300 * KIB, 2 * len(LARGE)])
def test_a_body_arrives_whole(
    running: RunningServer, wire: Wire, folder: str, connection: socket.socket, size: int, step: int
) -> None:
    """Of any size and in whatever steps it comes, a body is stored as it was sent, with a request right behind it."""
    sent = put(running, f"{folder}/x", size) + LARGE[:size] + head(running, "GET", "/health")
    for at in range(0, len(sent), step):
        connection.sendall(sent[at : at + step])
    assert [status(connection), status(connection)] == [200, 200]
    assert wire.get_file(f"{folder}/x").body == LARGE[:size]


def test_one_connection_sends_many_bodies(
    running: RunningServer, wire: Wire, folder: str, connection: socket.socket
) -> None:
    """Bodies sent one behind the other, without waiting for answers, each become their own file."""
    bodies = [LARGE[at : at + 700_000] for at in range(6)]
    requests = b"".join(put(running, f"{folder}/{at}", len(body)) + body for at, body in enumerate(bodies))
    sending = threading.Thread(target=connection.sendall, args=(requests,))
    sending.start()
    assert [status(connection) for _ in bodies] == [200] * len(bodies)
    sending.join()
    assert [wire.get_file(f"{folder}/{at}").body for at in range(len(bodies))] == bodies


def test_the_rest_of_a_refused_body_is_passed_over(
    running: RunningServer, wire: Wire, connection: socket.socket
) -> None:
    """A refusal comes before the body's end; what still comes of it is nobody's, and the next request is answered."""
    connection.sendall(put(running, "0/nobody/artifacts/x", len(LARGE)) + LARGE[: MIB // 2])
    assert status(connection) == 404
    connection.sendall(LARGE[MIB // 2 :] + head(running, "GET", "/health"))
    assert status(connection) == 200


def test_a_client_that_asks_first_is_told_to_go_on(
    running: RunningServer, wire: Wire, folder: str, connection: socket.socket
) -> None:
    """With `Expect: 100-continue` the body is sent after the server has said so, and is stored."""
    connection.sendall(put(running, f"{folder}/x", len(LARGE), "Expect: 100-continue"))
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.recv(len(interim), socket.MSG_WAITALL) == interim
    connection.sendall(LARGE)
    assert status(connection) == 200
    assert wire.get_file(f"{folder}/x").body == LARGE


def test_a_body_of_json_is_read_as_well(wire: Wire, folder: str) -> None:
    """A request whose fields come in several blocks is understood."""
    run = folder.split("/")[1]
    params = [{"key": f"k{number}", "value": "v" * 5000} for number in range(60)]
    wire.post("runs/log-batch", run_id=run, params=params).ok()
    assert len(wire.get("runs/get", run_id=run).ok()["run"]["data"]["params"]) == 60


def test_a_server_of_another_kind_receives_bodies_too(tmp_path: Path) -> None:
    """Under a web server that does not offer its blocks, uploads go the common way."""
    app, _ = build(Settings(data=tmp_path / "data", auth="none"))
    port = free_port()
    config = uvicorn.Config(build_http(app), port=port, loop="asyncio", http="h11", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    wire = Wire(f"http://127.0.0.1:{port}", None)
    path = f"0/{wire.post('runs/create', experiment_id='0').ok()['run']['info']['run_id']}/artifacts/x"
    wire.put_file(path, LARGE).ok()
    assert wire.get_file(path).body == LARGE
    server.should_exit = True
    thread.join()
    app.close()


def test_who_declares_much_is_given_little_room() -> None:
    """Blocks grow with what came: never more room than an eighth of a MiB, or what came already, or a MiB."""
    rest = Rest(1 << 40)
    came = 0
    while came < 8 * MIB:
        room = len(rest.room())
        assert room <= min(MIB, max(128 * KIB, came))
        came += room
        assert rest.came(room) is not None
    rest.end()


def test_many_bodies_at_once_get_smaller_blocks() -> None:
    """While more than a few large bodies are under way, a block is a quarter of a MiB; afterwards a MiB again."""

    def largest(rest: Rest) -> int:
        sizes = []
        for _ in range(12):
            sizes.append(len(rest.room()))
            rest.came(sizes[-1])
        return max(sizes)

    rests = [Rest(1 << 40) for _ in range(5)]
    assert largest(rests[0]) == 256 * KIB
    rests.pop().end()
    assert largest(rests[0]) == MIB
    for rest in rests:
        rest.end()


def test_no_byte_behind_a_body_is_taken_for_it() -> None:
    """The room ends where the body does, and then it is over."""
    rest = Rest(200 * KIB)
    while not rest.is_over:
        block = rest.came(len(rest.room()))
        assert block is not None
    assert len(block) == 72 * KIB
    rest.end()
