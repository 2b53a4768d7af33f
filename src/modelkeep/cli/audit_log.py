"""The audit log of a running server, read for verification and export."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead
from itertools import chain
from pathlib import Path
from typing import Any

from modelkeep.audit.offline import WIDTH, tile_path
from modelkeep.cli.client import Client, Refused
from modelkeep.cli.wire import Missing

_API = "/api/v1/audit/"
_PAGE = 1000
# So many entries come in one answer: some 30 MB, which the server makes while those before are verified.
_STRETCH = 256 * WIDTH
_ENTRIES = "tile/entries/"
_LENGTH = 4

# Bundles of entries, each with the hashes of its tile; none where the server has lost them.
Bundles = Generator[tuple[bytes, bytes | None], None, None]


class OnlineLog:
    """The log as it is when this is made; what comes later is not looked at. `stretch` entries come in one answer."""

    def __init__(self, client: Client, stretch: int = _STRETCH) -> None:
        self._server = client.server
        self._stretch = stretch
        state = self._server.json("GET", _API.rstrip("/"))
        self.keys: list[str] = self._json("keys")["keys"]
        self.size: int = state["size"]
        self.signed: int = state["signed"]
        self.placed: int = state["placed"]
        self.end: int = state["end"]
        self.waiting: int = state["waiting"]
        self._apart = client.server.apart()
        self._is_straight = False
        self._coming: Bundles | None = None
        self._next = 0
        self._tiles: dict[str, bytes | None] = {}

    def read(self, path: str) -> bytes | None:
        """The bytes of a file of the log; None where there is none."""
        if path in self._tiles:
            return self._tiles.pop(path)
        if self._is_straight and path.startswith(_ENTRIES):
            return self._read_on(path)
        return self._fetch(path)

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
    def reading_straight(self) -> Iterator[None]:
        """While this lasts, bundles of entries and their tiles come many at once, for whoever reads them in order."""
        self._is_straight = True
        try:
            yield
        finally:
            self._is_straight = False
            self._stop_reading()

    def _read_on(self, path: str) -> bytes | None:
        number = _number(path)
        if self._coming is None or number != self._next:
            self._stop_reading()
            self._coming = self._bundles(number * WIDTH)
        try:
            bundle, tile = next(self._coming)
        except Missing:
            # The log has become shorter: what is still there is found one by one.
            self._is_straight = False
            return self._fetch(path)
        self._tiles = {_paths_of(number, self.size)[1]: tile}
        self._next = number + 1
        return bundle

    def _stop_reading(self) -> None:
        if self._coming is not None:
            self._coming.close()
        self._coming = None

    def _bundles(self, first: int) -> Bundles:
        for start in range(first, self.size, self._stretch):
            end = min(self.size, start + self._stretch)
            with self._apart.request("GET", f"{_API}stretch?start={start}&end={end}") as answer:
                for _ in range(start, end, WIDTH):
                    yield _part(answer), _part(answer) or None
                answer.read()

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
        yield _paths_of(number, size)


def _paths_of(number: int, size: int) -> tuple[str, str]:
    width = min(WIDTH, size - number * WIDTH)
    return tile_path("entries", number, width), tile_path(0, number, width)


def _number(path: str) -> int:
    """Which one a bundle of entries is."""
    return int(path.removeprefix(_ENTRIES).partition(".p/")[0].replace("x", "").replace("/", ""))


def _part(answer: HTTPResponse) -> bytes:
    """A part of a stretch, behind its length. Raises IncompleteRead where the answer broke off."""
    return _exactly(answer, int.from_bytes(_exactly(answer, _LENGTH)))


def _exactly(answer: HTTPResponse, size: int) -> bytes:
    data = answer.read(size)
    if len(data) != size:
        raise IncompleteRead(data, size - len(data))
    return data


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
    with log.reading_straight():
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
