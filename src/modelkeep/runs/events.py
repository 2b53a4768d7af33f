"""Facts about experiments and runs."""

from typing import Any, ClassVar

from modelkeep.core.events import Event


class ExperimentEvent(Event, frozen=True):
    """A fact about one experiment."""

    experiment_id: int

    @property
    def resource(self) -> str:
        """The experiment."""
        return f"experiment/{self.experiment_id}"


class ExperimentCreated(ExperimentEvent, frozen=True):
    """An experiment was made."""

    kind: ClassVar[str] = "experiment.created"
    name: str
    artifact_location: str


class ExperimentRenamed(ExperimentEvent, frozen=True):
    """An experiment got another name."""

    kind: ClassVar[str] = "experiment.renamed"
    old_name: str
    name: str


class ExperimentDeleted(ExperimentEvent, frozen=True):
    """An experiment was marked deleted, and `runs` of its runs with it."""

    kind: ClassVar[str] = "experiment.deleted"
    runs: int


class ExperimentRestored(ExperimentEvent, frozen=True):
    """A deleted experiment is active again, and `runs` of its runs with it."""

    kind: ClassVar[str] = "experiment.restored"
    runs: int


class ExperimentTagSet(ExperimentEvent, frozen=True):
    """A tag of an experiment got a value, in place of the one `before` if it had any."""

    kind: ClassVar[str] = "experiment.tag_set"
    key: str
    value: str
    before: str | None


class ExperimentTagDeleted(ExperimentEvent, frozen=True):
    """A tag of an experiment is gone."""

    kind: ClassVar[str] = "experiment.tag_deleted"
    key: str
    before: str


class RunEvent(Event, frozen=True):
    """A fact about one run."""

    run_id: str

    @property
    def resource(self) -> str:
        """The run."""
        return f"run/{self.run_id}"


class RunCreated(RunEvent, frozen=True):
    """A run began."""

    kind: ClassVar[str] = "run.created"
    experiment_id: int
    name: str
    user_id: str


class RunUpdated(RunEvent, frozen=True):
    """A run's name, status or end changed; these are its values now."""

    kind: ClassVar[str] = "run.updated"
    name: str
    status: str
    end_time: int | None
    before: dict[str, Any]


class RunDeleted(RunEvent, frozen=True):
    """A run was marked deleted; all of it is kept."""

    kind: ClassVar[str] = "run.deleted"


class RunRestored(RunEvent, frozen=True):
    """A deleted run is active again."""

    kind: ClassVar[str] = "run.restored"


class RunRecorded(RunEvent, frozen=True):
    """So many metric points, and parameters and tags of these keys, were logged to a run."""

    kind: ClassVar[str] = "run.recorded"
    metrics: int
    params: tuple[str, ...]
    tags: tuple[str, ...]


class RunTagDeleted(RunEvent, frozen=True):
    """A tag of a run is gone."""

    kind: ClassVar[str] = "run.tag_deleted"
    key: str
    before: str


class RunInputsLogged(RunEvent, frozen=True):
    """A run read so many datasets and logged models that were not noted before."""

    kind: ClassVar[str] = "run.inputs_logged"
    datasets: int
    models: int


class RunOutputsLogged(RunEvent, frozen=True):
    """A run made so many logged models that were not noted before."""

    kind: ClassVar[str] = "run.outputs_logged"
    models: int
