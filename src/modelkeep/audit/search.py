"""Searching the journal: pages of chosen entries, and all of them one after the other."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from modelkeep.audit import search_store as store
from modelkeep.audit.selection import Selection
from modelkeep.db import Tx

_AT_ONCE = 500


class Batch(NamedTuple):
    """Some entries, and where to go on; None at the end."""

    rows: Sequence[Any]
    next_after: int | None


def search(tx: Tx, chosen: Selection, before: int, most: int) -> list[Any]:
    """Chosen entries older than the one numbered `before`, the newest first."""
    return store.page(tx, chosen, before, most)


def last_entry(tx: Tx) -> int:
    """The number of the newest entry: where a walk that begins now ends."""
    return store.last_number(tx)


def batch_after(tx: Tx, chosen: Selection, after: int, last: int) -> Batch:
    """The next of the chosen entries behind one number, up to the last."""
    rows = store.next_rows(tx, chosen, after, last, _AT_ONCE)
    return Batch(rows, rows[-1].id if len(rows) == _AT_ONCE else None)
