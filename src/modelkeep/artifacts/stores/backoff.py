"""Asking again when a store does not answer: with longer and longer pauses, and an end."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from modelkeep.core.errors import Unavailable

T = TypeVar("T")


class Refused(Unavailable):
    """The store does not do what it is asked, and asking again would change nothing."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to go on asking a store that does not answer, and how the pauses between grow."""

    give_up_after_s: float
    first_pause_s: float = 0.1
    longest_pause_s: float = 3.0

    def call(
        self,
        work: Callable[[], T],
        is_over: Callable[[], bool] = lambda: False,
        again: Callable[[], None] = lambda: None,
    ) -> T:
        """What `work`, which may run many times, gives at last; `again` is told of every further time.

        Raises Unavailable when time is up, or as soon as `is_over` says that nobody needs the answer any more.
        """
        deadline, pause = time.monotonic() + self.give_up_after_s, self.first_pause_s
        while True:
            try:
                return work()
            except Refused:
                raise
            except Unavailable:
                if is_over() or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
            pause = min(pause * 2, self.longest_pause_s)
            again()
