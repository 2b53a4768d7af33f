"""SQL of experiments and their tags."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, and_, bindparam, delete, select, update

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_integers, unindexed, upsert
from modelkeep.runs.tables import experiment_counters, experiment_tags, experiments, logged_models, runs

_HERE = experiments.c.workspace == bindparam("workspace")
_THIS = (_HERE, experiments.c.id == bindparam("id"))
_TAG_HERE = experiment_tags.c.workspace == bindparam("workspace")
_COUNTER_HERE = experiment_counters.c.workspace == bindparam("workspace")
_OFFERED = experiment_tags.alias("excluded")

_HEAD = select(experiments).where(*_THIS)
_ONE = Prepared(_HEAD)
_ONE_SHARED = Prepared(_HEAD.with_for_update(read=True))
_ONE_LOCKED = Prepared(_HEAD.with_for_update())
_BY_NAME = Prepared(select(experiments).where(_HERE, experiments.c.name == bindparam("name")))
_SOME = Prepared(select(experiments).where(_HERE, one_of_integers(experiments.c.id, "ids")))


def _of_owner(table: Table) -> Prepared:
    """The experiment that a run or logged model belongs to."""
    mine = and_(experiments.c.workspace == table.c.workspace, experiments.c.id == table.c.experiment_id)
    here = unindexed(table.c.workspace) == bindparam("workspace")
    found = select(experiments.c.id, experiments.c.name).select_from(table).join(experiments, mine)
    return Prepared(found.where(table.c.id == bindparam("owner"), here))


_OF_RUN = _of_owner(runs)
_OF_LOGGED_MODEL = _of_owner(logged_models)
_TAGS = Prepared(
    select(experiment_tags.c.experiment_id, experiment_tags.c.key, experiment_tags.c.value)
    .where(_TAG_HERE, one_of_integers(experiment_tags.c.experiment_id, "ids"))
    .order_by(experiment_tags.c.experiment_id, experiment_tags.c.key)
)
_TAG = Prepared(
    select(experiment_tags.c.value).where(
        _TAG_HERE, experiment_tags.c.experiment_id == bindparam("id"), experiment_tags.c.key == bindparam("key")
    )
)
_START_COUNTER = Prepared(upsert(experiment_counters, ["workspace"], []))
_TAKE_ID = Prepared(
    update(experiment_counters)
    .where(_COUNTER_HERE)
    .values(last_id=experiment_counters.c.last_id + 1)
    .returning(experiment_counters.c.last_id)
)
_LOCK_NAMES = Prepared(select(experiment_counters.c.last_id).where(_COUNTER_HERE).with_for_update())
_INSERT = Prepared(upsert(experiments, ["workspace", "name"], []))
_RENAME = Prepared(update(experiments).where(*_THIS).values(name=bindparam("new_name"), updated_at=bindparam("now")))
_TOUCH = Prepared(update(experiments).where(*_THIS).values(updated_at=bindparam("now")))
_MARK = Prepared(
    update(experiments)
    .where(*_THIS, experiments.c.lifecycle == bindparam("expected"))
    .values(lifecycle=bindparam("new_lifecycle"), updated_at=bindparam("now"))
)
_MARK_RUNS = Prepared(
    update(runs)
    .where(
        runs.c.workspace == bindparam("workspace"),
        runs.c.experiment_id == bindparam("id"),
        runs.c.lifecycle == bindparam("expected"),
    )
    .values(lifecycle=bindparam("new_lifecycle"), deleted_at=bindparam("new_deleted_at", type_=runs.c.deleted_at.type))
)
_SET_TAG = Prepared(
    upsert(
        experiment_tags,
        ["workspace", "experiment_id", "key"],
        ["value"],
        where=_OFFERED.c.value != experiment_tags.c.value,
    )
)
_DELETE_TAG = Prepared(
    delete(experiment_tags)
    .where(_TAG_HERE, experiment_tags.c.experiment_id == bindparam("id"), experiment_tags.c.key == bindparam("key"))
    .returning(experiment_tags.c.value)
)


def experiment(tx: Tx, number: int) -> Any | None:
    """The experiment's row."""
    return tx.row(_ONE, workspace=tx.workspace, id=number)


def experiment_of_run(tx: Tx, run_id: str) -> Any | None:
    """Id and name of the experiment of a run."""
    return tx.row(_OF_RUN, workspace=tx.workspace, owner=run_id)


