"""Facts about logged models."""

from typing import ClassVar

from modelkeep.core.events import Event


class LoggedModelEvent(Event, frozen=True):
    """A fact about one logged model."""

    model_id: str

    @property
    def resource(self) -> str:
        """The logged model."""
        return f"logged-model/{self.model_id}"


class LoggedModelCreated(LoggedModelEvent, frozen=True):
    """A logged model was begun; its files are still to come."""

    kind: ClassVar[str] = "logged_model.created"
    experiment_id: int
    name: str
    source_run_id: str | None


class LoggedModelFinalized(LoggedModelEvent, frozen=True):
    """A logged model got another status."""

    kind: ClassVar[str] = "logged_model.finalized"
    status: str
    before: str


class LoggedModelDeleted(LoggedModelEvent, frozen=True):
    """A logged model was marked deleted; all of it is kept."""

    kind: ClassVar[str] = "logged_model.deleted"


class LoggedModelTagsSet(LoggedModelEvent, frozen=True):
    """Tags of a logged model got these values."""

    kind: ClassVar[str] = "logged_model.tags_set"
    tags: dict[str, str]
    before: dict[str, str | None]


class LoggedModelTagDeleted(LoggedModelEvent, frozen=True):
    """A tag of a logged model is gone."""

    kind: ClassVar[str] = "logged_model.tag_deleted"
    key: str
    before: str


class LoggedModelParamsLogged(LoggedModelEvent, frozen=True):
    """A logged model got so many parameters."""

    kind: ClassVar[str] = "logged_model.params_logged"
    params: int
