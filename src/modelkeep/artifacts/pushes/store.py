"""SQL of pushes: the trees that take a folder's files until they are registered."""

from typing import Any

from sqlalchemy import bindparam, delete, exists, insert, select, update

from modelkeep.artifacts.tables import pushes, tree_files, trees
from modelkeep.db import Prepared, Tx

_OWNER_PREFIX = "push/"
_OF_ID = (pushes.c.workspace == bindparam("workspace")) & (pushes.c.id == bindparam("id"))
_OF_OWNER = (trees.c.workspace == bindparam("workspace")) & (trees.c.owner == bindparam("owner"))

_INSERT = Prepared(
    insert(pushes).values(
        {name: bindparam(name) for name in ("workspace", "id", "created_by", "created_by_id", "created_at")}
    )
)
_PUSH = Prepared(select(pushes).where(_OF_ID))
_DELETE = Prepared(delete(pushes).where(_OF_ID))
_ADOPT = Prepared(
    update(pushes)
    .where(pushes.c.created_by == bindparam("name"), pushes.c.created_by_id == "")
    .values(created_by_id=bindparam("user_id"))
)
_DELETE_TREE = Prepared(delete(trees).where(_OF_OWNER, trees.c.digest.is_(None)))
_TOUCHED = exists().where(
    trees.c.workspace == pushes.c.workspace,
    trees.c.owner == _OWNER_PREFIX + pushes.c.id,
    tree_files.c.tree_id == trees.c.id,
    tree_files.c.updated_at >= bindparam("before"),
)
_ABANDONED = (pushes.c.created_at < bindparam("before")) & ~_TOUCHED
_SOME_ABANDONED = Prepared(
    select(pushes.c.workspace, pushes.c.id).where(_ABANDONED).order_by(pushes.c.created_at).limit(bindparam("most"))
)
_IS_ABANDONED = Prepared(select(pushes.c.id).where(_OF_ID, _ABANDONED))


def owner_of(push_id: str) -> str:
    """What the push's tree says of whose it is."""
    return _OWNER_PREFIX + push_id


def insert_push(tx: Tx, push_id: str) -> None:
    """Write a push down."""
    actor = tx.actor
    values = {"id": push_id, "created_by": actor.name, "created_by_id": actor.id, "created_at": tx.now}
    tx.run(_INSERT, workspace=tx.workspace, **values)


def adopt(tx: Tx, name: str, user_id: str) -> None:
    """Give the pushes of a name that are nobody's to the user who bears it."""
    tx.run(_ADOPT, name=name, user_id=user_id)


def push(tx: Tx, push_id: str) -> Any | None:
    """The push's row."""
    return tx.row(_PUSH, workspace=tx.workspace, id=push_id)


def delete_push(tx: Tx, push_id: str) -> bool:
    """Remove a push and its tree, whose files are gone already; False if somebody else has."""
    tx.run(_DELETE_TREE, workspace=tx.workspace, owner=owner_of(push_id))
    return tx.run(_DELETE, workspace=tx.workspace, id=push_id) == 1


def some_abandoned(tx: Tx, before: int, most: int) -> list[Any]:
    """Pushes of every workspace that nothing has come to since, the oldest first."""
    return tx.rows(_SOME_ABANDONED, before=before, most=most)


def is_abandoned(tx: Tx, push_id: str, before: int) -> bool:
    """Whether nothing has come to a push of this workspace since."""
    return tx.row(_IS_ABANDONED, workspace=tx.workspace, id=push_id, before=before) is not None
