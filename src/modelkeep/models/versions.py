"""Model versions after they were made: read, described, tagged, retired and restored."""

from collections.abc import Sequence
from typing import Any

from modelkeep.core.errors import Conflict, NotFound
from modelkeep.db import Tx
from modelkeep.models.events import (
    VersionDescribed,
    VersionRestored,
    VersionRetired,
    VersionTagDeleted,
    VersionTagSet,
)
from modelkeep.models.rules import (
    RESTORE_WITHIN_MS,
    can_be_version,
    check_model_name,
    check_tag,
    check_tag_key,
    check_text,
)
from modelkeep.models.service import get_model, touch_model
from modelkeep.models.store import versions as store


def get_version(tx: Tx, name: str, number: int) -> Any:
    """The row of a version in use. Raises InvalidInput for what is no name, NotFound."""
    check_model_name(name)
    found = store.find(tx, name, number) if can_be_version(number) else None
    if found is None:
        raise version_not_found(name, number)
    return found


def find_any_version(tx: Tx, model_id: str, number: int) -> Any | None:
    """The row of a version by its model's id, in use or retired; None if there is none."""
    return store.find_any(tx, model_id, number) if can_be_version(number) else None


def version_not_found(name: str, number: int) -> NotFound:
    """The refusal for a version that does not exist or is not in use."""
    return NotFound(f"Model Version (name={name}, version={number}) not found", "version")


def touch_versions(tx: Tx, model_id: str, numbers: Sequence[int]) -> None:
    """These versions count as updated now."""
    store.touch(tx, model_id, numbers)


def describe_version(tx: Tx, name: str, number: int, description: str | None) -> None:
    """Replace the description; None removes it. Raises InvalidInput, NotFound."""
    check_text("description", description)
    version = _held(tx, name, number)
    store.describe(tx, version.model_id, number, description)
    tx.emit(VersionDescribed(version.model_id, name, number, description, version.description))


def retire_version(tx: Tx, name: str, number: int) -> None:
    """Take a version out of use: its record is kept, its stage and aliases go, its number is never given again.

    Raises NotFound.
    """
    model = touch_model(tx, name)
    if not can_be_version(number) or not store.retire(tx, model.id, number):
        raise version_not_found(name, number)
    tx.emit(VersionRetired(model.id, name, number))


def restore_version(tx: Tx, name: str, number: int) -> None:
    """Bring a retired version back, in no stage and with no alias.

    Raises NotFound, and Conflict where it is in use, was retired more than 30 days ago, or its files were reclaimed.
    """
    model = touch_model(tx, name)
    version = store.find_any(tx, model.id, number) if can_be_version(number) else None
    if version is None:
        raise version_not_found(name, number)
    if version.retired_at is not None and tx.now - version.retired_at > RESTORE_WITHIN_MS:
        raise Conflict(f"Version {number} of '{name}' was retired more than 30 days ago and cannot be restored.")
    _refuse_reclaimed(version, name)
    if not store.restore(tx, model.id, number):
        raise Conflict(f"Version {number} of '{name}' is not retired.")
    tx.emit(VersionRestored(model.id, name, number))


def reclaim_version(tx: Tx, model_id: str, number: int) -> bool:
    """Note that a version's bytes are no longer kept; False if they were not anyhow. Hold the model's row."""
    return store.reclaim(tx, model_id, number)


def check_has_files(tx: Tx, model_id: str, name: str, number: int) -> None:
    """Refuse a version whose files were reclaimed. Raises Conflict."""
    version = store.find_any(tx, model_id, number)
    if version is not None:
        _refuse_reclaimed(version, name)


def files_reclaimed(name: str, number: int) -> Conflict:
    """The refusal for a version whose files were reclaimed."""
    return Conflict(
        f"The files of version {number} of '{name}' were reclaimed: its record is kept, but it cannot be moved, "
        "aliased, copied or restored. Register the files again from wherever they still are."
    )


def _refuse_reclaimed(version: Any, name: str) -> None:
    if version.reclaimed_at is not None:
        raise files_reclaimed(name, version.version)


def set_version_tag(tx: Tx, name: str, number: int, key: str, value: str) -> None:
    """Set a tag. Raises InvalidInput, NotFound."""
    check_tag(key, value)
    version = _held(tx, name, number)
    before = store.tag(tx, version.model_id, number, key)
    if before != value:
        store.set_tag(tx, version.model_id, number, key, value)
        tx.emit(VersionTagSet(version.model_id, name, number, key, value, before))


def delete_version_tag(tx: Tx, name: str, number: int, key: str) -> None:
    """Delete a tag; an absent one is fine. Raises InvalidInput, NotFound."""
    check_tag_key(key)
    version = _held(tx, name, number)
    before = store.delete_tag(tx, version.model_id, number, key)
    if before is not None:
        tx.emit(VersionTagDeleted(version.model_id, name, number, key, before))


def _held(tx: Tx, name: str, number: int) -> Any:
    """A version in use, held, so that what is told to be replaced is what was there."""
    check_model_name(name)
    found = store.lock(tx, name, number) if can_be_version(number) else None
    if found is None:
        raise _why_not_found(tx, name, number)
    return found


def _why_not_found(tx: Tx, name: str, number: int) -> NotFound:
    """The model is missing, or only the version."""
    get_model(tx, name)
    return version_not_found(name, number)