def experiment_of_logged_model(tx: Tx, model_id: str) -> Any | None:
    """Id and name of the experiment of a logged model."""
    return tx.row(_OF_LOGGED_MODEL, workspace=tx.workspace, owner=model_id)


def shared_experiment(tx: Tx, number: int) -> Any | None:
    """The experiment's row, kept from changing until the transaction ends."""
    return tx.row(_ONE_SHARED, workspace=tx.workspace, id=number)


def locked_experiment(tx: Tx, number: int) -> Any | None:
    """The experiment's row, for this transaction to change."""
    return tx.row(_ONE_LOCKED, workspace=tx.workspace, id=number)


def experiment_named(tx: Tx, name: str) -> Any | None:
    """The row of the experiment of this name, deleted or not."""
    return tx.row(_BY_NAME, workspace=tx.workspace, name=name)


def some_experiments(tx: Tx, numbers: Sequence[int]) -> list[Any]:
    """The rows of these experiments, in no order."""
    return tx.rows(_SOME, workspace=tx.workspace, ids=json.dumps(numbers))


def tags_of(tx: Tx, numbers: Sequence[int]) -> list[Any]:
    """Rows (experiment_id, key, value)."""
    return tx.rows(_TAGS, workspace=tx.workspace, ids=json.dumps(numbers))


def tag(tx: Tx, number: int, key: str) -> str | None:
    """The value of a tag; None if there is none."""
    found = tx.row(_TAG, workspace=tx.workspace, id=number, key=key)
    return str(found.value) if found else None


def start_counter(tx: Tx) -> bool:
    """Make the counter of this workspace's ids; False if there was one."""
    return tx.run(_START_COUNTER, workspace=tx.workspace, last_id=0) == 1


def take_id(tx: Tx) -> int | None:
    """The next id of this workspace; None where the counter was never started."""
    found = tx.row(_TAKE_ID, workspace=tx.workspace)
    return None if found is None else int(found.last_id)


def lock_names(tx: Tx) -> None:
    """Keep every other writer of names in this workspace waiting."""
    tx.rows(_LOCK_NAMES, workspace=tx.workspace)


def insert_experiment(tx: Tx, number: int, name: str, artifact_location: str) -> bool:
    """Keep a new active experiment; False if the name is taken."""
    inserted = tx.run(
        _INSERT,
        workspace=tx.workspace,
        id=number,
        name=name,
        artifact_location=artifact_location,
        lifecycle="active",
        created_by=tx.actor.name,
        created_at=tx.now,
        updated_at=tx.now,
    )
    return inserted == 1


def rename(tx: Tx, number: int, name: str) -> None:
    """Change the name; the caller holds `lock_names` and knows that it is free."""
    tx.run(_RENAME, workspace=tx.workspace, id=number, new_name=name, now=tx.now)


def mark(tx: Tx, number: int, expected: str, lifecycle: str) -> bool:
    """Move the experiment from one lifecycle to the other; False if it was not in the expected one."""
    changed = tx.run(_MARK, workspace=tx.workspace, id=number, expected=expected, new_lifecycle=lifecycle, now=tx.now)
    return changed == 1


def mark_runs(tx: Tx, number: int, expected: str, lifecycle: str) -> int:
    """Move all its runs in the expected lifecycle to the other; how many."""
    deleted_at = tx.now if lifecycle == "deleted" else None
    values = {"expected": expected, "new_lifecycle": lifecycle, "new_deleted_at": deleted_at}
    return tx.run(_MARK_RUNS, workspace=tx.workspace, id=number, **values)


def set_tags(tx: Tx, number: int, tags: Iterable[tuple[str, str]]) -> None:
    """Set tags."""
    rows = [{"workspace": tx.workspace, "experiment_id": number, "key": key, "value": value} for key, value in tags]
    tx.run_many(_SET_TAG, rows)


def set_tag(tx: Tx, number: int, key: str, value: str) -> bool:
    """Set a tag; False if it had this value."""
    return tx.run(_SET_TAG, workspace=tx.workspace, experiment_id=number, key=key, value=value) == 1


def delete_tag(tx: Tx, number: int, key: str) -> str | None:
    """Delete a tag; the value that it had, None if there was none."""
    found = tx.row(_DELETE_TAG, workspace=tx.workspace, id=number, key=key)
    return str(found.value) if found else None


def touch(tx: Tx, number: int) -> None:
    """Note that the experiment changed now."""
    tx.run(_TOUCH, workspace=tx.workspace, id=number, now=tx.now)
