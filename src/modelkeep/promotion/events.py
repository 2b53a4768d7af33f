"""What happens to placements."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class PlacementEvent(Event):
    """A fact about where a version of a model stands."""

    model_id: str
    name: str
    version: int

    @property
    def resource(self) -> str:
        """The version by its model's permanent id and its number."""
        return f"model-version/{self.model_id}/{self.version}"


@dataclass(frozen=True, slots=True)
class VersionMoved(PlacementEvent):
    """A version came into a stage; `stage` and `old_stage` are the same where it was moved to where it stood."""

    kind: ClassVar[str] = "model_version.moved"
    stage: str
    old_stage: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class AliasSet(PlacementEvent):
    """An alias points at the version; `old_version` is where it pointed before."""

    kind: ClassVar[str] = "model_version_alias.set"
    alias: str
    old_version: int | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class AliasDeleted(PlacementEvent):
    """An alias that pointed at the version is gone."""

    kind: ClassVar[str] = "model_version_alias.deleted"
    alias: str
