"""SQL of retention: rules, holds, and what is looked at to decide which files may go."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, literal, literal_column, or_, select, union_all

from modelkeep.artifacts.tables import manifest_files, tree_files, trees
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, one_of_texts, text, unindexed, upsert
from modelkeep.models.tables import versions
from modelkeep.promotion.tables import aliases, stages
from modelkeep.retention.rules import DAY_MS
from modelkeep.retention.tables import holds, rules
from modelkeep.runs.tables import logged_models, runs

_RULE_KEY = (rules.c.workspace == bindparam("name")) & (rules.c.model_id == bindparam("model_id"))
_RULE = Prepared(select(rules).where(_RULE_KEY))
_RULES = Prepared(select(rules).where(rules.c.workspace == bindparam("name")))
_AUTOMATIC = Prepared(select(rules.c.workspace).distinct().where(rules.c.automatic == 1))
_SET_RULE = Prepared(
    upsert(rules, ["workspace", "model_id"], ["keep_last", "keep_days", "automatic", "set_by", "set_at"])
)
_DELETE_RULE = Prepared(delete(rules).where(_RULE_KEY).returning(rules))

_HOLD_KEY = (holds.c.model_id == bindparam("model_id")) & (holds.c.version == bindparam("number"))
_HOLD = Prepared(select(holds).where(_HOLD_KEY))
_SET_HOLD = Prepared(upsert(holds, ["model_id", "version"], ["reason", "held_by", "held_at"]))
_DELETE_HOLD = Prepared(delete(holds).where(_HOLD_KEY).returning(holds.c.reason))

# Nearly every version has a digest, and by their digests they lie in no order that helps anybody.
_IS_KEPT = and_(unindexed(versions.c.digest).is_not(None), versions.c.reclaimed_at.is_(None))
_HAS_FILES = and_(versions.c.workspace == bindparam("workspace"), _IS_KEPT)
# The same, of versions that are found by their models.
_OF_MODEL_HAS_FILES = and_(unindexed(versions.c.workspace) == bindparam("workspace"), _IS_KEPT)
_IS_ACTIVE = or_(stages.c.stage == "Staging", stages.c.stage == "Production")
_IS_IN_USE = case((versions.c.retired_at.is_(None), 1), else_=0)


_COLUMNS = (
    versions.c.model_id,
    versions.c.version,
    versions.c.name,
    versions.c.digest,
    versions.c.size,
    versions.c.created_at,
    versions.c.retired_at,
)


def _standing(of: Any, *more: Any) -> Any:
    """Versions (or a subquery of them) with whether they are placed and held."""
    key = (of.c.model_id, of.c.version)
    one: Any = literal_column("1")
    staged: Any = select(one).where(stages.c.model_id == key[0], stages.c.version == key[1], _IS_ACTIVE)
    aliased: Any = select(one).where(aliases.c.model_id == key[0], aliases.c.version == key[1])
    held: Any = select(one).where(holds.c.model_id == key[0], holds.c.version == key[1])
    placed = or_(staged.correlate(of).exists(), aliased.correlate(of).exists())
    return select(
        *more,
        case((placed, 1), else_=0).label("placed"),
        case((held.correlate(of).exists(), 1), else_=0).label("held"),
    )


# Retired versions have ranks of their own, which nobody looks at.
_RANK = func.row_number().over(partition_by=(versions.c.model_id, _IS_IN_USE), order_by=versions.c.version.desc())
_RANKED = (
    select(*_COLUMNS, _RANK.label("rank"))
    .where(_OF_MODEL_HAS_FILES, one_of_texts(versions.c.model_id, "ids"))
    .subquery("ranked")
)
_OF_MODELS = Prepared(_standing(_RANKED, *_RANKED.c).order_by(_RANKED.c.model_id, _RANKED.c.version))
_MODELS = Prepared(
    select(versions.c.model_id)
    .distinct()
    .where(_OF_MODEL_HAS_FILES, versions.c.model_id >= bindparam("after", type_=text()))
    .order_by(versions.c.model_id)
    .limit(bindparam("most"))
)
_RETIRED = Prepared(
    _standing(versions, *_COLUMNS, literal_column("1").label("rank"))
    .where(
        _OF_MODEL_HAS_FILES,
        versions.c.retired_at <= bindparam("before", type_=integer()),
        or_(
            versions.c.model_id > bindparam("after", type_=text()),
            and_(versions.c.model_id == bindparam("after", type_=text()), versions.c.version > bindparam("number")),
        ),
    )
    .order_by(versions.c.model_id, versions.c.version)
    .limit(bindparam("most"))
)

_RULES_HERE = rules.c.workspace == bindparam("workspace")
_OWN_RULE = select(rules).where(_RULES_HERE, rules.c.model_id != "").subquery("own_rule")
_COMMON_RULE = select(rules).where(_RULES_HERE, rules.c.model_id == "").subquery("common_rule")
_IN_USE = (
    select(
        versions.c.model_id,
        versions.c.version,
        versions.c.size,
        versions.c.created_at,
        func.row_number().over(partition_by=versions.c.model_id, order_by=versions.c.version.desc()).label("rank"),
    )
    .where(_OF_MODEL_HAS_FILES, versions.c.retired_at.is_(None))
    .subquery("in_use")
)


def _ruled(name: str) -> Any:
    """What the rule says that a version is under: the model's own, which takes the place of the workspace's."""
    return case((_OWN_RULE.c.model_id.is_not(None), _OWN_RULE.c[name]), else_=_COMMON_RULE.c[name])


_LAST, _DAYS = _ruled("keep_last"), _ruled("keep_days")
_OUTSIDE = and_(
    or_(_LAST.is_not(None), _DAYS.is_not(None)),
    or_(_LAST.is_(None), _IN_USE.c.rank > _LAST),
    or_(_DAYS.is_(None), _IN_USE.c.created_at <= bindparam("now", type_=integer()) - _DAYS * DAY_MS),
)
_EITHER_RULE = _IN_USE.outerjoin(_OWN_RULE, _OWN_RULE.c.model_id == _IN_USE.c.model_id).outerjoin(
    _COMMON_RULE, literal_column("1") == 1
)
_OUTSIDE_RULES = _standing(_IN_USE, _IN_USE.c.size).select_from(_EITHER_RULE).where(_OUTSIDE).subquery("outside")
_LONG_RETIRED = (
    _standing(versions, versions.c.size)
    .where(_OF_MODEL_HAS_FILES, versions.c.retired_at <= bindparam("before", type_=integer()))
    .subquery("long_retired")
)


def _size_of(judged: Any) -> Prepared:
    return Prepared(
        select(func.coalesce(func.sum(judged.c.size), 0).label("size")).where(judged.c.placed == 0, judged.c.held == 0)
    )


# What `why_reclaimable` decides version by version, of all of them in one go.
_SIZE_OUTSIDE_RULES, _SIZE_RETIRED = _size_of(_OUTSIDE_RULES), _size_of(_LONG_RETIRED)


def _left_behind(kind: str, table: Any) -> Any:
    """What was deleted by then and has files of its own still, with their number and bytes."""
    owner = literal(f"{kind}/", text()).concat(table.c.id)
    return (
        select(
            trees.c.owner,
            table.c.id,
            table.c.name,
            table.c.deleted_at,
            func.count().label("files"),
            func.sum(tree_files.c.size).label("size"),
        )
        .select_from(
            table.join(trees, and_(trees.c.workspace == table.c.workspace, trees.c.owner == owner)).join(
                tree_files, tree_files.c.tree_id == trees.c.id
            )
        )
        .where(
            table.c.workspace == bindparam("workspace"),
            table.c.deleted_at <= bindparam("before", type_=integer()),
            # From what was deleted to its tree: the other way, every tree would look at all runs of the workspace.
            unindexed(trees.c.owner) > bindparam("after", type_=text()),
        )
        .group_by(trees.c.owner, table.c.id, table.c.name, table.c.deleted_at)
    )


_DELETED = union_all(_left_behind("run", runs), _left_behind("logged-model", logged_models)).subquery("deleted")
_DELETED_SIZE = Prepared(select(func.coalesce(func.sum(_DELETED.c.size), 0).label("size")))
_DELETED_PAGE = Prepared(select(_DELETED).order_by(_DELETED.c.owner).limit(bindparam("most")))

_SIZES = (
    select(
        versions.c.model_id,
        func.max(versions.c.name).label("name"),
        func.count().label("versions"),
        func.sum(versions.c.files).label("files"),
        func.sum(versions.c.size).label("size"),
    )
    .where(_HAS_FILES)
    .group_by(versions.c.model_id)
    .subquery("sizes")
)
_LARGEST = Prepared(
    select(_SIZES)
    .where(
        or_(
            _SIZES.c.size < bindparam("below", type_=integer()),
            and_(_SIZES.c.size == bindparam("below", type_=integer()), _SIZES.c.model_id > bindparam("after")),
        )
    )
    .order_by(_SIZES.c.size.desc(), _SIZES.c.model_id)
    .limit(bindparam("most"))
)
_MANIFESTS = (
    select(versions.c.model_id, versions.c.digest)
    .distinct()
    .where(_OF_MODEL_HAS_FILES, one_of_texts(versions.c.model_id, "ids"))
    .subquery("manifests_of")
)
_BLOBS = (
    select(_MANIFESTS.c.model_id, manifest_files.c.sha256, manifest_files.c.size)
    .distinct()
    .select_from(_MANIFESTS.join(manifest_files, manifest_files.c.digest == _MANIFESTS.c.digest))
    .subquery("blobs_of")
)
_STORED = Prepared(select(_BLOBS.c.model_id, func.sum(_BLOBS.c.size).label("size")).group_by(_BLOBS.c.model_id))


def rule(tx: Tx, workspace: str, model_id: str) -> Any | None:
    """The rule of a model, or of the workspace where `model_id` is empty."""
    return tx.row(_RULE, name=workspace, model_id=model_id)


def rules_of(tx: Tx, workspace: str) -> list[Any]:
    """The workspace's own rule and those of its models."""
    return tx.rows(_RULES, name=workspace)


