"""Roles on MLflow's wire: those that somebody makes, what they allow, and who holds them."""

from typing import Annotated, Any

from msgspec import Meta

from modelkeep.access import ANY, Effect, Permission, assignments, get_workspace, roles, user_principal
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.faces.mlflow import levels
from modelkeep.faces.mlflow.given import (
    MlflowRole,
    MlflowRolePermission,
    given_roles,
    permission_message,
    role_message,
    role_permissions,
)
from modelkeep.faces.mlflow.users import find
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation

RowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class CreateMlflowRole(Message):
    """Make a role in a workspace."""

    required = ("name", "workspace")
    name: str | None = None
    workspace: str | None = None
    description: str | None = None


class OneMlflowRole(Message):
    """A call about a role."""

    required = ("role_id",)
    role_id: RowId | None = None


class ListMlflowRoles(Message):
    """The roles of some workspaces, or all there are."""

    workspace: list[str] | None = None


class UpdateMlflowRole(Message):
    """Another name or description of a role."""

    required = ("role_id",)
    role_id: RowId | None = None
    name: str | None = None
    description: str | None = None


class AddMlflowRolePermission(Message):
    """What a role is to allow."""

    required = ("role_id", "resource_type", "resource_pattern", "permission")
    role_id: RowId | None = None
    resource_type: str | None = None
    resource_pattern: str | None = None
    permission: str | None = None


class OneMlflowRolePermission(Message):
    """A call about a permission of a role."""

    required = ("role_permission_id",)
    role_permission_id: RowId | None = None


class UpdateMlflowRolePermission(Message):
    """Another level of a permission of a role."""

    required = ("role_permission_id", "permission")
    role_permission_id: RowId | None = None
    permission: str | None = None


class MlflowRoleOfUser(Message):
    """A role to be given to a user, or taken."""

    required = ("username", "role_id")
    username: str | None = None
    role_id: RowId | None = None


class ListMlflowRolesOfUser(Message):
    """A call about the roles of a user."""

    required = ("username",)
    username: str | None = None


class MlflowRoleAnswer(Message):
    """One role."""

    role: MlflowRole | None = None


class MlflowRolesAnswer(Message):
    """Roles."""

    roles: list[MlflowRole] | None = None


class MlflowRolePermissionAnswer(Message):
    """One permission of a role."""

    role_permission: MlflowRolePermission | None = None


class MlflowRolePermissionsAnswer(Message):
    """What a role allows."""

    role_permissions: list[MlflowRolePermission] | None = None


class MlflowAssignment(Message):
    """That a user has a role."""

    id: int | None = None
    user_id: str | None = None
    role_id: RowId | None = None


class MlflowAssignmentAnswer(Message):
    """That a user has a role."""

    assignment: MlflowAssignment | None = None


class MlflowAssignmentsAnswer(Message):
    """Who has a role."""

    assignments: list[MlflowAssignment] | None = None


def create(tx: Tx, request: CreateMlflowRole) -> MlflowRoleAnswer:
    """roles/create."""
    workspace = get_workspace(tx, request.workspace or "").name
    return MlflowRoleAnswer(
        role=role_message(tx, roles.make_role(tx, request.name or "", workspace, request.description))
    )


def get(tx: Tx, request: OneMlflowRole) -> MlflowRoleAnswer:
    """roles/get."""
    return MlflowRoleAnswer(role=role_message(tx, _role(tx, request)))


def list_all(tx: Tx, request: ListMlflowRoles) -> MlflowRolesAnswer:
    """roles/list: those of the workspaces named, or all with the built-in ones."""
    named = request.workspace
    rows = roles.list_all_roles(tx) if named is None else roles.list_roles(tx, named)
    return MlflowRolesAnswer(roles=[role_message(tx, row) for row in rows if named is None or row.workspace in named])


def update(tx: Tx, request: UpdateMlflowRole) -> MlflowRoleAnswer:
    """roles/update."""
    row = roles.change_role(tx, _role(tx, request).id, request.name, request.description)
    return MlflowRoleAnswer(role=role_message(tx, row))


def delete(tx: Tx, request: OneMlflowRole) -> Empty:
    """roles/delete."""
    roles.delete_role(tx, _role(tx, request).id)
    return Empty()


def add_permission(tx: Tx, request: AddMlflowRolePermission) -> MlflowRolePermissionAnswer:
    """roles/permissions/add."""
    role = _role(tx, request)
    verbs, effect = levels.verbs_of(request.permission or "")
    if not role.workspace and request.resource_pattern != ANY:
        raise InvalidInput("A role known everywhere allows something on all: '*'.", "resource_pattern")
    with levels.working_in(tx, role.workspace or tx.workspace):
        kind, pattern = levels.place(tx, request.resource_type or "", request.resource_pattern or "")
    row = roles.add_permission(tx, role.id, roles.NewPermission(verbs, kind, pattern, effect))
    return MlflowRolePermissionAnswer(role_permission=permission_message(tx, row))


def list_permissions(tx: Tx, request: OneMlflowRole) -> MlflowRolePermissionsAnswer:
    """roles/permissions/list."""
    return MlflowRolePermissionsAnswer(role_permissions=role_permissions(tx, _role(tx, request)))


