"""SQL of what runs read and made: datasets, and logged models as inputs and outputs."""

import json
from typing import Any

from sqlalchemy import bindparam, select

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts, unindexed, upsert
from modelkeep.runs.tables import dataset_inputs, datasets, run_models

_DATASET_KEY = ["workspace", "experiment_id", "name", "digest"]
_GIVEN = [column.name for column in datasets.c if column.name != "id"]

_INSERT_DATASET = Prepared(upsert(datasets, _DATASET_KEY, []).values({name: bindparam(name) for name in _GIVEN}))
_DATASET_ID = Prepared(select(datasets.c.id).where(*(datasets.c[name] == bindparam(name) for name in _DATASET_KEY)))
_INSERT_INPUT = Prepared(upsert(dataset_inputs, ["run_id", "dataset_id"], []))
_SET_MODEL = Prepared(
    upsert(
        run_models,
        ["run_id", "direction", "logged_model_id"],
        ["step"],
        where=run_models.alias("excluded").c.step != run_models.c.step,
    )
)
_INPUTS = Prepared(
    select(dataset_inputs.c.run_id, dataset_inputs.c.tags, *(datasets.c[name] for name in _GIVEN[2:]))
    .join_from(dataset_inputs, datasets, dataset_inputs.c.dataset_id == datasets.c.id)
    .where(one_of_texts(dataset_inputs.c.run_id, "run_ids"), unindexed(datasets.c.workspace) == bindparam("workspace"))
    .order_by(dataset_inputs.c.run_id, dataset_inputs.c.dataset_id)
)
_MODELS = Prepared(
    select(run_models)
    .where(one_of_texts(run_models.c.run_id, "run_ids"))
    .order_by(run_models.c.run_id, run_models.c.direction, run_models.c.step, run_models.c.logged_model_id)
)


def keep_dataset(tx: Tx, experiment_id: int, parts: dict[str, str | None]) -> int:
    """The id of the experiment's dataset of this name and digest, which is made where it is missing."""
    key = {"workspace": tx.workspace, "experiment_id": experiment_id}
    tx.run(_INSERT_DATASET, **key, **parts)
    found = tx.row(_DATASET_ID, **key, name=parts["name"], digest=parts["digest"])
    return int(found.id) if found else 0


def add_input(tx: Tx, run_id: str, dataset_id: int, tags: dict[str, str], context: str | None) -> bool:
    """Note that the run read the dataset; False if that was noted before."""
    values = {"dataset_id": dataset_id, "tags": json.dumps(tags), "context": context}
    return tx.run(_INSERT_INPUT, run_id=run_id, **values) == 1


def set_model(tx: Tx, run_id: str, direction: str, model_id: str, step: int) -> bool:
    """Note that the run read or made the logged model; False if that was noted before, with this step."""
    return tx.run(_SET_MODEL, run_id=run_id, direction=direction, logged_model_id=model_id, step=step) == 1


def inputs_of(tx: Tx, run_ids: str) -> list[Any]:
    """The datasets that the runs in a JSON list read."""
    return tx.rows(_INPUTS, workspace=tx.workspace, run_ids=run_ids)


def models_of(tx: Tx, run_ids: str) -> list[Any]:
    """Rows (run_id, direction, logged_model_id, step) of the runs in a JSON list, all of them this workspace's."""
    return tx.rows(_MODELS, run_ids=run_ids)
