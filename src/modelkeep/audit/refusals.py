"""Writing down what was refused: each refusal of somebody known, and per address and minute those of nobody known."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from modelkeep.access import Kind, Target, site_of, workspace_exists
from modelkeep.audit.events import AccessRefused, SignInsRefused
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx

_MINUTE_S = 60
_MOST_SITES = 10_000
_LONGEST_MESSAGE = 1000


def note_refusal(
    tx: Tx, operation: str, verb: str, resource: str, message: str, *, hidden: bool, place: str = ""
) -> None:
    """Write down that somebody may not do that to this, which is called as `resource_of` calls it: in the log of its
    workspace, if `place` is one. In that of the caller, those who read it would learn what is elsewhere.
    """
    if place not in ("", tx.workspace) and workspace_exists(tx, place):
        tx.caller = replace(tx.caller, workspace=place)
    tx.emit(AccessRefused(resource, operation, verb, hidden, message[:_LONGEST_MESSAGE]))


def resource_of(target: Target) -> str:
    """What the journal calls it; by its name what is yet to be made."""
    if target.kind is Kind.SERVER:
        return "server"
    if target.kind is Kind.MODEL and target.id:
        return f"registered-model/{target.id}"
    return f"{target.kind}/{target.id or target.name}"


class UnknownCallers:
    """How many requests without a valid credential came from where, until they are written down: once a minute each.

    So nobody fills the log who cannot sign in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[float, int]] = {}

    def count(self, address: str) -> None:
        """One more from this address."""
        site = site_of(address)
        with self._lock:
            if site not in self._counted and len(self._counted) >= _MOST_SITES:
                site = "elsewhere"
            since, count = self._counted.get(site, (self._clock(), 0))
            self._counted[site] = since, count + 1

    def write(self, database: Database, *, at_once: bool = False) -> None:
        """Write down those whose minute is over, or all of them."""
        now = self._clock()
        with self._lock:
            over = {
                site: (now - since, count)
                for site, (since, count) in self._counted.items()
                if at_once or now - since >= _MINUTE_S
            }
            for site in over:
                del self._counted[site]
        for site, (age, count) in over.items():
            caller = replace(SYSTEM, address=site)
            database.write_now(caller, lambda tx, one=(site, count, age): _write(tx, *one))  # type: ignore[misc]


def _write(tx: Tx, site: str, count: int, age_s: float) -> None:
    tx.emit(SignInsRefused(site, count, tx.now - int(age_s * 1000)))
