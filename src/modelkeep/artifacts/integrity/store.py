"""SQL of the integrity of blobs: the damaged ones, what holds a blob, which to rehash, and what came of it."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, case, exists, func, or_, select, union_all, update

from modelkeep.artifacts.digests import Chunks
from modelkeep.artifacts.tables import blob_chunks, blobs, manifest_files, tree_files, trees
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, one_of_texts, unindexed, upsert

_THIS = blobs.c.sha256 == bindparam("sha256")
_MARK = Prepared(
    update(blobs)
    .where(_THIS, blobs.c.corrupt_at.is_(None), blobs.c.deleting == 0)
    .values(corrupt_at=bindparam("now", type_=integer()))
)
_MARK_SEEN = Prepared(
    update(blobs)
    .where(
        _THIS,
        blobs.c.corrupt_at.is_(None),
        blobs.c.deleting == 0,
        blobs.c.sound_at == bindparam("seen", type_=integer()),
    )
    .values(corrupt_at=bindparam("now", type_=integer()))
)
_NOW = bindparam("now", type_=integer())
_LATER = case((blobs.c.sound_at < _NOW, _NOW), else_=blobs.c.sound_at + 1)
_HEAL = Prepared(update(blobs).where(_THIS, blobs.c.corrupt_at.is_not(None)).values(corrupt_at=None, sound_at=_LATER))
_RENEW = Prepared(update(blobs).where(_THIS).values(sound_at=_LATER))
_SOUNDNESS = Prepared(select(blobs.c.corrupt_at, blobs.c.sound_at).where(_THIS))
_COUNT = Prepared(select(func.count().label("damaged")).where(blobs.c.corrupt_at.is_not(None)))

_OF_A_TREE = tree_files.c.tree_id == trees.c.id
_OF_A_VERSION = (manifest_files.c.digest == trees.c.digest) & trees.c.released_at.is_(None)
_HELD = (
    select(trees.c.workspace, trees.c.owner, tree_files.c.path)
    .join(tree_files, _OF_A_TREE)
    .where(tree_files.c.sha256 == bindparam("sha256")),
    select(trees.c.workspace, trees.c.owner, manifest_files.c.path)
    .join(manifest_files, _OF_A_VERSION)
    .where(manifest_files.c.sha256 == bindparam("sha256")),
)
_ORDER = ("workspace", "owner", "path")
_HOLDERS = Prepared(union_all(*_HELD).order_by(*_ORDER).limit(bindparam("most")))
# From the side of the blob: a workspace may have very many trees.
_IN_WORKSPACE = unindexed(trees.c.workspace) == bindparam("workspace")
_HOLDERS_HERE = Prepared(
    union_all(*(held.where(_IN_WORKSPACE) for held in _HELD)).order_by(*_ORDER).limit(bindparam("most"))
)
_DAMAGED_HERE = Prepared(
    select(blobs.c.sha256, blobs.c.size, blobs.c.corrupt_at)
    .where(
        blobs.c.corrupt_at.is_not(None),
        blobs.c.sha256 > bindparam("after"),
        or_(
            exists().where(tree_files.c.sha256 == blobs.c.sha256, _OF_A_TREE, _IN_WORKSPACE),
            exists().where(manifest_files.c.sha256 == blobs.c.sha256, _OF_A_VERSION, _IN_WORKSPACE),
        ),
    )
    .order_by(blobs.c.sha256)
    .limit(bindparam("most"))
)

_KEPT = blobs.c.deleting == 0
_ALL = Prepared(
    select(blobs.c.sha256, blobs.c.size, blobs.c.corrupt_at, blobs.c.sound_at)
    .where(_KEPT, blobs.c.sha256 >= bindparam("first"))
    .order_by(blobs.c.sha256)
    .limit(bindparam("most"))
)
_ALL_SUMS = Prepared(select(func.count().label("blobs"), func.sum(blobs.c.size).label("size")).where(_KEPT))

# The owners of a model's versions are those between `version/<model id>/` and the same with the next character.
_OF_VERSIONS = (
    select(manifest_files.c.sha256, manifest_files.c.size, blobs.c.corrupt_at, blobs.c.sound_at)
    .distinct()
    .select_from(
        trees.join(manifest_files, manifest_files.c.digest == trees.c.digest).outerjoin(
            blobs, blobs.c.sha256 == manifest_files.c.sha256
        )
    )
    .where(
        trees.c.workspace == bindparam("workspace"),
        trees.c.owner >= bindparam("owner"),
        trees.c.owner <= bindparam("last_owner"),
        trees.c.released_at.is_(None),
    )
)
_PAGE_OF_VERSIONS = Prepared(
    _OF_VERSIONS.where(manifest_files.c.sha256 >= bindparam("first"))
    .order_by(manifest_files.c.sha256)
    .limit(bindparam("most"))
)
_LISTED = _OF_VERSIONS.subquery("listed")
_SUMS_OF_VERSIONS = Prepared(select(func.count().label("blobs"), func.sum(_LISTED.c.size).label("size")))

_KNOWN = Prepared(select(blobs.c.sha256).where(_KEPT, one_of_texts(blobs.c.sha256, "digests")))
_VERIFIED = Prepared(update(blobs).where(one_of_texts(blobs.c.sha256, "digests")).values(verified_at=bindparam("at")))
_PUT_CHUNKS = Prepared(upsert(blob_chunks, ["sha256"], ["length", "digests"]))


def mark(tx: Tx, sha256: str, seen: int | None) -> bool:
    """Write down that a blob is damaged; False if that was known, or nothing names it any more.

    Also False if it is not the one any more that had `seen` as its `sound_at`.
    """
    if seen is None:
        return tx.run(_MARK, sha256=sha256, now=tx.now) == 1
    return tx.run(_MARK_SEEN, sha256=sha256, now=tx.now, seen=seen) == 1


def soundness(tx: Tx, sha256: str) -> Any | None:
    """When a blob was found damaged (`corrupt_at`), and what tells its bytes from those before them (`sound_at`)."""
    return tx.row(_SOUNDNESS, sha256=sha256)


def renew(tx: Tx, sha256: str) -> None:
    """Write down that new bytes came in place of a blob's."""
    tx.run(_RENEW, sha256=sha256, now=tx.now)


