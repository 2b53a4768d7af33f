"""Whether a workspace's downloads come into the audit log, on the native API."""

from modelkeep import audit
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Mode, Operation


class AuditedWorkspace(Request):
    """A workspace."""

    name: str


class SetAudited(Request):
    """What of a workspace is audited beside its changes."""

    name: str
    downloads: bool


class AuditedAnswer(Answer):
    """What of a workspace is audited beside its changes."""

    downloads: bool


def show_audited(tx: Tx, request: AuditedWorkspace) -> AuditedAnswer:
    """Whether downloads are entries."""
    return AuditedAnswer(downloads=audit.audits_downloads(tx, request.name))


def set_audited(tx: Tx, request: SetAudited) -> AuditedAnswer:
    """Say whether downloads are entries."""
    audit.set_audits_downloads(tx, request.name, audited=request.downloads)
    return AuditedAnswer(downloads=request.downloads)


OPERATIONS: list[Operation] = [
    Operation(
        "workspaces.show_audit",
        NATIVE,
        routes("GET", "workspaces/{name}/audit"),
        AuditedWorkspace,
        show_audited,
        Mode.READ,
        Permission.WORKSPACE_READ,
        "Whether a workspace's downloads are entries of the audit log",
        AuditedAnswer,
    ),
    Operation(
        "workspaces.set_audit",
        NATIVE,
        routes("PUT", "workspaces/{name}/audit"),
        SetAudited,
        set_audited,
        Mode.WRITE,
        Permission.WORKSPACE_MANAGE,
        "Say whether a workspace's downloads are entries of the audit log, from a second later on",
        AuditedAnswer,
    ),
]
