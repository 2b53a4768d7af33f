"""So that nobody's haste is everybody's wait: how many requests, and how many searches at once, one caller may have.

Known to this process only: several servers on one database each allow as much.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from modelkeep.core.errors import TooManyRequests

T = TypeVar("T")

# A caller who is only a little too fast is slowed down rather than refused.
_LONGEST_WAIT_S = 1.0
_MOST_CALLERS = 10_000
_MOST_WAITING = 100


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Pace:
    """A token bucket for each caller: `burst` requests at once, then `rate` a second; a rate of 0 is no limit."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._buckets: dict[str, _Bucket] = {}

    async def keep(self, caller: str) -> None:
        """Let a request of this caller through when it is its turn. Raises TooManyRequests."""
        if self._rate and (wait_s := self.take(caller, time.monotonic())):
            await asyncio.sleep(wait_s)

    def take(self, caller: str, now: float) -> float:
        """How long this request has to wait. Raises TooManyRequests, and does not count it, where that is too long."""
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._begin(caller, now)
        tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._rate) - 1
        wait_s = max(0.0, -tokens / self._rate)
        if wait_s > _LONGEST_WAIT_S:
            seconds = math.ceil(wait_s - _LONGEST_WAIT_S)
            raise TooManyRequests(
                f"Too many requests: this server takes {self._rate:g} a second from one caller.", seconds
            )
        bucket.tokens, bucket.filled_at = tokens, now
        return wait_s

    def _begin(self, caller: str, now: float) -> _Bucket:
        if len(self._buckets) >= _MOST_CALLERS:
            self._forget(now)
        bucket = self._buckets[caller] = _Bucket(self._burst, now)
        return bucket

    def _forget(self, now: float) -> None:
        """Forget the callers whose buckets are full again, and if all are at it, those who came first."""
        refill_s = self._burst / self._rate
        kept = {name: one for name, one in self._buckets.items() if one.filled_at > now - refill_s}
        self._buckets = dict(list(kept.items())[-_MOST_CALLERS // 2 :])


class Room:
    """How many bytes of bodies that are not all there yet are kept for one caller at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, int] = {}

    def keep(self, caller: str, size: int) -> None:
        """Keep so many more. Raises TooManyRequests, and keeps none of them."""
        kept = self._kept.get(caller, 0) + size
        if kept > self._most:
            raise TooManyRequests(
                f"The bodies of this caller that are not all there yet have more than {self._most} bytes together.", 1
            )
        self._kept[caller] = kept

    def let_go(self, caller: str, size: int) -> None:
        """So many are kept no longer."""
        left = self._kept.get(caller, 0) - size
        if left > 0:
            self._kept[caller] = left
        else:
            self._kept.pop(caller, None)


@dataclass(slots=True)
class _Lane:
    free: asyncio.Semaphore
    inside: int = field(default=0)


class Turns:
    """At most so many pieces of work of one caller at once; the others wait for theirs."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._lanes: dict[str, _Lane] = {}

    async def run(self, caller: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do this when it is its turn. Raises TooManyRequests where too many of the caller's wait already."""
        lane = self._lanes.get(caller)
        if lane is None:
            lane = self._lanes[caller] = _Lane(asyncio.Semaphore(self._at_once))
        if lane.inside >= self._at_once + _MOST_WAITING:
            raise TooManyRequests("Too many searches of this caller are waiting already.", 1)
        lane.inside += 1
        try:
            async with lane.free:
                return await work()
        finally:
            lane.inside -= 1
            if not lane.inside:
                self._lanes.pop(caller, None)
