"""A pull from a server that lies: nothing is written outside the destination, and nothing that was not promised."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.terminal import Terminal, files_in
from faces.native.pushing import digest_of
from modelkeep.cli.refusals import Refused
from modelkeep.cli.transfer.plan import read_plan
from servers import RunningServer

CONTENT = b"bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def answer(path: str, **changed: Any) -> dict[str, Any]:
    """What an honest server says of a version with one file, but for what is changed; its digest fits its files."""
    file = {"path": path, "size": len(CONTENT), "sha256": SHA256}
    text = f"{SHA256} {len(CONTENT)} {path}\n".encode(errors="surrogatepass")
    told = {"kind": "version", "name": "m", "version": 1, "root": "registered/m/1", "files": [file]}
    return told | {"digest": "sha256:" + hashlib.sha256(text).hexdigest()} | changed


@contextmanager
def lying(told: Any, body: bytes = CONTENT, status: int = 200, length: int | None = None) -> Iterator[str]:
    """The address of a server that gives one answer about every URI, and one body for every file."""

    class Liar(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            about = "/resolve" in self.path
            content = json.dumps(told).encode() if about else body
            self.send_response(200 if about else status)
            self.send_header("Content-Length", str(len(content) if about or length is None else length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def victim(tmp_path: Path, running: RunningServer) -> Terminal:
    """A terminal in a folder of its own, so that what is beside it can be watched."""
    (tmp_path / "home").mkdir()
    return Terminal(running, tmp_path / "home")


def everything(folder: Path) -> set[str]:
    """All names below a folder, but for the cache's."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "cache" not in path.parts}


def test_the_liar_can_tell_the_truth(victim: Terminal) -> None:
    """The server of these tests is believed when it says nothing wrong, so that the refusals are about the lies."""
    with lying(answer("a/b")) as url:
        victim.done("pull", "models:/m/1", "new", "--server", url)
    assert files_in(victim.folder / "new") == {"a/b": CONTENT}


HOSTILE = ["../x", "a/../../x", "/tmp/x", "..", ".", "", "a//b", "a/", "./a", "a\\..\\..\\x", "C:/x", "a\x00b", "a\nb"]


@pytest.mark.parametrize("path", [*HOSTILE, "%2e%2e/x", "a/%2e%2e/%2e%2e/x", "\udcff", "x" * 300])
def test_a_path_that_leads_elsewhere_is_refused(victim: Terminal, path: str) -> None:
    """A path out of the destination, absolute, or of another form than the server's own is refused before a byte."""
    before = everything(victim.folder.parent)
    with lying(answer(path)) as url:
        assert "is refused" in victim.stopped(1, "pull", "models:/m/1", "new", "--server", url)
    assert everything(victim.folder.parent) == before


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        None,
        "text",
        {"files": 3},
        answer("a", files=[{"path": "a"}]),
        answer("a", files=None),
        answer("a", files=[{"path": "a", "size": "many", "sha256": SHA256}]),
        answer("a", version="one"),
        answer("a", files=[{"path": "a", "size": -1, "sha256": SHA256}]),
        answer("a", files=[{"path": "a", "size": 5, "sha256": "../../etc/passwd"}]),
        answer("a", files=[{"path": "a", "size": 5, "sha256": SHA256}] * 2),
        answer("a", digest=digest_of({"a": b"other"})),
        answer("a", digest="md5:x"),
    ],
    ids=range(14),
)
def test_an_answer_that_is_none_is_refused(told: Any) -> None:
    """What is no list of files with their hashes, or has not the digest of its files, is refused in one sentence."""
    with pytest.raises(Refused):
        read_plan("models:/m/1", told)


@pytest.mark.parametrize(
    ("body", "status", "length"),
    [(b"bytez", 200, None), (b"byte", 200, None), (b"bytes!", 200, None), (CONTENT, 203, None), (b"", 200, None)],
    ids=["other", "short", "long", "status", "none"],
)
def test_bytes_that_were_not_promised_are_refused(
    victim: Terminal, body: bytes, status: int, length: int | None
) -> None:
    """A file of another hash or length is not kept and no folder appears."""
    with lying(answer("a"), body, status, length) as url:
        victim.stopped(1, "pull", "models:/m/1", "new", "--server", url)
    assert everything(victim.folder) == set()
    assert victim.json("cache", "list")["files"] == []
