"""Giving roles to people, services and groups, and sharing with workspaces; taking them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelkeep.access import people
from modelkeep.access.grants import store
from modelkeep.access.grants.events import RoleAssigned, RolePermissionAdded, RolePermissionChanged, RoleUnassigned
from modelkeep.access.grants.patterns import check_kind, check_pattern
from modelkeep.access.grants.rights import group_principal, rights_of, user_principal, workspace_principal
from modelkeep.access.grants.roles import ADMINISTRATOR, MOST_TOGETHER, find_role, no_role, prepare_roles
from modelkeep.access.people.events import GroupDeleted, MemberAdded, UserDeleted
from modelkeep.access.rules import (
    ANY,
    SERVER,
    Effect,
    Kind,
    Target,
    Verb,
    check_workspace_name,
    id_in,
    workspace_target,
)
from modelkeep.access.store import workspace as workspace_row
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.core.events import Event
from modelkeep.core.types import NOWHERE
from modelkeep.db import Tx


@dataclass(frozen=True, slots=True)
class NewAssignment:
    """A role to be given: to `user/NAME`, `group/NAME` or `workspace/NAME`, on things of a kind that fit a pattern."""

    principal: str
    role: str
    workspace: str
    kind: str = ANY
    pattern: str = ANY
    effect: str = Effect.ALLOW
    expires_at: int | None = None
    reason: str = ""


def assign(tx: Tx, new: NewAssignment) -> Any:
    """Give a role; the assignment's row, also where it stood already with the same expiry.

    Raises InvalidInput, NotFound, or Conflict for one with another expiry.
    """
    _check(tx, new)
    found = find_role(tx, new.role, new.workspace)
    principal = _locked_principal(tx, new.principal)
    role = _locked_role(tx, found.id)
    key = {
        "principal": principal,
        "role_id": role.id,
        "effect": new.effect,
        "workspace": new.workspace,
        "kind": new.kind,
        "pattern": new.pattern,
    }
    standing = store.same_assignment(tx, **key)
    if standing is not None:
        if standing.expires_at == new.expires_at:
            return standing
        raise Conflict("This role was given on the same already, until another time: take that back first.")
    _check_most(tx, key["principal"], new)
    values = key | {"created_by": tx.actor.name, "created_at": tx.now}
    given = store.insert_assignment(tx, values | {"expires_at": new.expires_at, "reason": new.reason})
    row = store.assignment(tx, given)
    tx.emit(RoleAssigned(*_fact(tx, row)))
    if new.workspace == ANY and (new.effect == Effect.DENY or not role.built_in):
        _check_administered(tx)
    return row


def unassign(tx: Tx, assignment_id: int) -> None:
    """Take a role back. Raises NotFound, or Conflict for the last administrator."""
    if store.lock_role(tx, get_assignment(tx, assignment_id).role_id) is None:
        raise no_assignment(assignment_id)
    row = get_assignment(tx, assignment_id)
    _take(tx, row)
    if row.role_id == ADMINISTRATOR.id and row.workspace == ANY and row.effect == Effect.ALLOW:
        _check_administered(tx)


def _take(tx: Tx, row: Any) -> None:
    fact = _fact(tx, row)
    if not store.delete_assignment(tx, row.id):
        raise no_assignment(row.id)
    tx.emit(RoleUnassigned(*fact))


def get_assignment(tx: Tx, assignment_id: int) -> Any:
    """An assignment. Raises NotFound."""
    row = store.assignment(tx, assignment_id)
    if row is None or tx.workspace == NOWHERE:
        raise no_assignment(assignment_id)
    return row


def no_assignment(assignment_id: int) -> NotFound:
    """The refusal of what is asked of an assignment that is not there, or that the caller may not know of."""
    return NotFound(f"No assignment has the id {assignment_id}.", "id")


def make_administrator(tx: Tx, user_id: str) -> None:
    """Give somebody the administrator role everywhere, for good, where they have it not. Raises NotFound."""
    people.lock_user(tx, people.user(tx, user_id))
    prepare_roles(tx)
    key = {"principal": user_principal(user_id), "role_id": ADMINISTRATOR.id, "effect": str(Effect.ALLOW)}
    key |= {"workspace": ANY, "kind": ANY, "pattern": ANY}
    standing = store.same_assignment(tx, **key)
    if standing is not None and standing.expires_at is not None:
        _take(tx, standing)
    if standing is None or standing.expires_at is not None:
        values = key | {"created_by": tx.actor.name, "created_at": tx.now, "expires_at": None, "reason": ""}
        tx.emit(RoleAssigned(*_fact(tx, store.assignment(tx, store.insert_assignment(tx, values)))))


def make_no_administrator(tx: Tx, user_id: str) -> None:
    """Take the administrator role everywhere from somebody who has it themselves. Raises Conflict for the last."""
    everywhere = (ADMINISTRATOR.id, Effect.ALLOW, ANY, ANY, ANY)
    _locked_role(tx, ADMINISTRATOR.id)
    for row in store.assignments_of(tx, user_principal(user_id)):
        if (row.role_id, row.effect, row.workspace, row.kind, row.pattern) == everywhere:
            unassign(tx, row.id)


def principal_named(tx: Tx, text: str) -> str:
    """`user/NAME`, `group/NAME` or `workspace/NAME` with the lasting id in place of the name. Raises as it is wrong."""
    kind, slash, name = text.partition("/")
    if kind == "user" and slash:
        user = people.find_user(tx, name)
        if user is None:
            raise NotFound(f"No person or service has the name '{name[:80]}'.", "principal")
        return user_principal(user.id)
    if kind == "group" and slash:
        return group_principal(people.get_group(tx, name).id)
    if kind == "workspace" and slash:
        # Whether there is such a workspace is not for whoever shares with it to find out.
        check_workspace_name(name, "principal")
        return workspace_principal(name)
    raise InvalidInput(
        f"'{text[:80]}' is no principal: write user/NAME for a person or a service, or group/NAME.", "principal"
    )


def name_of_principal(tx: Tx, principal: str) -> str:
    """`user/ID` and `group/ID` with the name in place of the id."""
    kind, _, identity = principal.partition("/")
    if kind == "user":
        row = people.user(tx, identity)
    elif kind == "group":
        row = store.group(tx, identity)
    else:
        return principal
    return f"{kind}/{row.name}" if row is not None else principal


def assignments_of(tx: Tx, principal: str) -> list[Any]:
    """What a principal was given, oldest first."""
    return store.assignments_of(tx, principal)


def holders_of_role(tx: Tx, role_id: int) -> list[Any]:
    """Who was given a role, oldest first."""
    return store.assignments_of_role(tx, role_id)


def assignments_on(tx: Tx, kind: str, pattern: str) -> list[Any]:
    """What was given on exactly this in the caller's workspace, oldest first."""
    return store.assignments_on(tx, tx.workspace, kind, pattern)


