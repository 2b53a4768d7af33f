"""A cache that somebody clears while a pull makes use of it."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from pathlib import Path
from typing import Any

from cli.terminal import Terminal, files_in
from faces.native.pushing import digest_of
from modelkeep.cli.transfer.cache import Cache

FILES = {"first": b"first", "last": b"last"}
PATIENCE_S = 60


def told() -> dict[str, Any]:
    """What the server says of a version with these files."""
    files = [{"path": p, "size": len(b), "sha256": hashlib.sha256(b).hexdigest()} for p, b in FILES.items()]
    told = {"kind": "version", "name": "m", "version": 1, "root": "registered/m/1", "files": files}
    return told | {"digest": digest_of(FILES)}


@contextmanager
def clearing(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A server that clears a cache once, between the first file and the last; its address, and what it was asked."""
    cache, asked = Cache(str(folder)), list[str]()
    first = hashlib.sha256(FILES["first"]).hexdigest()

    def clear() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not cache.has(first, len(FILES["first"])) and time.monotonic() < deadline:
            time.sleep(0.005)
        cache.clear()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.rpartition("/")[2]
            if path in FILES:
                asked.append(path)
            if path == "last" and asked.count("last") == 1:
                clear()
            content = FILES.get(path) or dumps(told()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_pull_fetches_again_what_was_cleared(terminal: Terminal) -> None:
    """A file that is taken out of the cache before it is placed is fetched once more, and the folder is whole."""
    with clearing(terminal.cache) as (url, asked):
        terminal.done("pull", "models:/m/1", "copy", "--server", url)
    assert files_in(terminal.folder / "copy") == FILES
    assert sorted(asked) == ["first", "first", "last"]
