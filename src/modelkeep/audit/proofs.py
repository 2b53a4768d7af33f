"""What anybody who may read the log can ask of it: tiles, bundles of entries, checkpoints and proofs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from modelkeep.audit import log, tree_store
from modelkeep.audit.entry import bundle, entry_text
from modelkeep.core.errors import Conflict, Corrupt, InvalidInput, NotFound
from modelkeep.db import Tx

# What stands in a bundle for an entry whose row is not there: no entry is empty, so it is seen by whoever verifies.
MISSING = b""
# Tiles beyond this level would take more entries than there are places for.
_LEVELS = 8


class State(NamedTuple):
    """How long the log is, and how the journal's rows stand to it."""

    size: int
    # How many rows have a place, and the first place behind all of them: both are the size, unless rows were changed.
    placed: int
    end: int
    waiting: int
    waiting_since: int | None
    signed: int
    signed_at: int | None


class Proven(NamedTuple):
    """An entry and what proves that it is in the log of a checkpoint."""

    entry: bytes
    leaf: bytes
    proof: list[bytes]
    size: int
    checkpoint: str


class Kept(NamedTuple):
    """A checkpoint as it was signed, and when."""

    size: int
    at: int
    note: str


def log_state(tx: Tx) -> State:
    """How far placing and signing have come. It counts the rows."""
    waiting, since, placed, end = tree_store.amounts(tx)
    last = tree_store.last_checkpoint(tx)
    signed, signed_at = (last.size, last.at) if last else (0, None)
    return State(tree_store.log_size(tx), placed, end, waiting, since, signed, signed_at)


def newest_checkpoint(tx: Tx) -> Kept:
    """The newest signed checkpoint. Raises NotFound while there is none."""
    last = tree_store.last_checkpoint(tx)
    if last is None:
        raise NotFound("Nothing is signed yet: the first checkpoint follows the first entry within a minute.")
    return Kept(last.size, last.at, last.note)


def signed_checkpoints(tx: Tx, after: int, most: int) -> list[Kept]:
    """Checkpoints of more than `after` entries, the smallest first."""
    return [Kept(row.size, row.at, row.note) for row in tree_store.checkpoints(tx, after, most)]


def tile_hashes(tx: Tx, level: int, number: int, width: int) -> bytes:
    """The first `width` hashes of a tile. Raises NotFound if it has fewer, Corrupt if they are lost."""
    _check_width(log.tile_width(tree_store.log_size(tx), level, number) if level < _LEVELS else 0, width)
    hashes = tree_store.tile(tx, level, number)[: width * log.HASH]
    if len(hashes) != width * log.HASH:
        raise Corrupt(f"Hashes of tile {level}/{number} of the audit log are missing; see `modelkeep audit verify`.")
    return hashes


def entry_bundle(tx: Tx, number: int, width: int) -> bytes:
    """The first `width` entries of those from number * 256 on, made anew from the journal. Raises NotFound."""
    _check_width(log.tile_width(tree_store.log_size(tx), 0, number), width)
    return bundle(_entries(tx, number * log.WIDTH, number * log.WIDTH + width))


def check_stretch(tx: Tx, start: int, end: int) -> None:
    """Whether the log has these entries. Raises InvalidInput where they begin within a tile, or NotFound."""
    if start % log.WIDTH:
        raise InvalidInput(f"A stretch begins with a tile, at a multiple of {log.WIDTH}; {start} is none.", "start")
    size = tree_store.log_size(tx)
    if not start < end <= size:
        raise NotFound(f"There are no entries from {start} up to {end}; the audit log has {size}.")


def stretch(tx: Tx, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """Each bundle from one place up to another, and the hashes of its tile: none where some of them are lost."""
    entries = _entries(tx, start, end)
    first = start // log.WIDTH
    tiles = tree_store.tiles_of_level(tx, 0, first, -(-end // log.WIDTH))
    found = []
    for number, at in enumerate(range(0, end - start, log.WIDTH), first):
        own = entries[at : at + log.WIDTH]
        hashes = tiles.get(number, b"")[: len(own) * log.HASH]
        found.append((bundle(own), hashes if len(hashes) == len(own) * log.HASH else b""))
    return found


def proven_entry(tx: Tx, seq: int) -> Proven:
    """An entry with its proof for the newest checkpoint. Raises NotFound, or Conflict while none covers it."""
    if not 0 <= seq < tree_store.log_size(tx):
        raise NotFound(f"The audit log has no entry {seq}.")
    last = tree_store.last_checkpoint(tx)
    if last is None or seq >= last.size:
        raise Conflict(f"Entry {seq} is not signed yet; ask again in a minute.")
    (entry,) = _entries(tx, seq, seq + 1)
    proof = _read(lambda: log.inclusion_proof(seq, last.size, lambda *where: tree_store.tile(tx, *where)))
    return Proven(entry, log.leaf_hash(entry), proof, last.size, last.note)


def consistency(tx: Tx, old: int, new: int | None) -> tuple[int, list[bytes]]:
    """What proves that the log of `new` entries (the newest checkpoint's, if not given) begins with its `old` first.

    Raises InvalidInput, or NotFound where the log is shorter.
    """
    size = tree_store.log_size(tx)
    end = newest_checkpoint(tx).size if new is None else new
    if old > end:
        raise InvalidInput(f"The older log cannot be the longer one: {old} is more than {end}.", "old")
    if end > size:
        raise NotFound(f"The audit log has {size} entries only.")
    return end, _read(lambda: log.consistency_proof(old, end, lambda *where: tree_store.tile(tx, *where)))


def _entries(tx: Tx, start: int, end: int) -> Sequence[bytes]:
    found = tree_store.placed_rows(tx, start, end)
    if len(found) == end - start:
        return [entry_text(row) for row in found]
    rows: dict[Any, tuple[Any, ...]] = {row[-1]: row for row in found}
    return [entry_text(rows[seq]) if seq in rows else MISSING for seq in range(start, end)]


def _check_width(there: int, width: int) -> None:
    if not 0 < width <= there:
        raise NotFound(f"There are not {width} of these yet; there are {there}.")


def _read(prove: Callable[[], list[bytes]]) -> list[bytes]:
    try:
        return prove()
    except (ValueError, IndexError) as error:
        raise Corrupt(f"The tiles of the audit log are damaged: {error}; see `modelkeep audit verify`.") from error
