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


@dataclass(frozen=True, slots=True)
class BlobsTrashed(Event):
    """Bytes that nothing named came into the trash; naming them again takes them out."""

    kind: ClassVar[str] = "blobs.trashed"

    count: int
    size: int

    @property
    def resource(self) -> str:
        """The store of all blobs."""
        return "artifact-store"


@dataclass(frozen=True, slots=True)
class BlobsDeleted(Event):
    """Bytes that had been in the trash long enough were deleted."""

    kind: ClassVar[str] = "blobs.deleted"

    count: int
    size: int

    @property
    def resource(self) -> str:
        """The store of all blobs."""
        return "artifact-store"


@dataclass(frozen=True, slots=True)
class UploadBegun(Event):
    """Somebody began to upload a file in parts; storing it is told on its own."""

    kind: ClassVar[str] = "upload.begun"

    path: str
    parts: int

    @property
    def resource(self) -> str:
        """Where the file goes."""
        return self.path


@dataclass(frozen=True, slots=True)
class UploadAborted(Event):
    """An upload in parts was given up, or swept as nobody went on with it."""

    kind: ClassVar[str] = "upload.aborted"

    path: str

    @property
    def resource(self) -> str:
        """Where the file would have gone."""
        return self.path


@dataclass(frozen=True, slots=True)
class WorkspaceEvent(Event):
    """A fact about what a workspace may keep."""

    workspace: str

    @property
    def resource(self) -> str:
        """The workspace by its name."""
        return f"workspace/{self.workspace}"


@dataclass(frozen=True, slots=True)
class QuotaSet(WorkspaceEvent):
    """A workspace may keep at most so many bytes in the store."""

    kind: ClassVar[str] = "quota.set"

    size: int
    before: int | None


@dataclass(frozen=True, slots=True)
class QuotaLifted(WorkspaceEvent):
    """A workspace may keep as much as the store takes."""

    kind: ClassVar[str] = "quota.lifted"

    before: int


@dataclass(frozen=True, slots=True)
class BlobEvent(Event):
    """A fact about the bytes of one blob."""

    sha256: str

    @property
    def resource(self) -> str:
        """The blob."""
        return f"blob/{self.sha256}"


@dataclass(frozen=True, slots=True)
class BlobDamaged(BlobEvent):
    """The store was found not to give back the bytes of a blob; it is not served from then on."""

    kind: ClassVar[str] = "blob.damaged"


@dataclass(frozen=True, slots=True)
class BlobHealed(BlobEvent):
    """A damaged blob is right again: its bytes were uploaded once more, or were found to be right after all."""

    kind: ClassVar[str] = "blob.healed"


@dataclass(frozen=True, slots=True)
class PushEvent(Event):
    """A fact about a push."""

    push_id: str

    @property
    def resource(self) -> str:
        """The push by its id."""
        return f"push/{self.push_id}"


@dataclass(frozen=True, slots=True)
class PushOpened(PushEvent):
    """Somebody began to push a folder."""

    kind: ClassVar[str] = "push.opened"


@dataclass(frozen=True, slots=True)
class PushClosed(PushEvent):
    """A push ended: its files were registered, or it was given up."""

    kind: ClassVar[str] = "push.closed"

    files: int
