"""Downloads as entries of the journal, where a workspace asks for that."""

from collections.abc import Sequence

from modelkeep import access, artifacts
from modelkeep.audit.events import DownloadsAudited, FileDownloaded
from modelkeep.db import Tx


def audits_downloads(tx: Tx, workspace: str) -> bool:
    """Whether downloads in this workspace are entries. Raises NotFound."""
    return bool(access.get_workspace(tx, workspace).audit_downloads)


def set_audits_downloads(tx: Tx, workspace: str, *, audited: bool) -> None:
    """Say whether downloads in this workspace are entries. Raises NotFound."""
    access.lock_workspace(tx, workspace)
    if audits_downloads(tx, workspace) != audited:
        access.set_audit_downloads(tx, workspace, audited=audited)
        tx.emit(DownloadsAudited(workspace, audited))


def note_download(
    tx: Tx, segments: Sequence[str], digest: str, way: str, first: int | None = None, last: int | None = None
) -> None:
    """Write down that somebody fetches what stands at this path in the artifact namespace."""
    owner = artifacts.owner_of(tx, segments) or f"blob/{digest}"
    path = "/".join(segments)
    tx.emit(FileDownloaded(owner.replace("version/", "model-version/", 1), path, digest, way, first, last))
