"""What a request may reach: the database, the blobs, and who is calling."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from modelkeep.access import Identity, KnownRights, Providers, Rights, Sessions, caller_of_link, workspace_exists
from modelkeep.artifacts import BlobStore, Damaged, FileBody, Holder, StoredFile, holders_of, note_damage, open_file
from modelkeep.audit import Copies, HiddenRefusals, Sequencer, Sink, UnknownCallers, audits_downloads, note_download
from modelkeep.config import Settings
from modelkeep.core.errors import DomainError, NotFound, Unauthenticated, Unavailable
from modelkeep.core.types import DEFAULT_WORKSPACE, SYSTEM, Actor, Caller
from modelkeep.db import Database, Tx
from modelkeep.models import model_names

T = TypeVar("T")

# Walks over the whole store, for operators: apart, so that they hold up nothing that clients and monitors wait for.
LONG_WORKS = 8

_log = logging.getLogger("modelkeep")

_WORKSPACE_KNOWN_S = 5.0
_AUDITED_KNOWN_S = 1.0
_READY_FOR_S = 1.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """A caller at work in a workspace, and what they may do."""

    caller: Caller
    rights: Rights


@dataclass(slots=True)
class App:
    """The running server's parts, put together by `bootstrap`."""

    settings: Settings
    database: Database
    blobs: BlobStore
    identity: Identity
    rights: KnownRights
    sequencer: Sequencer
    copies: Copies
    sessions: Sessions
    providers: Providers
    sink: Sink | None = None
    unknown_callers: UnknownCallers = field(default_factory=UnknownCallers)
    hidden_refusals: HiddenRefusals = field(default_factory=HiddenRefusals)
    damage_found: int = 0
    _ready_until: float = 0.0
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LONG_WORKS, "long-work"))
    _free_threads: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(LONG_WORKS))
    _workspaces: dict[str, float] = field(default_factory=dict)
    _audited: dict[str, tuple[bool, float]] = field(default_factory=dict)

    async def admit(self, actor: Actor, workspace: str, request_id: str, address: str, reason: str = "") -> Admitted:
        """The caller in a workspace, and what they may do; `NotFound` for one that they are no member of."""
        rights = await self.rights.of(actor)
        if workspace and workspace != DEFAULT_WORKSPACE:
            if not rights.is_member(workspace):
                raise _no_workspace(workspace)
            await self._check_workspace(workspace)
        here = workspace or DEFAULT_WORKSPACE
        caller = Caller(actor, here, request_id, address, reason, rights.sight(here), rights.workspaces)
        return Admitted(caller, rights)

    async def admit_linked(self, link: str, method: str, path: str, request_id: str, address: str) -> Admitted:
        """Who calls a place by a signed link, in the workspace that it was made in; `Unauthenticated` or `NotFound`."""
        caller = await self._linked_caller(link, method, path, request_id)
        return await self.admit(caller.actor, caller.workspace, request_id, address)

    def forget_rights(self) -> None:
        """Ask the database again who may do what, and who signed in."""
        self.rights.forget()
        self.identity.forget()

    async def _linked_caller(self, link: str, method: str, path: str, request_id: str) -> Caller:
        asking = Caller(SYSTEM.actor, request_id=request_id)
        caller = await self.database.read_quickly(asking, lambda tx: caller_of_link(tx, link, method, path))
        if caller.actor.is_anonymous and self.settings.auth != "none":
            raise Unauthenticated("This link was made while nobody had to sign in.")
        return caller

    async def write(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run a use case that changes something, in one transaction."""
        return await self.database.write(caller, work)

    async def read(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run a use case that only reads."""
        return await self.database.read(caller, work)

    async def read_quickly(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run a use case of one or two look-ups by key."""
        return await self.database.read_quickly(caller, work)

    async def at_length(self, work: Callable[[], T]) -> T:
        """Run what takes seconds on threads kept for that. Raises Unavailable while all of them are busy."""
        if not self._free_threads.acquire(blocking=False):
            raise Unavailable("The server is busy with other work of this kind; try again in a while.")
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._free_threads.release())
        return await asyncio.wrap_future(future)

    async def check_ready(self) -> None:
        """Really ask the database and really write to the store; raises what is wrong.

        Whoever asks again within a second is told the same: anybody may ask, and each time costs an fsync.
        """
        if self._ready_until > time.monotonic():
            return
        await self.database.read(SYSTEM, lambda tx: workspace_exists(tx, DEFAULT_WORKSPACE))
        await asyncio.to_thread(self.blobs.check)
        self._ready_until = time.monotonic() + _READY_FOR_S

    async def open_file(self, caller: Caller, file: StoredFile, start: int, end: int) -> FileBody | bytes:
        """Bytes `start` to `end` of a file. Raises Damaged, now or while they are read, once that is noted."""
        return await open_file(
            self.database, caller, self.blobs, file, start, end, lambda error: self.note_damage(caller, error)
        )

    async def note_download(
        self,
        caller: Caller,
        path: Sequence[str],
        digest: str,
        way: str,
        first: int | None = None,
        last: int | None = None,
    ) -> None:
        """Write down that somebody fetches what is at this path, where their workspace asks for that."""
        if await self._audits_downloads(caller.workspace):
            await self.database.write(caller, lambda tx: note_download(tx, path, digest, way, first, last))

    async def note_damage(self, caller: Caller, damage: Damaged) -> None:
        """Mark a blob as damaged, so that it is not served any more, and tell the operator what holds it."""

        def note(tx: Tx) -> list[str]:
            note_damage(tx, damage.sha256, damage.seen)
            return _told(tx, holders_of(tx, damage.sha256))

        await self._tell(caller, damage, self.database.write(caller, note))

    async def tell_damage(self, caller: Caller, damage: Damaged) -> None:
        """Tell the operator of a blob that is marked as damaged, and what holds it."""
        held = self.database.read(caller, lambda tx: _told(tx, holders_of(tx, damage.sha256)))
        await self._tell(caller, damage, held)

    def close(self) -> None:
        """Finish what was begun and let go of everything."""
        self._threads.shutdown(wait=False)
        self.providers.close()
        self.hidden_refusals.write(self.database)
        try:
            self.unknown_callers.write(self.database, at_once=True)
        except DomainError as error:
            _log.error("refused sign-ins could not be written down", extra={"fields": {"problem": error.message}})
        self.database.close()
        self.blobs.close()

    async def _tell(self, caller: Caller, damage: Damaged, held: Awaitable[list[str]]) -> None:
        self.damage_found += 1
        fields = {"request_id": caller.request_id, "sha256": damage.sha256, "problem": damage.message}
        try:
            fields["holders"] = ", ".join(await held)
        except DomainError as error:
            fields["no_holders"] = error.message
        _log.error("stored bytes are damaged", extra={"fields": fields})

    async def _audits_downloads(self, workspace: str) -> bool:
        known, until = self._audited.get(workspace, (False, 0.0))
        if until <= time.monotonic():
            known = await self.database.read_quickly(SYSTEM, lambda tx: audits_downloads(tx, workspace))
            self._audited[workspace] = known, time.monotonic() + _AUDITED_KNOWN_S
        return known

    async def _check_workspace(self, name: str) -> None:
        if self._workspaces.get(name, 0.0) > time.monotonic():
            return
        if not await self.database.read_quickly(SYSTEM, lambda tx: workspace_exists(tx, name)):
            raise _no_workspace(name)
        self._workspaces[name] = time.monotonic() + _WORKSPACE_KNOWN_S


def _no_workspace(name: str) -> NotFound:
    return NotFound(f"Workspace '{name}' not found")


def _told(tx: Tx, holders: list[Holder]) -> list[str]:
    """What holds a blob, once each, with models by their names: `version clf/3 (default)`, `run 0123 (default)`."""
    owners = dict.fromkeys((*holder.owner.split("/"), holder.workspace) for holder in holders)
    names = model_names(tx, [owner[1] for owner in owners if owner[0] == "version"])
    return [f"{kind} {'/'.join([names.get(key, key), *rest[:-1]])} ({rest[-1]})" for kind, key, *rest in owners]
