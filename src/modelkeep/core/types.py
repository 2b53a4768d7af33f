"""Who is calling, in which workspace: the values that travel with every transaction; and what bodies arrive in."""

from dataclasses import dataclass

DEFAULT_WORKSPACE = "default"

# Some of the bytes of a body on its way in.
Piece = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is calling: a name, how it was proven, and the id of the token used (empty without one)."""

    name: str
    method: str
    token_id: str = ""

    @property
    def is_anonymous(self) -> bool:
        """True when nobody signed in (`--auth none`): the name is then only what the client claims."""
        return self.method == "none"


@dataclass(frozen=True, slots=True)
class Caller:
    """An actor at work in one workspace, on one request."""

    actor: Actor
    workspace: str = DEFAULT_WORKSPACE
    request_id: str = ""


SYSTEM = Caller(Actor("modelkeep", "system"))
