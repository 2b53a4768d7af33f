"""Sharing one model or experiment with all who may read in another workspace: to be read, for a while."""

from typing import Any

from modelkeep.access.grants import store
from modelkeep.access.grants.assignments import NewAssignment, assign, get_assignment, unassign
from modelkeep.access.grants.rights import workspace_principal
from modelkeep.access.rules import Kind, by_id
from modelkeep.core.errors import NotFound
from modelkeep.db import Tx

_SHARES = workspace_principal("")


def share(tx: Tx, kind: Kind, identity: str, workspace: str, expires_at: int, reason: str = "") -> Any:
    """Let all who may read in a workspace read this thing of the caller's workspace. Raises as `assign` does."""
    new = NewAssignment(
        workspace_principal(workspace), "viewer", tx.workspace, kind, by_id(identity), "allow", expires_at, reason
    )
    return assign(tx, new)


def shares_of(tx: Tx, kind: Kind, identity: str) -> list[Any]:
    """What workspaces a thing of the caller's workspace is shared with, oldest first; those that ended too."""
    rows = store.assignments_on(tx, tx.workspace, kind, by_id(identity))
    return [row for row in rows if row.principal.startswith(_SHARES)]


def end_share(tx: Tx, kind: Kind, identity: str, share_id: int) -> None:
    """Share a thing with a workspace no more. Raises NotFound."""
    if share_id not in {row.id for row in shares_of(tx, kind, identity)}:
        raise NotFound(f"There is no share with the id {share_id} of this {kind}.", "id")
    unassign(tx, get_assignment(tx, share_id).id)


def consumer_of(row: Any) -> str:
    """The workspace that a share is for."""
    return str(row.principal).removeprefix(_SHARES)
