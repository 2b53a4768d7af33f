"""Use cases that change runs themselves; logging to them is in `records` and `datasets`."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from modelkeep.artifacts import append_to_uri, open_tree
from modelkeep.core.names import check_length
from modelkeep.db import Tx
from modelkeep.runs import rules
from modelkeep.runs.events import RunCreated, RunDeleted, RunRestored, RunUpdated
from modelkeep.runs.rules import ACTIVE, DELETED, RUN_NAME_TAG, Entry
from modelkeep.runs.service.experiments import active_experiment
from modelkeep.runs.service.views import Pair, RunView
from modelkeep.runs.store import records
from modelkeep.runs.store import runs as store


def create_run(
    tx: Tx,
    experiment_id: str = "",
    *,
    name: str | None = None,
    user_id: str | None = None,
    start_time: int | None = None,
    tags: Sequence[Entry] = (),
) -> RunView:
    """Begin a run in an active experiment (0 if none is named), and open its artifact tree.

    The user is the caller; only where nobody signs in is it whom the request names. Raises NotFound without the
    experiment, InvalidInput for a deleted one, bad tags, or a name that differs from the tag `mlflow.runName`.
    """
    checked = rules.run_tags(tags)
    run_name = checked[RUN_NAME_TAG] = rules.new_run_name(name, checked)
    user = _user(tx, user_id)
    experiment = active_experiment(tx, experiment_id or "0")
    run_id = secrets.token_hex(16)
    uri = append_to_uri(experiment.artifact_location, run_id, "artifacts")
    started = tx.now if start_time is None else start_time
    view = RunView(run_id, experiment.id, run_name, user, "RUNNING", started, None, ACTIVE, uri, _pairs(checked))
    _insert(tx, view)
    records.set_tags(tx, run_id, experiment.id, checked)
    open_tree(tx, uri, f"run/{run_id}")
    tx.emit(RunCreated(run_id, experiment.id, run_name, user))
    return view


def _pairs(values: dict[str, str]) -> list[Pair]:
    return [Pair(key, value) for key, value in sorted(values.items())]


def _user(tx: Tx, claimed: str | None) -> str:
    if not tx.actor.is_anonymous:
        return tx.actor.name
    check_length("user_id", claimed or "", rules.MAX_USER_CHARS)
    return claimed or "local"


def _insert(tx: Tx, view: RunView) -> None:
    store.insert_run(
        tx,
        {
            "id": view.id,
            "experiment_id": view.experiment_id,
            "name": view.name,
            "user_id": view.user_id,
            "status": view.status,
            "start_time": view.start_time,
            "artifact_uri": view.artifact_uri,
        },
    )


def update_run(
    tx: Tx, run_id: str, *, status: str | None = None, end_time: int | None = None, name: str | None = None
) -> Any:
    """Change what is given of an active run and answer its row; no name, or an empty one, changes none.

    Raises NotFound, InvalidInput for a deleted run, an unknown status or a bad name.
    """
    row = active_run(tx, run_id, store.locked_run)
    changed = row._replace(
        status=rules.status_name(status) if status else row.status,
        end_time=row.end_time if end_time is None else end_time,
        name=name or row.name,
    )
    check_length("run_name", changed.name, rules.MAX_NAME_CHARS)
    if changed == row:
        return row
    store.update_run(tx, run_id, changed.name, changed.status, changed.end_time)
    if changed.name != row.name:
        records.set_tags(tx, run_id, row.experiment_id, {RUN_NAME_TAG: changed.name})
    tx.emit(RunUpdated(run_id, changed.name, changed.status, changed.end_time, _before(row)))
    return changed


def rename(tx: Tx, row: Any, name: str) -> None:
    """Give a locked run the name that its tag says."""
    if name != row.name:
        store.update_run(tx, row.id, name, row.status, row.end_time)
        tx.emit(RunUpdated(row.id, name, row.status, row.end_time, _before(row)))


def _before(row: Any) -> dict[str, Any]:
    return {"name": row.name, "status": row.status, "end_time": row.end_time}


def delete_run(tx: Tx, run_id: str) -> None:
    """Mark a run deleted; all of it is kept. NotFound if there is none; deleting again changes nothing."""
    if _mark(tx, run_id, ACTIVE, DELETED):
        tx.emit(RunDeleted(run_id))


def restore_run(tx: Tx, run_id: str) -> None:
    """Make a deleted run active again. NotFound if there is none; an active one stays as it is."""
    if _mark(tx, run_id, DELETED, ACTIVE):
        tx.emit(RunRestored(run_id))


def deleted_run(tx: Tx, run_id: str) -> Any | None:
    """The row of a deleted run, kept from being restored until the transaction ends; None if it is not deleted."""
    row = store.locked_run(tx, run_id)
    return row if row is not None and row.lifecycle == DELETED else None


def _mark(tx: Tx, run_id: str, expected: str, lifecycle: str) -> bool:
    rules.check_run_id(run_id)
    if store.mark(tx, run_id, expected, lifecycle):
        return True
    if store.run(tx, run_id) is None:
        raise rules.no_run(run_id)
    return False


def active_run(tx: Tx, run_id: str, get: Callable[[Tx, str], Any | None] = store.shared_run) -> Any:
    """The row of a run that may be written to, as `get` locks it. Raises NotFound, InvalidInput if it is deleted."""
    rules.check_run_id(run_id)
    row = get(tx, run_id)
    if row is None:
        raise rules.no_run(run_id)
    if row.lifecycle != ACTIVE:
        raise rules.not_active("run", run_id)
    return row