def page_of_assignments(tx: Tx, workspace: str, principal: str, role_id: int, after: int, most: int) -> list[Any]:
    """What was given in a workspace (`*`: anywhere), to a principal ('': anybody), by a role (0: any), oldest first."""
    anywhere = int(workspace == ANY)
    return store.page_of_assignments(
        tx, anywhere=anywhere, workspace=workspace, principal=principal, role_id=role_id, after=after, most=most
    )


def forget_user(tx: Tx, event: UserDeleted) -> None:
    """Take everything from a person or service that was deleted."""
    forget_principal(tx, user_principal(event.user_id))


def forget_group(tx: Tx, event: GroupDeleted) -> None:
    """Take everything from a group that was deleted."""
    forget_principal(tx, group_principal(event.group_id))


def forget_principal(tx: Tx, principal: str) -> None:
    """Take everything from a principal that is no more."""
    for row in store.assignments_of(tx, principal):
        if store.delete_assignment(tx, row.id):
            tx.emit(RoleUnassigned(*_fact(tx, row)))


def _check(tx: Tx, new: NewAssignment) -> None:
    if new.effect not in set(Effect):
        raise InvalidInput("'effect' is allow or deny.", "effect")
    check_kind(new.kind)
    check_pattern(new.pattern)
    if new.workspace != ANY and workspace_row(tx, new.workspace) is None:
        raise NotFound(f"Workspace '{new.workspace}' not found", "workspace")
    if new.expires_at is not None and new.expires_at <= tx.now:
        raise InvalidInput("'expires_at' has passed already.", "expires_at")
    if new.principal.startswith("workspace/"):
        _check_share(new)


def _check_most(tx: Tx, principal: str, new: NewAssignment) -> None:
    if sum(row.workspace == new.workspace for row in store.assignments_of(tx, principal)) >= MOST_TOGETHER:
        raise Conflict(
            f"'{new.principal}' was given {MOST_TOGETHER} roles in '{new.workspace}' already: take some back, or give "
            "one on the beginning of names."
        )


