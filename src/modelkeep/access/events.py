"""What happens to workspaces and tokens."""

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


@dataclass(frozen=True, slots=True)
class TokenMade(Event):
    """A token was made for somebody; its secret is nowhere in the fact."""

    kind: ClassVar[str] = "token.made"

    token_id: str
    owner: str
    purpose: str

    @property
    def resource(self) -> str:
        """The token by its id."""
        return f"token/{self.token_id}"


@dataclass(frozen=True, slots=True)
class TokensRevoked(Event):
    """All tokens that were good until now are good no more."""

    kind: ClassVar[str] = "tokens.revoked"

    count: int

    @property
    def resource(self) -> str:
        """The tokens of this registry."""
        return "tokens"
