"""SQL of artifacts: trees and their files, blobs, manifests.

What lies in folder `f` are the paths greater than `f/` and less than `f0`: `0` is the character after `/`.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import String, bindparam, delete, func, select, union_all

from modelkeep.artifacts.digests import Chunks
from modelkeep.artifacts.tables import (
    blob_chunks,
    blob_epochs,
    blobs,
    manifest_files,
    manifests,
    quotas,
    tree_files,
    trees,
)
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts, upsert

_QUOTA = select(quotas.c.bytes).where(quotas.c.workspace == trees.c.workspace).correlate(trees).scalar_subquery()
_TREE_COLUMNS = (trees.c.id, trees.c.root, trees.c.owner, trees.c.digest, trees.c.released_at)
_IS_ROOT = (trees.c.workspace == bindparam("workspace")) & one_of_texts(trees.c.root, "roots")
_KNOWN_ROOT = select(*_TREE_COLUMNS).where(_IS_ROOT)
# Roots of one path begin with each other, so the greatest is the longest.
_TREE = Prepared(_KNOWN_ROOT.order_by(trees.c.root.desc()).limit(1))
_TREE_AND_QUOTA = Prepared(
    select(*_TREE_COLUMNS, _QUOTA.label("quota")).where(_IS_ROOT).order_by(trees.c.root.desc()).limit(1)
)
_TREE_TO_CHANGE = Prepared(_KNOWN_ROOT.order_by(trees.c.root.desc()).limit(1).with_for_update())
_INSERT_TREE = Prepared(
    upsert(trees, ["workspace", "root"], []).values(
        {name: bindparam(name) for name in ("workspace", "root", "owner", "digest")}
    )
)

_INSIDE = func.substr(bindparam("path", type_=String()), func.length(trees.c.root) + 2)
_NAMED = func.coalesce(tree_files.c.sha256, manifest_files.c.sha256)
_FILE = Prepared(
    select(
        _NAMED.label("sha256"),
        func.coalesce(tree_files.c.size, manifest_files.c.size).label("size"),
        trees.c.released_at,
        trees.c.digest.label("manifest"),
        blobs.c.corrupt_at,
        blobs.c.sound_at,
        blob_chunks.c.length,
        blob_chunks.c.digests,
    )
    .select_from(
        trees.outerjoin(tree_files, (tree_files.c.tree_id == trees.c.id) & (tree_files.c.path == _INSIDE))
        .outerjoin(manifest_files, (manifest_files.c.digest == trees.c.digest) & (manifest_files.c.path == _INSIDE))
        .outerjoin(blobs, blobs.c.sha256 == _NAMED)
        .outerjoin(blob_chunks, blob_chunks.c.sha256 == _NAMED)
    )
    .where(trees.c.workspace == bindparam("workspace"), one_of_texts(trees.c.root, "roots"))
    .order_by(trees.c.root.desc())
    .limit(1)
)


def _in_folder(column: Any) -> Any:
    return (column > bindparam("first")) & (column < bindparam("last"))


_TREE_FILES = select(tree_files.c.path, tree_files.c.size, tree_files.c.sha256).where(
    tree_files.c.tree_id == bindparam("tree_id")
)
_ALL_FILES = Prepared(_TREE_FILES.order_by(tree_files.c.path))
_FILES_IN_FOLDER = Prepared(_TREE_FILES.where(_in_folder(tree_files.c.path)).order_by(tree_files.c.path))
_ONE_FILE = Prepared(_TREE_FILES.where(tree_files.c.path == bindparam("path")))
_CLASH = Prepared(
    union_all(
        _TREE_FILES.where(one_of_texts(tree_files.c.path, "folders")),
        _TREE_FILES.where(_in_folder(tree_files.c.path)),
    ).limit(1)
)
_NAME_BLOB = Prepared(
    # The size is what was hashed under this name, whatever the store had when the row was made.
    upsert(blobs, ["sha256"], ["trashed_at", "size"], where=blobs.c.deleting == 0).returning(blobs.c.corrupt_at)
)
_CHUNKS = Prepared(select(blob_chunks).where(blob_chunks.c.sha256 == bindparam("sha256")))
_INSERT_CHUNKS = Prepared(upsert(blob_chunks, ["sha256"], []))
_EPOCH = Prepared(select(blob_epochs.c.epoch))
_FIRST_EPOCH = Prepared(upsert(blob_epochs, ["id"], []))
_PUT_FILE = Prepared(upsert(tree_files, ["tree_id", "path"], ["sha256", "size", "updated_at"]))
_OF_TREE = tree_files.c.tree_id == bindparam("tree_id")
_DELETE_ALL = Prepared(delete(tree_files).where(_OF_TREE))
_DELETE_FILE = Prepared(delete(tree_files).where(_OF_TREE, tree_files.c.path == bindparam("path")))
_DELETE_FOLDER = Prepared(delete(tree_files).where(_OF_TREE, _in_folder(tree_files.c.path)))

_MANIFEST = Prepared(select(manifests).where(manifests.c.digest == bindparam("digest")))
_LISTED = select(manifest_files.c.path, manifest_files.c.size, manifest_files.c.sha256).where(
    manifest_files.c.digest == bindparam("digest")
)
_ALL_LISTED = Prepared(_LISTED.order_by(manifest_files.c.path))
_LISTED_IN_FOLDER = Prepared(_LISTED.where(_in_folder(manifest_files.c.path)).order_by(manifest_files.c.path))
_ONE_LISTED = Prepared(_LISTED.where(manifest_files.c.path == bindparam("path")))
_INSERT_MANIFEST = Prepared(upsert(manifests, ["digest"], []))
_INSERT_LISTED = Prepared(upsert(manifest_files, ["digest", "path"], []))


def tree_at(tx: Tx, roots: list[str]) -> Any | None:
    """The tree with the longest of these roots."""
    return tx.row(_TREE, workspace=tx.workspace, roots=json.dumps(roots))


def tree_and_quota_at(tx: Tx, roots: list[str]) -> Any | None:
    """The tree with the longest of these roots, and its workspace's `quota` if one is set."""
    return tx.row(_TREE_AND_QUOTA, workspace=tx.workspace, roots=json.dumps(roots))


