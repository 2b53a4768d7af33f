"""The database as the rest of the server sees it: units of work, from a coroutine or from plain code."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from modelkeep.core.types import Caller
from modelkeep.db.tx import Tx

T = TypeVar("T")


class Database(Protocol):
    """A database of one kind. A unit of work is a function of a Tx; it runs in one transaction or not at all.

    Every method may raise `Unavailable` (no answer now) and `StorageFull`; what the function raises passes through
    and undoes its changes.
    """

    name: str
    # How many reads go on at once.
    readers: int
    # How long whoever was `alone` may go on with a step that it began before it lost that.
    lingers_ms: int

    async def write(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run and commit; the answer arrives when the change is durable."""

    async def read(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run on a consistent snapshot, away from the event loop."""

    async def read_quickly(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run one or two look-ups by key; where the database is embedded, without leaving the event loop."""

    def write_now(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """`write` for code outside an event loop."""

    def read_now(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """`read` for code outside an event loop."""

    def alone(self, purpose: str) -> AbstractContextManager[Callable[[], None] | None]:
        """Be the only one, of all processes on this database, who does this; None while somebody else does.

        What is given raises Unavailable once that may no longer be so: call it before each step that must be alone.
        """

    def close(self) -> None:
        """Finish what was begun and let go of every connection and lock."""


class Job:
    """A queued unit of work and where its outcome goes."""

    __slots__ = ("caller", "error", "future", "loop", "result", "work")

    def __init__(
        self,
        caller: Caller,
        work: Callable[[Tx], object],
        future: "asyncio.Future[object] | Future[object]",
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.caller = caller
        self.work = work
        self.future = future
        self.loop = loop
        self.result: object = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Hand the outcome over, on the thread that its future belongs to."""
        if self.future.cancelled() or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def settle_all(jobs: list[Job]) -> None:
    """Settle jobs in one go; called on their event loop."""
    for job in jobs:
        job.settle()
