"""SQL of sending entries to a place outside: which come next, and how far it got."""

from typing import Any

from sqlalchemy import bindparam, select, update

from modelkeep.audit.tables import audit_sinks, journal
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import upsert

_NEXT = Prepared(select(audit_sinks.c.next_seq).where(audit_sinks.c.name == bindparam("sink")))
_BEGIN = Prepared(upsert(audit_sinks, ["name"], []))
_ROWS = Prepared(
    select(journal).where(journal.c.seq >= bindparam("first")).order_by(journal.c.seq).limit(bindparam("most"))
)
_SENT = Prepared(
    update(audit_sinks)
    .where(audit_sinks.c.name == bindparam("sink"), audit_sinks.c.next_seq == bindparam("was"))
    .values(next_seq=bindparam("now"))
)


def next_place(tx: Tx, name: str) -> int:
    """The place of the entry that this sink gets next."""
    found = tx.row(_NEXT, sink=name)
    return int(found.next_seq) if found else 0


def rows_from(tx: Tx, first: int, most: int) -> list[Any]:
    """Entries in the order of their places, from that one on."""
    return tx.rows(_ROWS, first=first, most=most)


def sent(tx: Tx, name: str, was: int, now: int) -> None:
    """All before `now` are there, if nobody else came further meanwhile."""
    tx.run(_BEGIN, name=name, next_seq=0)
    tx.run(_SENT, sink=name, was=was, now=now)
