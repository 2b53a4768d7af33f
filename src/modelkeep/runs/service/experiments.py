"""Use cases that change experiments."""

from collections.abc import Sequence
from typing import Any

from modelkeep.artifacts import artifact_uri, check_artifact_location
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.core.types import NOWHERE
from modelkeep.db import Tx
from modelkeep.runs import rules
from modelkeep.runs.events import (
    ExperimentCreated,
    ExperimentDeleted,
    ExperimentRenamed,
    ExperimentRestored,
    ExperimentTagDeleted,
    ExperimentTagSet,
)
from modelkeep.runs.rules import ACTIVE, DELETED, Entry
from modelkeep.runs.store import experiments as store


def prepare_default_experiment(tx: Tx) -> None:
    """Make experiment 0, `Default`, of this workspace where nothing was made yet."""
    if store.start_counter(tx) and tx.workspace != NOWHERE:
        _make(tx, 0, rules.DEFAULT_EXPERIMENT, artifact_uri(tx, "0"), {})


def create_experiment(tx: Tx, name: str, artifact_location: str | None = None, tags: Sequence[Entry] = ()) -> int:
    """Make an experiment and answer its id, which no experiment of the workspace ever had.

    Raises InvalidInput for a bad name, location or tag, AlreadyExists for a name that is taken, also by a deleted one.
    """
    rules.check_experiment_name(name)
    if artifact_location:
        check_artifact_location(artifact_location)
    checked = rules.experiment_tags(tags)
    number = _take_id(tx)
    _make(tx, number, name, artifact_location or artifact_uri(tx, str(number)), checked)
    return number


def _take_id(tx: Tx) -> int:
    number = store.take_id(tx)
    if number is None:
        prepare_default_experiment(tx)
        number = store.take_id(tx)
    if number is None:
        raise Conflict("This workspace has no counter of experiment ids.")
    return number


def _make(tx: Tx, number: int, name: str, artifact_location: str, tags: dict[str, str]) -> None:
    if not store.insert_experiment(tx, number, name, artifact_location):
        raise rules.experiment_exists(name)
    store.set_tags(tx, number, tags.items())
    tx.emit(ExperimentCreated(number, name, artifact_location))


def rename_experiment(tx: Tx, experiment_id: str, new_name: str | None) -> None:
    """Give an active experiment another name; no name leaves it as it is.

    Raises NotFound, InvalidInput for a bad name or a deleted experiment, AlreadyExists for a name that is taken.
    """
    prepare_default_experiment(tx)
    store.lock_names(tx)
    row = _locked(tx, experiment_id)
    if not new_name:
        return
    rules.check_experiment_name(new_name, "new_name")
    if row.lifecycle != ACTIVE:
        raise InvalidInput("Cannot rename a non-active experiment.", "experiment_id")
    if row.name == new_name:
        return
    if store.experiment_named(tx, new_name) is not None:
        raise rules.experiment_exists(new_name)
    store.rename(tx, row.id, new_name)
    tx.emit(ExperimentRenamed(row.id, row.name, new_name))


def delete_experiment(tx: Tx, experiment_id: str) -> None:
    """Mark an active experiment and its runs deleted; everything is kept. NotFound if it is absent or deleted."""
    number, runs = _mark(tx, experiment_id, ACTIVE, DELETED)
    tx.emit(ExperimentDeleted(number, runs))


def restore_experiment(tx: Tx, experiment_id: str) -> None:
    """Make a deleted experiment and its runs active again. NotFound if it is absent or active."""
    number, runs = _mark(tx, experiment_id, DELETED, ACTIVE)
    tx.emit(ExperimentRestored(number, runs))


def _mark(tx: Tx, experiment_id: str, expected: str, lifecycle: str) -> tuple[int, int]:
    prepare_default_experiment(tx)
    number = rules.experiment_number(experiment_id)
    if not store.mark(tx, number, expected, lifecycle):
        raise rules.no_experiment(experiment_id)
    return number, store.mark_runs(tx, number, expected, lifecycle)


def set_experiment_tag(tx: Tx, experiment_id: str, tag: Entry) -> None:
    """Set a tag of an active experiment. Raises NotFound, InvalidInput for a bad tag or a deleted experiment."""
    ((key, value),) = rules.experiment_tags([tag]).items()
    row = _active(tx, experiment_id)
    before = store.tag(tx, row.id, key)
    if store.set_tag(tx, row.id, key, value):
        store.touch(tx, row.id)
        tx.emit(ExperimentTagSet(row.id, key, value, before))


def delete_experiment_tag(tx: Tx, experiment_id: str, key: str) -> None:
    """Delete a tag of an active experiment. NotFound if there is no such experiment, or it has no such tag."""
    row = _active(tx, experiment_id)
    before = None if "\x00" in key else store.delete_tag(tx, row.id, key)
    if before is None:
        raise NotFound(f"No tag with name: {key} in experiment with id {row.id}", "key")
    store.touch(tx, row.id)
    tx.emit(ExperimentTagDeleted(row.id, key, before))


def active_experiment(tx: Tx, experiment_id: str) -> Any:
    """The row of an experiment that something may be put into, kept from being deleted until it is.

    Raises NotFound, InvalidInput if it is deleted.
    """
    number = rules.experiment_number(experiment_id)
    row = store.shared_experiment(tx, number)
    if row is None and number == 0:
        prepare_default_experiment(tx)
        row = store.shared_experiment(tx, number)
    return _checked(row, experiment_id)


def _checked(row: Any | None, experiment_id: str) -> Any:
    if row is None:
        raise rules.no_experiment(experiment_id)
    if row.lifecycle != ACTIVE:
        raise rules.not_active("experiment", experiment_id)
    return row


def _active(tx: Tx, experiment_id: str) -> Any:
    prepare_default_experiment(tx)
    return _checked(_locked(tx, experiment_id), experiment_id)


def _locked(tx: Tx, experiment_id: str) -> Any:
    row = store.locked_experiment(tx, rules.experiment_number(experiment_id))
    if row is None:
        raise rules.no_experiment(experiment_id)
    return row
