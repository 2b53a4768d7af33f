"""Users' levels on whole workspaces, as MLflow's wire had them before roles: for scripts that still ask so."""

from typing import Any

from modelkeep.access import ANY, Permission, assignments, get_workspace, user_principal
from modelkeep.core.errors import NotFound
from modelkeep.db import Tx
from modelkeep.faces.mlflow import levels
from modelkeep.faces.mlflow.users import find
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation

_WHOLE = (ANY, ANY)


class SetWorkspacePermission(Message):
    """The level that a user is to have on all of a workspace."""

    required = ("workspace_name", "username", "permission")
    workspace_name: str | None = None
    username: str | None = None
    permission: str | None = None


class OneWorkspacePermission(Message):
    """A call about a user's level on a workspace."""

    required = ("workspace_name", "username")
    workspace_name: str | None = None
    username: str | None = None


class ListWorkspacePermissions(Message):
    """A call about the levels that users have on a workspace."""

    required = ("workspace_name",)
    workspace_name: str | None = None


class ListWorkspacePermissionsOfUser(Message):
    """A call about the workspaces that a user has a level on."""

    required = ("username",)
    username: str | None = None


class WorkspacePermissionMessage(Message):
    """A user's level on a workspace; `*` is all of them. `can_use` says whether they may download."""

    workspace: str | None = None
    user_id: str | None = None
    permission: str | None = None
    can_use: bool | None = None


class WorkspacePermissionAnswer(Message):
    """One level."""

    permission: WorkspacePermissionMessage | None = None


class WorkspacePermissionsAnswer(Message):
    """Levels."""

    permissions: list[WorkspacePermissionMessage] | None = None


def list_on(tx: Tx, request: ListWorkspacePermissions) -> WorkspacePermissionsAnswer:
    """workspaces/{workspace_name}/permissions, GET."""
    with levels.working_in(tx, get_workspace(tx, request.workspace_name or "").name):
        return _answer(tx, assignments.assignments_on(tx, *_WHOLE))


def list_of_user(tx: Tx, request: ListWorkspacePermissionsOfUser) -> WorkspacePermissionsAnswer:
    """workspace-permissions, GET."""
    rows = assignments.assignments_of(tx, user_principal(find(tx, request.username).id))
    return _answer(tx, [row for row in rows if (row.kind, row.pattern) == _WHOLE])


def set_level(tx: Tx, request: SetWorkspacePermission) -> WorkspacePermissionAnswer:
    """workspaces/{workspace_name}/permissions, POST."""
    user, workspace = find(tx, request.username), get_workspace(tx, request.workspace_name or "").name
    level = request.permission or ""
    with levels.working_in(tx, workspace):
        levels.give(tx, user.name, user.id, *_WHOLE, level)
    return WorkspacePermissionAnswer(permission=_message(workspace, user.id, level))


def delete(tx: Tx, request: OneWorkspacePermission) -> None:
    """workspaces/{workspace_name}/permissions, DELETE."""
    user, workspace = find(tx, request.username), get_workspace(tx, request.workspace_name or "").name
    with levels.working_in(tx, workspace):
        if not levels.take(tx, user.id, *_WHOLE):
            raise NotFound(f"{user.name} was given no permission on workspace '{workspace}'.", "username")


def _answer(tx: Tx, rows: list[Any]) -> WorkspacePermissionsAnswer:
    """One level for each user and workspace: a denial before the strongest, as it counts."""
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        kind, _, user_id = row.principal.partition("/")
        level = levels.level_of_assignment(row)
        if kind == "user" and level and (row.expires_at is None or row.expires_at > tx.now):
            key = (row.workspace, user_id)
            found[key] = max(found.get(key, level), level, key=levels.weight)
    return WorkspacePermissionsAnswer(permissions=[_message(*key, level) for key, level in found.items()])


def _message(workspace: str, user_id: str, level: str) -> WorkspacePermissionMessage:
    word = levels.NO_PERMISSIONS if level == levels.DENY else level
    can_use = word != levels.NO_PERMISSIONS
    return WorkspacePermissionMessage(workspace=workspace, user_id=user_id, permission=word, can_use=can_use)


def _operation(name: str, method: str, path: str, request: Any, run: Any, says: Any, **more: Any) -> Operation:
    reads = method == "GET"
    mode, permission = (Mode.READ, Permission.ROLE_READ) if reads else (Mode.WRITE, Permission.ROLE_MANAGE)
    where = routes(method, f"3.0/mlflow/{path}")
    return Operation(
        f"mlflow_workspace_permissions.{name}", MLFLOW, where, request, run, mode, permission, *says, **more
    )


_PATH = "workspaces/{workspace_name}/permissions"

OPERATIONS: list[Operation] = [
    _operation(
        "list",
        "GET",
        _PATH,
        ListWorkspacePermissions,
        list_on,
        ("People's levels on a workspace", WorkspacePermissionsAnswer),
    ),
    _operation(
        "set",
        "POST",
        _PATH,
        SetWorkspacePermission,
        set_level,
        ("Give a person a level on a workspace", WorkspacePermissionAnswer),
    ),
    _operation(
        "delete",
        "DELETE",
        _PATH,
        OneWorkspacePermission,
        delete,
        ("Take a person's level on a workspace", Empty),
        status=204,
    ),
    _operation(
        "of_user",
        "GET",
        "workspace-permissions",
        ListWorkspacePermissionsOfUser,
        list_of_user,
        ("A person's levels on workspaces", WorkspacePermissionsAnswer),
    ),
]
