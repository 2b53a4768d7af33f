"""SQL of checkups: what the database says of bytes, and where it contradicts itself."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import String, bindparam, cast, func, literal, or_, select, union_all

from modelkeep.artifacts.tables import blobs, manifest_files, tree_files, trees
from modelkeep.audit.tables import journal
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts
from modelkeep.models.tables import versions

_ROWS = Prepared(
    select(blobs.c.sha256, blobs.c.size, blobs.c.deleting)
    .where(blobs.c.sha256 > bindparam("after"))
    .order_by(blobs.c.sha256)
    .limit(bindparam("most"))
)
_KEPT = Prepared(select(blobs.c.sha256).where(one_of_texts(blobs.c.sha256, "digests"), blobs.c.deleting == 0))


def _wrongly_named(files: Any, owner: Any) -> Any:
    """Files of one kind that name a blob which has no row, or another size."""
    return (
        select(
            files.c.sha256, files.c.path, files.c.size, blobs.c.size.label("stored"), trees.c.workspace, trees.c.owner
        )
        .select_from(files.join(trees, owner).outerjoin(blobs, blobs.c.sha256 == files.c.sha256))
        .where(
            files.c.sha256 > bindparam("after", type_=String()),
            files.c.sha256 <= bindparam("last", type_=String()),
            or_(blobs.c.sha256.is_(None), blobs.c.size != files.c.size),
        )
    )


_WRONGLY_NAMED = Prepared(
    union_all(
        _wrongly_named(tree_files, tree_files.c.tree_id == trees.c.id),
        _wrongly_named(manifest_files, (manifest_files.c.digest == trees.c.digest) & trees.c.released_at.is_(None)),
    ).limit(bindparam("most"))
)

_OWNER = literal("version/") + versions.c.model_id + literal("/") + cast(versions.c.version, String)
_SERVES = (trees.c.workspace == versions.c.workspace) & (trees.c.owner == _OWNER)
# Every version that the registry holds the bytes of, with what its tree serves.
_VERSIONS = Prepared(
    select(
        versions.c.model_id,
        versions.c.version,
        versions.c.workspace,
        versions.c.name,
        versions.c.digest,
        trees.c.digest.label("served"),
        trees.c.released_at,
    )
    .select_from(versions.outerjoin(trees, _SERVES))
    .where(
        versions.c.digest.is_not(None),
        versions.c.reclaimed_at.is_(None),
        or_(
            versions.c.model_id > bindparam("model_id"),
            (versions.c.model_id == bindparam("model_id")) & (versions.c.version > bindparam("number")),
        ),
    )
    .order_by(versions.c.model_id, versions.c.version)
    .limit(bindparam("most"))
)
_TREES = Prepared(
    select(trees.c.id, trees.c.workspace, trees.c.owner)
    .where(trees.c.id > bindparam("after"), trees.c.digest.is_not(None), trees.c.released_at.is_(None))
    .order_by(trees.c.id)
    .limit(bindparam("most"))
)
_OWNERS = Prepared(select(_OWNER.label("owner")).where(one_of_texts(versions.c.model_id, "model_ids")))
_LAST_ENTRY = Prepared(select(journal.c.at).order_by(journal.c.id.desc()).limit(1))
_DELETING = Prepared(select(func.count().label("blobs")).where(blobs.c.deleting == 1))


def rows(tx: Tx, after: str, most: int) -> list[Any]:
    """The rows of blobs, by digest."""
    return tx.rows(_ROWS, after=after, most=most)


def kept(tx: Tx, digests: Sequence[str]) -> set[str]:
    """Which of these blobs the store is to have."""
    return {row.sha256 for row in tx.rows(_KEPT, digests=json.dumps(digests))}


def wrongly_named(tx: Tx, after: str, last: str, most: int) -> list[Any]:
    """Files that name blobs within these digests which have no row or another size (`stored`)."""
    return tx.rows(_WRONGLY_NAMED, after=after, last=last, most=most)


def stored_versions(tx: Tx, model_id: str, number: int, most: int) -> list[Any]:
    """Versions with bytes behind this one, and the digest that is `served` for each."""
    return tx.rows(_VERSIONS, model_id=model_id, number=number, most=most)


def version_trees(tx: Tx, after: int, most: int) -> list[Any]:
    """Trees that serve versions."""
    return tx.rows(_TREES, after=after, most=most)


def owners_of_models(tx: Tx, model_ids: Sequence[str]) -> set[str]:
    """All versions of these models, as owners of trees."""
    return {row.owner for row in tx.rows(_OWNERS, model_ids=json.dumps(model_ids))}


def last_entry(tx: Tx) -> int | None:
    """When the last entry of the journal was written."""
    row = tx.row(_LAST_ENTRY)
    return int(row.at) if row else None


def being_deleted(tx: Tx) -> int:
    """How many blobs are being deleted."""
    row = tx.row(_DELETING)
    return int(row.blobs) if row else 0
