"""What happens to tokens, and to those who try to sign in."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class TokenMade(Event):
    """A token was made for somebody; its secret is nowhere in the fact. An expiry or limit of None means no such."""

    kind: ClassVar[str] = "token.made"

    token_id: str
    owner: str
    purpose: str
    owner_id: str
    token_kind: str
    expires_at: int | None
    workspaces: list[str] | None
    verbs: list[str] | None

    @property
    def resource(self) -> str:
        """The token by its id."""
        return f"token/{self.token_id}"


@dataclass(frozen=True, slots=True)
class TokenRevoked(Event):
    """A token is good no more."""

    kind: ClassVar[str] = "token.revoked"

    token_id: str
    owner_id: str
    purpose: str

    @property
    def resource(self) -> str:
        """The token by its id."""
        return f"token/{self.token_id}"


@dataclass(frozen=True, slots=True)
class TokensRevoked(Event):
    """All tokens that were made since a moment, but perhaps one, are good no more."""

    kind: ClassVar[str] = "tokens.revoked"

    count: int
    since: int
    kept: str

    @property
    def resource(self) -> str:
        """The tokens of this registry."""
        return "tokens"


@dataclass(frozen=True, slots=True)
class SignInFailed(Event):
    """A password was wrong, for a name that somebody has (`user_id`) or nobody (empty; the name may be a secret)."""

    kind: ClassVar[str] = "sign_in.failed"
    outcome: ClassVar[str] = "refused"

    user_id: str
    failures: int
    wait_s: int

    @property
    def resource(self) -> str:
        """Whose account it was."""
        return f"user/{self.user_id or 'unknown'}"


@dataclass(frozen=True, slots=True)
class AddressKnown(Event):
    """Somebody signed in with their password from an address for the first time, or the first time in a long while."""

    kind: ClassVar[str] = "sign_in.address_known"

    user_id: str
    address: str

    @property
    def resource(self) -> str:
        """Whose account it was."""
        return f"user/{self.user_id}"
