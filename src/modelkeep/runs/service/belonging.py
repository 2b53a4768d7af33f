"""Which experiment something belongs to: what a decision is made on, in one look whether it is there or not.

One look, because a second one where there is something would tell by its time what is hidden from what never was.
"""

from collections.abc import Sequence
from typing import NamedTuple

from modelkeep.db import Tx
from modelkeep.runs import rules
from modelkeep.runs.store import experiments as store

_DEFAULT = 0


class ExperimentHead(NamedTuple):
    """An experiment's lasting id in its workspace, and its name."""

    id: int
    name: str


def find_experiment(tx: Tx, experiment_id: str) -> ExperimentHead | None:
    """The experiment with this id, deleted or not. Raises InvalidInput or NotFound for what can be no id."""
    number = rules.experiment_number(experiment_id)
    row = store.experiment(tx, number)
    if row is None and number == _DEFAULT:
        return ExperimentHead(_DEFAULT, rules.DEFAULT_EXPERIMENT)
    return ExperimentHead(row.id, row.name) if row is not None else None


def find_experiment_named(tx: Tx, name: str) -> ExperimentHead | None:
    """The experiment of this name, deleted or not. Raises InvalidInput for what can be no name."""
    rules.check_experiment_name(name, "experiment_name")
    row = store.experiment_named(tx, name)
    if row is None and name == rules.DEFAULT_EXPERIMENT:
        return ExperimentHead(_DEFAULT, name) if store.experiment(tx, _DEFAULT) is None else None
    return ExperimentHead(row.id, row.name) if row is not None else None


def experiments_among(tx: Tx, numbers: Sequence[int]) -> list[ExperimentHead]:
    """Those of these experiments that are there, deleted or not, in the order of the numbers."""
    found = {row.id: ExperimentHead(row.id, row.name) for row in store.some_experiments(tx, numbers)}
    return [found[number] for number in numbers if number in found]


def experiment_of_run(tx: Tx, run_id: str) -> ExperimentHead | None:
    """The experiment of a run, deleted or not."""
    row = store.experiment_of_run(tx, run_id) if "\x00" not in run_id else None
    return ExperimentHead(row.id, row.name) if row is not None else None


def experiment_of_logged_model(tx: Tx, model_id: str) -> ExperimentHead | None:
    """The experiment of a logged model, deleted or not."""
    row = store.experiment_of_logged_model(tx, model_id) if "\x00" not in model_id else None
    return ExperimentHead(row.id, row.name) if row is not None else None
