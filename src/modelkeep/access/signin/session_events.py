"""What happens to browser sessions and to the people that sign in through an identity provider."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """Somebody signed in with a browser. `signed_in_by` is `password` or the issuer that vouched for them."""

    kind: ClassVar[str] = "session.started"

    user_id: str
    session: str
    signed_in_by: str

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A session was ended before its time."""

    kind: ClassVar[str] = "session.ended"

    user_id: str
    session: str

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"


@dataclass(frozen=True, slots=True)
class SessionsEnded(Event):
    """All sessions of a user were ended."""

    kind: ClassVar[str] = "sessions.ended"

    user_id: str
    count: int

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"


@dataclass(frozen=True, slots=True)
class LoginLinked(Event):
    """From now on, whom the issuer calls `subject` signs in as this user."""

    kind: ClassVar[str] = "login.linked"

    user_id: str
    issuer: str
    subject: str

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"
