"""Workspaces on the native API."""

from modelkeep.access import Permission, create_workspace, list_workspaces
from modelkeep.core.names import check_length
from modelkeep.db import Tx
from modelkeep.faces.native.messages import WorkspaceInfo, WorkspaceList, workspace_info
from modelkeep.faces.native.wire import NATIVE, Request, routes
from modelkeep.faces.operations import Mode, Operation

_MAX_DESCRIPTION = 5000


class ListWorkspaces(Request):
    """All workspaces."""


class NewWorkspace(Request):
    """A workspace to be made."""

    name: str
    description: str | None = None


def list_all(tx: Tx, _request: ListWorkspaces) -> WorkspaceList:
    """All workspaces by name."""
    return WorkspaceList(items=[workspace_info(row) for row in list_workspaces(tx)])


def make_workspace(tx: Tx, request: NewWorkspace) -> WorkspaceInfo:
    """Make a workspace."""
    check_length("description", request.description or "", _MAX_DESCRIPTION)
    return workspace_info(create_workspace(tx, request.name, request.description))


OPERATIONS: list[Operation] = [
    Operation(
        "workspaces.list",
        NATIVE,
        routes("GET", "workspaces"),
        ListWorkspaces,
        list_all,
        Mode.READ,
        Permission.WORKSPACE_READ,
        "All workspaces",
        WorkspaceList,
    ),
    Operation(
        "workspaces.create",
        NATIVE,
        routes("POST", "workspaces"),
        NewWorkspace,
        make_workspace,
        Mode.WRITE,
        Permission.WORKSPACE_CREATE,
        "Make a workspace",
        WorkspaceInfo,
        status=201,
    ),
]
