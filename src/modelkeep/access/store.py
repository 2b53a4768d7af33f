"""SQL of workspaces, and of the key of links."""

from typing import Any

from sqlalchemy import bindparam, select, update

from modelkeep.access.tables import link_keys, workspaces
from modelkeep.core.errors import Corrupt
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import upsert

_WORKSPACE = Prepared(select(workspaces).where(workspaces.c.name == bindparam("name")))
_WORKSPACE_LOCKED = Prepared(select(workspaces).where(workspaces.c.name == bindparam("name")).with_for_update())
_WORKSPACES = Prepared(select(workspaces).order_by(workspaces.c.name))
_INSERT_WORKSPACE = Prepared(upsert(workspaces, ["name"], []))
_DESCRIBE_WORKSPACE = Prepared(
    update(workspaces).where(workspaces.c.name == bindparam("workspace")).values(description=bindparam("new"))
)
_AUDIT_DOWNLOADS = Prepared(
    update(workspaces).where(workspaces.c.name == bindparam("workspace")).values(audit_downloads=bindparam("new"))
)

_LINK_KEY = Prepared(select(link_keys.c.secret))
_FIRST_LINK_KEY = Prepared(upsert(link_keys, ["id"], []))


def workspace(tx: Tx, name: str) -> Any | None:
    """The workspace's row."""
    return tx.row(_WORKSPACE, name=name)


def lock_workspace(tx: Tx, name: str) -> None:
    """Keep others that ask for this lock waiting until the transaction ends."""
    tx.rows(_WORKSPACE_LOCKED, name=name)


def list_workspaces(tx: Tx) -> list[Any]:
    """All workspaces by name."""
    return tx.rows(_WORKSPACES)


def insert_workspace(tx: Tx, name: str, description: str | None) -> bool:
    """Make a workspace; False if the name is taken."""
    values = {"name": name, "description": description, "created_at": tx.now, "audit_downloads": 0}
    return tx.run(_INSERT_WORKSPACE, **values) == 1


def describe_workspace(tx: Tx, name: str, description: str | None) -> None:
    """Give a workspace another description."""
    tx.run(_DESCRIBE_WORKSPACE, workspace=name, new=description)


def set_audit_downloads(tx: Tx, name: str, *, audited: bool) -> None:
    """Say whether downloads in a workspace are written down."""
    tx.run(_AUDIT_DOWNLOADS, workspace=name, new=int(audited))


def link_key(tx: Tx) -> bytes:
    """What links are signed with."""
    found = tx.row(_LINK_KEY)
    if found is None:
        raise Corrupt("The key of links is missing from the database")
    return bytes(found.secret)


def prepare_link_key(tx: Tx, secret: bytes) -> None:
    """Keep a key to sign links with, unless there is one."""
    tx.run(_FIRST_LINK_KEY, id=1, secret=secret)
