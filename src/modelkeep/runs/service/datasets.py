"""Noting what a run read and made: datasets and logged models."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from modelkeep.core.names import check_length, missing_value
from modelkeep.db import Tx
from modelkeep.runs import rules
from modelkeep.runs.events import RunInputsLogged, RunOutputsLogged
from modelkeep.runs.rules import DATASET_CONTEXT_TAG, Dataset, Entry
from modelkeep.runs.service.runs import active_run
from modelkeep.runs.store import datasets as store

_MAX_MODEL_ID_CHARS = 256
_PARTS = ("name", "digest", "source_type", "source", "schema", "profile")


class DatasetUse(NamedTuple):
    """A dataset that a run read, and the tags of this use."""

    dataset: Dataset
    tags: Sequence[Entry] = ()


class MadeModel(Protocol):
    """A logged model that a run made, and at which step."""

    @property
    def model_id(self) -> str | None: ...

    @property
    def step(self) -> int | None: ...


def log_inputs(tx: Tx, run_id: str, datasets: Sequence[DatasetUse] = (), models: Sequence[str | None] = ()) -> None:
    """Note datasets and logged models that an active run read; what is noted already stays as it is.

    A dataset is one of its experiment by name and digest. Raises NotFound, InvalidInput.
    """
    uses = [(_parts(use.dataset), rules.input_tags(use.tags)) for use in datasets]
    _check_model_ids(models)
    row = active_run(tx, run_id)
    added = 0
    for parts, tags in uses:
        dataset_id = store.keep_dataset(tx, row.experiment_id, parts)
        added += store.add_input(tx, run_id, dataset_id, tags, tags.get(DATASET_CONTEXT_TAG))
    read = sum(store.set_model(tx, run_id, "input", model or "", 0) for model in models)
    if added or read:
        tx.emit(RunInputsLogged(run_id, added, read))


def _parts(dataset: Dataset) -> dict[str, str | None]:
    rules.check_dataset(dataset)
    return {name: getattr(dataset, name) for name in _PARTS}


def log_outputs(tx: Tx, run_id: str, models: Sequence[MadeModel]) -> None:
    """Note logged models that an active run made, with their steps. Raises NotFound, InvalidInput."""
    _check_model_ids([model.model_id for model in models])
    active_run(tx, run_id)
    made = sum(store.set_model(tx, run_id, "output", model.model_id or "", model.step or 0) for model in models)
    if made:
        tx.emit(RunOutputsLogged(run_id, made))


def _check_model_ids(models: Sequence[str | None]) -> None:
    for model in models:
        if not model:
            raise missing_value("model_id")
        check_length("model_id", model, _MAX_MODEL_ID_CHARS)
