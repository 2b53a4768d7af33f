"""Workspaces on MLflow's wire."""

from typing import Any

from modelkeep.access import Permission, create_workspace, get_workspace, list_workspaces
from modelkeep.core.names import check_length
from modelkeep.db import Tx
from modelkeep.faces.mlflow.wire import MLFLOW, Message, routes
from modelkeep.faces.operations import Mode, Operation

_MAX_DESCRIPTION = 5000
_MAX_NAME = 63


class CreateMlflowWorkspace(Message):
    """Make a workspace."""

    required = ("name",)
    name: str | None = None
    description: str | None = None


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
        Permission.WORKSPACE_MANAGE,
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
]
