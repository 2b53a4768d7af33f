"""The whole log is read in stretches of many bundles: the same as tile by tile, and as strict about what is missing."""

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from audit.journal import Journal
from cli.terminal import Terminal
from faces.mlflow.wire import Wire
from modelkeep.cli.audit_log import OnlineLog, bundle_paths, export_log
from modelkeep.cli.client import Client
from modelkeep.cli.refusals import ServerGone
from servers import RunningServer

SIZE = 700


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose log has at least 700 entries."""
    data = tmp_path_factory.mktemp("stretches") / "data"
    data.mkdir(mode=0o700)
    journal = Journal(f"sqlite:///{data}/modelkeep.db", data)
    journal.grow(SIZE)
    journal.close()
    with RunningServer(data) as server:
        yield server


@pytest.fixture
def terminal(running: RunningServer, tmp_path: Path) -> Terminal:
    """Where commands are typed."""
    return Terminal(running, tmp_path)


def opened(running: RunningServer, stretch: int = 512) -> OnlineLog:
    """The log, read in stretches of so many entries."""
    return OnlineLog(Client(running.url, running.token or "", ""), stretch)


def parts(data: bytes) -> list[bytes]:
    """What lies one behind the other in a stretch."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 256), (0, SIZE), (256, 600), (512, 513)])
def test_a_stretch_is_its_bundles_and_tiles(running: RunningServer, start: int, end: int) -> None:
    """A stretch is each bundle and its tile, as they are by their own paths, the last one as far as was asked for."""
    wire = Wire(running.url, running.token).under("/api/v1/")
    answer = wire.get("audit/stretch", start=start, end=end)
    paths = list(bundle_paths(end))[start // 256 :]
    single = [wire.get(f"audit/{path}").body for pair in paths for path in pair]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert parts(answer.body) == single


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"start": 0, "end": 0}, 404),
        ({"start": 256, "end": 256}, 404),
        ({"start": 512, "end": 256}, 404),
        ({"start": 0, "end": 1_000_000}, 404),
        ({"start": 2**62, "end": 2**63 - 1}, 404),
        ({"start": 1, "end": 300}, 400),
        ({"start": -256, "end": 300}, 400),
        ({"start": 0}, 400),
        ({"start": 0, "end": "x"}, 400),
    ],
    ids=str,
)
def test_a_stretch_that_is_none_is_refused(running: RunningServer, asked: dict[str, object], status: int) -> None:
    """Stretches that are empty, end behind the log or begin within a tile are refused with the reason."""
    answer = Wire(running.url, running.token).under("/api/v1/").get("audit/stretch", **asked)
    assert answer.status == status
    assert answer.json["detail"]


@pytest.mark.parametrize("stretch", [256, 512, 65_536], ids=str)
def test_reading_straight_is_reading_one_by_one(running: RunningServer, stretch: int) -> None:
    """In stretches of any length, in order or not, each path has the same bytes as when it is asked for by itself."""
    log, plain = opened(running, stretch), opened(running)
    log.size = plain.size = SIZE
    paths = [path for pair in bundle_paths(SIZE) for path in pair]
    expected = {path: plain.read(path) for path in paths}
    assert all(expected.values())
    with log.reading_straight():
        assert [log.read(path) for path in paths] == list(expected.values())
        for path in (paths[4], paths[0], paths[1], paths[2], paths[5], paths[3]):
            assert log.read(path) == expected[path]
    assert log.read(paths[0]) == expected[paths[0]]


def test_a_log_that_became_shorter_is_read_as_far_as_it_goes(running: RunningServer) -> None:
    """Where the server has fewer entries than it said, what is left is read, and what is gone is None."""
    log = opened(running)
    log.size += 256
    paths = [path for pair in bundle_paths(log.size) for path in pair]
    with log.reading_straight():
        found = [log.read(path) for path in paths]
    assert all(found[:4])
    assert found[-2:] == [None, None]


def test_lost_rows_and_hashes_are_told(running: RunningServer, terminal: Terminal) -> None:
    """A row and a tile that are gone are findings of the command, each by its place; put back, nothing is wrong."""
    with closing(sqlite3.connect(running.data / "modelkeep.db", timeout=30)) as database:
        row = database.execute("SELECT * FROM journal WHERE seq = 300").fetchone()
        tile = database.execute("SELECT * FROM audit_tiles WHERE level = 0 AND number = 0").fetchone()
        with database:
            database.execute("DELETE FROM journal WHERE seq = 300")
            database.execute("UPDATE audit_tiles SET hashes = x'00' WHERE level = 0 AND number = 0")
        found = terminal.run("audit", "verify")
        copied = terminal.run("audit", "export", terminal.folder / "copy")
        with database:
            database.execute(f"INSERT INTO journal VALUES ({', '.join('?' * len(row))})", row)
            database.execute("REPLACE INTO audit_tiles VALUES (?, ?, ?)", tile)
    assert (found.returncode, found.stderr) == (1, "")
    assert "WRONG missing tile: tile/0/000\n" in found.stdout
    assert "WRONG missing entry: 300 is not there\n" in found.stdout
    assert (copied.returncode, copied.stdout) == (1, "")
    assert "The server has no tile/0/000: see `modelkeep audit verify`" in copied.stderr
    assert terminal.json("audit", "verify")["ok"] is True


def test_a_copy_is_completed_where_it_ends(running: RunningServer, tmp_path: Path) -> None:
    """What is missing in a copy is fetched, wherever that is, and nothing else."""
    folder = tmp_path / "copy"
    size, fetched = export_log(opened(running), folder)
    files = {path: path.read_bytes() for path in sorted(folder.glob("tile/**/*")) if path.is_file()}
    assert (size >= SIZE, fetched) == (True, len(files))
    gone = [path for path in files if path.parent.name in {"0", "entries"} and path.name in {"000", "001"}][1:]
    for path in gone:
        path.unlink()
    assert export_log(opened(running), folder) == (size, len(gone))
    assert {path: path.read_bytes() for path in files} == files


@contextmanager
def cutting(port: int, most: int) -> Iterator[str]:
    """The address of a proxy before the server that hangs up on whoever has had so many bytes of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_relay_all, args=(listening, port, most), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _relay_all(listening: socket.socket, port: int, most: int) -> None:
    while True:
        try:
            near, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(near, port, most), daemon=True).start()


def _relay(near: socket.socket, port: int, most: int) -> None:
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        threading.Thread(target=_upwards, args=(near, far), daemon=True).start()
        left = most
        while left and (data := far.recv(min(left, 65_536))):
            near.sendall(data)
            left -= len(data)
        near.shutdown(socket.SHUT_RDWR)


def _upwards(near: socket.socket, far: socket.socket) -> None:
    try:
        while data := near.recv(65_536):
            far.sendall(data)
    except OSError:
        return


def test_a_stretch_that_breaks_off_is_no_verification(running: RunningServer) -> None:
    """An answer that ends before its end is an error in words, never a shorter log."""
    with cutting(running.port, 100_000) as address:
        log = OnlineLog(Client(address, running.token or "", ""))
        with pytest.raises(ServerGone, match="does not answer"), log.reading_straight():
            for pair in bundle_paths(SIZE):
                assert all(log.read(path) for path in pair)


def test_nobody_reads_a_stretch_without_a_token(running: RunningServer) -> None:
    """A stretch is refused to whoever does not say who they are."""
    stranger = Wire(running.url, None).under("/api/v1/")
    assert stranger.get("audit/stretch", start=0, end=1).status == 401
