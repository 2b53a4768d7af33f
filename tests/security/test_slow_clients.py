"""Thousands of clients that send or take next to nothing hold up nobody, and lose their connections (IN-06)."""

import contextlib
import os
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from security.raw import Raw
from servers import RunningServer

MANY = 2_000
BODIES = 100
READERS = 40
LARGE = 64 * 1024 * 1024
MiB = 1024 * 1024

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server with its defaults."""
    with RunningServer(tmp_path / "data") as running:
        yield running


def resident(server: RunningServer) -> int:
    """The memory that the server has now, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def threads(server: RunningServer) -> int:
    """How many threads the server has."""
    return len(list(Path(f"/proc/{server.pid}/task").iterdir()))


def opened(server: RunningServer, count: int, sent: bytes) -> list[socket.socket]:
    """So many connections that have sent this."""
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        connection.sendall(sent)
        connections.append(connection)
    return connections


def trickle(connections: list[socket.socket]) -> None:
    """One more byte on each that still takes it."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.send(b"a")


def is_cut(connection: socket.socket) -> bool:
    """Whether the server has hung up."""
    connection.settimeout(30)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def health(server: RunningServer) -> float:
    """How long a client that has nothing to do with all this waits for an answer, connection included, in ms."""
    began = time.monotonic()
    with Raw(server.port) as raw:
        assert raw.request("GET", "/health").status == 200
    return (time.monotonic() - began) * 1000


def test_IN_06_thousands_of_slow_heads_and_bodies_hold_up_nobody(server: RunningServer) -> None:
    """While 2,000 heads and 100 bodies come byte by byte, others are served; and all of those are cut off."""
    with Raw(server.port, server.token) as raw:
        body = raw.written("POST", "/api/v1/models", b"", [(b"Content-Length", b"1000"), (b"Content-Type", b"a/b")])
    before, waits = resident(server), []
    heads = opened(server, MANY, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
    bodies = opened(server, BODIES, body)
    for _ in range(36):
        trickle(heads)
        trickle(bodies)
        waits += [health(server) for _ in range(5)]
        time.sleep(1)
    grown = resident(server) - before
    assert all(map(is_cut, heads))
    assert all(map(is_cut, bodies))
    for connection in (*heads, *bodies):
        connection.close()
    waits.sort()
    print(f"\n/health: median {statistics.median(waits):.1f} ms, p99 {waits[len(waits) * 99 // 100]:.1f} ms")
    print(f"grown by {grown / MiB:.1f} MiB")
    assert grown < 128 * MiB


def test_IN_06_slow_readers_hold_neither_memory_nor_threads(server: RunningServer) -> None:
    """Downloads that nobody takes wait in a bounded buffer each, take up no thread, and others are served meanwhile."""
    with Raw(server.port, server.token) as raw:
        run = raw.json("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1}).json["run"]
        path = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:") + "/large"
        target = f"/api/2.0/mlflow-artifacts/artifacts{path}"
        assert raw.request("PUT", target, os.urandom(LARGE)).status == 200
        assert len(raw.request("GET", target).body) == LARGE
        before, at_work = resident(server), threads(server)
        readers = opened(server, READERS, raw.written("GET", target))
        time.sleep(3)
        small = target.replace("/large", "/small")
        assert raw.request("PUT", small, b"small").status == 200
        assert raw.request("GET", small).body == b"small"
        grown = resident(server) - before
        print(f"\n{READERS} slow readers: {grown / MiB:.1f} MiB, {threads(server) - at_work} threads")
        assert grown < READERS * 2 * MiB
        assert threads(server) - at_work < READERS // 2
        for connection in readers:
            connection.close()
        assert raw.request("GET", small).body == b"small"
