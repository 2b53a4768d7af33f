"""The server is killed in the middle of uploads in parts: nothing is there by halves, and the same calls work again."""

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.whole import Served
from modelkeep.artifacts import sweep_uploads
from modelkeep.bootstrap import open_blobs, open_database
from security.raw import Raw

MIB = 1 << 20
PART = 8 * MIB


@pytest.fixture
def raw(served: Served) -> Iterator[Raw]:
    """A connection of the administrator."""
    with Raw(served.server.port, served.server.token) as connection:
        yield connection


def begin(raw: Raw, parts: int) -> tuple[str, str]:
    """Begin an upload to a new run; the path of the file, and where the upload is."""
    made = raw.json("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1}).json
    path = made["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/big.bin"
    fields = {"path": path, "size": parts * PART, "part_size": PART}
    return path, f"/api/v1/uploads/{raw.json('POST', '/api/v1/uploads', fields).json['id']}"


def received(raw: Raw, target: str) -> list[int]:
    """The numbers of the parts that are there."""
    return [part["number"] for part in raw.request("GET", target).json["received"]]


def kill_and_start(served: Served, raw: Raw) -> None:
    """A crash, and the start after it."""
    raw.close()
    served.server.kill()
    served.start_later()


def send_part_of_a_part(raw: Raw, target: str, number: int, body: bytes) -> socket.socket:
    """Send the beginning of a part whose rest never comes; the connection stays open."""
    connection = socket.create_connection(("127.0.0.1", raw.port), timeout=60)
    head = [(b"Content-Length", b"%d" % PART)]
    connection.sendall(raw.written("PUT", f"{target}/parts/{number}", b"", head) + body)
    return connection


def assert_nothing_left(served: Served) -> None:
    """After a sweep without any grace the store and the database know nothing of uploads."""
    served.server.stop()
    blobs, database = open_blobs(f"file://{served.server.data}"), open_database(served.database)
    with contextlib.closing(blobs), contextlib.closing(database):
        sweep_uploads(database, blobs, 0)
        assert sweep_uploads(database, blobs, 0) == 0
    assert list((served.server.data / "parts").iterdir()) == []
    assert served.leftovers() == []


def test_a_server_killed_in_the_middle_of_a_part(served: Served, raw: Raw) -> None:
    """What was acknowledged is there after a crash, the part that was under way is not, and can be sent again."""
    data = os.urandom(3 * PART)
    path, target = begin(raw, 3)
    assert raw.request("PUT", f"{target}/parts/2", data[PART : 2 * PART]).status == 200
    with send_part_of_a_part(raw, target, 1, data[: PART // 2]):
        wait_for_staged(served)
        kill_and_start(served, raw)
    assert received(raw, target) == [2]
    assert served.leftovers() == []
    assert raw.request("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}").status == 404
    for number in (1, 3):
        assert raw.request("PUT", f"{target}/parts/{number}", data[(number - 1) * PART : number * PART]).status == 200
    kill_and_start(served, raw)
    done = raw.json("POST", f"{target}/complete", {}).json
    assert done["sha256"] == hashlib.sha256(data).hexdigest()
    assert raw.request("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}").body == data
    assert_nothing_left(served)


def wait_for_staged(served: Served) -> None:
    """Wait until the server is writing something."""
    while not any(path.stat().st_size for path in staged(served.server.data)):
        pass


def staged(folder: Path) -> list[Path]:
    """What is being written, as far as it is still there."""
    return [path for path in (folder / "staging").iterdir() if path.exists()]


def complete_until_killed(served: Served, target: str) -> None:
    """Ask for a completion whose answer may never come."""
    with contextlib.suppress(OSError, EOFError), Raw(served.server.port, served.server.token) as other:
        other.json("POST", f"{target}/complete", {})


def state_of(raw: Raw, target: str) -> Any:
    """The state of an upload."""
    return raw.request("GET", target).json["state"]


@pytest.mark.slow
def test_a_server_killed_while_it_puts_an_upload_together(served: Served, raw: Raw) -> None:
    """After a crash in the middle of a completion the file is there whole or not at all; asked again, it is there."""
    data = os.urandom(PART)
    interrupted = 0
    for _ in range(3):
        path, target = begin(raw, 24)
        for number in range(1, 25):
            assert raw.request("PUT", f"{target}/parts/{number}", data).status == 200
        asking = threading.Thread(target=complete_until_killed, args=(served, target))
        asking.start()
        while state_of(raw, target) == "open":
            pass
        kill_and_start(served, raw)
        asking.join()
        place = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        state = state_of(raw, target)
        interrupted += state == "completing"
        assert raw.request("HEAD", place).status == (200 if state == "done" else 404)
        assert served.leftovers() == []
        done = raw.json("POST", f"{target}/complete", {}).json
        assert done["sha256"] == hashlib.sha256(data * 24).hexdigest()
        assert raw.request("HEAD", place).headers["content-length"] == str(24 * PART)
    assert interrupted, "no completion was interrupted"
    served.assert_whole()
    served.assert_bytes()
    assert_nothing_left(served)
