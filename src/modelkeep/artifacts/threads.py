"""The threads that move and hash bytes, and lanes: work for them that has to be done in order."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from modelkeep.artifacts.blobs import BLOCK

T = TypeVar("T")

_FEW = 4

MOVING = ThreadPoolExecutor(8, thread_name_prefix="transfer")
# Apart, so that who fetches large files holds up neither uploads nor who fetches small ones.
POURING = ThreadPoolExecutor(8, thread_name_prefix="pour")
# Apart, so that many large uploads, each of which keeps a processor busy, do not hold up everything else.
HASHING = ThreadPoolExecutor(4, thread_name_prefix="hash")


async def in_thread(work: Callable[[], T]) -> T:
    """Run what blocks on a thread of those that move bytes."""
    return await asyncio.wrap_future(MOVING.submit(work))


async def settled(future: "Future[T]") -> T:
    """What came of a thread's work; at once if it is done, where the event loop would be woken up to hear of it."""
    return future.result() if future.done() else await asyncio.wrap_future(future)


class Lane:
    """Works that threads do one after the other. No thread waits for another one: who is at work takes the next."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._lock = threading.Lock()
        self._at_work = False

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Have this done after what was submitted before, whatever became of that."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((work, future))
            begin, self._at_work = not self._at_work, True
        if begin:
            self._threads.submit(self._run)
        return future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._at_work = False
                    return
                work, future = self._waiting.popleft()
            _settle(work, future)
            del work, future  # or the block that they hold would live until there is another one


def _settle(work: Callable[[], Any], future: "Future[Any]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # it belongs to whoever waits for the work
        future.set_exception(error)


class Window:
    """How much one transfer may have under way: several blocks while transfers are few, so that memory stays flat."""

    def __init__(self, blocks: int, most: int) -> None:
        self._blocks = blocks
        self._most = most
        self._transfers = 0

    def __enter__(self) -> "Window":
        self._transfers += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._transfers -= 1

    @property
    def blocks(self) -> int:
        """How many it may be now; asked again for each block. Only the event loop's thread asks."""
        return max(1, min(self._most, self._blocks // max(1, self._transfers)))

    @property
    def gathered(self) -> int:
        """How many bytes are gathered before they are handed on."""
        return BLOCK if self._transfers <= _FEW else BLOCK // 4
