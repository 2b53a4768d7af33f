"""What somebody may know of: which names and ids of a kind of thing, as a value that both rules and SQL can read."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """Which things of one kind are seen: all, or those with these ids or beginnings of names; none of the hidden."""

    everything: bool = False
    ids: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    hidden_ids: frozenset[str] = frozenset()
    hidden_prefixes: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing is hidden."""
        return self.everything and not self.hidden_ids and not self.hidden_prefixes

    def shows(self, identity: str, name: str) -> bool:
        """Whether the thing with this id and name is seen."""
        if identity in self.hidden_ids or name.startswith(self.hidden_prefixes):
            return False
        return self.everything or identity in self.ids or name.startswith(self.prefixes)


@dataclass(frozen=True, slots=True)
class Sight:
    """What of a workspace somebody may know of."""

    models: Seen = field(default_factory=Seen)
    experiments: Seen = field(default_factory=Seen)
