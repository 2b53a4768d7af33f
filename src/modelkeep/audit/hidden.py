"""Refusals that were answered as if nothing was there, until they are written down: together, apart from requests.

Written down at once, they would hold up their caller's next request, and so tell what is there after all.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelkeep.audit.refusals import note_refusal
from modelkeep.core.errors import DomainError
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db import Database, Tx

_AT_ONCE = 200
_MOST_WAITING = 1000

_log = logging.getLogger("modelkeep.audit")

# The verb and the resource that were hidden, and its workspace ('' for that at hand); None where nothing was.
Hidden = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A request that was told that something is not there; `find` tells whether it is."""

    caller: Caller
    operation: str
    code: str
    find: Callable[[Tx], Hidden | None]


class HiddenRefusals:
    """Those that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Suspect] = []

    def add(self, suspect: Suspect) -> bool:
        """One more; False where so many wait, each with what its request said, that they have to be written now."""
        with self._lock:
            self._waiting.append(suspect)
            return len(self._waiting) < _MOST_WAITING

    def write(self, database: Database) -> None:
        """Write down all that hid something. What cannot be written is logged: the refusals stand."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _AT_ONCE):
            try:
                _write(database, waiting[start : start + _AT_ONCE])
            except DomainError as error:
                _log.error("refusals could not be written down", extra={"fields": {"problem": error.message}})


def _write(database: Database, suspects: list[Suspect]) -> None:
    found = database.read_now(SYSTEM, lambda tx: [(one, _found(tx, one)) for one in suspects])
    refused = [(one, *hidden) for one, hidden in found if hidden is not None]
    if refused:
        database.write_now(SYSTEM, lambda tx: _note(tx, refused))


def _found(tx: Tx, suspect: Suspect) -> Hidden | None:
    tx.caller = suspect.caller
    return suspect.find(tx)


def _note(tx: Tx, refused: list[tuple[Suspect, str, str, str]]) -> None:
    for suspect, verb, resource, place in refused:
        tx.caller = suspect.caller
        note_refusal(tx, suspect.operation, verb, resource, suspect.code, hidden=True, place=place)
