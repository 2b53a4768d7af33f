"""What happens to registered models and their versions."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class ModelEvent(Event):
    """A fact about a registered model; `name` is its name after the fact."""

    model_id: str
    name: str

    @property
    def resource(self) -> str:
        """The model by its permanent id."""
        return f"registered-model/{self.model_id}"


@dataclass(frozen=True, slots=True)
class ModelCreated(ModelEvent):
    """A registered model or prompt was made."""

    kind: ClassVar[str] = "registered_model.created"
    model_kind: str
    description: str | None
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class ModelRenamed(ModelEvent):
    """A registered model got another name."""

    kind: ClassVar[str] = "registered_model.renamed"
    old_name: str


@dataclass(frozen=True, slots=True)
class ModelDescribed(ModelEvent):
    """A registered model's description was replaced."""

    kind: ClassVar[str] = "registered_model.described"
    description: str
    before: str | None


@dataclass(frozen=True, slots=True)
class ModelRetired(ModelEvent):
    """A registered model was taken out of use; everything about it is kept."""

    kind: ClassVar[str] = "registered_model.retired"


@dataclass(frozen=True, slots=True)
class ModelRestored(ModelEvent):
    """A retired model is in use again."""

    kind: ClassVar[str] = "registered_model.restored"
    old_name: str


@dataclass(frozen=True, slots=True)
class ModelTagSet(ModelEvent):
    """A tag of a registered model got a value."""

    kind: ClassVar[str] = "registered_model_tag.set"
    key: str
    value: str
    before: str | None


@dataclass(frozen=True, slots=True)
class ModelTagDeleted(ModelEvent):
    """A tag of a registered model is gone."""

    kind: ClassVar[str] = "registered_model_tag.deleted"
    key: str
    before: str


@dataclass(frozen=True, slots=True)
class VersionEvent(Event):
    """A fact about a model version."""

    model_id: str
    name: str
    version: int

    @property
    def resource(self) -> str:
        """The version by its model's permanent id and its number."""
        return f"model-version/{self.model_id}/{self.version}"


@dataclass(frozen=True, slots=True)
class VersionRegistered(VersionEvent):
    """A version was made; `digest` is of its frozen files, None where the registry does not hold them."""

    kind: ClassVar[str] = "model_version.registered"
    source: str
    origin: str
    digest: str | None
    run_id: str | None
    description: str | None
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class VersionDescribed(VersionEvent):
    """A version's description was replaced."""

    kind: ClassVar[str] = "model_version.described"
    description: str | None
    before: str | None


@dataclass(frozen=True, slots=True)
class VersionRetired(VersionEvent):
    """A version was taken out of use; its record is kept, its stage and aliases are not."""

    kind: ClassVar[str] = "model_version.retired"


@dataclass(frozen=True, slots=True)
class VersionRestored(VersionEvent):
    """A retired version is in use again, in no stage and with no alias."""

    kind: ClassVar[str] = "model_version.restored"


@dataclass(frozen=True, slots=True)
class VersionTagSet(VersionEvent):
    """A tag of a version got a value."""

    kind: ClassVar[str] = "model_version_tag.set"
    key: str
    value: str
    before: str | None


@dataclass(frozen=True, slots=True)
class VersionTagDeleted(VersionEvent):
    """A tag of a version is gone."""

    kind: ClassVar[str] = "model_version_tag.deleted"
    key: str
    before: str
