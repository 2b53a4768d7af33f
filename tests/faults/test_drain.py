"""SIGTERM: what is in progress is finished, what is new is refused, and the process ends with code 0."""

import contextlib
import hashlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces.mlflow.wire import Wire
from servers import STOP_LIMIT, RunningServer

TRANSFERS = 10
SIZE = 6 * 1024 * 1024
ENDS_AT_ONCE = 20.0


class StoppedServer(RunningServer):
    """A server whose end can be asked for and watched."""

    def ask(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def exit_code(self, within: float = STOP_LIMIT) -> int:
        """Wait for the end of the process."""
        assert self._process is not None
        code = self._process.wait(within)
        self._ended()
        return code

    def refuses_connections(self) -> bool:
        """Whether nobody listens on the port any more."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StoppedServer]:
    """A started server."""
    server = StoppedServer(tmp_path / "data")
    yield server
    server.kill()


@pytest.fixture
def wire(server: StoppedServer) -> Wire:
    """Raw HTTP to the server as its administrator."""
    return Wire(server.url, server.token)


@pytest.fixture
def folder(wire: Wire) -> str:
    """The target under which a run's files are put and fetched."""
    info = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]
    return f"/api/2.0/mlflow-artifacts/artifacts/0/{info['run_id']}/artifacts"


class Transfer:
    """A request written and an answer read by hand, as slowly as the test wants."""

    def __init__(self, server: RunningServer, head: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        common = f"host: 127.0.0.1:{server.port}\r\nauthorization: Bearer {server.token}\r\n"
        self.send(head.replace("\r\n", "\r\n" + common, 1).encode())

    def send(self, data: bytes) -> None:
        """Send some bytes."""
        self._socket.sendall(data)

    def receive(self, size: int) -> bytes:
        """Receive so many bytes, fewer only at the end."""
        received = b""
        while len(received) < size and (piece := self._socket.recv(min(65_536, size - len(received)))):
            received += piece
        return received

    def answer(self, begun: bytes = b"") -> tuple[int, bytes]:
        """The status and body of the answer, whose first bytes may have been received already."""
        data = begun
        while b"\r\n\r\n" not in data:
            data += self.receive(1)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body += self.receive(int(length.partition(b":")[2]) - len(body))
        return int(head.split()[1]), body


def begin_uploads(server: RunningServer, folder: str, contents: list[bytes]) -> list[Transfer]:
    """Uploads of which the server has the head and the first half."""
    uploads = []
    for number, content in enumerate(contents):
        head = f"PUT {folder}/up{number}.bin HTTP/1.1\r\ncontent-length: {len(content)}\r\n\r\n"
        uploads.append(Transfer(server, head))
        uploads[-1].send(content[: len(content) // 2])
    return uploads


def begin_downloads(server: RunningServer, folder: str) -> list[tuple[Transfer, bytes]]:
    """Downloads of which the client has taken the first bytes."""
    transfers = [Transfer(server, f"GET {folder}/down.bin HTTP/1.1\r\n\r\n") for _ in range(TRANSFERS)]
    return [(transfer, transfer.receive(4_096)) for transfer in transfers]


def wait_until_refusing(server: StoppedServer) -> None:
    """Return when the server has stopped to listen."""
    deadline = time.monotonic() + STOP_LIMIT
    while not server.refuses_connections():
        assert time.monotonic() < deadline, "the server still accepts connections"
        time.sleep(0.02)


def test_transfers_in_progress_complete_and_new_connections_are_refused(
    server: StoppedServer, wire: Wire, folder: str
) -> None:
    """Ten uploads and ten downloads that SIGTERM met halfway end well, nobody new is let in, the exit code is 0."""
    down = os.urandom(SIZE)
    wire.call("PUT", f"{folder}/down.bin", down).ok()
    contents = [os.urandom(SIZE) for _ in range(TRANSFERS)]
    uploads = begin_uploads(server, folder, contents)
    downloads = begin_downloads(server, folder)
    server.ask()
    wait_until_refusing(server)
    for upload, content in zip(uploads, contents, strict=True):
        upload.send(content[len(content) // 2 :])
        assert upload.answer()[0] == 200
    for download, begun in downloads:
        status, body = download.answer(begun)
        assert (status, hashlib.sha256(body).digest()) == (200, hashlib.sha256(down).digest())
    assert server.exit_code() == 0
    server.start()
    for number, content in enumerate(contents):
        assert wire.call("GET", f"{folder}/up{number}.bin").body == content


def test_an_idle_connection_does_not_hold_the_end_up(server: StoppedServer, folder: str) -> None:
    """Connections that a client keeps open without a request in progress are closed, and the exit code is 0."""
    idle = [Transfer(server, "GET /health HTTP/1.1\r\n\r\n") for _ in range(TRANSFERS)]
    assert [transfer.answer() for transfer in idle] == [(200, b"OK")] * TRANSFERS
    server.ask()
    assert server.exit_code(ENDS_AT_ONCE) == 0
    assert [transfer.receive(1) for transfer in idle] == [b""] * TRANSFERS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_hurries_the_end(server: StoppedServer, wire: Wire, folder: str, number: int) -> None:
    """With an upload that never goes on, the second signal ends the process, which leaves nothing of the upload."""
    uploads = begin_uploads(server, folder, [os.urandom(SIZE)])
    server.ask(number)
    wait_until_refusing(server)
    server.ask(number)
    assert server.exit_code(ENDS_AT_ONCE) == 0
    with contextlib.suppress(ConnectionError):
        assert uploads[0].receive(13) in (b"", b"HTTP/1.1 500 ")
    server.start()
    assert list((server.data / "staging").iterdir()) == []
    wire.call("GET", f"{folder}/up0.bin").missing()
