"""What a request may reach: the database, the blobs, and who is calling."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from modelkeep.access import Identity, workspace_exists
from modelkeep.artifacts import BlobStore
from modelkeep.config import Settings
from modelkeep.core.errors import NotFound
from modelkeep.core.types import DEFAULT_WORKSPACE, SYSTEM, Caller
from modelkeep.db import Database, Tx

T = TypeVar("T")

_WORKSPACE_KNOWN_S = 5.0
_READY_FOR_S = 1.0


@dataclass(slots=True)
class App:
    """The running server's parts, put together by `bootstrap`."""

    settings: Settings
    database: Database
    blobs: BlobStore
    identity: Identity
    _ready_until: float = 0.0
    _workspaces: dict[str, float] = field(default_factory=dict)

    async def caller(self, authorization: str, workspace: str, request_id: str) -> Caller:
        """Who calls, in which workspace; `Unauthenticated` or `NotFound`."""
        actor = await self.identity.identify(authorization)
        if not workspace or workspace == DEFAULT_WORKSPACE:
            return Caller(actor, DEFAULT_WORKSPACE, request_id)
        await self._check_workspace(workspace)
        return Caller(actor, workspace, request_id)

    async def write(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run a use case that changes something, in one transaction."""
        return await self.database.write(caller, work)

    async def read(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run a use case that only reads."""
        return await self.database.read(caller, work)

    async def read_quickly(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run a use case of one or two look-ups by key."""
        return await self.database.read_quickly(caller, work)

    async def check_ready(self) -> None:
        """Really ask the database and really write to the store; raises what is wrong.

        Whoever asks again within a second is told the same: anybody may ask, and each time costs an fsync.
        """
        if self._ready_until > time.monotonic():
            return
        await self.database.read(SYSTEM, lambda tx: workspace_exists(tx, DEFAULT_WORKSPACE))
        await asyncio.to_thread(self.blobs.check)
        self._ready_until = time.monotonic() + _READY_FOR_S

    def close(self) -> None:
        """Finish what was begun and let go of everything."""
        self.database.close()

    async def _check_workspace(self, name: str) -> None:
        if self._workspaces.get(name, 0.0) > time.monotonic():
            return
        if not await self.database.read_quickly(SYSTEM, lambda tx: workspace_exists(tx, name)):
            raise NotFound(f"Workspace '{name}' not found")
        self._workspaces[name] = time.monotonic() + _WORKSPACE_KNOWN_S
