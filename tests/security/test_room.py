"""What one caller sends takes a bounded part of the server's memory, however many connections it comes by (IN-05)."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from modelkeep.access.signin.identity import credentials_in
from security.raw import Raw
from servers import RunningServer

MIB = 1024 * 1024
WHOLE = 8 * MIB
MOST_AT_ONCE = 64 * MIB // WHOLE
TOO_MANY = 2
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own."""
    with RunningServer(tmp_path_factory.mktemp("room") / "data") as server:
        yield server


def unfinished(server: RunningServer) -> socket.socket:
    """A connection that has sent all of a large body but its last hundred bytes."""
    raw = Raw(server.port, server.token)
    headers = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % WHOLE)]
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(raw.written("POST", "/api/v1/models", b" ", headers)[:-1] + b" " * (WHOLE - 100))
    return connection


def test_IN_05_bodies_that_never_end_fill_only_their_senders_room(server: RunningServer) -> None:
    """Of many large bodies that do not come to their end, those beyond the sender's room are refused; who sends whole
    requests is served, and there is room again once they are gone.
    """
    with ExitStack() as stack:
        held = [stack.enter_context(unfinished(server)) for _ in range(MOST_AT_ONCE + TOO_MANY)]
        answers = answered(held, TOO_MANY)
        assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in answers)
        with Raw(server.port, server.token) as raw:
            assert raw.json("POST", "/api/v1/models", {"name": "small"}).status == 201
    for _ in range(2 * MOST_AT_ONCE):
        with unfinished(server) as again:
            again.sendall(b" " * 100)
            assert again.recv(1000).startswith(b"HTTP/1.1 400 ")  # of blanks only


def answered(connections: list[socket.socket], least: int) -> list[bytes]:
    """What was answered before a body came to its end, once it is so many that have an answer, or more."""
    deadline = time.monotonic() + PATIENCE_S
    while len(ready := select.select(connections, [], [], 0)[0]) < least:
        assert time.monotonic() < deadline, f"{len(ready)} are answered"
        time.sleep(0.05)
    return [connection.recv(1000) for connection in ready]


@pytest.mark.parametrize(
    "given", [b"Basic \xff\xff", b"Basic =", b"Basic a", b"Basic /////w==", b"Basic", b"Bearer \xff"]
)
def test_AU_05_credentials_of_no_text_are_none(server: RunningServer, given: bytes) -> None:
    """A header that is not base64, or not of text, is no credential: 401, and never an error of ours."""
    assert credentials_in(given.decode("latin-1"))[0] == ""
    with Raw(server.port) as raw:
        raw.request("GET", "/api/v1/models", headers=[(b"Authorization", given)]).refused(401)
