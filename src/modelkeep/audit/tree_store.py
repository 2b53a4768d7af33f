"""SQL of the tree over the journal: which rows wait for a place in it, tiles, and signed checkpoints."""

from typing import Any

from sqlalchemy import bindparam, func, select, update

from modelkeep.audit.entry import COLUMNS
from modelkeep.audit.log import Place
from modelkeep.audit.tables import audit_checkpoints, audit_log, audit_tiles, journal
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import upsert

_LOG = 1
_CONTENT = tuple(journal.c[name] for name in COLUMNS)

_PREPARE = Prepared(upsert(audit_log, ["id"], []))
_SIZE = Prepared(select(audit_log.c.size).where(audit_log.c.id == _LOG))
_ADVANCE = Prepared(
    update(audit_log).where(audit_log.c.id == _LOG, audit_log.c.size == bindparam("old")).values(size=bindparam("new"))
)
_WAITING = Prepared(select(*_CONTENT).where(journal.c.seq.is_(None)).order_by(journal.c.id).limit(bindparam("most")))
_COUNT_WAITING = Prepared(
    select(func.count().label("count"), func.min(journal.c.at).label("since")).where(journal.c.seq.is_(None))
)
_COUNT_PLACED = Prepared(
    select(func.count(journal.c.seq).label("count"), func.max(journal.c.seq).label("last")).where(
        journal.c.seq.is_not(None)
    )
)
_PLACE = Prepared(
    update(journal)
    .where(journal.c.id.between(bindparam("first"), bindparam("last")), journal.c.seq.is_(None))
    .values(seq=journal.c.id + bindparam("shift"))
)
_PLACED = Prepared(
    select(*_CONTENT, journal.c.seq)
    .where(journal.c.seq >= bindparam("start"), journal.c.seq < bindparam("end"))
    .order_by(journal.c.seq)
)
_TILE = Prepared(
    select(audit_tiles.c.hashes).where(
        audit_tiles.c.level == bindparam("level"), audit_tiles.c.number == bindparam("number")
    )
)
_TILES_OF_LEVEL = Prepared(
    select(audit_tiles.c.number, audit_tiles.c.hashes)
    .where(
        audit_tiles.c.level == bindparam("level"),
        audit_tiles.c.number >= bindparam("start"),
        audit_tiles.c.number < bindparam("end"),
    )
    .order_by(audit_tiles.c.number)
)
_PUT_TILE = Prepared(upsert(audit_tiles, ["level", "number"], ["hashes"]))
_KEEP_CHECKPOINT = Prepared(upsert(audit_checkpoints, ["size"], []))
_LAST_CHECKPOINT = Prepared(
    select(audit_checkpoints)
    .where(audit_checkpoints.c.size <= bindparam("most"))
    .order_by(audit_checkpoints.c.size.desc())
    .limit(1)
)
_CHECKPOINTS = Prepared(
    select(audit_checkpoints)
    .where(audit_checkpoints.c.size > bindparam("after"))
    .order_by(audit_checkpoints.c.size)
    .limit(bindparam("most"))
)
_LARGEST = 2**63 - 1


def prepare_log(tx: Tx) -> None:
    """What the log is from the start: empty."""
    tx.run(_PREPARE, id=_LOG, size=0)


def log_size(tx: Tx) -> int:
    """How many entries have a place."""
    found = tx.row(_SIZE)
    return int(found.size) if found else 0


def waiting_rows(tx: Tx, most: int) -> list[tuple[Any, ...]]:
    """The values of COLUMNS of rows that have no place yet, in the order that they will get them in."""
    return tx.tuples(_WAITING, most=most)


def amounts(tx: Tx) -> tuple[int, int | None, int, int]:
    """How many rows wait and since when, how many have a place, and the first place behind all of them."""
    waiting, placed = tx.row(_COUNT_WAITING), tx.row(_COUNT_PLACED)
    assert waiting is not None
    assert placed is not None
    return waiting.count, waiting.since, placed.count, 0 if placed.last is None else placed.last + 1


def advance(tx: Tx, old: int, new: int) -> bool:
    """Make the log longer, unless somebody else did so first. Until the end of the transaction nobody else can."""
    return tx.run(_ADVANCE, old=old, new=new) == 1


def place(tx: Tx, first: int, last: int, seq: int) -> int:
    """Give the waiting rows between two ids, both included, the places from `seq` on; how many there were."""
    return tx.run(_PLACE, first=first, last=last, shift=seq - first)


def placed_rows(tx: Tx, start: int, end: int) -> list[tuple[Any, ...]]:
    """The values of COLUMNS and then the place of each row from one place up to another."""
    return tx.tuples(_PLACED, start=start, end=end)


def tile(tx: Tx, level: int, number: int) -> bytes:
    """The hashes of a tile; none where there is no such tile."""
    found = tx.row(_TILE, level=level, number=number)
    return bytes(found.hashes) if found else b""


def tiles_of_level(tx: Tx, level: int, start: int, end: int) -> dict[int, bytes]:
    """The tiles of a level by their numbers, from one up to another."""
    return {row.number: bytes(row.hashes) for row in tx.rows(_TILES_OF_LEVEL, level=level, start=start, end=end)}


def put_tiles(tx: Tx, tiles: dict[Place, bytes]) -> None:
    """Write tiles, also in place of shorter ones."""
    tx.run_rows(_PUT_TILE, ("level", "number", "hashes"), [(*where, hashes) for where, hashes in tiles.items()])


def keep_checkpoint(tx: Tx, size: int, note: str) -> bool:
    """Keep a signed checkpoint, unless there is one of this size."""
    return tx.run(_KEEP_CHECKPOINT, size=size, at=tx.now, note=note) == 1


def last_checkpoint(tx: Tx, most: int = _LARGEST) -> Any | None:
    """The newest checkpoint of at most this size (`size`, `at`, `note`)."""
    return tx.row(_LAST_CHECKPOINT, most=most)


def checkpoints(tx: Tx, after: int, most: int) -> list[Any]:
    """Checkpoints of more than this size, the smallest first."""
    return tx.rows(_CHECKPOINTS, after=after, most=most)
