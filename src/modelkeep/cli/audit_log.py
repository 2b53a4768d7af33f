"""The audit log of a running server, read for verification and export."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from modelkeep.audit.offline import WIDTH, tile_path
from modelkeep.cli.client import Client, Refused
from modelkeep.cli.wire import Missing

_API = "/api/v1/audit/"
_THREADS = 3
_AHEAD = 24
_PAGE = 1000


class OnlineLog:
    """The log as it is when this is made; what comes later is not looked at."""

    def __init__(self, client: Client) -> None:
        self._server = client.server
        state = self._server.json("GET", _API.rstrip("/"))
        self.keys: list[str] = self._json("keys")["keys"]
        self.size: int = state["size"]
        self.signed: int = state["signed"]
        self.placed: int = state["placed"]
        self.end: int = state["end"]
        self.waiting: int = state["waiting"]
        self._ahead: dict[str, Future[bytes | None]] = {}
        self._coming: Iterator[str] = iter(())
        self._threads: ThreadPoolExecutor | None = None

    def read(self, path: str) -> bytes | None:
        """The bytes of a file of the log; None where there is none."""
        self._look_ahead()
        future = self._ahead.pop(path, None)
        return self._fetch(path) if future is None else future.result()

    def checkpoints(self) -> Iterator[tuple[str, str]]:
        """All signed checkpoints that the server has kept, each with what it is called."""
        after, more = 0, True
        while more:
            page = self._json(f"checkpoints?after={after}&limit={_PAGE}")
            for one in page["items"]:
                after = one["size"]
                if after <= self.signed:
                    yield "checkpoint", one["note"]
            more = page.get("more", False)

    @contextmanager
    def reading_ahead(self) -> Iterator[None]:
        """Fetch the entries and their tiles in order, some at a time, while this lasts."""
        self._coming = chain.from_iterable(bundle_paths(self.size))
        with ThreadPoolExecutor(_THREADS, "read-ahead") as self._threads:
            yield
        self._threads = None

    def _look_ahead(self) -> None:
        if self._threads is not None:
            for path in islice(self._coming, _AHEAD - len(self._ahead)):
                self._ahead[path] = self._threads.submit(self._fetch, path)

    def _fetch(self, path: str) -> bytes | None:
        try:
            with self._server.request("GET", _API + path) as answer:
                return answer.read()
        except Missing:
            return None
        except Refused as error:
            # Hashes that the server has lost are a finding of the verification.
            if path.startswith("tile/") and "missing" in str(error):
                return None
            raise

    def _json(self, path: str) -> Any:
        return self._server.json("GET", _API + path)


def bundle_paths(size: int) -> Iterator[tuple[str, str]]:
    """The paths of each bundle of entries and its tile, in order."""
    for number in range(-(-size // WIDTH)):
        width = min(WIDTH, size - number * WIDTH)
        yield tile_path("entries", number, width), tile_path(0, number, width)


def export_log(log: OnlineLog, folder: Path) -> tuple[int, int]:
    """Write the log up to its newest checkpoint to a folder; how many entries it has, and how many files were fetched.

    Full tiles never change: those that are there are left alone. The checkpoint is written last.
    """
    notes = [note for _, note in log.checkpoints()]
    newest = log.read("checkpoint")
    if newest is None:
        raise Refused("Nothing is signed yet: the first checkpoint follows the first entry within a minute.")
    log.size = int(newest.decode().split("\n")[1])
    fetched = 0
    with log.reading_ahead():
        for path in _paths(log.size):
            if not (folder / path).exists():
                _write(folder / path, _there(path, log.read(path)))
                fetched += 1
    _write(folder / "keys", "".join(f"{key}\n" for key in log.keys).encode())
    _write(folder / "checkpoints", "\n".join(notes).encode())
    _write(folder / "checkpoint", newest)
    return log.size, fetched


def _paths(size: int) -> Iterator[str]:
    yield from chain.from_iterable(bundle_paths(size))
    level = 1
    while count := size >> (8 * level):
        for number in range(-(-count // WIDTH)):
            yield tile_path(level, number, min(WIDTH, count - number * WIDTH))
        level += 1


def _there(path: str, data: bytes | None) -> bytes:
    if data is None:
        raise Refused(f"The server has no {path}: see `modelkeep audit verify`.")
    return data


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(data)
    beside.replace(path)
