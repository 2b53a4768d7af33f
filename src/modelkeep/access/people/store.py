"""SQL of people and services."""

from typing import Any

from sqlalchemy import bindparam, delete, select, update

from modelkeep.access.tables import group_members, user_logins, users
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import insert_unless_taken, one_of_texts

_HERE = users.c.deleted_at.is_(None)
_BY_ID = Prepared(select(users).where(users.c.id == bindparam("id")))
_LOCKED = Prepared(select(users).where(users.c.id == bindparam("id")).with_for_update())
_BY_NAME = Prepared(select(users).where(users.c.name == bindparam("name"), _HERE))
_BY_IDS = Prepared(select(users).where(one_of_texts(users.c.id, "ids")))
_PAGE = Prepared(
    select(users)
    .where(users.c.name > bindparam("after"), users.c.kind == bindparam("kind"), _HERE)
    .order_by(users.c.name)
    .limit(bindparam("limit"))
)
_INSERT = Prepared(insert_unless_taken(users))
_OF_OWNER = Prepared(select(users).where(users.c.owner_id == bindparam("owner"), _HERE).order_by(users.c.name))


def _setting(*names: str) -> Prepared:
    """UPDATE of these columns of one user that is not deleted."""
    values = {name: bindparam(f"new_{name}", type_=users.c[name].type) for name in names}
    return Prepared(update(users).where(users.c.id == bindparam("user"), _HERE).values(values))


_DESCRIBE = _setting("display_name", "owner_id")
_RENAME = _setting("name")
_DELETE_PLACEHOLDER = Prepared(delete(users).where(users.c.id == bindparam("user")))
_SET_PASSWORD = _setting("password_hash", "sessions_after")
_ENABLE = _setting("disabled_at")
_DISABLE = _setting("disabled_at", "sessions_after")
_DELETE = _setting("deleted_at", "password_hash", "sessions_after")
_LEAVE_GROUPS = Prepared(delete(group_members).where(group_members.c.user_id == bindparam("user")))
_FORGET_LOGINS = Prepared(delete(user_logins).where(user_logins.c.user_id == bindparam("user")))


def user(tx: Tx, user_id: str) -> Any | None:
    """The row of a person or service, deleted ones too."""
    return tx.row(_BY_ID, id=user_id)


def lock_user(tx: Tx, user_id: str) -> Any | None:
    """The same, with others that ask for this lock kept waiting until the transaction ends."""
    return tx.row(_LOCKED, id=user_id)


def user_named(tx: Tx, name: str) -> Any | None:
    """The row of the person or service that has this name now."""
    return tx.row(_BY_NAME, name=name)


def users_among(tx: Tx, ids: str) -> list[Any]:
    """The rows of those in a JSON list of ids, deleted ones too."""
    return tx.rows(_BY_IDS, ids=ids)


def page(tx: Tx, kind: str, after: str, limit: int) -> list[Any]:
    """Those of a kind that are not deleted, by name, behind this one."""
    return tx.rows(_PAGE, kind=kind, after=after, limit=limit)


def services_of(tx: Tx, owner_id: str) -> list[Any]:
    """The services that a person answers for."""
    return tx.rows(_OF_OWNER, owner=owner_id)


def insert_user(tx: Tx, values: dict[str, Any]) -> bool:
    """Keep a new person or service; False if the name is taken."""
    return tx.run(_INSERT, **values) == 1


def describe(tx: Tx, user_id: str, display_name: str | None, owner_id: str | None) -> None:
    """Set what is said of somebody."""
    tx.run(_DESCRIBE, user=user_id, new_display_name=display_name, new_owner_id=owner_id)


def rename(tx: Tx, row: Any, name: str) -> bool:
    """Give somebody, whose row the caller has locked, another name; False if it is taken."""
    # An INSERT waits for whoever takes the name at the same moment and then says so, which an UPDATE does not.
    placeholder = f"{row.id} renamed"
    if not insert_user(tx, row._asdict() | {"id": placeholder, "name": name}):
        return False
    tx.run(_DELETE_PLACEHOLDER, user=placeholder)
    return tx.run(_RENAME, user=row.id, new_name=name) == 1


def set_password(tx: Tx, user_id: str, password_hash: str) -> bool:
    """Set a password, which ends all sessions; False if there is no such user."""
    return tx.run(_SET_PASSWORD, user=user_id, new_password_hash=password_hash, new_sessions_after=tx.now + 1) == 1


def disable(tx: Tx, user_id: str) -> None:
    """Let a user not sign in any more."""
    tx.run(_DISABLE, user=user_id, new_disabled_at=tx.now, new_sessions_after=tx.now + 1)


def enable(tx: Tx, user_id: str) -> None:
    """Let a user sign in again."""
    tx.run(_ENABLE, user=user_id, new_disabled_at=None)


def delete_user(tx: Tx, user_id: str) -> None:
    """Keep of a user only that there was one: out of all groups, with nothing to sign in by."""
    tx.run(_DELETE, user=user_id, new_deleted_at=tx.now, new_password_hash=None, new_sessions_after=tx.now + 1)
    tx.run(_LEAVE_GROUPS, user=user_id)
    tx.run(_FORGET_LOGINS, user=user_id)
