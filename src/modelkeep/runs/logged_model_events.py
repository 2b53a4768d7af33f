"""Facts about logged models."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class LoggedModelEvent(Event):
    """A fact about one logged model."""

    model_id: str

    @property
    def resource(self) -> str:
        """The logged model."""
        return f"logged-model/{self.model_id}"


@dataclass(frozen=True, slots=True)
class LoggedModelCreated(LoggedModelEvent):
    """A logged model was begun; its files are still to come."""

    kind: ClassVar[str] = "logged_model.created"
    experiment_id: int
    name: str
    source_run_id: str | None


@dataclass(frozen=True, slots=True)
class LoggedModelFinalized(LoggedModelEvent):
    """A logged model got another status."""

    kind: ClassVar[str] = "logged_model.finalized"
    status: str
    before: str


@dataclass(frozen=True, slots=True)
class LoggedModelDeleted(LoggedModelEvent):
    """A logged model was marked deleted; all of it is kept."""

    kind: ClassVar[str] = "logged_model.deleted"


@dataclass(frozen=True, slots=True)
class LoggedModelTagsSet(LoggedModelEvent):
    """Tags of a logged model got these values."""

    kind: ClassVar[str] = "logged_model.tags_set"
    tags: dict[str, str]
    before: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class LoggedModelTagDeleted(LoggedModelEvent):
    """A tag of a logged model is gone."""

    kind: ClassVar[str] = "logged_model.tag_deleted"
    key: str
    before: str


@dataclass(frozen=True, slots=True)
class LoggedModelParamsLogged(LoggedModelEvent):
    """A logged model got so many parameters."""

    kind: ClassVar[str] = "logged_model.params_logged"
    params: int
