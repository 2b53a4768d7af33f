"""What happens to browser sessions and to the people that sign in through an identity provider."""

from typing import ClassVar

from modelkeep.core.events import Event


class SessionStarted(Event, frozen=True):
    """Somebody signed in with a browser. `signed_in_by` is `password` or the issuer that vouched for them."""

    kind: ClassVar[str] = "session.started"

    user_id: str
    session: str
    signed_in_by: str

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"


class SessionEnded(Event, frozen=True):
    """A session was ended before its time."""

    kind: ClassVar[str] = "session.ended"

    user_id: str
    session: str

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"


class SessionsEnded(Event, frozen=True):
    """All sessions of a user were ended."""

    kind: ClassVar[str] = "sessions.ended"

    user_id: str
    count: int

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"


class LoginLinked(Event, frozen=True):
    """From now on, whom the issuer calls `subject` signs in as this user."""

    kind: ClassVar[str] = "login.linked"

    user_id: str
    issuer: str
    subject: str

    @property
    def resource(self) -> str:
        """The user by their id."""
        return f"user/{self.user_id}"
