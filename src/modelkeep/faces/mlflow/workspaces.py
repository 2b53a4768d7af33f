"""Workspaces on MLflow's wire."""

from typing import Any

from modelkeep.access import Permission, create_workspace, get_workspace, list_workspaces
from modelkeep.db import Tx
from modelkeep.faces.mlflow.wire import MLFLOW, Message, routes
from modelkeep.faces.operations import Mode, Operation


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
    return WorkspaceAnswer(workspace=_message(create_workspace(tx, request.name or "", request.description)))


def get(tx: Tx, request: GetMlflowWorkspace) -> WorkspaceAnswer:
    """workspaces/{workspace_name}, GET."""
    return WorkspaceAnswer(workspace=_message(get_workspace(tx, request.workspace_name or "")))


_PATH = "3.0/mlflow/workspaces"

OPERATIONS: list[Operation] = [
    Operation(
        "workspaces.list",
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
        "workspaces.create",
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
        "workspaces.get",
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
