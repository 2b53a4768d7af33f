"""What happens to retention: rules, holds, and files that were reclaimed by them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class RuleEvent(Event):
    """A fact about a retention rule; `model_id` is empty for the rule of a workspace."""

    workspace: str
    model_id: str

    @property
    def resource(self) -> str:
        """The workspace or model that the rule is for."""
        return f"registered-model/{self.model_id}" if self.model_id else f"workspace/{self.workspace}"


@dataclass(frozen=True, slots=True)
class RuleSet(RuleEvent):
    """A retention rule was set, or replaced the one `before`."""

    kind: ClassVar[str] = "retention_rule.set"

    keep_last: int | None
    keep_days: int | None
    automatic: bool
    before: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RuleDeleted(RuleEvent):
    """A retention rule is gone."""

    kind: ClassVar[str] = "retention_rule.deleted"

    before: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HoldEvent(Event):
    """A fact about a version that concerns whether its files are kept."""

    model_id: str
    name: str
    version: int

    @property
    def resource(self) -> str:
        """The version by its model's permanent id and its number."""
        return f"model-version/{self.model_id}/{self.version}"


@dataclass(frozen=True, slots=True)
class VersionHeld(HoldEvent):
    """A version's files are kept whatever rules say, until the hold is lifted."""

    kind: ClassVar[str] = "model_version.held"

    reason: str
    before: str | None


@dataclass(frozen=True, slots=True)
class HoldLifted(HoldEvent):
    """A version is held no more."""

    kind: ClassVar[str] = "model_version.hold_lifted"

    before: str


@dataclass(frozen=True, slots=True)
class VersionReclaimed(HoldEvent):
    """A version's files are no longer kept; `size` is theirs, `trashed` that of what nothing else names."""

    kind: ClassVar[str] = "model_version.reclaimed"

    digest: str
    size: int
    trashed: int
    reason: str


@dataclass(frozen=True, slots=True)
class CollectionBegun(Event):
    """Somebody has the store reclaim what was deleted or retired before so many days, and delete what is so many days
    in the trash; `goes_on` where it is a further call of the same. What goes has entries of its own.
    """

    kind: ClassVar[str] = "storage.collection_begun"

    older_than_days: int | None
    trash_days: int
    goes_on: bool

    @property
    def resource(self) -> str:
        """The server, whose store it is."""
        return "server"


@dataclass(frozen=True, slots=True)
class TreeReclaimed(Event):
    """The files of a run or logged model that was deleted long ago were removed."""

    kind: ClassVar[str] = "artifacts.reclaimed"

    owner: str
    files: int
    size: int
    reason: str

    @property
    def resource(self) -> str:
        """The run or logged model."""
        return self.owner