def _check_share(new: NewAssignment) -> None:
    """What is shared with another workspace is one thing, to be read, for a while."""
    if new.role != "viewer" or new.effect != Effect.ALLOW or id_in(new.pattern) is None or new.workspace == ANY:
        raise InvalidInput("Sharing with a workspace gives the role viewer on one model or experiment.", "role")
    if new.expires_at is None:
        raise InvalidInput("Sharing with a workspace needs 'expires_at'.", "expires_at")
    if new.principal == workspace_principal(new.workspace):
        raise InvalidInput("A workspace shares nothing with itself.", "principal")


def target_of(row: Any) -> Target:
    """What an assignment is about, as who may give or take it back is decided on."""
    if row.workspace == ANY:
        return SERVER
    identity = id_in(row.pattern)
    if identity is None or row.kind == ANY:
        return workspace_target(row.workspace)
    return Target(Kind(row.kind), identity, "", row.workspace)


def administrators(tx: Tx) -> set[str]:
    """The ids of those who hold the administrator role everywhere now, by themselves or in a group."""
    rows = store.assignments_of_role(tx, ADMINISTRATOR.id)
    held = (row for row in rows if row.expires_at is None or row.expires_at > tx.now)
    return {one for row in held for one in _administering(tx, row)}


def is_administered(tx: Tx) -> bool:
    """Whether anybody administers the registry for good. What could end that waits until the transaction ends."""
    store.lock_role(tx, ADMINISTRATOR.id)
    held = (row for row in store.assignments_of_role(tx, ADMINISTRATOR.id) if row.expires_at is None)
    rows = (people.user(tx, one) for one in sorted({one for row in held for one in _administering(tx, row)}))
    return any(row is not None and people.is_enabled(tx, row) and _administers(tx, row.id) for row in rows)


def keep_administered(tx: Tx, _event: Event) -> None:
    """Let nobody who signed in end what makes the last administrator one. Raises Conflict."""
    if tx.actor.id:
        _check_administered(tx)


def keep_administered_by_roles(tx: Tx, event: RolePermissionAdded | RolePermissionChanged) -> None:
    """Let no permission of a role that is given everywhere deny the last administrator that. Raises Conflict."""
    if any(row.workspace == ANY for row in store.assignments_of_role(tx, event.role_id)):
        _check_administered(tx)


def keep_administered_by_group(tx: Tx, event: MemberAdded) -> None:
    """Let no group that the last administrator comes into deny them that. Raises Conflict."""
    if any(row.workspace == ANY for row in store.assignments_of(tx, group_principal(event.group_id))):
        _check_administered(tx)


def _check_administered(tx: Tx) -> None:
    """Raises Conflict where nobody would be left who could undo this, or only until a day on which nobody looks."""
    if not is_administered(tx):
        raise Conflict("This would leave nobody who administers the registry.")


def _administers(tx: Tx, user_id: str) -> bool:
    return rights_of(tx, user_id).decide(Verb.MANAGE, SERVER).allowed


def _administering(tx: Tx, row: Any) -> Sequence[str]:
    if (row.workspace, row.kind, row.pattern, row.effect) != (ANY, ANY, ANY, Effect.ALLOW):
        return []
    kind, _, identity = row.principal.partition("/")
    return [identity] if kind == "user" else store.member_ids(tx, identity) if kind == "group" else []


def _locked_principal(tx: Tx, text: str) -> str:
    """The same as `principal_named`, of whom nobody deletes until the end, so that the dead are given nothing."""
    principal = principal_named(tx, text)
    kind, _, identity = principal.partition("/")
    if kind == "user":
        people.lock_user(tx, people.user(tx, identity))
    if kind == "group":
        return group_principal(people.lock_group(tx, text.partition("/")[2]).id)
    return principal


def _locked_role(tx: Tx, role_id: int) -> Any:
    """The role, held so that who holds it is changed by one at a time. Raises NotFound."""
    role = store.lock_role(tx, role_id)
    if role is None:
        raise no_role(role_id)
    return role


def _fact(tx: Tx, row: Any) -> tuple[Any, ...]:
    principal = name_of_principal(tx, row.principal)
    what = (row.effect, row.workspace, row.kind, row.pattern, row.expires_at, row.role_id)
    return row.id, row.principal, principal, row.role, *what
