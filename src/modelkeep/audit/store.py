"""SQL of the journal."""

from typing import Any

from sqlalchemy import bindparam, insert, select

from modelkeep.audit.tables import journal
from modelkeep.db import Prepared, Tx

_COLUMNS = (
    "at",
    "workspace",
    "actor",
    "actor_method",
    "token_id",
    "request_id",
    "kind",
    "resource",
    "data",
    "actor_id",
    "address",
    "outcome",
    "reason",
)
_INSERT = Prepared(insert(journal).values({name: bindparam(name) for name in _COLUMNS}))
_PAGE = Prepared(
    select(journal)
    .where(journal.c.workspace == bindparam("workspace"), journal.c.id < bindparam("before"))
    .order_by(journal.c.id.desc())
    .limit(bindparam("limit"))
)


def append(tx: Tx, *values: Any) -> None:
    """Add an entry, at the end of the transaction: time, workspace, actor... as the table's columns after the id."""
    tx.append(_INSERT, _COLUMNS, values)


def page(tx: Tx, before: int, limit: int) -> list[Any]:
    """Entries of the workspace older than the one numbered `before`, newest first."""
    return tx.rows(_PAGE, workspace=tx.workspace, before=before, limit=limit)