def tree_to_change(tx: Tx, roots: list[str]) -> Any | None:
    """The tree with the longest of these roots, held against other writers until the end of the transaction."""
    return tx.row(_TREE_TO_CHANGE, workspace=tx.workspace, roots=json.dumps(roots))


def insert_tree(tx: Tx, root: str, owner: str, digest: str | None) -> bool:
    """Make a tree; False if the root is taken."""
    return tx.run(_INSERT_TREE, workspace=tx.workspace, root=root, owner=owner, digest=digest) == 1


def file_at(tx: Tx, roots: list[str], path: str) -> Any | None:
    """The file at a full path, in whichever kind of tree it lies, with what is known of its blob; None if there is no
    tree, and a row of Nones if the tree has no such file.
    """
    return tx.row(_FILE, workspace=tx.workspace, roots=json.dumps(roots), path=path)


def files_under(tx: Tx, tree: Any, folder: str) -> list[Any]:
    """All files below a folder of a tree, by path; of all of it where `folder` is empty."""
    if tree.digest is not None:
        return _within(tx, _ALL_LISTED, _LISTED_IN_FOLDER, folder, digest=tree.digest)
    return _within(tx, _ALL_FILES, _FILES_IN_FOLDER, folder, tree_id=tree.id)


def file_in(tx: Tx, tree: Any, path: str) -> Any | None:
    """The file with exactly this path in a tree."""
    if tree.digest is not None:
        return tx.row(_ONE_LISTED, digest=tree.digest, path=path)
    return tx.row(_ONE_FILE, tree_id=tree.id, path=path)


def _within(tx: Tx, everything: Prepared, in_folder: Prepared, folder: str, **of: Any) -> list[Any]:
    if not folder:
        return tx.rows(everything, **of)
    return tx.rows(in_folder, first=folder + "/", last=folder + "0", **of)


def clash(tx: Tx, tree_id: int, path: str, folders: list[str]) -> str | None:
    """A file that a file at `path` excludes: one that is among its `folders`, or lies in it as in a folder."""
    found = tx.row(_CLASH, tree_id=tree_id, folders=json.dumps(folders), first=path + "/", last=path + "0")
    return found.path if found else None


def put_file(tx: Tx, tree_id: int, path: str, sha256: str, size: int) -> None:
    """Let a path of a tree name a blob."""
    tx.run(_PUT_FILE, tree_id=tree_id, path=path, sha256=sha256, size=size, updated_at=tx.now)


def name_blob(tx: Tx, sha256: str, size: int) -> Any | None:
    """Write down that something is about to name a blob, which keeps it; its row, None while it is being deleted."""
    return tx.row(
        _NAME_BLOB,
        sha256=sha256,
        size=size,
        created_at=tx.now,
        trashed_at=None,
        deleting=0,
        deleting_at=None,
        corrupt_at=None,
        verified_at=None,
        sound_at=tx.now,
    )


def keep_chunks(tx: Tx, sha256: str, chunks: Chunks) -> None:
    """Write down the digests of a blob's chunks, unless they are there."""
    tx.run(_INSERT_CHUNKS, sha256=sha256, length=chunks.length, digests=chunks.digests)


def chunks_of(tx: Tx, sha256: str) -> Chunks | None:
    """The digests of a blob's chunks, if they were written down."""
    row = tx.row(_CHUNKS, sha256=sha256)
    return Chunks(row.length, row.digests) if row else None


def epoch(tx: Tx) -> int:
    """How often blobs were begun or ended to be deleted."""
    row = tx.row(_EPOCH)
    return int(row.epoch) if row else 0


def prepare_epoch(tx: Tx) -> None:
    """Make the one row that counts."""
    tx.run(_FIRST_EPOCH, id=1, epoch=0)


def delete_under(tx: Tx, tree_id: int, path: str) -> int:
    """Remove the file at a path and all files below it; how many they were."""
    if not path:
        return tx.run(_DELETE_ALL, tree_id=tree_id)
    below = tx.run(_DELETE_FOLDER, tree_id=tree_id, first=path + "/", last=path + "0")
    return below + tx.run(_DELETE_FILE, tree_id=tree_id, path=path)


def manifest(tx: Tx, digest: str) -> Any | None:
    """The manifest's row."""
    return tx.row(_MANIFEST, digest=digest)


def manifest_files_of(tx: Tx, digest: str) -> list[Any]:
    """The files of a manifest, by path."""
    return tx.rows(_ALL_LISTED, digest=digest)


def keep_manifest(tx: Tx, digest: str, files: Iterable[tuple[str, int, str]], count: int, size: int) -> None:
    """Write a manifest down, unless it is there."""
    if tx.run(_INSERT_MANIFEST, digest=digest, files=count, size=size, created_at=tx.now):
        rows = [{"digest": digest, "path": path, "size": length, "sha256": sha256} for path, length, sha256 in files]
        tx.run_many(_INSERT_LISTED, rows)
