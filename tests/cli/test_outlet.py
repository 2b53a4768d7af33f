"""Downloads that threads write to the client's socket: whole for whoever takes them, and given up with who goes."""

import asyncio
import hashlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from faces.mlflow.wire import Wire
from modelkeep.cli.outlet import Outlet
from servers import RunningServer

PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
LARGE = os.urandom(24 * 1024 * 1024 + 5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its defaults."""
    with RunningServer(tmp_path_factory.mktemp("outlet") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def path(server: RunningServer) -> str:
    """The address of a large file."""
    wire = Wire(server.url, server.token)
    run = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]["run_id"]
    wire.put_file(f"0/{run}/artifacts/large", LARGE).ok()
    return f"{PROXY}0/{run}/artifacts/large"


def asked(server: RunningServer, path: str, *lines: str, room: int = 0) -> socket.socket:
    """A connection on which a file was asked for; `room` is how much the client's machine takes ahead of it."""
    connection = socket.socket()
    connection.settimeout(60)
    if room:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(request(server, path, *lines))
    return connection


def request(server: RunningServer, path: str, *lines: str) -> bytes:
    """A request for a file."""
    host, token = f"Host: 127.0.0.1:{server.port}", f"Authorization: Bearer {server.token}"
    return "\r\n".join([f"GET {path} HTTP/1.1", host, token, *lines, "", ""]).encode()


def answer(connection: socket.socket, pause: float = 0.0) -> tuple[bytes, bytes]:
    """Head and body of the next answer, with a pause before each piece of it."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += connection.recv(1)
    head = came.lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    body = bytearray()
    while len(body) < length:
        time.sleep(pause)
        body += connection.recv(min(1 << 20, length - len(body))) or pytest.fail("the answer broke off")
    return head, bytes(body)


def open_files(server: RunningServer) -> int:
    """How many sockets and stored files the server has open."""
    links = []
    for entry in Path(f"/proc/{server.pid}/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") or "/sha256/" in link for link in links)


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold within a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(("room", "pause"), [(0, 0.0), (16 * 1024, 0.0), (256 * 1024, 0.01)])
def test_every_byte_comes_to_fast_and_slow_clients(server: RunningServer, path: str, room: int, pause: float) -> None:
    """However little a client takes at once, and however late, it gets the whole file, and then the next one."""
    with asked(server, path, room=room) as connection:
        for _ in range(2):
            head, body = answer(connection, pause)
            assert head.startswith(b"http/1.1 200 ok")
            assert b"\nconnection:" not in head
            assert hashlib.sha256(body).digest() == hashlib.sha256(LARGE).digest()
            connection.sendall(request(server, path))


def test_requests_sent_together_get_whole_files_in_their_order(server: RunningServer, path: str) -> None:
    """Requests that arrive in one packet are answered one after the other, none into the midst of another."""
    ranges = [(0, len(LARGE) - 1), (5, 9), (1_000_000, 9_000_000), (0, 0)]
    with asked(server, "/version") as connection:
        connection.sendall(b"".join(request(server, path, f"Range: bytes={first}-{last}") for first, last in ranges))
        assert answer(connection)[1]
        for first, last in ranges:
            head, body = answer(connection)
            assert head.startswith(b"http/1.1 206 ")
            assert body == LARGE[first : last + 1]


def test_a_connection_to_be_closed_is(server: RunningServer, path: str) -> None:
    """Who asks for one answer only gets it whole, with a head that says so, and is then hung up on."""
    with asked(server, path, "Connection: close") as connection:
        head, body = answer(connection)
        assert b"\r\nconnection: close\r\n" in head
        assert body == LARGE
        assert connection.recv(1) == b""


@pytest.mark.parametrize("taken", [0, 1 << 16, 6 << 20])
def test_what_was_open_for_a_client_that_goes_is_closed(server: RunningServer, path: str, taken: int) -> None:
    """After a client that hangs up in the middle the server keeps neither its socket nor the file, and serves on."""
    before = open_files(server)
    for _ in range(12):
        with asked(server, path, room=16 * 1024) as connection:
            left = taken
            while left:
                left -= len(connection.recv(min(left, 1 << 20)))
    assert soon(lambda: open_files(server) <= before)
    with asked(server, path) as connection:
        assert answer(connection)[1] == LARGE


def test_many_clients_that_take_nothing_hold_nobody_up(server: RunningServer, path: str) -> None:
    """While more clients than there are threads leave their downloads untaken, others are served."""
    idle = [asked(server, path, room=16 * 1024) for _ in range(30)]
    try:
        for _ in range(3):
            with asked(server, path) as connection:
                assert answer(connection)[1] == LARGE
    finally:
        for connection in idle:
            connection.close()


NONSENSE = [
    b"\0nonsense\r\n\r\n",
    b"GET http://elsewhere/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: ",
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=["no request", "a refused head", "a head without end"])
@pytest.mark.parametrize("late", [False, True], ids=["with the requests", "within an answer"])
def test_no_refusal_breaks_into_an_answer(server: RunningServer, path: str, nonsense: bytes, late: bool) -> None:
    """Requests before one that is none get their answers whole, and nothing else; then the client is hung up on."""
    sent = nonsense + b"x" * 100_000 * nonsense.endswith(b" ")
    with asked(server, path, room=16 * 1024) as connection:
        connection.sendall(request(server, path) + (b"" if late else sent))
        first = connection.recv(1000, socket.MSG_PEEK | socket.MSG_WAITALL)
        assert first.startswith(b"HTTP/1.1 200")
        if late:
            connection.sendall(sent)
        for _ in range(2):
            assert answer(connection)[1] == LARGE
        left = b""
        try:
            while piece := connection.recv(1 << 16):
                left += piece
        except ConnectionResetError:
            pass
        assert not left or left.startswith(b"HTTP/1.1 400")


def test_a_thread_is_left_to_others_by_a_client_that_takes_little_but_takes_it_often() -> None:
    """However short each of its pauses, who takes a block slowly is waited for by the loop and by no thread."""

    async def written_whole() -> bool:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        log = logging.getLogger("modelkeep")
        cycle = RequestResponseCycle(
            {},
            transport,
            FlowControl(transport),
            log,
            log,
            False,
            [],
            asyncio.Event(),
            False,
            True,
            list,  # type: ignore[typeddict-item]
        )
        outlet = Outlet(cycle, b"head")
        reading = threading.Thread(target=sip, args=(theirs,))
        reading.start()
        try:
            return outlet.write(bytes(1 << 20))
        finally:
            outlet.close()
            transport.abort()
            await asyncio.sleep(0.01)
            reading.join()
            theirs.close()

    assert not asyncio.run(written_whole())


def sip(connection: socket.socket) -> None:
    """Take what comes in small sips."""
    while connection.recv(8192):
        time.sleep(0.002)
