"""What the server does by itself, in threads of its own: queued jobs, and chores that come round.

Several workers may run at once on one database: a job is claimed by one of them, and chores do no harm done twice.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from modelkeep.app import App
from modelkeep.core.errors import DomainError
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db.jobs import claim, finish, is_due, postpone

_log = logging.getLogger("modelkeep.worker")

_POLL_S = 0.5
# What has not come to an end by then ends with the process: a job is done again, a chore comes round again.
_STOP_WITHIN_S = 20.0
_LEASE_MS = 15 * 60 * 1000
_FIRST_RETRY_MS = 2_000
_LAST_RETRY_MS = 60 * 60 * 1000

# Takes the app, who it acts for (the system, in the job's workspace) and the job's row.
Handler = Callable[[App, Caller, Any], None]
# Whether work that takes long is to go on.
Going = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Chore:
    """Work that comes round every so many seconds, first soon after the start. It asks whether it is to go on.

    What has to come round in time has a thread `apart`, by that name, from what may take long; it begins at once.
    """

    name: str
    every_s: float
    run: Callable[[App, Going], None]
    apart: str = ""


class Worker:
    """Does jobs one after the other, and beside them chores when they come round, until it is stopped."""

    def __init__(
        self,
        app: App,
        handlers: Mapping[str, Handler],
        chores: Sequence[Chore],
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._handlers = handlers
        self._kinds = json.dumps(sorted(handlers))
        now = time.monotonic()
        self._next = {chore: now + (0.0 if chore.apart else chore.every_s * 0.1) for chore in chores}
        self._interrupt = interrupt
        self._stop = threading.Event()
        works: dict[str, Callable[[], bool]] = {"jobs": self._do_job}
        for apart in dict.fromkeys(chore.apart for chore in chores):
            those = [chore for chore in chores if chore.apart == apart]
            works[apart or "chores"] = partial(self._do_chores, those)
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), name=name, daemon=True) for name, work in works.items()
        ]

    def start(self) -> None:
        """Work in threads of its own."""
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float = _STOP_WITHIN_S) -> None:
        """Finish what is in hand, or break it off where it can be, and end; waits so long for that and no longer."""
        self._stop.set()
        self._interrupt()
        ends = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
            if thread.is_alive():
                _log.warning("stopped before its work ended", extra={"fields": {"thread": thread.name}})

    def _repeat(self, work: Callable[[], bool]) -> None:
        while not self._stop.is_set():
            if not self._tried(work):
                self._stop.wait(_POLL_S)

    def _tried(self, work: Callable[[], bool]) -> bool:
        try:
            return work()
        except Exception:
            _log.exception("worker failed")
            return False

    def _is_going(self) -> bool:
        return not self._stop.is_set()

    def _do_chores(self, chores: Sequence[Chore]) -> bool:
        for chore in chores:
            if self._is_going() and time.monotonic() >= self._next[chore]:
                self._next[chore] = time.monotonic() + chore.every_s
                try:
                    chore.run(self._app, self._is_going)
                except Exception:
                    _log.exception("chore failed", extra={"fields": {"chore": chore.name}})
        return False

    def _do_job(self) -> bool:
        database = self._app.database
        if not database.read_now(SYSTEM, lambda tx: is_due(tx, self._kinds, _LEASE_MS)):
            return False
        job = database.write_now(SYSTEM, lambda tx: claim(tx, self._kinds, _LEASE_MS))
        if job is None:
            return False
        try:
            self._handlers[job.kind](self._app, Caller(SYSTEM.actor, job.workspace, f"job-{job.kind}"), job)
        except Exception as error:
            _log.exception("job failed", extra={"fields": {"job": job.kind, "key": job.key, "attempt": job.attempts}})
            delay = min(_FIRST_RETRY_MS * 2 ** min(job.attempts, 20), _LAST_RETRY_MS)
            told = error.message if isinstance(error, DomainError) else type(error).__name__
            database.write_now(SYSTEM, lambda tx: postpone(tx, job, delay, told))
        else:
            database.write_now(SYSTEM, lambda tx: finish(tx, job))
        return True
