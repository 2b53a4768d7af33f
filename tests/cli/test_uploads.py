"""A push's uploads in parts: begun by many threads at once, and completed however long the server takes."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.terminal import write_files
from modelkeep.cli.refusals import Refused
from modelkeep.cli.transfer.folder import scan
from modelkeep.cli.transfer.state import PushState
from modelkeep.cli.transfer.upload import Uploads
from modelkeep.cli.wire import Busy, Server
from servers import RunningServer

COUNT = 40


def test_many_large_files_at_once(running: RunningServer, tmp_path: Path) -> None:
    """Files that go in parts are begun by several threads; each arrives, and each upload is noted for the next push."""
    folder = write_files(tmp_path / "folder", {f"{number}.bin": os.urandom(2000) for number in range(COUNT)})
    server = Server(running.url, running.token or "", "")
    push = server.json("POST", "/api/v1/pushes")
    state = PushState(tmp_path / "state.json")
    state.begin(push["id"])
    files = scan(folder, follow_links=False).files
    uploads = Uploads(server, push["path"], state, lambda count: None, in_parts_from=1000)
    uploads.send(files, {}, {})
    arrived = server.json("GET", f"/api/v1/pushes/{push['id']}/files")["items"]
    assert {one["path"]: one["sha256"] for one in arrived} == uploads.hashes
    assert len(uploads.hashes) == len(json.loads((tmp_path / "state.json").read_text())["uploads"]) == COUNT


class Slow:
    """A server that puts the parts of one upload together so slowly that it has to be asked again and again."""

    def __init__(self, busy: int, *, state: str = "completing") -> None:
        self.busy = busy
        self.state = state
        self.asked = 0
        self._looks = 0

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """What it says to a request."""
        if path.endswith("/complete"):
            self.asked += 1
            return (503, {"detail": "Still at it."}) if self.asked <= self.busy else (200, {})
        if method == "POST":
            return 200, {"id": "0" * 32, "part_size": 16 << 20}
        if method == "GET":
            self._looks += 1
            # It lives at every second look, so that it is asked once more after each third.
            return 200, {"state": self.state, "updated_at": self._looks // 2}
        return 200, {}


@contextmanager
def serving(slow: Slow) -> Iterator[Server]:
    """A connection to such a server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, told = slow.answer(self.command, self.path)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{server.server_port}", "", "")
        finally:
            server.shutdown()
            thread.join()


def send_one(slow: Slow, folder: Path) -> dict[str, str]:
    """Send one file in parts; the hashes of what is there then."""
    files = scan(write_files(folder / "folder", {"a": b"abc"}), follow_links=False).files
    with serving(slow) as server:
        state = PushState(folder / "state.json")
        uploads = Uploads(server, "root", state, lambda count: None, in_parts_from=1, look_again_s=0)
        uploads.send(files, {}, {})
        return uploads.hashes


def test_a_completion_may_take_as_long_as_it_takes(tmp_path: Path) -> None:
    """A server that says that it is busy with the completion, and is, is asked until it has done it."""
    slow = Slow(busy=50)
    assert send_one(slow, tmp_path).keys() == {"a"}
    assert slow.asked == 51


@pytest.mark.slow
def test_a_server_that_does_nothing_is_not_asked_for_ever(tmp_path: Path) -> None:
    """One that says that it cannot complete the upload now, and is not at it, is given up on after a while."""
    slow = Slow(busy=1000, state="open")
    with pytest.raises(Refused, match="Still at it") as raised:
        send_one(slow, tmp_path)
    assert isinstance(raised.value, Busy)
    assert slow.asked < 20
