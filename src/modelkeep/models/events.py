"""What happens to registered models and their versions."""

from typing import ClassVar

from modelkeep.core.events import Event


class ModelEvent(Event, frozen=True):
    """A fact about a registered model; `name` is its name after the fact."""

    model_id: str
    name: str

    @property
    def resource(self) -> str:
        """The model by its permanent id."""
        return f"registered-model/{self.model_id}"


class ModelCreated(ModelEvent, frozen=True):
    """A registered model or prompt was made."""

    kind: ClassVar[str] = "registered_model.created"
    model_kind: str
    description: str | None
    tags: dict[str, str]


class ModelRenamed(ModelEvent, frozen=True):
    """A registered model got another name."""

    kind: ClassVar[str] = "registered_model.renamed"
    old_name: str


class ModelDescribed(ModelEvent, frozen=True):
    """A registered model's description was replaced."""

    kind: ClassVar[str] = "registered_model.described"
    description: str
    before: str | None


class ModelRetired(ModelEvent, frozen=True):
    """A registered model was taken out of use; everything about it is kept."""

    kind: ClassVar[str] = "registered_model.retired"


class ModelRestored(ModelEvent, frozen=True):
    """A retired model is in use again."""

    kind: ClassVar[str] = "registered_model.restored"
    old_name: str


class ModelTagSet(ModelEvent, frozen=True):
    """A tag of a registered model got a value."""

    kind: ClassVar[str] = "registered_model_tag.set"
    key: str
    value: str
    before: str | None


class ModelTagDeleted(ModelEvent, frozen=True):
    """A tag of a registered model is gone."""

    kind: ClassVar[str] = "registered_model_tag.deleted"
    key: str
    before: str


class VersionEvent(Event, frozen=True):
    """A fact about a model version."""

    model_id: str
    name: str
    version: int

    @property
    def resource(self) -> str:
        """The version by its model's permanent id and its number."""
        return f"model-version/{self.model_id}/{self.version}"


class VersionRegistered(VersionEvent, frozen=True):
    """A version was made; `digest` is of its frozen files, None where the registry does not hold them."""

    kind: ClassVar[str] = "model_version.registered"
    source: str
    origin: str
    digest: str | None
    run_id: str | None
    description: str | None
    tags: dict[str, str]


class VersionDescribed(VersionEvent, frozen=True):
    """A version's description was replaced."""

    kind: ClassVar[str] = "model_version.described"
    description: str | None
    before: str | None


class VersionRetired(VersionEvent, frozen=True):
    """A version was taken out of use; its record is kept, its stage and aliases are not."""

    kind: ClassVar[str] = "model_version.retired"


class VersionRestored(VersionEvent, frozen=True):
    """A retired version is in use again, in no stage and with no alias."""

    kind: ClassVar[str] = "model_version.restored"


class VersionTagSet(VersionEvent, frozen=True):
    """A tag of a version got a value."""

    kind: ClassVar[str] = "model_version_tag.set"
    key: str
    value: str
    before: str | None


class VersionTagDeleted(VersionEvent, frozen=True):
    """A tag of a version is gone."""

    kind: ClassVar[str] = "model_version_tag.deleted"
    key: str
    before: str
