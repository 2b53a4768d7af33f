"""What broken-off uploads left, counted in the background: a large bucket is listed for longer than a call may last."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from modelkeep.artifacts import BlobStore
from modelkeep.checkup.lines import Line, look_at_left_overs
from modelkeep.db import Database

_SECONDS = 2.0
# A count that nobody has asked for as long is of no checkup that goes on.
_FORGOTTEN_S = 60.0


@dataclass(slots=True)
class _Count:
    """A count, under way or done."""

    found: Future[list[Line]] = field(default_factory=Future)
    asked_at: float = field(default_factory=time.monotonic)


class LeftOvers:
    """One count of a store at a time in this process: whoever asks meanwhile shares it."""

    def __init__(self, look: Callable[[Database, BlobStore], list[Line]] = look_at_left_overs) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._counts: WeakKeyDictionary[BlobStore, _Count] = WeakKeyDictionary()

    def lines(self, database: Database, blobs: BlobStore, seconds: float = _SECONDS) -> list[Line] | None:
        """What was found, after some seconds at most; None if it is still being counted: ask again."""
        count = self._count(database, blobs)
        with suppress(TimeoutError):
            count.found.exception(seconds)
            with self._lock:
                if self._counts.get(blobs) is count:
                    del self._counts[blobs]
            return count.found.result()
        return None

    def _count(self, database: Database, blobs: BlobStore) -> _Count:
        with self._lock:
            count, now = self._counts.get(blobs), time.monotonic()
            if count is None or (count.found.done() and now - count.asked_at > _FORGOTTEN_S):
                count = self._counts[blobs] = _Count()
                work = threading.Thread(
                    target=self._work, args=(count, database, blobs), name="left-overs", daemon=True
                )
                work.start()
            count.asked_at = now
            return count

    def _work(self, count: _Count, database: Database, blobs: BlobStore) -> None:
        try:
            count.found.set_result(self._look(database, blobs))
        except Exception as error:
            count.found.set_exception(error)
