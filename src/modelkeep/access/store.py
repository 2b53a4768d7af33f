"""SQL of access."""

from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from modelkeep.access.tables import link_keys, tokens, workspaces
from modelkeep.core.errors import Corrupt
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, upsert

_TOKEN = Prepared(select(tokens).where(tokens.c.id == bindparam("id")))
_TOKENS = Prepared(select(func.count().label("count")).select_from(tokens))
_INSERT_TOKEN = Prepared(insert(tokens))
_REVOKE_TOKENS = Prepared(
    update(tokens).where(tokens.c.revoked_at.is_(None)).values(revoked_at=bindparam("now", type_=integer()))
)
_WORKSPACE = Prepared(select(workspaces).where(workspaces.c.name == bindparam("name")))
_WORKSPACE_LOCKED = Prepared(select(workspaces).where(workspaces.c.name == bindparam("name")).with_for_update())
_WORKSPACES = Prepared(select(workspaces).order_by(workspaces.c.name))
_INSERT_WORKSPACE = Prepared(upsert(workspaces, ["name"], []))

_LINK_KEY = Prepared(select(link_keys.c.secret))
_FIRST_LINK_KEY = Prepared(upsert(link_keys, ["id"], []))


def token(tx: Tx, token_id: str) -> Any | None:
    """The token's row."""
    return tx.row(_TOKEN, id=token_id)


def count_tokens(tx: Tx) -> int:
    """How many tokens were ever made."""
    found = tx.row(_TOKENS)
    return int(found.count) if found else 0


def insert_token(tx: Tx, values: dict[str, Any]) -> None:
    """Keep a new token."""
    tx.run(_INSERT_TOKEN, **values)


def revoke_tokens(tx: Tx) -> int:
    """Revoke every token; how many were good."""
    return tx.run(_REVOKE_TOKENS, now=tx.now)


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
    return tx.run(_INSERT_WORKSPACE, name=name, description=description, created_at=tx.now) == 1


def link_key(tx: Tx) -> bytes:
    """What links are signed with."""
    found = tx.row(_LINK_KEY)
    if found is None:
        raise Corrupt("The key of links is missing from the database")
    return bytes(found.secret)


def prepare_link_key(tx: Tx, secret: bytes) -> None:
    """Keep a key to sign links with, unless there is one."""
    tx.run(_FIRST_LINK_KEY, id=1, secret=secret)
