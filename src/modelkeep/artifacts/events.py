"""What happens to artifacts."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class ArtifactStored(Event):
    """A file was uploaded to a run's or logged model's tree, or replaced there."""

    kind: ClassVar[str] = "artifact.stored"

    owner: str
    path: str
    sha256: str
    size: int

    @property
    def resource(self) -> str:
        """The run or logged model that the tree belongs to."""
        return self.owner


@dataclass(frozen=True, slots=True)
class ArtifactsDeleted(Event):
    """A file or folder was removed from a run's or logged model's tree; an empty path is all of it."""

    kind: ClassVar[str] = "artifact.deleted"

    owner: str
    path: str
    files: int

    @property
    def resource(self) -> str:
        """The run or logged model that the tree belongs to."""
        return self.owner