def workspaces_with_automatic_rules(tx: Tx) -> list[str]:
    """Where the server applies rules by itself."""
    return [row.workspace for row in tx.rows(_AUTOMATIC)]


def set_rule(tx: Tx, workspace: str, model_id: str, values: dict[str, int | None]) -> None:
    """Set or replace a rule."""
    tx.run(_SET_RULE, workspace=workspace, model_id=model_id, **values, set_by=tx.actor.name, set_at=tx.now)


def delete_rule(tx: Tx, workspace: str, model_id: str) -> Any | None:
    """Delete a rule; its row, None if there was none."""
    return tx.row(_DELETE_RULE, name=workspace, model_id=model_id)


def hold(tx: Tx, model_id: str, number: int) -> Any | None:
    """The hold on a version."""
    return tx.row(_HOLD, model_id=model_id, number=number)


def set_hold(tx: Tx, model_id: str, number: int, reason: str) -> None:
    """Hold a version, or say anew why."""
    same = {"model_id": model_id, "version": number, "workspace": tx.workspace}
    tx.run(_SET_HOLD, **same, reason=reason, held_by=tx.actor.name, held_at=tx.now)


def delete_hold(tx: Tx, model_id: str, number: int) -> str | None:
    """Lift a hold; the reason that it had, None if there was none."""
    found = tx.row(_DELETE_HOLD, model_id=model_id, number=number)
    return str(found.reason) if found else None


