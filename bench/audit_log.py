"""An audit log of any length, made without a server: as an exported folder, or as the journal of a stopped server."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from modelkeep.audit import Sequencer, load_or_make_keys
from modelkeep.audit.entry import COLUMNS, bundle, entry_text
from modelkeep.audit.log import WIDTH, append, edge, leaf_hash, root
from modelkeep.audit.offline import tile_path
from modelkeep.bootstrap import open_database

BASE_MS = 1_790_000_000_000
_DATA = '{"name":"fraud-detector","version":%d,"stage":"Production","from_stage":"Staging","digest":"sha256:%s"}'


def write_log(folder: Path, entries: int) -> None:
    """Write a log of so many entries."""
    tiles: dict[tuple[int, int], bytes] = {}
    for number in range(-(-entries // WIDTH)):
        texts = [_entry(seq) for seq in range(number * WIDTH, min(entries, (number + 1) * WIDTH))]
        _write(folder / tile_path("entries", number, len(texts)), bundle(texts))
        begun = {place: tiles[place] for place in edge(number * WIDTH)}
        tiles.update(append(number * WIDTH, begun, [leaf_hash(text) for text in texts]))
    for (level, number), hashes in tiles.items():
        _write(folder / tile_path(level, number, len(hashes) // 32), hashes)
    keys = load_or_make_keys(folder / "audit-key")
    head = root(entries, lambda *place: tiles[place])
    _write(folder / "checkpoint", keys.signer.checkpoint(entries, head).encode())
    _write(folder / "checkpoints", "\n".join(_checkpoints(keys.signer.checkpoint, entries, tiles)).encode())
    _write(folder / "keys", f"{keys.signer.verifier.text}\n".encode())


def fill_journal(data: Path, entries: int) -> None:
    """Write entries to the journal in a data folder until it has so many, give them their places and sign them."""
    file = data / "modelkeep.db"
    with closing(sqlite3.connect(file)) as database, database:
        (have,) = database.execute("SELECT COALESCE(MAX(id), 0) FROM journal").fetchone()
        rows = (_values(seq) for seq in range(have, entries))
        places = ", ".join("?" * len(COLUMNS))
        database.executemany(f"INSERT INTO journal ({', '.join(COLUMNS)}) VALUES ({places})", rows)
    journal = open_database(f"sqlite:///{file}")
    try:
        Sequencer(load_or_make_keys(data / "audit-key")).run(journal, at_once=True)
    finally:
        journal.close()


def _checkpoints(sign: object, entries: int, tiles: dict[tuple[int, int], bytes]) -> Iterator[str]:
    """One for each thousand entries, as the server signs them."""
    assert callable(sign)
    for size in range(1000, entries + 1, 1000):
        yield sign(size, root(size, lambda *place: tiles[place]))


def _entry(seq: int) -> bytes:
    return entry_text(_values(seq))


def _values(seq: int) -> list[str | int]:
    """The values of COLUMNS."""
    digest = hashlib.sha256(b"%d" % seq).hexdigest()
    values: list[str | int] = [
        "alice",
        "u-0123456789abcdef",
        "token",
        "192.0.2.1",
        BASE_MS + seq,
        _DATA % (seq, digest),
        seq + 1,
    ]
    values += ["version.moved", "done", "", digest[:16], f"version/0123456789abcdef/{seq}", "t-0123456789abcdef"]
    return [*values, "default"]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
