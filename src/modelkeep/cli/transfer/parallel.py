"""Many pieces of work by a few threads, begun in order until one has failed; with patience for the server."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from modelkeep.cli.refusals import ServerGone
from modelkeep.cli.wire import Busy

THREADS = 8
# A server that restarts is back within half a minute.
_WAITS_S = (0.2, 0.5, 1, 2, 4, 8, 15)

Work = Callable[[], None]


class Stopped(Exception):
    """Another piece of work has failed: what this one does is not wanted any more."""


class Crew:
    """Threads that take pieces of work in their order. After the first failure no other is begun."""

    def __init__(self) -> None:
        self._failed = threading.Event()

    def check(self) -> None:
        """Raises Stopped once a piece of work has failed; called now and then by long ones."""
        if self._failed.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped as soon as a piece of work has failed."""
        self._failed.wait(seconds)
        self.check()

    def do(self, work: Iterable[Work]) -> None:
        """Do it all. Raises the first failure."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="transfer") as threads:
            running = [threads.submit(self._run, piece) for piece in work]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            except BaseException:
                self._failed.set()
                threads.shutdown(cancel_futures=True)
                raise
        failures = [error for one in running if (error := one.exception()) and not isinstance(error, Stopped)]
        if failures:
            raise failures[0]

    def _run(self, piece: Work) -> None:
        self.check()
        try:
            self._patiently(piece)
        except BaseException:
            self._failed.set()
            raise

    def _patiently(self, piece: Work) -> None:
        for seconds in _WAITS_S:
            try:
                return piece()
            except (ServerGone, Busy):
                if self._failed.wait(seconds):
                    raise
        return piece()
