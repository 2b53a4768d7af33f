"""What the audit log tells of its own: what was refused, and who fetched files where a workspace asks for that."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class AccessRefused(Event):
    """Somebody who is known tried what they may not. `hidden` says that they were told it is not there."""

    kind: ClassVar[str] = "access.refused"
    outcome: ClassVar[str] = "refused"

    about: str
    operation: str
    verb: str
    hidden: bool
    message: str

    @property
    def resource(self) -> str:
        """What they tried it on."""
        return self.about

    @property
    def place(self) -> str:
        """The workspace at hand, which is that of what they tried it on, if there is one."""
        return ""


@dataclass(frozen=True, slots=True)
class SignInsRefused(Event):
    """So many requests from an address brought no valid credential during the minute that began then, in ms."""

    kind: ClassVar[str] = "sign_in.refused"
    outcome: ClassVar[str] = "refused"

    site: str
    count: int
    since: int

    @property
    def resource(self) -> str:
        """Where they came from."""
        return f"address/{self.site}"


@dataclass(frozen=True, slots=True)
class FileDownloaded(Event):
    """Bytes of a file were fetched: those from `first` to `last`, or all of them.

    `way` is `file`, `archive` (then `path` is empty and `digest` that of the version's files), `preview`, or `link` for
    an address that was given out to fetch it by.
    """

    kind: ClassVar[str] = "artifact.downloaded"

    about: str
    path: str
    digest: str
    way: str
    first: int | None
    last: int | None

    @property
    def resource(self) -> str:
        """The version, run or logged model."""
        return self.about


@dataclass(frozen=True, slots=True)
class DownloadsAudited(Event):
    """From now on, downloads in a workspace are entries, or are no more."""

    kind: ClassVar[str] = "workspace.downloads_audited"

    workspace: str
    audited: bool

    @property
    def resource(self) -> str:
        """The workspace."""
        return f"workspace/{self.workspace}"
