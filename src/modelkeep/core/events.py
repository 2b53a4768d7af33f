"""The event: a fact in the past tense, emitted inside the transaction that made it true."""

from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import asdict


class Event(Struct, frozen=True):
    """A fact. Subclasses live in the slice that emits them; `kind` is its stable name, `resource` what it is about.

    They are structs because there are over a hundred of them: each would take a millisecond of every start as a
    dataclass. `outcome` is `refused` for what somebody tried and may not.
    """

    kind: ClassVar[str] = "event"
    outcome: ClassVar[str] = "done"

    @property
    def resource(self) -> str:
        """The thing that changed, as `type/id` in stable ids."""
        raise TypeError(f"{type(self).__name__} names no resource")

    @property
    def place(self) -> str:
        """The workspace in whose log it stands, wherever the caller was at work; empty for that at hand."""
        kind, _, name = self.resource.partition("/")
        return name if kind == "workspace" else ""

    def data(self) -> dict[str, Any]:
        """The fields of the fact, ready to be stored as JSON."""
        return asdict(self)
