"""SQL of logged models: their rows, tags, parameters, and the metrics measured on them."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, bindparam, delete, insert, select, update

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import json_rows, one_of_texts, unindexed, upsert
from modelkeep.runs.tables import (
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
)

_HERE = unindexed(logged_models.c.workspace) == bindparam("workspace")
_THIS = (logged_models.c.id == bindparam("id"), _HERE)


def _pairs(table: Table) -> Any:
    """The keys and values of each model's rows in a table of tags or parameters, as JSON."""
    return (
        select(json_rows(table.c.key, table.c.value))
        .where(table.c.logged_model_id == logged_models.c.id)
        .correlate(logged_models)
        .scalar_subquery()
    )


_HEAD = select(logged_models).where(*_THIS)
_ONE = Prepared(_HEAD)
_ONE_LOCKED = Prepared(_HEAD.with_for_update())
_SOME = Prepared(
    select(logged_models, _pairs(logged_model_tags).label("tags"), _pairs(logged_model_params).label("params")).where(
        one_of_texts(logged_models.c.id, "ids"), _HERE
    )
)
_METRICS = Prepared(
    select(logged_model_metrics)
    .join(logged_models, logged_models.c.id == logged_model_metrics.c.logged_model_id)
    .where(one_of_texts(logged_models.c.id, "ids"), _HERE)
    .order_by(
        logged_model_metrics.c.logged_model_id,
        logged_model_metrics.c.key,
        logged_model_metrics.c.step,
        logged_model_metrics.c.timestamp,
        logged_model_metrics.c.run_id,
        logged_model_metrics.c.dataset_name,
        logged_model_metrics.c.dataset_digest,
    )
)
_INSERT = Prepared(insert(logged_models))
_FINALIZE = Prepared(update(logged_models).where(*_THIS).values(status=bindparam("new"), updated_at=bindparam("now")))
_MARK_DELETED = Prepared(
    update(logged_models)
    .where(*_THIS, logged_models.c.deleted_at.is_(None))
    .values(deleted_at=bindparam("now"), updated_at=bindparam("now"))
)
_TAGS = Prepared(
    select(logged_model_tags.c.key, logged_model_tags.c.value).where(
        logged_model_tags.c.logged_model_id == bindparam("id"), one_of_texts(logged_model_tags.c.key, "keys")
    )
)
_SET_TAG = Prepared(upsert(logged_model_tags, ["logged_model_id", "key"], ["value"]))
_DELETE_TAG = Prepared(
    delete(logged_model_tags)
    .where(logged_model_tags.c.logged_model_id == bindparam("id"), logged_model_tags.c.key == bindparam("key"))
    .returning(logged_model_tags.c.value)
)
_PARAMS = Prepared(
    select(logged_model_params.c.key, logged_model_params.c.value).where(
        logged_model_params.c.logged_model_id == bindparam("id"), one_of_texts(logged_model_params.c.key, "keys")
    )
)
_INSERT_PARAM = Prepared(insert(logged_model_params))


def logged_model(tx: Tx, model_id: str) -> Any | None:
    """The logged model's row."""
    return tx.row(_ONE, workspace=tx.workspace, id=model_id)


def locked_model(tx: Tx, model_id: str) -> Any | None:
    """The logged model's row, for this transaction to change it, its tags and its parameters."""
    return tx.row(_ONE_LOCKED, workspace=tx.workspace, id=model_id)


def some_models(tx: Tx, model_ids: Sequence[str]) -> list[Any]:
    """The rows of these logged models with tags and parameters as JSON lists of pairs, in no order."""
    return tx.rows(_SOME, workspace=tx.workspace, ids=json.dumps(model_ids))


def metrics_of(tx: Tx, model_ids: Sequence[str]) -> list[Any]:
    """All metric points of these logged models, by key, step and time."""
    return tx.rows(_METRICS, workspace=tx.workspace, ids=json.dumps(model_ids))


def insert_model(tx: Tx, values: dict[str, Any]) -> None:
    """Keep a new logged model."""
    fresh = {"created_at": tx.now, "updated_at": tx.now, "deleted_at": None, "status_message": None}
    tx.run(_INSERT, **values, **fresh, workspace=tx.workspace, created_by=tx.actor.name)


def finalize(tx: Tx, model_id: str, status: str) -> None:
    """Give a logged model a status."""
    tx.run(_FINALIZE, workspace=tx.workspace, id=model_id, new=status, now=tx.now)


def mark_deleted(tx: Tx, model_id: str) -> bool:
    """Mark a logged model deleted; False if it was."""
    return tx.run(_MARK_DELETED, workspace=tx.workspace, id=model_id, now=tx.now) == 1


def tags_named(tx: Tx, model_id: str, keys: Sequence[str]) -> dict[str, str]:
    """The values of these tags of a locked model."""
    return {row.key: row.value for row in tx.rows(_TAGS, id=model_id, keys=json.dumps(keys))}


def set_tags(tx: Tx, model_id: str, tags: dict[str, str]) -> None:
    """Set tags of a locked model."""
    tx.run_many(_SET_TAG, [{"logged_model_id": model_id, "key": key, "value": tags[key]} for key in tags])


def delete_tag(tx: Tx, model_id: str, key: str) -> str | None:
    """Delete a tag of a locked model; the value that it had, None if there was none."""
    found = tx.row(_DELETE_TAG, id=model_id, key=key)
    return str(found.value) if found else None


def params_named(tx: Tx, model_id: str, keys: Sequence[str]) -> dict[str, str]:
    """The values of these parameters of a locked model."""
    return {row.key: row.value for row in tx.rows(_PARAMS, id=model_id, keys=json.dumps(keys))}


def add_params(tx: Tx, model_id: str, params: dict[str, str]) -> None:
    """Keep parameters that a locked model does not have yet."""
    tx.run_many(_INSERT_PARAM, [{"logged_model_id": model_id, "key": key, "value": params[key]} for key in params])
