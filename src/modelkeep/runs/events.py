"""Facts about experiments and runs."""

from dataclasses import dataclass
from typing import Any, ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class ExperimentEvent(Event):
    """A fact about one experiment."""

    experiment_id: int

    @property
    def resource(self) -> str:
        """The experiment."""
        return f"experiment/{self.experiment_id}"


@dataclass(frozen=True, slots=True)
class ExperimentCreated(ExperimentEvent):
    """An experiment was made."""

    kind: ClassVar[str] = "experiment.created"
    name: str
    artifact_location: str


@dataclass(frozen=True, slots=True)
class ExperimentRenamed(ExperimentEvent):
    """An experiment got another name."""

    kind: ClassVar[str] = "experiment.renamed"
    old_name: str
    name: str


@dataclass(frozen=True, slots=True)
class ExperimentDeleted(ExperimentEvent):
    """An experiment was marked deleted, and `runs` of its runs with it."""

    kind: ClassVar[str] = "experiment.deleted"
    runs: int


@dataclass(frozen=True, slots=True)
class ExperimentRestored(ExperimentEvent):
    """A deleted experiment is active again, and `runs` of its runs with it."""

    kind: ClassVar[str] = "experiment.restored"
    runs: int


@dataclass(frozen=True, slots=True)
class ExperimentTagSet(ExperimentEvent):
    """A tag of an experiment got a value, in place of the one `before` if it had any."""

    kind: ClassVar[str] = "experiment.tag_set"
    key: str
    value: str
    before: str | None


@dataclass(frozen=True, slots=True)
class ExperimentTagDeleted(ExperimentEvent):
    """A tag of an experiment is gone."""

    kind: ClassVar[str] = "experiment.tag_deleted"
    key: str
    before: str


@dataclass(frozen=True, slots=True)
class RunEvent(Event):
    """A fact about one run."""

    run_id: str

    @property
    def resource(self) -> str:
        """The run."""
        return f"run/{self.run_id}"


@dataclass(frozen=True, slots=True)
class RunCreated(RunEvent):
    """A run began."""

    kind: ClassVar[str] = "run.created"
    experiment_id: int
    name: str
    user_id: str


@dataclass(frozen=True, slots=True)
class RunUpdated(RunEvent):
    """A run's name, status or end changed; these are its values now."""

    kind: ClassVar[str] = "run.updated"
    name: str
    status: str
    end_time: int | None
    before: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunDeleted(RunEvent):
    """A run was marked deleted; all of it is kept."""

    kind: ClassVar[str] = "run.deleted"


@dataclass(frozen=True, slots=True)
class RunRestored(RunEvent):
    """A deleted run is active again."""

    kind: ClassVar[str] = "run.restored"


@dataclass(frozen=True, slots=True)
class RunRecorded(RunEvent):
    """So many metric points, and parameters and tags of these keys, were logged to a run."""

    kind: ClassVar[str] = "run.recorded"
    metrics: int
    params: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunTagDeleted(RunEvent):
    """A tag of a run is gone."""

    kind: ClassVar[str] = "run.tag_deleted"
    key: str
    before: str


@dataclass(frozen=True, slots=True)
class RunInputsLogged(RunEvent):
    """A run read so many datasets and logged models that were not noted before."""

    kind: ClassVar[str] = "run.inputs_logged"
    datasets: int
    models: int


@dataclass(frozen=True, slots=True)
class RunOutputsLogged(RunEvent):
    """A run made so many logged models that were not noted before."""

    kind: ClassVar[str] = "run.outputs_logged"
    models: int
