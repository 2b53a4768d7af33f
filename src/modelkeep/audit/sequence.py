"""Gives the journal's rows their places in the tree, in the background, and signs checkpoints of it.

Hashing is done between two transactions; the second does nothing if the log has grown meanwhile, by another process.
Rows are taken a slice at a time with pauses between, for each slice holds up writers: the interpreter while it is
hashed, the database while it is written. Where slices do not keep up with the writers they grow.
"""

import logging
import threading
import time
from collections.abc import Callable
from itertools import chain, repeat
from typing import NamedTuple

from prometheus_client import Gauge

from modelkeep.audit import log, tree_store
from modelkeep.audit.entry import COLUMNS, entry_text
from modelkeep.audit.keys import Keys
from modelkeep.audit.notes import BadNote, open_note, read_checkpoint
from modelkeep.core.errors import Unavailable
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx

SIGN_EACH_MS = 60_000
SIGN_EACH_ENTRIES = 1000
# How many rows the first slices take, with a pause after each, and how many all that follow, without pauses.
_SLICES = (*[128] * 8, *[256] * 8)
_LARGEST_SLICE = 512
_PAUSE_S = 0.02
_ID = COLUMNS.index("id")

_log = logging.getLogger("modelkeep.audit")
_SIZE = Gauge("modelkeep_audit_entries", "Entries of the audit log that have their place in its tree")
_BROKEN = Gauge("modelkeep_audit_broken", "1 while the audit log contradicts what was signed of it, so that none is")

Going = Callable[[], bool]


class Contradiction(Exception):
    """The log is not what was signed; the text says how."""


class Batch(NamedTuple):
    """Rows that wait, and what their places depend on."""

    size: int
    rows: list[tuple[object, ...]]
    begun: dict[log.Place, bytes]


class Head(NamedTuple):
    """What is to be signed."""

    size: int
    root: bytes


