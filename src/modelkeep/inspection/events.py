"""What happens to inspections and to the policy that acts on them."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class _ManifestEvent(Event):
    digest: str

    @property
    def resource(self) -> str:
        """The files by the digest of their manifest."""
        return f"manifest/{self.digest}"


@dataclass(frozen=True, slots=True)
class InspectionAsked(_ManifestEvent):
    """Somebody asked for the files to be inspected again."""

    kind: ClassVar[str] = "inspection.asked"


@dataclass(frozen=True, slots=True)
class FilesInspected(_ManifestEvent):
    """The files of a manifest were judged; `findings` is how many speak against them."""

    kind: ClassVar[str] = "inspection.done"
    rule_set: int
    verdict: str
    findings: int


@dataclass(frozen=True, slots=True)
class DownloadPolicySet(Event):
    """A workspace decided which versions it does not give out: unsafe ones, those without a verdict."""

    kind: ClassVar[str] = "download_policy.set"
    workspace: str
    refuse_unsafe: bool
    refuse_unjudged: bool
    before: dict[str, bool]

    @property
    def resource(self) -> str:
        """The workspace."""
        return f"workspace/{self.workspace}"
