"""SQL of groups and who is in them."""

from typing import Any

from sqlalchemy import bindparam, delete, select, update

from modelkeep.access.tables import group_members, groups, users
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import insert_unless_taken, json_rows, one_of_texts, upsert

LOCAL = "local"

_BY_NAME = Prepared(select(groups).where(groups.c.name == bindparam("name")))
_BY_ID = Prepared(select(groups).where(groups.c.id == bindparam("id")))
_LOCKED = Prepared(select(groups).where(groups.c.name == bindparam("name")).with_for_update())
_AMONG = Prepared(
    select(groups).where(one_of_texts(groups.c.name, "names")).order_by(groups.c.name).with_for_update(read=True)
)
_PAGE = Prepared(
    select(groups).where(groups.c.name > bindparam("after")).order_by(groups.c.name).limit(bindparam("limit"))
)
_INSERT = Prepared(insert_unless_taken(groups))
_DESCRIBE = Prepared(
    update(groups)
    .where(groups.c.id == bindparam("group"))
    .values(description=bindparam("new_description", type_=groups.c.description.type))
)
_RENAME = Prepared(update(groups).where(groups.c.id == bindparam("group")).values(name=bindparam("new_name")))
_DELETE = Prepared(delete(groups).where(groups.c.id == bindparam("group")))
_EMPTY = Prepared(delete(group_members).where(group_members.c.group_id == bindparam("group")))
_JOIN = Prepared(upsert(group_members, ["user_id", "group_id", "source"], []))
_MEMBERSHIP = (group_members.c.user_id == bindparam("user"), group_members.c.group_id == bindparam("group"))
_LEAVE = Prepared(delete(group_members).where(*_MEMBERSHIP, group_members.c.source == bindparam("source")))
_MEMBER_IDS = Prepared(
    select(group_members.c.user_id)
    .distinct()
    .where(group_members.c.group_id == bindparam("group"))
    .order_by(group_members.c.user_id)
)
_SOURCES = Prepared(select(group_members.c.source).where(*_MEMBERSHIP).order_by(group_members.c.source))
_LEAVE_ALL_OF = Prepared(
    delete(group_members).where(
        group_members.c.user_id == bindparam("user"), group_members.c.source == bindparam("source")
    )
)
_OF_USER = Prepared(
    select(groups.c.id, groups.c.name, group_members.c.source)
    .join(group_members, group_members.c.group_id == groups.c.id)
    .where(group_members.c.user_id == bindparam("user"))
    .order_by(groups.c.name, group_members.c.source)
)
_MEMBER = (users.c.id, users.c.name, users.c.kind, users.c.display_name)
_MEMBERS = Prepared(
    select(*_MEMBER, json_rows(group_members.c.source).label("sources"))
    .join(group_members, group_members.c.user_id == users.c.id)
    .where(
        group_members.c.group_id == bindparam("group"),
        users.c.name > bindparam("after"),
        users.c.deleted_at.is_(None),
    )
    .group_by(*_MEMBER)
    .order_by(users.c.name)
    .limit(bindparam("limit"))
)


def group(tx: Tx, group_id: str) -> Any | None:
    """The row of the group with this id."""
    return tx.row(_BY_ID, id=group_id)


def member_ids(tx: Tx, group_id: str) -> list[str]:
    """The ids of all who are in a group."""
    return [row.user_id for row in tx.rows(_MEMBER_IDS, group=group_id)]


def group_named(tx: Tx, name: str) -> Any | None:
    """The group's row."""
    return tx.row(_BY_NAME, name=name)


def lock_group(tx: Tx, name: str) -> Any | None:
    """The same, with others that ask for this lock kept waiting until the transaction ends."""
    return tx.row(_LOCKED, name=name)


def groups_among(tx: Tx, names: str) -> list[Any]:
    """Those groups of a JSON list of names that there are; nobody changes them until the transaction ends."""
    return tx.rows(_AMONG, names=names)


def page(tx: Tx, after: str, limit: int) -> list[Any]:
    """Groups by name, behind this one."""
    return tx.rows(_PAGE, after=after, limit=limit)


def insert_group(tx: Tx, values: dict[str, Any]) -> bool:
    """Keep a new group; False if the name is taken."""
    return tx.run(_INSERT, **values) == 1


def describe(tx: Tx, group_id: str, description: str | None) -> None:
    """Set a group's description."""
    tx.run(_DESCRIBE, group=group_id, new_description=description)


def rename(tx: Tx, row: Any, name: str) -> bool:
    """Give a group, whose row the caller has locked, another name; False if it is taken."""
    # An INSERT waits for whoever takes the name at the same moment and then says so, which an UPDATE does not.
    placeholder = f"{row.id} renamed"
    if not insert_group(tx, row._asdict() | {"id": placeholder, "name": name}):
        return False
    tx.run(_DELETE, group=placeholder)
    return tx.run(_RENAME, group=row.id, new_name=name) == 1


def delete_group(tx: Tx, group_id: str) -> bool:
    """Delete a group and who is in it; False if it was gone."""
    tx.run(_EMPTY, group=group_id)
    return tx.run(_DELETE, group=group_id) == 1


def join(tx: Tx, user_id: str, group_id: str, source: str) -> bool:
    """Put somebody into a group; False if this source had said so before."""
    return tx.run(_JOIN, user_id=user_id, group_id=group_id, source=source) == 1


def leave(tx: Tx, user_id: str, group_id: str, source: str) -> bool:
    """Take back what a source said; False if it had not said so."""
    return tx.run(_LEAVE, user=user_id, group=group_id, source=source) == 1


def leave_all_of(tx: Tx, user_id: str, source: str) -> None:
    """Take back all that a source said of somebody."""
    tx.run(_LEAVE_ALL_OF, user=user_id, source=source)


def sources(tx: Tx, user_id: str, group_id: str) -> list[str]:
    """Who says that somebody is in a group."""
    return [row.source for row in tx.rows(_SOURCES, user=user_id, group=group_id)]


def groups_of(tx: Tx, user_id: str) -> list[Any]:
    """The groups that somebody is in, by name: id, name and who says so; a group once for each who does."""
    return tx.rows(_OF_USER, user=user_id)


def members(tx: Tx, group_id: str, after: str, limit: int) -> list[Any]:
    """Who is in a group, by name, behind this one; `sources` is who says so, as JSON rows of one text."""
    return tx.rows(_MEMBERS, group=group_id, after=after, limit=limit)
