"""SQL of the parameters and tags of runs."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts, upsert
from modelkeep.runs.tables import params, tags

Row = dict[str, Any]


_INSERT_PARAM = Prepared(upsert(params, ["run_id", "key"], []))
_PARAMS_NAMED = Prepared(
    select(params.c.key, params.c.value).where(
        params.c.workspace == bindparam("workspace"),
        params.c.run_id == bindparam("run_id"),
        one_of_texts(params.c.key, "keys"),
    )
)
_SET_TAG = Prepared(upsert(tags, ["run_id", "key"], ["value"], where=tags.alias("excluded").c.value != tags.c.value))
_TAG = Prepared(
    select(tags.c.value).where(
        tags.c.workspace == bindparam("workspace"), tags.c.run_id == bindparam("run_id"), tags.c.key == bindparam("key")
    )
)
_DELETE_TAG = Prepared(
    delete(tags)
    .where(
        tags.c.workspace == bindparam("workspace"), tags.c.run_id == bindparam("run_id"), tags.c.key == bindparam("key")
    )
    .returning(tags.c.value)
)


def _change(tx: Tx, statement: Prepared, rows: Sequence[Row]) -> int:
    """Run a statement for each row. How many rows changed: exact for one row, otherwise how many were given."""
    if len(rows) == 1:
        return tx.run(statement, **rows[0])
    tx.run_many(statement, rows)
    return len(rows)


def add_params(tx: Tx, run_id: str, experiment_id: int, values: dict[str, str]) -> int:
    """Keep parameters that the run does not have yet."""
    return _change(tx, _INSERT_PARAM, _entries(tx, run_id, experiment_id, values))


def params_named(tx: Tx, run_id: str, keys: Sequence[str]) -> dict[str, str]:
    """The run's values of these parameters."""
    found = tx.rows(_PARAMS_NAMED, workspace=tx.workspace, run_id=run_id, keys=json.dumps(keys))
    return {row.key: row.value for row in found}


def set_tags(tx: Tx, run_id: str, experiment_id: int, values: dict[str, str]) -> int:
    """Set tags."""
    return _change(tx, _SET_TAG, _entries(tx, run_id, experiment_id, values))


def _entries(tx: Tx, run_id: str, experiment_id: int, values: dict[str, str]) -> list[Row]:
    # In the order of keys, so that two writers of one run never wait for each other's rows in turn.
    here = {"run_id": run_id, "workspace": tx.workspace, "experiment_id": experiment_id}
    return [{**here, "key": key, "value": values[key]} for key in sorted(values)]


def tag(tx: Tx, run_id: str, key: str) -> str | None:
    """The value of a run's tag."""
    found = tx.row(_TAG, workspace=tx.workspace, run_id=run_id, key=key)
    return None if found is None else str(found.value)


def delete_tag(tx: Tx, run_id: str, key: str) -> str | None:
    """Delete a tag; the value that it had, None if there was none."""
    found = tx.row(_DELETE_TAG, workspace=tx.workspace, run_id=run_id, key=key)
    return str(found.value) if found else None
