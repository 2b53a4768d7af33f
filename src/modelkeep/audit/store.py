"""SQL of the journal."""

from typing import Any

from sqlalchemy import bindparam, insert, select

from modelkeep.audit.tables import journal
from modelkeep.db import Prepared, Tx

_COLUMNS = ("at", "workspace", "actor", "actor_method", "token_id", "request_id", "kind", "resource", "data")
_INSERT = Prepared(insert(journal).values({name: bindparam(name) for name in _COLUMNS}))
_OF_RESOURCE = Prepared(
    select(journal)
    .where(journal.c.workspace == bindparam("workspace"), journal.c.resource == bindparam("resource"))
    .order_by(journal.c.id)
)


def append(tx: Tx, values: dict[str, Any]) -> None:
    """Add an entry."""
    tx.run(_INSERT, **values)


def entries_of(tx: Tx, resource: str) -> list[Any]:
    """All entries about a resource, oldest first."""
    return tx.rows(_OF_RESOURCE, workspace=tx.workspace, resource=resource)
