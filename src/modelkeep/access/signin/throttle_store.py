"""SQL of failed sign-ins."""

from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update

from modelkeep.access.tables import sign_in_failures as failures
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, upsert

_BEGIN = Prepared(upsert(failures, ["key"], []))
_LOCKED = Prepared(select(failures).where(failures.c.key == bindparam("of")).with_for_update())
_ROW = Prepared(select(failures).where(failures.c.key == bindparam("of")))
_NOTE = Prepared(
    update(failures)
    .where(failures.c.key == bindparam("of"))
    .values({name: bindparam(f"new_{name}", type_=integer()) for name in ("failures", "last_at", "wait_until")})
)
_KNOW = Prepared(upsert(failures, ["key"], ["last_at"]))
_FORGET = Prepared(delete(failures).where(failures.c.key == bindparam("of")))
_is_known = failures.c.key.like("known/%")
_DROP_OLD = Prepared(
    delete(failures).where(
        or_(
            failures.c.last_at < bindparam("known_before", type_=integer()),
            ~_is_known & (failures.c.last_at < bindparam("before", type_=integer())),
        )
    )
)


def begin(tx: Tx, key: str) -> Any:
    """The row of a key, made where it is missing, which nobody else changes until the end."""
    tx.run(_BEGIN, key=key, failures=0, last_at=0, wait_until=0)
    return tx.row(_LOCKED, of=key)


def row(tx: Tx, key: str) -> Any | None:
    """The row of a key."""
    return tx.row(_ROW, of=key)


def note(tx: Tx, key: str, count: int, last_at: int, wait_until: int) -> None:
    """Keep how often it went wrong, and until when nothing is tried."""
    tx.run(_NOTE, of=key, new_failures=count, new_last_at=last_at, new_wait_until=wait_until)


def know(tx: Tx, key: str) -> None:
    """Keep that it went well now."""
    tx.run(_KNOW, key=key, failures=0, last_at=tx.now, wait_until=0)


def forget(tx: Tx, key: str) -> None:
    """Forget a key."""
    tx.run(_FORGET, of=key)


def drop_old(tx: Tx, before: int, known_before: int) -> None:
    """Forget failures from before one moment, and what went well before another."""
    tx.run(_DROP_OLD, before=before, known_before=known_before)
