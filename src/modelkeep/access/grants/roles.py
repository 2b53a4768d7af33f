"""Roles: those that every registry has, and those that somebody makes, with what they allow or deny."""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modelkeep.access.grants import store
from modelkeep.access.grants.events import (
    RoleChanged,
    RoleDeleted,
    RoleMade,
    RolePermissionAdded,
    RolePermissionChanged,
    RolePermissionRemoved,
)
from modelkeep.access.grants.patterns import check_aliases, check_kind, check_pattern
from modelkeep.access.people import check_name
from modelkeep.access.people.rules import check_text
from modelkeep.access.rules import ANY, BUILT_IN, FIRST_OWN_ROLE, Effect, Verb
from modelkeep.core.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from modelkeep.core.types import NOWHERE
from modelkeep.db import Tx

ADMINISTRATOR = BUILT_IN[-1]
EVERYWHERE = ""
_BUILT_IN_NAMES = frozenset(role.name for role in BUILT_IN)
_MOST_ID = 2**31 - 1
# How many permissions a role may have, and how many roles on things of a workspace somebody: all of them are read for
# each of their calls, and are conditions of each of their searches.
MOST_TOGETHER = 2000


@dataclass(frozen=True, slots=True)
class NewPermission:
    """What a role is to allow or deny: verbs on things of a kind that fit a pattern; ALIAS on some aliases only."""

    verbs: Sequence[str]
    kind: str = ANY
    pattern: str = ANY
    effect: str = Effect.ALLOW
    aliases: str = ANY


def prepare_roles(tx: Tx) -> None:
    """Keep the roles that every registry has, as this program knows them."""
    for role in BUILT_IN:
        store.prepare_role(tx, role.id, role.name, role.description)


def find_role(tx: Tx, name: str, workspace: str) -> Any:
    """The role of this name that can be given in a workspace. Raises NotFound."""
    row = store.role_named(tx, workspace, name) if workspace != ANY else None
    row = row or store.role_named(tx, EVERYWHERE, name)
    if row is None:
        known = ", ".join(row.name for row in list_roles(tx, [workspace]))
        raise NotFound(f"No role has the name '{name[:80]}' here. There are {known}.", "role")
    return row


def get_role(tx: Tx, role_id: int) -> Any:
    """A role by its id. Raises NotFound."""
    row = store.role(tx, role_id)
    if row is None or (tx.workspace == NOWHERE and row.workspace != EVERYWHERE):
        raise no_role(role_id)
    return row


def no_role(role_id: int) -> NotFound:
    """The refusal of what is asked of a role that is not there, or that the caller may not know of."""
    return NotFound(f"No role has the id {role_id}.", "role_id")


def list_roles(tx: Tx, workspaces: Iterable[str]) -> list[Any]:
    """The roles of these workspaces and those known in all, by id."""
    return store.roles_of(tx, json.dumps([EVERYWHERE, *workspaces]))


def list_all_roles(tx: Tx) -> list[Any]:
    """Every role of every workspace, by id."""
    return store.all_roles(tx)


def make_role(tx: Tx, name: str, workspace: str = EVERYWHERE, description: str | None = None) -> Any:
    """A new role that allows nothing yet. Raises InvalidInput, AlreadyExists."""
    _check_role_name(name)
    check_text("description", description)
    values = {"workspace": workspace, "name": name, "description": description, "built_in": 0, "created_at": tx.now}
    role_id = FIRST_OWN_ROLE + secrets.randbelow(_MOST_ID - FIRST_OWN_ROLE)
    if not store.insert_role(tx, values | {"id": role_id}):
        raise AlreadyExists(f"There is a role '{name}' already.", "name")
    tx.emit(RoleMade(role_id, name, workspace, description))
    return store.role(tx, role_id)


def change_role(tx: Tx, role_id: int, name: str | None = None, description: str | None = None) -> Any:
    """Give a role another name or description. Raises InvalidInput, NotFound, AlreadyExists, Conflict."""
    role = _own_role(tx, role_id)
    new = {"name": name or role.name, "description": role.description if description is None else description}
    old = {"name": role.name, "description": role.description}
    if new == old:
        return role
    if new["name"] != role.name:
        _check_role_name(str(new["name"]))
    check_text("description", description)
    if not store.update_role(tx, role, str(new["name"]), new["description"]):
        raise AlreadyExists(f"There is a role '{new['name']}' already.", "name")
    tx.emit(RoleChanged(role_id, role.name, role.workspace, new, old))
    return store.role(tx, role_id)


