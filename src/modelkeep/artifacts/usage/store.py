"""SQL of usage: what a workspace's clients see, what it keeps in the store, and its quota."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, literal_column, or_, select

from modelkeep.artifacts.tables import (
    blobs,
    manifest_files,
    manifests,
    quotas,
    tree_files,
    trees,
    upload_parts,
    uploads,
)
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts, unindexed, upsert

_HERE = trees.c.workspace == bindparam("workspace")
# Of what a blob led to: read from the workspace's side, all of its versions would be looked at for each blob.
_FOUND_HERE = unindexed(trees.c.workspace) == bindparam("workspace")
_IS_KEPT = (trees.c.digest.is_not(None)) & (trees.c.released_at.is_(None))


def _sum(column: Any) -> Any:
    return func.coalesce(func.sum(column), 0).label("size")


_FILES = Prepared(
    select(func.count().label("files"), _sum(tree_files.c.size))
    .select_from(trees.join(tree_files, tree_files.c.tree_id == trees.c.id))
    .where(_HERE)
)
_VERSIONS = Prepared(
    select(
        func.count().label("versions"),
        func.coalesce(func.sum(manifests.c.files), 0).label("files"),
        _sum(manifests.c.size),
    )
    .select_from(trees.join(manifests, manifests.c.digest == trees.c.digest))
    .where(_HERE, _IS_KEPT)
)
_NAMED_BY_TREE = (
    select(literal_column("1"))
    .select_from(tree_files.join(trees, trees.c.id == tree_files.c.tree_id))
    .where(tree_files.c.sha256 == blobs.c.sha256, _FOUND_HERE)
    .correlate(blobs)
    .exists()
)
_NAMED_BY_VERSION = (
    select(literal_column("1"))
    .select_from(manifest_files.join(trees, trees.c.digest == manifest_files.c.digest))
    .where(manifest_files.c.sha256 == blobs.c.sha256, _FOUND_HERE, _IS_KEPT)
    .correlate(blobs)
    .exists()
)
# Blob by blob: there are many times as many names as blobs.
_STORED = Prepared(
    select(func.count().label("blobs"), _sum(blobs.c.size)).where(or_(_NAMED_BY_TREE, _NAMED_BY_VERSION))
)

_OF_MANIFEST = (
    select(manifest_files.c.digest, manifest_files.c.sha256, manifest_files.c.size)
    .distinct()
    .where(one_of_texts(manifest_files.c.digest, "digests"))
    .subquery("listed")
)
_other = manifest_files.alias("other")
_IN_TREE = (
    select(literal_column("1")).where(tree_files.c.sha256 == _OF_MANIFEST.c.sha256).correlate(_OF_MANIFEST).exists()
)
_IN_OTHER = (
    select(literal_column("1"))
    .select_from(_other.join(trees, trees.c.digest == _other.c.digest))
    .where(
        _other.c.sha256 == _OF_MANIFEST.c.sha256,
        _other.c.digest != _OF_MANIFEST.c.digest,
        trees.c.released_at.is_(None),
    )
    .correlate(_OF_MANIFEST)
    .exists()
)
_SOLE = Prepared(
    select(_OF_MANIFEST.c.digest, _sum(_OF_MANIFEST.c.size))
    .where(~_IN_TREE, ~_IN_OTHER)
    .group_by(_OF_MANIFEST.c.digest)
)
_SHARES = Prepared(
    select(trees.c.digest, func.count().label("versions"))
    .where(one_of_texts(trees.c.digest, "digests"), trees.c.released_at.is_(None))
    .group_by(trees.c.digest)
)
_ALL = Prepared(select(func.count().label("blobs"), _sum(blobs.c.size)))
_TRASH = Prepared(select(func.count().label("blobs"), _sum(blobs.c.size)).where(blobs.c.trashed_at.is_not(None)))
_SENT = select(func.sum(upload_parts.c.size)).where(upload_parts.c.upload_id == uploads.c.id).scalar_subquery()
_UNFINISHED = Prepared(
    select(_sum(func.coalesce(uploads.c.size, _SENT, 0))).where(
        uploads.c.workspace == bindparam("workspace"), uploads.c.sha256.is_(None)
    )
)

_QUOTA = Prepared(select(quotas.c.bytes).where(quotas.c.workspace == bindparam("name")))
_SET_QUOTA = Prepared(upsert(quotas, ["workspace"], ["bytes"]))
_DELETE_QUOTA = Prepared(delete(quotas).where(quotas.c.workspace == bindparam("name")).returning(quotas))


def files(tx: Tx) -> Any:
    """The files of all runs and logged models of the workspace: how many, and their bytes."""
    return tx.row(_FILES, workspace=tx.workspace)


def versions(tx: Tx) -> Any:
    """The versions of the workspace whose bytes are kept: how many, their files, and their bytes."""
    return tx.row(_VERSIONS, workspace=tx.workspace)


def stored(tx: Tx) -> Any:
    """The blobs that trees and versions of the workspace name, each once: how many, and their bytes."""
    return tx.row(_STORED, workspace=tx.workspace)


def unfinished(tx: Tx) -> int:
    """The bytes that the workspace's uploads in parts are said to have, or else have sent, until they are files."""
    row = tx.row(_UNFINISHED, workspace=tx.workspace)
    return int(row.size) if row else 0


def everything(tx: Tx) -> Any:
    """All blobs of all workspaces: how many, and their bytes."""
    return tx.row(_ALL)


def trash(tx: Tx) -> Any:
    """The blobs in the trash: how many, and their bytes."""
    return tx.row(_TRASH)


def sole_sizes(tx: Tx, digests: Sequence[str]) -> dict[str, int]:
    """For each of these manifests, the bytes of its blobs that no tree and no other manifest in use names."""
    return {row.digest: int(row.size) for row in tx.rows(_SOLE, digests=json.dumps(digests))}


def shares(tx: Tx, digests: Sequence[str]) -> dict[str, int]:
    """How many versions, of all workspaces, serve each of these manifests."""
    return {row.digest: int(row.versions) for row in tx.rows(_SHARES, digests=json.dumps(digests))}


def quota(tx: Tx, workspace: str) -> int | None:
    """How many bytes a workspace may keep; None without a limit."""
    found = tx.row(_QUOTA, name=workspace)
    return int(found.bytes) if found else None


def set_quota(tx: Tx, workspace: str, size: int) -> None:
    """Limit a workspace."""
    tx.run(_SET_QUOTA, workspace=workspace, bytes=size)


def delete_quota(tx: Tx, workspace: str) -> int | None:
    """Lift a workspace's limit; what it was, None if it had none."""
    found = tx.row(_DELETE_QUOTA, name=workspace)
    return int(found.bytes) if found else None
