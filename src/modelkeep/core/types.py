"""Who is calling, in which workspace: the values that travel with every transaction; and what bodies arrive in."""

from dataclasses import dataclass

from modelkeep.core.sight import Sight

DEFAULT_WORKSPACE = "default"
# No workspace can have this name, so nothing is in it.
NOWHERE = "/"

# Some of the bytes of a body on its way in.
Piece = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is calling: a name, how it was proven, the id of the token or session used, and the lasting id behind the
    name (the last two are empty where there is none).

    `workspaces` and `verbs` are all that the token used leaves of its owner's rights; None leaves them whole.
    """

    name: str
    method: str
    token_id: str = ""
    id: str = ""
    workspaces: frozenset[str] | None = None
    verbs: frozenset[str] | None = None

    @property
    def is_narrowed(self) -> bool:
        """True when the token used leaves less than all that its owner may do."""
        return self.workspaces is not None or self.verbs is not None

    @property
    def is_anonymous(self) -> bool:
        """True when nobody signed in (`--auth none`): the name is then only what the client claims."""
        return self.method == "none"


@dataclass(frozen=True, slots=True)
class Caller:
    """An actor at work in one workspace, on one request.

    `address` is the network address they call from, `reason` what they give as theirs; `sight` is what of the workspace
    they may know of, and `workspaces` which others they may, None for all. `finds_source` is False where what a request
    takes files from is hidden from them: it goes on as if no files were there.
    """

    actor: Actor
    workspace: str = DEFAULT_WORKSPACE
    request_id: str = ""
    address: str = ""
    reason: str = ""
    sight: Sight | None = None
    workspaces: frozenset[str] | None = None
    finds_source: bool = True


SYSTEM = Caller(Actor("modelkeep", "system"))
