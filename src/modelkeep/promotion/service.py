"""Where versions stand: moving them between stages, and the aliases that point at them.

Every writer holds the model's row first, so that moves and aliases of one model come one after the other.
"""

from modelkeep.db import Tx
from modelkeep.models import (
    VersionRegistered,
    VersionRestored,
    VersionRetired,
    can_be_version,
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

    A move to where it stands counts as an update. Raises InvalidInput, NotFound.
    """
    to_stage = canonical_stage(stage)
    if archive_existing:
        check_archiving(to_stage)
    model = touch_model(tx, name)
    old_stage = store.stage_of(tx, model.id, number) if can_be_version(number) else None
    if old_stage is None:
        raise version_not_found(name, number)
    if archive_existing:
        _archive_others(tx, model.id, name, to_stage, number)
    _bring(tx, model.id, name, [number], to_stage, old_stage)


def _archive_others(tx: Tx, model_id: str, name: str, stage: str, number: int) -> None:
    others = store.others_in(tx, model_id, stage, number)
    if others:
        _bring(tx, model_id, name, others, ARCHIVED, stage)


def _bring(tx: Tx, model_id: str, name: str, numbers: list[int], stage: str, old_stage: str) -> None:
    store.set_stage(tx, model_id, numbers, stage)
    touch_versions(tx, model_id, numbers)
    for number in numbers:
        tx.emit(VersionMoved(model_id, name, number, stage, old_stage))


def set_alias(tx: Tx, name: str, alias: str, number: int) -> None:
    """Point an alias at a version in use, wherever it pointed before. Raises InvalidInput, NotFound."""
    check_new_alias(alias)
    model = lock_model(tx, name)
    target = store.target(tx, model.id, alias, number) if can_be_version(number) else None
    if target is None:
        raise version_not_found(name, number)
    if target.alias_version != number:
        store.set_alias(tx, model.id, alias, number)
        tx.emit(AliasSet(model.id, name, number, alias, target.alias_version))


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
