"""A journal with its log, of any length, on a real database; and the log of it as a verifier reads it."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from modelkeep import audit
from modelkeep.audit import offline
from modelkeep.audit.live import verify_live
from modelkeep.audit.signed import Report
from modelkeep.bootstrap import dispatch, open_database, require_schema
from modelkeep.core.errors import Corrupt, NotFound
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.db import Database, Tx


@dataclasses.dataclass(frozen=True, slots=True)
class Noted(Event):
    """A fact of these tests."""

    kind: ClassVar[str] = "test.noted"
    name: str
    text: str = ""

    @property
    def resource(self) -> str:
        """What it is about."""
        return f"test/{self.name}"


class Journal:
    """A database with nothing but a journal, and who gives its rows their places."""

    def __init__(self, url: str, folder: Path) -> None:
        require_schema(url)
        self.url = url
        self.keys = audit.load_or_make_keys(folder / "audit-key")
        self.open()
        self.database.write_now(SYSTEM, audit.prepare_log)

    def open(self) -> None:
        """Open the database, with a process's memory of its own."""
        self.database: Database = open_database(self.url, (dispatch,))
        self.sequencer = audit.Sequencer(self.keys)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def note(self, count: int, text: str = "") -> None:
        """Write so many entries, in transactions of up to fifty."""
        caller = Caller(Actor("álice", "token", "t-1", "u-1"), "default", "r-1", address="192.0.2.1", reason="because")
        for start in range(0, count, 50):
            names = [f"n{number}" for number in range(start, min(count, start + 50))]
            self.database.write_now(caller, lambda tx, names=names: [tx.emit(Noted(name, text)) for name in names])

    def grow(self, count: int) -> None:
        """Write so many entries and sign them."""
        self.note(count)
        self.sign()

    def sign(self) -> None:
        """Give all rows their places, and sign."""
        self.sequencer.run(self.database, at_once=True)

    def newest(self) -> audit.Kept:
        """The newest checkpoint."""
        return self.see(audit.newest_checkpoint)

    def see(self, look: Any, *given: Any) -> Any:
        """Read something."""
        return self.database.read_now(SYSTEM, lambda tx: look(tx, *given))

    def change(self, *statements: Any) -> None:
        """Do something to the database that the product never does."""

        def work(tx: Tx) -> None:
            for statement in statements:
                tx.run(statement)

        self.database.write_now(SYSTEM, work)

    def verify(self, *outside: str, keys: list[str] | None = None) -> Report:
        """Verify rows, tiles and checkpoints, also by checkpoints that were kept elsewhere."""
        given = [(f"outside {number}", note) for number, note in enumerate(outside)]
        known = keys or [one.text for one in self.keys.verifiers]
        reports = [verify_live(Shown(self, straight=straight), known, given) for straight in (True, False)]
        assert reports[0] == reports[1]
        return reports[0]

    def export(self, folder: Path) -> None:
        """Write the log as `modelkeep audit export` does."""
        log, newest = Shown(self, straight=False), self.newest()
        for path in paths(newest.size):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(log.read(path) or b"")
        (folder / "keys").write_text("".join(f"{one.text}\n" for one in self.keys.verifiers))
        (folder / "checkpoint").write_text(newest.note)
        (folder / "checkpoints").write_text("\n".join(note for _, note in log.checkpoints()))


class Shown:
    """The log as the API shows it: `straight` as `audit verify` reads it, otherwise tile by tile."""

    def __init__(self, journal: Journal, *, straight: bool = True) -> None:
        self._journal = journal
        state = journal.see(audit.log_state)
        self.size, self.signed, self.placed, self.end = state.size, state.signed, state.placed, state.end
        self._stretch = self._read_stretch() if straight else {}

    def checkpoints(self) -> Iterator[tuple[str, str]]:
        """All of them."""
        yield from (("checkpoint", kept.note) for kept in self._journal.see(audit.signed_checkpoints, 0, 10_000))

    def _read_stretch(self) -> dict[str, bytes]:
        """All bundles and the tiles over them, by their paths."""
        found = self._journal.see(audit.stretch, 0, self.size)
        widths = [min(256, self.size - start) for start in range(0, self.size, 256)]
        return {
            offline.tile_path(level, number, width): data
            for number, (pair, width) in enumerate(zip(found, widths, strict=True))
            for level, data in zip(("entries", 0), pair, strict=True)
        }

    def read(self, path: str) -> bytes | None:
        """A tile or a bundle."""
        if path in self._stretch:
            return self._stretch[path] or None
        found = re.fullmatch(r"tile/(\w+)/([x0-9/]+?)(?:\.p/(\d+))?", path)
        assert found, path
        number, width = int(re.sub("[x/]", "", found[2])), int(found[3] or 256)
        try:
            if found[1] == "entries":
                return self._journal.see(audit.entry_bundle, number, width)
            return self._journal.see(audit.tile_hashes, int(found[1]), number, width)
        except (NotFound, Corrupt):
            return None


def paths(size: int) -> Iterator[str]:
    """The paths of all bundles and tiles of a log of this size."""
    levels: list[tuple[int | str, int]] = [("entries", size), *((level, size >> 8 * level) for level in range(4))]
    for level, count in levels:
        for number in range(-(-count // 256)):
            yield offline.tile_path(level, number, min(256, count - number * 256))
