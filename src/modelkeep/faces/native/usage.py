"""Usage on the native API: what a workspace holds, as clients see it and as it lies in the store, and its quota."""

from typing import Annotated

from msgspec import Meta

from modelkeep import artifacts, retention
from modelkeep.access import SERVER, Permission, Verb, get_workspace, review
from modelkeep.artifacts import Amount
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation

QuotaBytes = Annotated[int, Meta(ge=0, le=2**62)]


class ShowUsage(Request):
    """A page of the models that hold most; what the whole workspace holds comes with the first."""

    limit: PageSize = 20
    cursor: Cursor = ""


class OneQuota(Request):
    """A call about the quota of the workspace of that name."""

    name: str


class PutQuota(Request):
    """How many bytes a workspace may keep in the store."""

    name: str
    bytes: QuotaBytes


class ModelUsageAnswer(Answer):
    """What a model's versions hold: the bytes of all their files, and of the distinct ones among them."""

    name: str
    id: str
    versions: int
    files: int
    logical_bytes: int
    stored_bytes: int


class StoreUsage(Answer):
    """What lies in the store, of all workspaces together; `trash` is the part of it that nothing names any more."""

    blobs: int
    bytes: int
    trash_blobs: int
    trash_bytes: int


class WorkspaceUsage(Answer):
    """What a workspace holds. `logical_bytes` counts each file of each run, logged model and version; `stored_bytes`
    counts the same bytes once, and this is what a quota limits. `reclaimable_bytes` are those of the versions, runs and
    logged models that `gc` would let go of. `store` is shown to those who may manage storage.
    """

    files: int
    versions: int
    logical_bytes: int
    tree_bytes: int
    version_bytes: int
    stored_blobs: int
    stored_bytes: int
    reclaimable_bytes: int
    quota_bytes: int | None = None
    store: StoreUsage | None = None


class UsageAnswer(Answer):
    """Models by the bytes of their versions, the largest first."""

    models: list[ModelUsageAnswer]
    workspace: WorkspaceUsage | None = None
    next_cursor: str | None = None


class QuotaAnswer(Answer):
    """A workspace's quota; none where `bytes` is left out."""

    workspace: str
    bytes: int | None = None


def show_usage(tx: Tx, request: ShowUsage) -> UsageAnswer:
    """What the workspace holds, and which models most of it."""
    after: tuple[int, str] | None = None
    if request.cursor:
        size, model_id = read_cursor(request.cursor, int, str)
        after = size, model_id
    found = retention.largest_models(tx, after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].size, page[-1].model_id) if len(found) > len(page) else None
    return UsageAnswer(
        models=[_model(one) for one in page], workspace=None if after else _workspace(tx), next_cursor=more
    )


def show_quota(tx: Tx, request: OneQuota) -> QuotaAnswer:
    """The quota of a workspace."""
    get_workspace(tx, request.name)
    return QuotaAnswer(workspace=request.name, bytes=artifacts.get_quota(tx, request.name))


def put_quota(tx: Tx, request: PutQuota) -> QuotaAnswer:
    """Limit a workspace."""
    get_workspace(tx, request.name)
    artifacts.set_quota(tx, request.name, request.bytes)
    return QuotaAnswer(workspace=request.name, bytes=request.bytes)


def lift_quota(tx: Tx, request: OneQuota) -> None:
    """Lift a workspace's limit."""
    get_workspace(tx, request.name)
    artifacts.lift_quota(tx, request.name)


def _model(one: retention.ModelUsage) -> ModelUsageAnswer:
    return ModelUsageAnswer(
        name=one.name,
        id=one.model_id,
        versions=one.versions,
        files=one.files,
        logical_bytes=one.size,
        stored_bytes=one.stored,
    )


def _workspace(tx: Tx) -> WorkspaceUsage:
    usage = artifacts.workspace_usage(tx)
    return WorkspaceUsage(
        files=usage.files.count + usage.version_files.count,
        versions=usage.versions,
        logical_bytes=usage.files.size + usage.version_files.size,
        tree_bytes=usage.files.size,
        version_bytes=usage.version_files.size,
        stored_blobs=usage.stored.count,
        stored_bytes=usage.stored.size,
        reclaimable_bytes=retention.reclaimable_size(tx),
        quota_bytes=artifacts.get_quota(tx, tx.workspace),
        # What all workspaces hold together would tell, after an upload, whether another one has the same bytes.
        store=_store(*artifacts.blob_amounts(tx)) if review.may(tx, Verb.MANAGE, SERVER) else None,
    )


def _store(everything: Amount, trash: Amount) -> StoreUsage:
    return StoreUsage(blobs=everything.count, bytes=everything.size, trash_blobs=trash.count, trash_bytes=trash.size)


_QUOTA = "workspaces/{name}/quota"

OPERATIONS: list[Operation] = [
    Operation(
        "usage.show",
        NATIVE,
        routes("GET", "usage"),
        ShowUsage,
        show_usage,
        Mode.READ,
        Permission.WORKSPACE_READ,
        "What the workspace holds, and which models most of it",
        UsageAnswer,
    ),
    Operation(
        "quotas.show",
        NATIVE,
        routes("GET", _QUOTA),
        OneQuota,
        show_quota,
        Mode.READ,
        Permission.WORKSPACE_READ,
        "How many bytes a workspace may keep in the store",
        QuotaAnswer,
    ),
    Operation(
        "quotas.set",
        NATIVE,
        routes("PUT", _QUOTA),
        PutQuota,
        put_quota,
        Mode.WRITE,
        Permission.STORAGE_MANAGE,
        "Limit what a workspace may keep in the store",
        QuotaAnswer,
    ),
    Operation(
        "quotas.lift",
        NATIVE,
        routes("DELETE", _QUOTA),
        OneQuota,
        lift_quota,
        Mode.WRITE,
        Permission.STORAGE_MANAGE,
        "Lift a workspace's limit",
        status=204,
    ),
]
