"""The rights of those who called lately: looked up again every second, so that what was taken is gone within it."""

import time

from modelkeep.access.grants.rights import as_narrowed, rights_of
from modelkeep.access.rules import OPEN, Rights
from modelkeep.core.types import SYSTEM, Actor
from modelkeep.db import Database

_KNOWN_S = 1.0
_MOST_KNOWN = 10_000


class KnownRights:
    """What callers may do, by their lasting ids."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[Rights, float]] = {}
        self._generation = 0

    async def of(self, actor: Actor) -> Rights:
        """All that this caller may do, as far as the token that they use lets it through."""
        if actor.is_anonymous:
            return OPEN
        known = self._known.get(actor.id)
        rights = known[0] if known is not None and known[1] > time.monotonic() else await self._look_up(actor.id)
        return as_narrowed(rights, actor)

    def forget(self) -> None:
        """Look everybody's up again at their next call: roles, groups or shares were changed."""
        self._generation += 1
        self._known.clear()

    async def _look_up(self, user_id: str) -> Rights:
        generation = self._generation
        rights = await self._database.read_quickly(SYSTEM, lambda tx: rights_of(tx, user_id))
        if generation == self._generation:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[user_id] = rights, time.monotonic() + _KNOWN_S
        return rights