def heal(tx: Tx, sha256: str) -> bool:
    """Write down that a blob is right; False if it was not damaged."""
    return tx.run(_HEAL, sha256=sha256, now=tx.now) == 1


def count(tx: Tx) -> int:
    """How many blobs are known to be damaged."""
    row = tx.row(_COUNT)
    return int(row.damaged) if row else 0


def holders(tx: Tx, sha256: str, most: int) -> list[Any]:
    """Workspace, owner and path of the files that are this blob, in all workspaces."""
    return tx.rows(_HOLDERS, sha256=sha256, most=most)


def holders_here(tx: Tx, sha256: str, most: int) -> list[Any]:
    """The same, in the caller's workspace."""
    return tx.rows(_HOLDERS_HERE, workspace=tx.workspace, sha256=sha256, most=most)


def damaged_here(tx: Tx, after: str, most: int) -> list[Any]:
    """Damaged blobs that something in the caller's workspace holds, by digest."""
    return tx.rows(_DAMAGED_HERE, workspace=tx.workspace, after=after, most=most)


def page(tx: Tx, first: str, most: int) -> list[Any]:
    """Blobs of the store by digest, from this one on."""
    return tx.rows(_ALL, first=first, most=most)


def sums(tx: Tx) -> Any:
    """How many blobs the store has, and their bytes together."""
    return tx.row(_ALL_SUMS)


def page_of_versions(tx: Tx, owner: str, last_owner: str, first: str, most: int) -> list[Any]:
    """The blobs that these versions of the workspace name, by digest, from this one on."""
    return tx.rows(
        _PAGE_OF_VERSIONS, workspace=tx.workspace, owner=owner, last_owner=last_owner, first=first, most=most
    )


def sums_of_versions(tx: Tx, owner: str, last_owner: str) -> Any:
    """How many blobs these versions of the workspace name, and their bytes together."""
    return tx.row(_SUMS_OF_VERSIONS, workspace=tx.workspace, owner=owner, last_owner=last_owner)


def known(tx: Tx, digests: Sequence[str]) -> set[str]:
    """Which of these blobs the store is to have."""
    return {row.sha256 for row in tx.rows(_KNOWN, digests=json.dumps(digests))}


def verified(tx: Tx, digests: Sequence[str]) -> None:
    """Write down that these blobs were right just now."""
    tx.run(_VERIFIED, digests=json.dumps(digests), at=tx.now)


def put_chunks(tx: Tx, sha256: str, chunks: Chunks) -> None:
    """Write down the digests of a blob's chunks, in place of others."""
    tx.run(_PUT_CHUNKS, sha256=sha256, length=chunks.length, digests=chunks.digests)
