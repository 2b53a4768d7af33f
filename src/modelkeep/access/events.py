"""What happens to workspaces."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class WorkspaceCreated(Event):
    """A workspace was made."""

    kind: ClassVar[str] = "workspace.created"

    name: str
    description: str | None

    @property
    def resource(self) -> str:
        """The workspace by its name, which it keeps."""
        return f"workspace/{self.name}"

    @property
    def place(self) -> str:
        """Where it was made from: in a new workspace nobody reads the log yet."""
        return ""


@dataclass(frozen=True, slots=True)
class WorkspaceDescribed(Event):
    """A workspace has another description."""

    kind: ClassVar[str] = "workspace.described"

    name: str
    description: str | None
    before: str | None

    @property
    def resource(self) -> str:
        """The workspace by its name, which it keeps."""
        return f"workspace/{self.name}"