def update_permission(tx: Tx, request: UpdateMlflowRolePermission) -> MlflowRolePermissionAnswer:
    """roles/permissions/update."""
    verbs, effect = levels.verbs_of(request.permission or "")
    row = roles.change_permission(tx, request.role_permission_id or 0, verbs, effect)
    return MlflowRolePermissionAnswer(role_permission=permission_message(tx, row))


def remove_permission(tx: Tx, request: OneMlflowRolePermission) -> Empty:
    """roles/permissions/remove."""
    roles.remove_permission(tx, request.role_permission_id or 0)
    return Empty()


def assign(tx: Tx, request: MlflowRoleOfUser) -> MlflowAssignmentAnswer:
    """roles/assign: in the role's workspace, and one known everywhere in the workspace at hand."""
    user, role = find(tx, request.username), _role(tx, request)
    row = assignments.assign(
        tx, assignments.NewAssignment(f"user/{user.name}", role.name, role.workspace or tx.workspace)
    )
    return MlflowAssignmentAnswer(assignment=_assignment(row))


def unassign(tx: Tx, request: MlflowRoleOfUser) -> Empty:
    """roles/unassign."""
    user, role = find(tx, request.username), _role(tx, request)
    rows = [row for row in _held(tx, role) if row.principal == user_principal(user.id)]
    if not rows:
        raise NotFound(f"{user.name} has not the role '{role.name}' here.")
    for row in rows:
        assignments.unassign(tx, row.id)
    return Empty()


def list_of_user(tx: Tx, request: ListMlflowRolesOfUser) -> MlflowRolesAnswer:
    """users/roles/list."""
    return MlflowRolesAnswer(roles=given_roles(tx, find(tx, request.username).id))


def list_users(tx: Tx, request: OneMlflowRole) -> MlflowAssignmentsAnswer:
    """roles/users/list."""
    found = [row for row in _held(tx, _role(tx, request)) if row.principal.startswith(user_principal(""))]
    return MlflowAssignmentsAnswer(assignments=[_assignment(row) for row in found])


def _role(tx: Tx, request: Any) -> Any:
    return roles.get_role(tx, request.role_id or 0)


def _held(tx: Tx, role: Any) -> list[Any]:
    """The assignments of a role on a whole workspace: its own, or the one at hand for a role known everywhere."""
    whole = (role.workspace or tx.workspace, ANY, ANY, Effect.ALLOW)
    rows = assignments.holders_of_role(tx, role.id)
    return [row for row in rows if (row.workspace, row.kind, row.pattern, row.effect) == whole]


def _assignment(row: Any) -> MlflowAssignment:
    return MlflowAssignment(id=row.id, user_id=row.principal.partition("/")[2], role_id=row.role_id)


def _operation(name: str, method: str, path: str, request: Any, run: Any, answer: Any, summary: str) -> Operation:
    reads = method == "GET"
    mode, permission = (Mode.READ, Permission.ROLE_READ) if reads else (Mode.WRITE, Permission.ROLE_MANAGE)
    where = routes(method, f"3.0/mlflow/{path}")
    return Operation(f"mlflow_roles.{name}", MLFLOW, where, request, run, mode, permission, summary, answer)


_PERMISSIONS = "roles/permissions"
_HELD = MlflowAssignmentAnswer

OPERATIONS: list[Operation] = [
    _operation("create", "POST", "roles/create", CreateMlflowRole, create, MlflowRoleAnswer, "Make a role"),
    _operation("get", "GET", "roles/get", OneMlflowRole, get, MlflowRoleAnswer, "A role"),
    _operation("list", "GET", "roles/list", ListMlflowRoles, list_all, MlflowRolesAnswer, "The roles of a workspace"),
    _operation("update", "PATCH", "roles/update", UpdateMlflowRole, update, MlflowRoleAnswer, "Describe a role"),
    _operation("delete", "DELETE", "roles/delete", OneMlflowRole, delete, Empty, "Delete a role"),
    _operation(
        "add_permission",
        "POST",
        f"{_PERMISSIONS}/add",
        AddMlflowRolePermission,
        add_permission,
        MlflowRolePermissionAnswer,
        "Let a role allow more",
    ),
    _operation(
        "list_permissions",
        "GET",
        f"{_PERMISSIONS}/list",
        OneMlflowRole,
        list_permissions,
        MlflowRolePermissionsAnswer,
        "What a role allows",
    ),
    _operation(
        "update_permission",
        "PATCH",
        f"{_PERMISSIONS}/update",
        UpdateMlflowRolePermission,
        update_permission,
        MlflowRolePermissionAnswer,
        "Change what a role allows",
    ),
    _operation(
        "remove_permission",
        "DELETE",
        f"{_PERMISSIONS}/remove",
        OneMlflowRolePermission,
        remove_permission,
        Empty,
        "Let a role allow less",
    ),
    _operation("assign", "POST", "roles/assign", MlflowRoleOfUser, assign, _HELD, "Give a person a role"),
    _operation("unassign", "DELETE", "roles/unassign", MlflowRoleOfUser, unassign, Empty, "Take a person's role"),
    _operation(
        "list_of_user",
        "GET",
        "users/roles/list",
        ListMlflowRolesOfUser,
        list_of_user,
        MlflowRolesAnswer,
        "A person's roles",
    ),
    _operation(
        "list_users", "GET", "roles/users/list", OneMlflowRole, list_users, MlflowAssignmentsAnswer, "Who has a role"
    ),
]
