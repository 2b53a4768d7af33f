"""One caller's way to experiments and runs, and the entries that clients send."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from modelkeep import runs
from modelkeep.core.errors import DomainError
from modelkeep.core.events import Event
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Database, Tx

T = TypeVar("T")

ALICE = Caller(Actor("alice", "token"))
NOBODY = Caller(Actor("local", "none"))
ELSEWHERE = Caller(Actor("bob", "token"), workspace="team-b")


class Entry(NamedTuple):
    """A tag or parameter as a client sends it."""

    key: str | None = None
    value: str | None = None


class Point(NamedTuple):
    """A metric point as a client sends it."""

    key: str | None = "loss"
    value: float | None = 1.0
    timestamp: int | None = 1
    step: int | None = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Tracking:
    """A caller of one database, and the facts that were told meanwhile."""

    def __init__(self, database: Database, events: list[Event], caller: Caller = ALICE) -> None:
        self.database = database
        self.events = events
        self.caller = caller

    def of(self, caller: Caller) -> "Tracking":
        """The same database for another caller."""
        return Tracking(self.database, self.events, caller)

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run a change."""
        return self.database.write_now(self.caller, work)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run a look-up."""
        return self.database.read_now(self.caller, work)

    def outcome(self, work: Callable[[Tx], Any]) -> DomainError | None:
        """Why a change was refused; None if it was made."""
        try:
            self.write(work)
        except DomainError as error:
            return error
        return None

    def outcomes(self, works: Sequence[Callable[[Tx], Any]]) -> list[DomainError | None]:
        """The outcomes of changes that are tried at the same time."""
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(self.outcome, works))

    def experiment(self, name: str = "an experiment", **fields: Any) -> str:
        """A new experiment's id."""
        return str(self.write(lambda tx: runs.create_experiment(tx, name, **fields)))

    def run(self, experiment_id: str = "", **fields: Any) -> str:
        """A new run's id."""
        return self.started(experiment_id, **fields).id

    def started(self, experiment_id: str = "", **fields: Any) -> runs.RunView:
        """A new run."""
        return self.write(lambda tx: runs.create_run(tx, experiment_id, **fields))

    def show(self, run_id: str) -> runs.RunView:
        """A run."""
        return self.read(lambda tx: runs.get_run(tx, run_id))

    def show_experiment(self, experiment_id: str) -> runs.ExperimentView:
        """An experiment."""
        return self.read(lambda tx: runs.get_experiment(tx, experiment_id))

    def log(self, run_id: str, *points: Point, params: Sequence[Entry] = (), tags: Sequence[Entry] = ()) -> None:
        """Log a batch."""
        self.write(lambda tx: runs.log_batch(tx, run_id, points, params, tags))

    def history(self, run_id: str, key: str = "loss", **page: Any) -> runs.HistoryPage:
        """Points of a metric."""
        return self.read(lambda tx: runs.get_metric_history(tx, run_id, key, **page))

    def told(self, work: Callable[[Tx], Any]) -> list[Event]:
        """The facts that a change tells."""
        before = len(self.events)
        self.write(work)
        return self.events[before:]
