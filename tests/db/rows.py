"""Rows to write and to read back: the names of workspaces, which need nothing beside them."""

from sqlalchemy import bindparam, insert, select

from modelkeep import tables
from modelkeep.db import Prepared, Tx

WORKSPACES = tables.access.workspaces
BINDS = {name: bindparam(name) for name in ("name", "description", "created_at")}
INSERT = Prepared(insert(WORKSPACES).values(BINDS))
NAMES = Prepared(select(WORKSPACES.c.name).order_by(WORKSPACES.c.name))


def add(tx: Tx, name: str) -> None:
    """Write one."""
    tx.run(INSERT, name=name, description=None, created_at=tx.now)


def names(tx: Tx) -> list[str]:
    """All that were written, in order."""
    return [row.name for row in tx.rows(NAMES)]
