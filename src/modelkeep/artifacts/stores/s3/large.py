"""A large object on its way to a name, and what becomes of it if it gets none."""

from contextlib import suppress
from enum import Enum, auto

from modelkeep.artifacts.stores.backoff import Refused
from modelkeep.artifacts.stores.s3.names import Names, Place
from modelkeep.artifacts.stores.s3.objects import Objects
from modelkeep.core.errors import DomainError


class _State(Enum):
    NAMELESS = auto()  # no name was asked for
    MAYBE = auto()  # one was, and the answer is not known, or was that it is this one's
    SPARE = auto()  # the name stands for another object with the same bytes


class Large:
    """An object that this process wrote or completed. While it is here, the sweep of this process spares it."""

    def __init__(self, names: Names, objects: Objects, live: set[str], name: str) -> None:
        self.key = names.large_key(name)
        self._names = names
        self._objects = objects
        self._live = live
        self._state = _State.NAMELESS
        live.add(self.key)

    def name(self, sha256: str, size: int, *, replace: bool) -> None:
        """Let a name stand for it, unless the store holds the bytes already; may be repeated. Raises as `commit`."""
        if self._objects.head(self.key) != size:
            raise Refused("The uploaded bytes were removed from the artifact store; upload them again")
        self._state = _State.MAYBE
        place = self._names.point(sha256, Place(self.key, size), replace=replace)
        self._state = _State.MAYBE if place.key == self.key else _State.SPARE

    def forget(self) -> None:
        """Remove it if its bytes have a name elsewhere.

        Without a name it is left to the sweep: whoever puts the same upload together at the same moment may name it.
        """
        if self._state is _State.SPARE:
            self.remove()
        self.close()

    def forget_nameless(self) -> None:
        """Remove it if no name stands for it; for what nobody else can know."""
        if self._state is not _State.MAYBE:
            self.remove()
        self.close()

    def remove(self) -> None:
        """Remove it. What cannot be removed now is left to the sweep."""
        with suppress(DomainError):
            self._objects.delete(self.key)
        self.close()

    def close(self) -> None:
        """Leave it as it is."""
        self._live.discard(self.key)
