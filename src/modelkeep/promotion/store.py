"""SQL of placements: nobody else writes stages and aliases."""

from typing import Any

import msgspec
from sqlalchemy import bindparam, case, delete, insert, select, update

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_integers, text, upsert
from modelkeep.models.tables import versions
from modelkeep.promotion.rules import ARCHIVED
from modelkeep.promotion.tables import aliases, stages

_BY_KEY = (stages.c.model_id == bindparam("model_id")) & (stages.c.version == bindparam("number"))
_ALIAS_BY_KEY = (aliases.c.model_id == bindparam("model_id")) & (aliases.c.alias == bindparam("name"))

_PLACE = Prepared(insert(stages))
_REMOVE = Prepared(delete(stages).where(_BY_KEY))
# Whether its files were let go of, and which they are, comes with where it stands: no statement of its own.
_RECLAIMED_AT = (
    select(versions.c.reclaimed_at)
    .where(versions.c.model_id == stages.c.model_id, versions.c.version == stages.c.version)
    .scalar_subquery()
    .label("reclaimed_at")
)
_DIGEST = (
    select(versions.c.digest)
    .where(versions.c.model_id == stages.c.model_id, versions.c.version == stages.c.version)
    .scalar_subquery()
    .label("digest")
)
_STANDING = select(stages.c.version, stages.c.stage, _RECLAIMED_AT, _DIGEST).where(_BY_KEY)
_STAGE = Prepared(_STANDING)
_OTHERS = select(stages.c.version, stages.c.stage, _RECLAIMED_AT, _DIGEST).where(
    stages.c.model_id == bindparam("model_id"),
    stages.c.stage == bindparam("in_stage"),
    stages.c.version != bindparam("number"),
)
_STAGE_AND_OTHERS = Prepared(_STANDING.union_all(_OTHERS))
_SET_STAGE = Prepared(update(stages).where(_BY_KEY).values(stage=bindparam("to_stage")))
_SET_STAGES = Prepared(
    update(stages)
    .where(stages.c.model_id == bindparam("model_id"), one_of_integers(stages.c.version, "numbers"))
    .values(stage=case((stages.c.version == bindparam("number"), bindparam("to_stage", type_=text())), else_=ARCHIVED))
)
_TARGET = Prepared(
    select(
        stages.c.stage,
        _RECLAIMED_AT,
        _DIGEST,
        select(aliases.c.version).where(_ALIAS_BY_KEY).scalar_subquery().label("alias_version"),
    ).where(_BY_KEY)
)
_SET_ALIAS = Prepared(upsert(aliases, ["model_id", "alias"], ["version"]))
_DELETE_ALIAS = Prepared(delete(aliases).where(_ALIAS_BY_KEY).returning(aliases.c.version))
_ALIASES = Prepared(
    select(aliases.c.alias, aliases.c.version)
    .where(aliases.c.model_id == bindparam("model_id"))
    .order_by(aliases.c.alias)
)


def place(tx: Tx, model_id: str, number: int, stage: str) -> None:
    """A version's first stage."""
    tx.run(_PLACE, model_id=model_id, version=number, workspace=tx.workspace, stage=stage)


def remove(tx: Tx, model_id: str, number: int) -> None:
    """A version stands nowhere any more; its aliases go with its stage."""
    tx.run(_REMOVE, model_id=model_id, number=number)


def standing(tx: Tx, model_id: str, number: int) -> Any | None:
    """Where a version stands (`stage`, `reclaimed_at`, `digest`); None for one that is not in use."""
    return tx.row(_STAGE, model_id=model_id, number=number)


def standing_and_others(tx: Tx, model_id: str, number: int, stage: str) -> dict[int, Any]:
    """Where a version stands, if it is in use, and all others that stand in the given stage."""
    found = tx.rows(_STAGE_AND_OTHERS, model_id=model_id, number=number, in_stage=stage)
    return {int(row.version): row for row in found}


def bring(tx: Tx, model_id: str, number: int, stage: str, others: list[int]) -> None:
    """Bring a version to a stage, and the others to Archived."""
    if others:
        numbers = msgspec.json.encode([number, *others]).decode()
        tx.run(_SET_STAGES, model_id=model_id, numbers=numbers, number=number, to_stage=stage)
    else:
        tx.run(_SET_STAGE, model_id=model_id, number=number, to_stage=stage)


def target(tx: Tx, model_id: str, alias: str, number: int) -> Any | None:
    """Where a version stands and what the alias points at now (`alias_version`); None if it is not in use."""
    return tx.row(_TARGET, model_id=model_id, name=alias, number=number)


def set_alias(tx: Tx, model_id: str, alias: str, number: int) -> None:
    """Point an alias at a version in use."""
    tx.run(_SET_ALIAS, model_id=model_id, alias=alias, version=number, workspace=tx.workspace)


def delete_alias(tx: Tx, model_id: str, alias: str) -> int | None:
    """Delete an alias; the version that it pointed at, None if there was no such alias."""
    found = tx.row(_DELETE_ALIAS, model_id=model_id, name=alias)
    return int(found.version) if found else None


def aliases_of(tx: Tx, model_id: str) -> list[Any]:
    """The aliases of a model with their versions, by name."""
    return tx.rows(_ALIASES, model_id=model_id)
