"""Roles on the native API: those that every registry has, and those that somebody makes."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from modelkeep.access import ANY, BUILT_IN, Effect, Kind, Permission, by_id, roles
from modelkeep.catalog import targets
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Mode, Operation

RowId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_VERBS = {role.id: sorted(role.verbs) for role in BUILT_IN}


class ListRoles(Request):
    """The roles that can be given in the workspace."""


class NewRole(Request):
    """A role to be made: in the workspace, or known `everywhere`."""

    name: str
    description: str | None = None
    everywhere: bool = False


class OneRole(Request):
    """A role by its lasting id."""

    role_id: RowId


class RoleChange(Request):
    """What is to be different about a role; what is left out stays."""

    role_id: RowId
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class NewRolePermission(Request):
    """What a role is to allow or deny: verbs on all that fits `kind` and `pattern`, or on one `model` or `experiment`.

    `aliases` limits the verb `alias` to some: `*`, the beginning of aliases and `*`, or one alias.
    """

    role_id: RowId
    verbs: list[str]
    kind: str = ANY
    pattern: str = ANY
    model: str = ""
    experiment: str = ""
    effect: str = str(Effect.ALLOW)
    aliases: str = ANY


class RolePermissionChange(Request):
    """What a permission of a role is to allow or deny from now on."""

    role_id: RowId
    permission_id: RowId
    verbs: list[str]
    effect: str = str(Effect.ALLOW)


class OneRolePermission(Request):
    """A permission of a role."""

    role_id: RowId
    permission_id: RowId


class RolePermissionAnswer(Answer):
    """What a role allows or denies."""

    id: int
    effect: str
    verbs: list[str]
    kind: str
    pattern: str
    aliases: str


class RoleAnswer(Answer):
    """A role. `workspace` is `*` where it is known everywhere; built-in ones have `verbs`, others `permissions`."""

    id: int
    name: str
    workspace: str
    built_in: bool
    created_at: int
    description: str | None = None
    verbs: list[str] | None = None
    permissions: list[RolePermissionAnswer] | None = None


class RoleList(Answer):
    """Roles by id, the built-in ones first."""

    items: list[RoleAnswer]


def list_roles(tx: Tx, _request: ListRoles) -> RoleList:
    """The roles known everywhere, and to whoever sees the whole workspace, those made there."""
    here = [tx.workspace] if tx.caller.sight is None else []
    return RoleList(items=[role_answer(tx, row) for row in roles.list_roles(tx, here)])


def make_role(tx: Tx, request: NewRole) -> RoleAnswer:
    """Make a role that allows nothing yet."""
    place = roles.EVERYWHERE if request.everywhere else tx.workspace
    return role_answer(tx, roles.make_role(tx, request.name, place, request.description))


def show_role(tx: Tx, request: OneRole) -> RoleAnswer:
    """A role and what it allows and denies."""
    return role_answer(tx, roles.get_role(tx, request.role_id))


def change_role(tx: Tx, request: RoleChange) -> RoleAnswer:
    """Give a role another name or description."""
    name = None if request.name is UNSET else request.name
    description = None if request.description is UNSET else request.description
    return role_answer(tx, roles.change_role(tx, request.role_id, name, description))


def delete_role(tx: Tx, request: OneRole) -> None:
    """Delete a role; whoever held it loses what it allowed."""
    roles.delete_role(tx, request.role_id)


def add_permission(tx: Tx, request: NewRolePermission) -> RolePermissionAnswer:
    """Let a role allow or deny more."""
    role = roles.get_role(tx, request.role_id)
    kind, pattern = what(tx, request, role.workspace or ANY)
    new = roles.NewPermission(request.verbs, kind, pattern, request.effect, request.aliases)
    return permission_answer(roles.add_permission(tx, request.role_id, new))


def change_permission(tx: Tx, request: RolePermissionChange) -> RolePermissionAnswer:
    """Change what a permission of a role allows or denies."""
    _check_of(tx, request)
    return permission_answer(roles.change_permission(tx, request.permission_id, request.verbs, request.effect))


def remove_permission(tx: Tx, request: OneRolePermission) -> None:
    """Take a permission from its role."""
    _check_of(tx, request)
    roles.remove_permission(tx, request.permission_id)


def what(tx: Tx, request: Any, workspace: str) -> tuple[str, str]:
    """The kind and pattern that a request names; one `model` or `experiment` of this workspace by its lasting id."""
    named = [(kind, name) for kind in (Kind.MODEL, Kind.EXPERIMENT) if (name := getattr(request, kind))]
    if not named:
        return request.kind, request.pattern
    field = str(named[0][0])
    if len(named) > 1 or (request.kind, request.pattern) != (ANY, ANY):
        raise InvalidInput("Name a model, an experiment, or a kind and pattern: one of them.", field)
    if workspace != tx.workspace:
        raise InvalidInput(
            f"The {field} is one of the workspace at hand, '{tx.workspace}': name no other.", "workspace"
        )
    return field, by_id(targets.thing(tx, *named[0]).id)


def role_answer(tx: Tx, row: Any) -> RoleAnswer:
    """A role."""
    answer = RoleAnswer(
        id=row.id,
        name=row.name,
        workspace=row.workspace or ANY,
        built_in=bool(row.built_in),
        created_at=row.created_at,
        description=row.description,
    )
    if row.built_in:
        answer.verbs = [str(verb) for verb in _VERBS[row.id]]
    else:
        answer.permissions = [permission_answer(one) for one in roles.permissions_of_role(tx, row)]
    return answer


def permission_answer(row: Any) -> RolePermissionAnswer:
    """What a role allows or denies."""
    return RolePermissionAnswer(**roles.permission_fact(row))


def _check_of(tx: Tx, request: RolePermissionChange | OneRolePermission) -> None:
    if roles.get_permission(tx, request.permission_id).role_id != request.role_id:
        raise NotFound(f"No permission of a role has the id {request.permission_id}.", "permission_id")


def _operation(name: str, method: str, path: str, request: Any, run: Any, says: Any, **more: Any) -> Operation:
    reads = method == "GET"
    permission, mode = (Permission.ROLE_READ, Mode.READ) if reads else (Permission.ROLE_MANAGE, Mode.WRITE)
    return Operation(f"roles.{name}", NATIVE, routes(method, path), request, run, mode, permission, *says, **more)


_ONE, _PERMISSION = "roles/{role_id}", "roles/{role_id}/permissions/{permission_id}"

OPERATIONS: list[Operation] = [
    _operation("list", "GET", "roles", ListRoles, list_roles, ("The roles that can be given here", RoleList)),
    _operation("create", "POST", "roles", NewRole, make_role, ("Make a role", RoleAnswer), status=201),
    _operation("show", "GET", _ONE, OneRole, show_role, ("A role", RoleAnswer)),
    _operation("change", "PATCH", _ONE, RoleChange, change_role, ("Rename or describe a role", RoleAnswer)),
    _operation("delete", "DELETE", _ONE, OneRole, delete_role, ("Delete a role",), status=204),
    _operation(
        "add_permission",
        "POST",
        "roles/{role_id}/permissions",
        NewRolePermission,
        add_permission,
        ("Let a role allow or deny more", RolePermissionAnswer),
        status=201,
    ),
    _operation(
        "change_permission",
        "PATCH",
        _PERMISSION,
        RolePermissionChange,
        change_permission,
        ("Change what a permission of a role allows", RolePermissionAnswer),
    ),
    _operation(
        "remove_permission",
        "DELETE",
        _PERMISSION,
        OneRolePermission,
        remove_permission,
        ("Take a permission from a role",),
        status=204,
    ),
]
