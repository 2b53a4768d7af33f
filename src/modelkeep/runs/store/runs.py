"""SQL of runs themselves; what is logged to them is written by `records`, `metrics` and `datasets`."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import json_objects, one_of_texts, unindexed
from modelkeep.runs.tables import params, runs, tags

_HERE = unindexed(runs.c.workspace) == bindparam("workspace")
_THIS = (runs.c.id == bindparam("id"), _HERE)

_HEAD = select(runs).where(*_THIS)
_ONE = Prepared(_HEAD)
_ONE_SHARED = Prepared(_HEAD.with_for_update(read=True))
_ONE_LOCKED = Prepared(_HEAD.with_for_update())


def _logged(table: Table) -> ColumnElement[str]:
    """A run's rows of a table of parameters or tags as JSON."""
    mine = select(json_objects(table.c.key, table.c.value)).where(table.c.run_id == runs.c.id)
    return mine.correlate(runs).scalar_subquery().label(table.name)


_SOME = Prepared(
    select(
        runs.c.id,
        runs.c.experiment_id,
        runs.c.name,
        runs.c.user_id,
        runs.c.status,
        runs.c.start_time,
        runs.c.end_time,
        runs.c.lifecycle,
        runs.c.artifact_uri,
        _logged(tags),
        _logged(params),
    ).where(one_of_texts(runs.c.id, "ids"), _HERE)
)
_INSERT = Prepared(insert(runs))
_UPDATE = Prepared(
    update(runs)
    .where(*_THIS)
    .values(
        name=bindparam("new_name"),
        status=bindparam("new_status"),
        end_time=bindparam("new_end_time", type_=runs.c.end_time.type),
    )
)
_MARK = Prepared(
    update(runs)
    .where(*_THIS, runs.c.lifecycle == bindparam("expected"))
    .values(lifecycle=bindparam("new_lifecycle"), deleted_at=bindparam("new_deleted_at", type_=runs.c.deleted_at.type))
)


def run(tx: Tx, run_id: str) -> Any | None:
    """The run's row."""
    return tx.row(_ONE, workspace=tx.workspace, id=run_id)


def shared_run(tx: Tx, run_id: str) -> Any | None:
    """The run's row, kept from changing until the transaction ends; others may log to it meanwhile."""
    return tx.row(_ONE_SHARED, workspace=tx.workspace, id=run_id)


def locked_run(tx: Tx, run_id: str) -> Any | None:
    """The run's row, for this transaction to change."""
    return tx.row(_ONE_LOCKED, workspace=tx.workspace, id=run_id)


def some_runs(tx: Tx, run_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """These runs in no order: id, experiment_id, name, user_id, status, times, lifecycle, artifact_uri, and as JSON
    their tags and parameters.
    """
    return tx.tuples(_SOME, workspace=tx.workspace, ids=json.dumps(run_ids))


def insert_run(tx: Tx, values: dict[str, Any]) -> None:
    """Keep a new active run."""
    tx.run(_INSERT, **values, workspace=tx.workspace, lifecycle="active", deleted_at=None, end_time=None)


def update_run(tx: Tx, run_id: str, name: str, status: str, end_time: int | None) -> None:
    """Give a locked run these values."""
    tx.run(_UPDATE, workspace=tx.workspace, id=run_id, new_name=name, new_status=status, new_end_time=end_time)


def mark(tx: Tx, run_id: str, expected: str, lifecycle: str) -> bool:
    """Move the run from one lifecycle to the other; False if it was not in the expected one."""
    deleted_at = tx.now if lifecycle == "deleted" else None
    values = {"expected": expected, "new_lifecycle": lifecycle, "new_deleted_at": deleted_at}
    return tx.run(_MARK, workspace=tx.workspace, id=run_id, **values) == 1
