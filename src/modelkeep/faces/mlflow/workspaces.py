"""Workspaces on MLflow's wire."""

from typing import Any

from modelkeep.access import Permission, create_workspace, describe_workspace, get_workspace, list_workspaces
from modelkeep.core.errors import Conflict
from modelkeep.core.names import check_length
from modelkeep.db import Tx
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation

_MAX_DESCRIPTION = 5000
_MAX_NAME = 63


class CreateMlflowWorkspace(Message):
    """Make a workspace."""

    required = ("name",)
    name: str | None = None
    description: str | None = None


class UpdateMlflowWorkspace(Message):
    """Describe a workspace."""

    required = ("workspace_name",)
    workspace_name: str | None = None
    description: str | None = None


class DeleteMlflowWorkspace(Message):
    """Delete a workspace."""

    required = ("workspace_name",)
    workspace_name: str | None = None


class GetMlflowWorkspace(Message):
    """A call about a workspace."""

    required = ("workspace_name",)
    workspace_name: str | None = None


class ListMlflowWorkspaces(Message):
    """All workspaces."""


class WorkspaceMessage(Message):
    """A workspace."""

    name: str | None = None
    description: str | None = None


class WorkspaceAnswer(Message):
    """One workspace."""

    workspace: WorkspaceMessage | None = None


class WorkspacesAnswer(Message):
    """All workspaces."""

    workspaces: list[WorkspaceMessage] | None = None


def _message(row: Any) -> WorkspaceMessage:
    return WorkspaceMessage(name=row.name, description=row.description)


def list_all(tx: Tx, _request: ListMlflowWorkspaces) -> WorkspacesAnswer:
    """workspaces, GET."""
    return WorkspacesAnswer(workspaces=[_message(row) for row in list_workspaces(tx)])


def create(tx: Tx, request: CreateMlflowWorkspace) -> WorkspaceAnswer:
    """workspaces, POST."""
    check_length("description", request.description or "", _MAX_DESCRIPTION)
    return WorkspaceAnswer(workspace=_message(create_workspace(tx, request.name or "", request.description)))


def get(tx: Tx, request: GetMlflowWorkspace) -> WorkspaceAnswer:
    """workspaces/{workspace_name}, GET."""
    name = request.workspace_name or ""
    check_length("workspace_name", name, _MAX_NAME)
    return WorkspaceAnswer(workspace=_message(get_workspace(tx, name)))


def update(tx: Tx, request: UpdateMlflowWorkspace) -> WorkspaceAnswer:
    """workspaces/{workspace_name}, PATCH."""
    check_length("description", request.description or "", _MAX_DESCRIPTION)
    row = get_workspace(tx, request.workspace_name or "")
    if request.description is not None:
        row = describe_workspace(tx, row.name, request.description)
    return WorkspaceAnswer(workspace=_message(row))


def delete(tx: Tx, request: DeleteMlflowWorkspace) -> None:
    """workspaces/{workspace_name}, DELETE: always refused, since the log speaks of workspaces by their names."""
    name = get_workspace(tx, request.workspace_name or "").name
    raise Conflict(f"Workspace '{name}' stays: workspaces are not deleted. Retire its models and take its roles back.")


_PATH = "3.0/mlflow/workspaces"

OPERATIONS: list[Operation] = [
    Operation(
        "mlflow_workspaces.list",
        MLFLOW,
        routes("GET", _PATH),
        ListMlflowWorkspaces,
        list_all,
        Mode.READ,
        Permission.WORKSPACE_READ,
        "All workspaces",
        WorkspacesAnswer,
    ),
    Operation(
        "mlflow_workspaces.create",
        MLFLOW,
        routes("POST", _PATH),
        CreateMlflowWorkspace,
        create,
        Mode.WRITE,
        Permission.WORKSPACE_CREATE,
        "Make a workspace",
        WorkspaceAnswer,
        status=201,
    ),
    Operation(
        "mlflow_workspaces.get",
        MLFLOW,
        routes("GET", f"{_PATH}/{{workspace_name}}"),
        GetMlflowWorkspace,
        get,
        Mode.QUICK,
        Permission.WORKSPACE_READ,
        "A workspace",
        WorkspaceAnswer,
    ),
    Operation(
        "mlflow_workspaces.update",
        MLFLOW,
        routes("PATCH", f"{_PATH}/{{workspace_name}}"),
        UpdateMlflowWorkspace,
        update,
        Mode.WRITE,
        Permission.WORKSPACE_MANAGE,
        "Describe a workspace",
        WorkspaceAnswer,
    ),
    Operation(
        "mlflow_workspaces.delete",
        MLFLOW,
        routes("DELETE", f"{_PATH}/{{workspace_name}}"),
        DeleteMlflowWorkspace,
        delete,
        Mode.QUICK,
        Permission.WORKSPACE_MANAGE,
        "Refused: workspaces are not deleted",
        Empty,
    ),
]
