"""SQL of reclaiming: which blobs nothing names, and their way through the trash to nothing.

On PostgreSQL a condition is not looked at again after waiting for a lock, as far as it asks other tables: so rows are
locked in one statement, and in the next it is checked that nothing names them.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, literal_column, or_, select, update

from modelkeep.artifacts.tables import blob_chunks, blob_epochs, blobs, manifest_files, tree_files, trees
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, one_of_texts, upsert

_IS_ONE_OF = one_of_texts(blobs.c.sha256, "digests")
# Written out, as an index holds these rows only.
_IS_DELETING = blobs.c.deleting == literal_column("1")
_IN_TREE = exists().where(tree_files.c.sha256 == blobs.c.sha256).correlate(blobs)
_IN_VERSION = (
    select(literal_column("1"))
    .select_from(manifest_files.join(trees, trees.c.digest == manifest_files.c.digest))
    .where(manifest_files.c.sha256 == blobs.c.sha256, trees.c.released_at.is_(None))
    .correlate(blobs)
    .exists()
)
_IS_NAMED = or_(_IN_TREE, _IN_VERSION)

_UNNAMED = (
    select(blobs.c.sha256, blobs.c.size, blobs.c.created_at, blobs.c.trashed_at)
    .where(blobs.c.sha256 > bindparam("after"), blobs.c.deleting == 0, ~_IS_NAMED)
    .order_by(blobs.c.sha256)
    .limit(bindparam("most"))
)
_UNNAMED_PAGE = Prepared(_UNNAMED)
_UNTRASHED = Prepared(_UNNAMED.where(blobs.c.trashed_at.is_(None)))
_DUE = Prepared(
    select(blobs.c.sha256)
    .where(blobs.c.trashed_at <= bindparam("before", type_=integer()), blobs.c.deleting == 0)
    .order_by(blobs.c.trashed_at)
    .limit(bindparam("most"))
)
_DELETING = select(blobs.c.sha256, blobs.c.size).where(_IS_DELETING).order_by(blobs.c.sha256).limit(bindparam("most"))
_ANY_DELETING = Prepared(_DELETING)
_LEFT_DELETING = Prepared(
    _DELETING.where(
        or_(blobs.c.deleting_at.is_(None), blobs.c.deleting_at <= bindparam("before", type_=integer())),
    )
)
_BEAT = Prepared(update(blobs).where(_IS_ONE_OF, _IS_DELETING).values(deleting_at=bindparam("now", type_=integer())))
_KNOWN = Prepared(select(blobs.c.sha256).where(_IS_ONE_OF))

_LOCK = Prepared(select(blobs.c.sha256).where(_IS_ONE_OF).order_by(blobs.c.sha256).with_for_update())
_TRASH = Prepared(
    update(blobs)
    .where(_IS_ONE_OF, blobs.c.trashed_at.is_(None), blobs.c.deleting == 0, ~_IS_NAMED)
    .values(trashed_at=bindparam("now"))
    .returning(blobs.c.size)
)
_KEEP = Prepared(update(blobs).where(_IS_ONE_OF, blobs.c.deleting == 0, _IS_NAMED).values(trashed_at=None))
_MARK = Prepared(
    update(blobs)
    .where(
        _IS_ONE_OF,
        blobs.c.trashed_at <= bindparam("before", type_=integer()),
        blobs.c.deleting == 0,
        ~_IS_NAMED,
    )
    .values(deleting=1, deleting_at=bindparam("now", type_=integer()))
    .returning(blobs.c.sha256, blobs.c.size)
)
_FORGET = Prepared(delete(blobs).where(_IS_ONE_OF, _IS_DELETING))
_FORGET_CHUNKS = Prepared(delete(blob_chunks).where(one_of_texts(blob_chunks.c.sha256, "digests")))
_ADOPT = Prepared(upsert(blobs, ["sha256"], []))
_RAISE_EPOCH = Prepared(update(blob_epochs).values(epoch=blob_epochs.c.epoch + 1))
_HOLD_EPOCH = Prepared(select(blob_epochs.c.epoch).with_for_update(read=True))

_UNKEPT = Prepared(
    select(manifest_files.c.sha256, blobs.c.deleting, blobs.c.trashed_at)
    .select_from(manifest_files.outerjoin(blobs, blobs.c.sha256 == manifest_files.c.sha256))
    .where(
        manifest_files.c.digest == bindparam("digest"),
        or_(blobs.c.sha256.is_(None), blobs.c.deleting != 0, blobs.c.trashed_at.is_not(None)),
    )
)
_LISTED = Prepared(select(manifest_files.c.sha256).distinct().where(manifest_files.c.digest == bindparam("digest")))
_UNTRASH = Prepared(update(blobs).where(_IS_ONE_OF, blobs.c.deleting == 0).values(trashed_at=None))
_RELEASE = Prepared(
    update(trees)
    .where(
        trees.c.workspace == bindparam("workspace"),
        trees.c.owner == bindparam("owner"),
        trees.c.digest.is_not(None),
        trees.c.released_at.is_(None),
    )
    .values(released_at=bindparam("now"))
    .returning(trees.c.digest)
)
_TREE_OF = Prepared(
    select(trees.c.id)
    .where(trees.c.workspace == bindparam("workspace"), trees.c.owner == bindparam("owner"), trees.c.digest.is_(None))
    .with_for_update()
)
_TREE_SUMS = Prepared(
    select(func.count().label("files"), func.coalesce(func.sum(tree_files.c.size), 0).label("size")).where(
        tree_files.c.tree_id == bindparam("tree_id")
    )
)


def unnamed(tx: Tx, after: str, most: int) -> list[Any]:
    """Blobs that nothing names, in the trash or not, by digest."""
    return tx.rows(_UNNAMED_PAGE, after=after, most=most)


def untrashed(tx: Tx, after: str, most: int) -> list[Any]:
    """Blobs that nothing names and that are not in the trash yet, by digest."""
    return tx.rows(_UNTRASHED, after=after, most=most)


def due(tx: Tx, before: int, most: int) -> list[str]:
    """Blobs that came into the trash by then, the oldest first; something may name them again."""
    return [row.sha256 for row in tx.rows(_DUE, before=before, most=most)]


def is_any_deleting(tx: Tx) -> bool:
    """Whether a deletion was begun that is not finished."""
    return bool(tx.rows(_ANY_DELETING, most=1))


def left_deleting(tx: Tx, before: int, most: int) -> list[Any]:
    """Blobs whose deletion was begun, and that nobody was about to remove since then."""
    return tx.rows(_LEFT_DELETING, before=before, most=most)


def beat(tx: Tx, digests: Sequence[str]) -> bool:
    """Say that these marked blobs are about to be removed; False if some of them are not marked any more."""
    return tx.run(_BEAT, digests=json.dumps(digests), now=tx.now) == len(digests)


def known(tx: Tx, digests: Sequence[str]) -> set[str]:
    """Which of these blobs have a row."""
    return {row.sha256 for row in tx.rows(_KNOWN, digests=json.dumps(digests))}


def trash(tx: Tx, digests: Sequence[str]) -> list[int]:
    """Put those of these blobs into the trash that nothing names; their sizes."""
    listed = json.dumps(digests)
    tx.rows(_LOCK, digests=listed)
    return [row.size for row in tx.rows(_TRASH, digests=listed, now=tx.now)]


def mark(tx: Tx, digests: Sequence[str], before: int) -> list[Any]:
    """Mark those of these blobs as being deleted that are in the trash since then; what is named leaves the trash."""
    listed = json.dumps(digests)
    # First of all: whoever publishes a version holds the epoch until its files are named.
    tx.run(_RAISE_EPOCH)
    tx.rows(_LOCK, digests=listed)
    tx.run(_KEEP, digests=listed)
    return tx.rows(_MARK, digests=listed, before=before, now=tx.now)


def forget(tx: Tx, digests: Sequence[str]) -> None:
    """Remove the rows of blobs whose bytes are gone."""
    listed = json.dumps(digests)
    tx.run(_RAISE_EPOCH)
    tx.run(_FORGET, digests=listed)
    tx.run(_FORGET_CHUNKS, digests=listed)


def adopt(tx: Tx, sha256: str, size: int) -> bool:
    """Give bytes that have no row one in the trash; False if somebody came first."""
    row = {"sha256": sha256, "size": size, "created_at": tx.now, "trashed_at": tx.now, "deleting": 0}
    return tx.run(_ADOPT, **row, deleting_at=None, corrupt_at=None, verified_at=None, sound_at=tx.now) == 1


def keep_listed(tx: Tx, digest: str) -> list[str]:
    """Keep every blob of a manifest, which something names in this transaction; those that are gone or going."""
    tx.rows(_HOLD_EPOCH)
    unkept = tx.rows(_UNKEPT, digest=digest)
    if unkept:
        tx.run(_UNTRASH, digests=json.dumps(sorted({row.sha256 for row in unkept})))
    return [row.sha256 for row in unkept if row.deleting != 0]


def listed(tx: Tx, digest: str) -> list[str]:
    """The blobs of a manifest."""
    return [row.sha256 for row in tx.rows(_LISTED, digest=digest)]


def release(tx: Tx, owner: str) -> str | None:
    """Let a published tree no longer keep its bytes; the digest of its manifest, None if it did not keep any."""
    found = tx.row(_RELEASE, workspace=tx.workspace, owner=owner, now=tx.now)
    return str(found.digest) if found else None


def lock_tree(tx: Tx, owner: str) -> int | None:
    """The id of a writable tree, held against other writers; None if there is none."""
    found = tx.row(_TREE_OF, workspace=tx.workspace, owner=owner)
    return int(found.id) if found else None


def tree_sums(tx: Tx, tree_id: int) -> Any:
    """How many files a tree has, and their bytes together."""
    return tx.row(_TREE_SUMS, tree_id=tree_id)
