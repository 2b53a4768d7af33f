"""The event: a fact in the past tense, emitted inside the transaction that made it true."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@dataclass(frozen=True, slots=True)
class Event:
    """A fact. Subclasses live in the slice that emits them; `kind` is its stable name, `resource` what it is about.

    `outcome` is `refused` for what somebody tried and may not.
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
        kind: Any = type(self)
        return {name: getattr(self, name) for name in _field_names(kind)}
