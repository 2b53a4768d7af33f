"""What happens to the issuers that are trusted, and what their tokens are exchanged for."""

from dataclasses import dataclass
from typing import ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class IssuerTrusted(Event):
    """From now on, tokens of an issuer that have these claims speak for a service."""

    kind: ClassVar[str] = "issuer.trusted"

    issuer_id: str
    name: str
    issuer: str
    audience: str
    has_own_keys: bool
    claims: dict[str, str]
    service_id: str
    service: str
    workspaces: list[str] | None
    verbs: list[str] | None

    @property
    def resource(self) -> str:
        """The trust by its id."""
        return f"issuer/{self.issuer_id}"


@dataclass(frozen=True, slots=True)
class IssuerDropped(Event):
    """Tokens of an issuer speak for that service no more; those that they were exchanged for end within minutes."""

    kind: ClassVar[str] = "issuer.dropped"

    issuer_id: str
    name: str
    issuer: str

    @property
    def resource(self) -> str:
        """The trust by its id."""
        return f"issuer/{self.issuer_id}"


@dataclass(frozen=True, slots=True)
class WorkloadTokenIssued(Event):
    """A token of a trusted issuer was exchanged for one of ours, because of these claims."""

    kind: ClassVar[str] = "workload_token.issued"

    issuer_id: str
    name: str
    issuer: str
    subject: str
    token_id: str
    service_id: str
    claims: dict[str, str]

    @property
    def resource(self) -> str:
        """The trust by its id."""
        return f"issuer/{self.issuer_id}"