def models_with_files(tx: Tx, first: str, most: int) -> list[str]:
    """Models that have versions whose files are kept, by id, from this one on."""
    return [row.model_id for row in tx.rows(_MODELS, workspace=tx.workspace, after=first, most=most)]


def standings(tx: Tx, model_ids: Sequence[str]) -> list[Any]:
    """The versions of these models whose files are kept, each ranked among its model's in use (the newest is 1)."""
    return tx.rows(_OF_MODELS, workspace=tx.workspace, ids=json.dumps(model_ids))


def retired(tx: Tx, before: int, after: tuple[str, int], most: int) -> list[Any]:
    """Versions that were retired by then and whose files are kept, by model and number, those behind one."""
    model_id, number = after
    return tx.rows(_RETIRED, workspace=tx.workspace, before=before, after=model_id, number=number, most=most)


def deleted_with_files(tx: Tx, before: int, after: str, most: int) -> list[Any]:
    """Runs and logged models that were deleted by then and have files, by owner, those after one."""
    return tx.rows(_DELETED_PAGE, workspace=tx.workspace, before=before, after=after, most=most)


def size_outside_rules(tx: Tx) -> int:
    """The bytes of all versions in use whose files may go by a rule."""
    found = tx.row(_SIZE_OUTSIDE_RULES, workspace=tx.workspace, now=tx.now)
    return int(found.size) if found else 0


def retired_size(tx: Tx, before: int) -> int:
    """The bytes of all versions whose files may go as they were retired by then."""
    found = tx.row(_SIZE_RETIRED, workspace=tx.workspace, before=before)
    return int(found.size) if found else 0


def deleted_size(tx: Tx, before: int) -> int:
    """The bytes of the files of all of these together."""
    found = tx.row(_DELETED_SIZE, workspace=tx.workspace, before=before, after="")
    return int(found.size) if found else 0


def largest_models(tx: Tx, below: int, after: str, most: int) -> list[Any]:
    """Models by the bytes of their versions whose files are kept, those after a (size, id)."""
    return tx.rows(_LARGEST, workspace=tx.workspace, below=below, after=after, most=most)


def stored_of(tx: Tx, ids: str) -> dict[str, int]:
    """The bytes of the blobs that the versions of these models (a JSON list of ids) name, each once a model."""
    return {row.model_id: int(row.size) for row in tx.rows(_STORED, workspace=tx.workspace, ids=ids)}
