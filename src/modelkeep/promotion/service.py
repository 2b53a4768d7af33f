"""Where versions stand: moving them between stages, and the aliases that point at them.

Every writer holds the model's row first, so that moves and aliases of one model come one after the other.
"""

from typing import Any

from modelkeep.db import Tx
from modelkeep.models import (
    VersionRegistered,
    VersionRestored,
    VersionRetired,
    can_be_version,
    files_reclaimed,
    lock_model,
    touch_model,
    touch_versions,
    version_not_found,
)
from modelkeep.promotion import store
from modelkeep.promotion.events import AliasDeleted, AliasSet, VersionMoved
from modelkeep.promotion.rules import (
    ARCHIVED,
    NO_STAGE,
    canonical_stage,
    check_alias,
    check_archiving,
    check_new_alias,
)


def move(tx: Tx, name: str, number: int, stage: str, *, archive_existing: bool = False) -> None:
    """Bring a version to a stage, and all others of that stage to Archived if asked.

    A move to where it stands counts as an update. Raises InvalidInput, NotFound, Conflict if its files were reclaimed.
    """
    to_stage = canonical_stage(stage)
    if archive_existing:
        check_archiving(to_stage)
    model = touch_model(tx, name)
    standing, others = _where(tx, model.id, number, to_stage if archive_existing else None)
    _check_can_be_placed(standing, name, number)
    store.bring(tx, model.id, number, to_stage, list(others))
    touch_versions(tx, model.id, [number, *others])
    for other, was in others.items():
        tx.emit(VersionMoved(model.id, name, other, ARCHIVED, to_stage, was.digest))
    tx.emit(VersionMoved(model.id, name, number, to_stage, standing.stage, standing.digest))


def _check_can_be_placed(standing: Any, name: str, number: int) -> None:
    """Refuse a version that is not in use, or whose files are gone: what stands somewhere must be there."""
    if standing is None:
        raise version_not_found(name, number)
    if standing.reclaimed_at is not None:
        raise files_reclaimed(name, number)


def _where(tx: Tx, model_id: str, number: int, stage: str | None) -> tuple[Any, dict[int, Any]]:
    """Where a version stands (None if it is not in use), and the other versions of a stage, if one is named."""
    if not can_be_version(number):
        return None, {}
    if stage is None:
        return store.standing(tx, model_id, number), {}
    found = store.standing_and_others(tx, model_id, number, stage)
    return found.pop(number, None), dict(sorted(found.items()))


def set_alias(tx: Tx, name: str, alias: str, number: int) -> None:
    """Point an alias at a version in use, wherever it pointed before.

    Raises InvalidInput, NotFound, Conflict if its files were reclaimed.
    """
    check_new_alias(alias)
    model = lock_model(tx, name)
    target = _target(tx, model.id, alias, number)
    _check_can_be_placed(target, name, number)
    if target.alias_version != number:
        store.set_alias(tx, model.id, alias, number)
        tx.emit(AliasSet(model.id, name, number, alias, target.alias_version, target.digest))


def _target(tx: Tx, model_id: str, alias: str, number: int) -> Any:
    return store.target(tx, model_id, alias, number) if can_be_version(number) else None


def delete_alias(tx: Tx, name: str, alias: str) -> None:
    """Delete an alias; an absent one is fine. Raises InvalidInput, NotFound."""
    check_alias(alias)
    model = lock_model(tx, name)
    version = store.delete_alias(tx, model.id, alias)
    if version is not None:
        tx.emit(AliasDeleted(model.id, name, version, alias))


def place_new_version(tx: Tx, event: VersionRegistered | VersionRestored) -> None:
    """Listener: a version that comes into use stands in no stage."""
    store.place(tx, event.model_id, event.version, NO_STAGE)


def remove_placement(tx: Tx, event: VersionRetired) -> None:
    """Listener: a version that goes out of use has neither stage nor aliases."""
    for row in store.aliases_of(tx, event.model_id):
        if row.version == event.version:
            tx.emit(AliasDeleted(event.model_id, event.name, event.version, row.alias))
    store.remove(tx, event.model_id, event.version)
