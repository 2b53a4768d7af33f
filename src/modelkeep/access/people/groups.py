"""Groups: people and services under one name, put there by administrators or by the issuer that they sign in at."""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from modelkeep.access.people import group_store, store
from modelkeep.access.people.events import (
    GroupDeleted,
    GroupDescribed,
    GroupMade,
    GroupRenamed,
    GroupsOfUserKept,
    GroupsOfUserReplaced,
    MemberAdded,
    MemberRemoved,
)
from modelkeep.access.people.group_store import LOCAL
from modelkeep.access.people.rules import check_name, check_text
from modelkeep.core.errors import AlreadyExists, Conflict, NotFound
from modelkeep.db import Tx


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a group; `sources` is who put them there: `local`, or the issuer that they sign in at."""

    id: str
    name: str
    kind: str
    display_name: str | None
    sources: list[str]


def get_group(tx: Tx, name: str) -> Any:
    """The group of this name. Raises NotFound."""
    return _found(group_store.group_named(tx, name), name)


def group(tx: Tx, group_id: str) -> Any | None:
    """The group with this lasting id, if there is one."""
    return group_store.group(tx, group_id)


def member_ids(tx: Tx, group_id: str) -> list[str]:
    """The ids of all who are in a group."""
    return group_store.member_ids(tx, group_id)


def find_group(tx: Tx, name: str) -> Any | None:
    """The group of this name, if there is one."""
    return group_store.group_named(tx, name)


def list_groups(tx: Tx, after: str, limit: int) -> list[Any]:
    """Groups by name, behind this one."""
    return group_store.page(tx, after, limit)


def groups_of(tx: Tx, user_id: str) -> list[Any]:
    """The groups that somebody is in, by name: id, name and who says so (`source`); once for each who does."""
    return group_store.groups_of(tx, user_id)


def members_of(tx: Tx, name: str, after: str, limit: int) -> list[Member]:
    """Who is in a group, by name, behind this one. Raises NotFound."""
    rows = group_store.members(tx, get_group(tx, name).id, after, limit)
    return [
        Member(row.id, row.name, row.kind, row.display_name, sorted(one[0] for one in json.loads(row.sources)))
        for row in rows
    ]


def make_group(tx: Tx, name: str, description: str | None = None) -> Any:
    """A new group. Raises AlreadyExists, InvalidInput."""
    check_name(name)
    check_text("description", description)
    group_id = f"g-{secrets.token_hex(8)}"
    row = {"id": group_id, "name": name, "description": description, "created_at": tx.now}
    if not group_store.insert_group(tx, row):
        raise AlreadyExists(f"There is a group named '{name}' already.", "name")
    tx.emit(GroupMade(group_id, name, description))
    return get_group(tx, name)


def describe_group(tx: Tx, name: str, description: str | None) -> Any:
    """Give a group another description. Raises NotFound."""
    check_text("description", description)
    found = lock_group(tx, name)
    if found.description != description:
        group_store.describe(tx, found.id, description)
        tx.emit(GroupDescribed(found.id, name, description, found.description))
    return get_group(tx, name)


def rename_group(tx: Tx, name: str, new_name: str) -> Any:
    """Give a group another name; its members and roles stay. Raises InvalidInput, AlreadyExists, NotFound."""
    check_name(new_name, "new_name")
    found = lock_group(tx, name)
    if new_name != name:
        if not group_store.rename(tx, found, new_name):
            raise AlreadyExists(f"There is a group named '{new_name}' already.", "new_name")
        tx.emit(GroupRenamed(found.id, new_name, name))
    return get_group(tx, new_name)


def delete_group(tx: Tx, name: str) -> None:
    """Delete a group; a later one of that name is another. Raises NotFound."""
    found = lock_group(tx, name)
    group_store.delete_group(tx, found.id)
    tx.emit(GroupDeleted(found.id, name))


def add_member(tx: Tx, name: str, user: Any) -> None:
    """Put somebody (a row) into a group. Raises NotFound."""
    found = lock_group(tx, name)
    locked = store.lock_user(tx, user.id)
    if locked is None or locked.deleted_at is not None:
        raise NotFound(f"There is nobody named '{user.name}'.")
    if group_store.join(tx, user.id, found.id, LOCAL):
        tx.emit(MemberAdded(found.id, name, user.id, user.name))


def remove_member(tx: Tx, name: str, user: Any) -> None:
    """Take somebody (a row) out of a group. Raises NotFound, or Conflict where an issuer put them there."""
    found = lock_group(tx, name)
    if group_store.leave(tx, user.id, found.id, LOCAL):
        tx.emit(MemberRemoved(found.id, name, user.id, user.name))
    if others := group_store.sources(tx, user.id, found.id):
        raise Conflict(f"'{user.name}' is in '{name}' because {', '.join(others)} says so; change it there.")


def set_groups_of(
    tx: Tx, user_id: str, source: str, names: Iterable[str], stands: Callable[[Tx], bool] = lambda _: True
) -> GroupsOfUserKept | None:
    """Replace what an issuer said before about the groups of somebody. Groups that there are not stay unmade.

    As little of it is left out as lets `stands` be true, where that was so before; what was left out is told.
    """
    wanted = {one.name: one.id for one in group_store.groups_among(tx, json.dumps(sorted(set(names))))}
    user = store.lock_user(tx, user_id)
    if user is None or user.deleted_at is not None:
        raise NotFound(f"There is no user {user_id}.")
    before = {row.name: row.id for row in group_store.groups_of(tx, user_id) if row.source == source}
    after = wanted
    if before != wanted:
        stood = stands(tx)
        for after in _ways(before, wanted):
            _put(tx, user_id, source, after)
            if not stood or stands(tx):
                break
    if before != after:
        tx.emit(GroupsOfUserReplaced(user_id, user.name, source, sorted(after), sorted(before)))
    if after == wanted:
        return None
    kept = GroupsOfUserKept(user_id, user.name, source, sorted(after.keys() - wanted), sorted(wanted.keys() - after))
    tx.emit(kept)
    return kept


def _ways(before: dict[str, str], wanted: dict[str, str]) -> Iterator[dict[str, str]]:
    """To be in the groups that are wanted; in one of the others besides; as before."""
    yield wanted
    yield from (wanted | {name: before[name]} for name in sorted(before.keys() - wanted))
    yield before


def _put(tx: Tx, user_id: str, source: str, wanted: dict[str, str]) -> None:
    group_store.leave_all_of(tx, user_id, source)
    for group_id in wanted.values():
        group_store.join(tx, user_id, group_id, source)


def lock_group(tx: Tx, name: str) -> Any:
    """The group of this name, which nobody else changes until the end. Raises NotFound."""
    return _found(group_store.lock_group(tx, name), name)


def _found(row: Any | None, name: str) -> Any:
    if row is None:
        raise NotFound(f"There is no group named '{name[:80]}'.")
    return row