def delete_role(tx: Tx, role_id: int) -> None:
    """Forget a role; whoever held it loses what it allowed. Raises NotFound, Conflict."""
    role = _own_role(tx, role_id)
    permissions = [permission_fact(row) for row in store.permissions_of_role(tx, role_id)]
    holders = [row.principal for row in store.assignments_of_role(tx, role_id)]
    store.delete_role(tx, role_id)
    tx.emit(RoleDeleted(role_id, role.name, role.workspace, permissions, holders))


def permissions_of_role(tx: Tx, role: Any) -> list[Any]:
    """What a role that somebody made allows or denies, in the order it was given."""
    return store.permissions_of_role(tx, role.id)


def add_permission(tx: Tx, role_id: int, new: NewPermission) -> Any:
    """Let a role allow or deny more. Raises InvalidInput, NotFound, Conflict."""
    role = _own_role(tx, role_id)
    values: dict[str, Any] = {"verbs": json.dumps(_verbs(new.verbs)), "effect": _effect(new.effect)}
    check_kind(new.kind)
    check_pattern(new.pattern)
    check_aliases(new.aliases)
    if len(store.permissions_of_role(tx, role_id)) >= MOST_TOGETHER:
        raise Conflict(f"The role '{role.name}' has {MOST_TOGETHER} permissions already: make another for more.")
    values |= {"role_id": role_id, "kind": new.kind, "pattern": new.pattern, "aliases": new.aliases}
    row = store.role_permission(tx, store.insert_permission(tx, values))
    tx.emit(RolePermissionAdded(role_id, role.name, role.workspace, permission_fact(row)))
    return row


def change_permission(tx: Tx, permission_id: int, verbs: Sequence[str], effect: str = Effect.ALLOW) -> Any:
    """Change what a permission of a role allows or denies. Raises InvalidInput, NotFound."""
    role, row = _own_permission(tx, permission_id)
    store.update_permission(tx, permission_id, _effect(effect), json.dumps(_verbs(verbs)))
    new = store.role_permission(tx, permission_id)
    tx.emit(RolePermissionChanged(role.id, role.name, role.workspace, permission_fact(new), permission_fact(row)))
    return new


def remove_permission(tx: Tx, permission_id: int) -> None:
    """Take a permission from its role. Raises NotFound."""
    role, row = _own_permission(tx, permission_id)
    store.delete_permission(tx, permission_id)
    tx.emit(RolePermissionRemoved(role.id, role.name, role.workspace, permission_fact(row)))


def get_permission(tx: Tx, permission_id: int) -> Any:
    """A permission of a role. Raises NotFound."""
    row = store.role_permission(tx, permission_id)
    if row is None or tx.workspace == NOWHERE:
        raise no_permission(permission_id)
    return row


def no_permission(permission_id: int) -> NotFound:
    """The refusal of what is asked of a permission that is not there, or that the caller may not know of."""
    return NotFound(f"No permission of a role has the id {permission_id}.", "id")


def permission_fact(row: Any) -> dict[str, Any]:
    """A permission of a role, in words."""
    return {
        "id": row.id,
        "effect": row.effect,
        "verbs": json.loads(row.verbs),
        "kind": row.kind,
        "pattern": row.pattern,
        "aliases": row.aliases,
    }


def _own_role(tx: Tx, role_id: int) -> Any:
    role = store.lock_role(tx, role_id)
    if role is None or tx.workspace == NOWHERE:
        raise no_role(role_id)
    if role.built_in:
        raise Conflict(f"The role '{role.name}' is built in: make one of your own instead of changing it.")
    return role


def _own_permission(tx: Tx, permission_id: int) -> tuple[Any, Any]:
    """The role, which nobody else changes until the end, and its permission as it is. Raises NotFound, Conflict."""
    role = _own_role(tx, get_permission(tx, permission_id).role_id)
    return role, get_permission(tx, permission_id)


def _check_role_name(name: str) -> None:
    check_name(name)
    if name in _BUILT_IN_NAMES:
        raise AlreadyExists(f"The role '{name}' is built in; choose another name.", "name")


def _verbs(verbs: Sequence[str]) -> list[str]:
    unknown = [verb for verb in verbs if verb not in set(Verb)]
    if unknown or not verbs:
        known = ", ".join(Verb)
        raise InvalidInput(f"'verbs' are one or more of {known}; not {', '.join(unknown) or 'none'}.", "verbs")
    return sorted(set(verbs))


def _effect(effect: str) -> str:
    if effect not in set(Effect):
        raise InvalidInput("'effect' is allow or deny.", "effect")
    return effect