class Sequencer:
    """One process's part in it. It remembers what it signed, so an older copy of the database does not pass for it."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._newest: Head | None = None
        self._problem = ""
        self._lock = threading.Lock()

    def run(self, database: Database, going: Going = lambda: True, *, at_once: bool = False) -> None:
        """Place all rows that wait, and sign if it is time, or `at_once`. What is wrong is logged, once."""
        with self._lock:
            try:
                self._place_all(database, going, at_once=at_once)
                self._sign(database, at_once=at_once)
            except Contradiction as error:
                self._tell(str(error))
            else:
                self._tell("")

    def _place_all(self, database: Database, going: Going, *, at_once: bool) -> None:
        for most in chain(() if at_once else _SLICES, repeat(_LARGEST_SLICE)):
            if not going() or place_batch(database, most) < most:
                return
            self._sign(database, at_once=False)
            if most < _LARGEST_SLICE:
                time.sleep(_PAUSE_S)

    def _sign(self, database: Database, *, at_once: bool) -> None:
        head = database.read_now(SYSTEM, lambda tx: self._unsigned(tx, at_once=at_once))
        if head is None:
            return
        note = self.keys.signer.checkpoint(*head)
        database.write_now(SYSTEM, lambda tx: tree_store.keep_checkpoint(tx, head.size, note))
        self._newest = head

    def _unsigned(self, tx: Tx, *, at_once: bool) -> Head | None:
        """What is to be signed now, if anything is: over a tree that contradicts what was signed, nothing is."""
        size, last = tree_store.log_size(tx), tree_store.last_checkpoint(tx)
        _SIZE.set(size)
        if self._newest is not None and size < self._newest.size:
            raise Contradiction(f"it has {size} entries and had {self._newest.size}: an older copy has taken its place")
        if size == (last.size if last else 0):
            return None
        if last is not None:
            is_time = at_once or size - last.size >= SIGN_EACH_ENTRIES or not 0 <= tx.now - last.at < SIGN_EACH_MS
            if not is_time:
                return None
        known = [_read_head(last.size, last.note)] if last is not None else []
        known += [self._newest] if self._newest is not None else []
        for head in dict.fromkeys(known):
            self._check(tx, head)
        return Head(size, self._root(tx, size))

    def _check(self, tx: Tx, signed: Head) -> None:
        if signed.root != self._root(tx, signed.size):
            raise Contradiction(f"its first {signed.size} entries are not those that were signed")

    def _root(self, tx: Tx, size: int) -> bytes:
        try:
            return log.root(size, lambda level, number: tree_store.tile(tx, level, number))
        except (ValueError, IndexError) as error:
            raise Contradiction(f"its tiles are damaged: {error}") from error

    def _tell(self, problem: str) -> None:
        _BROKEN.set(1 if problem else 0)
        if problem and not self._problem:
            _log.error("the audit log is not signed any more: %s", problem)
        self._problem = problem


def _read_head(size: int, note: str) -> Head:
    """What a kept checkpoint says. Its signature is looked at by whoever verifies the log."""
    try:
        signed = read_checkpoint(note.partition("\n\n")[0] + "\n")
    except BadNote as error:
        raise Contradiction(f"its checkpoint of {size} entries is none: {error}") from error
    if signed.size != size:
        raise Contradiction(f"its checkpoint of {size} entries says that there were {signed.size}")
    return Head(signed.size, signed.root)


def tell_unknown_key(database: Database, keys: Keys) -> None:
    """Log it where the newest checkpoint was signed by none of these keys."""
    last = database.read_now(SYSTEM, tree_store.last_checkpoint)
    if last is None:
        return
    try:
        open_note(last.note, keys.verifiers)
    except BadNote as error:
        _log.error(
            "the newest checkpoint of the audit log is not one of this server's keys (%s): all servers of a database "
            "need the same --audit-key, and a new key file needs the public keys that it took over from",
            error,
        )


def place_batch(database: Database, most: int) -> int:
    """Give up to so many rows that wait their places; how many, 0 also where another process was faster."""
    return place_rows(database, database.read_now(SYSTEM, lambda tx: read_batch(tx, most)))


def read_batch(tx: Tx, most: int) -> Batch:
    """The rows that are to get the next places."""
    size = tree_store.log_size(tx)
    rows = tree_store.waiting_rows(tx, most)
    begun = {where: tree_store.tile(tx, *where) for where in log.edge(size)} if rows else {}
    return Batch(size, rows, begun)


def place_rows(database: Database, batch: Batch) -> int:
    """Give them their places, unless the log has grown since they were read; how many got one."""
    if not batch.rows:
        return 0
    leaves = [log.leaf_hash(entry_text(row)) for row in batch.rows]
    try:
        tiles = log.append(batch.size, batch.begun, leaves)
    except ValueError as error:
        raise Contradiction(f"its tiles are damaged: {error}") from error
    spans = _spans([int(str(row[_ID])) for row in batch.rows])
    return len(leaves) if database.write_now(SYSTEM, lambda tx: _place(tx, batch.size, spans, tiles)) else 0


def _place(tx: Tx, size: int, spans: list[tuple[int, int]], tiles: dict[log.Place, bytes]) -> bool:
    count = sum(last - first + 1 for first, last in spans)
    if not tree_store.advance(tx, size, size + count):
        return False
    seq = size
    for first, last in spans:
        if tree_store.place(tx, first, last, seq) != last - first + 1:
            raise Unavailable("Rows of the journal vanished while they were given their places.")
        seq += last - first + 1
    tree_store.put_tiles(tx, tiles)
    return True


def _spans(ids: list[int]) -> list[tuple[int, int]]:
    """Ids in their order as stretches without gaps, each by its first and last."""
    spans: list[tuple[int, int]] = []
    for one in ids:
        if spans and one == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], one)
        else:
            spans.append((one, one))
    return spans
