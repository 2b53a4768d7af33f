"""Places outside the database that checkpoints are sent to, so that a rewritten log can be told from the true one."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from prometheus_client import Counter

from modelkeep.audit import tree_store
from modelkeep.core.errors import DomainError
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database

_TRY_AGAIN_S = 60.0

_log = logging.getLogger("modelkeep.audit")
_SENT = Counter("modelkeep_audit_copies", "Checkpoints sent to a place outside", ["place"])
_FAILED = Counter("modelkeep_audit_copy_failures", "Checkpoints that a place outside did not take", ["place"])


class CopyFailed(Exception):
    """A place did not take a checkpoint; the text says why."""


class Outside(Protocol):
    """A place outside. Its name is shown in logs and metrics."""

    name: str

    def keep(self, size: int, note: str) -> None:
        """Keep the checkpoint of a log of this size. Raises CopyFailed, DomainError or OSError."""


class FileOutside:
    """A file, to whose end each checkpoint is written, with a blank line between two."""

    def __init__(self, path: Path) -> None:
        self.name = f"file {path}"
        self._path = path

    def keep(self, size: int, note: str) -> None:  # noqa: ARG002 - the note says it too
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            length = os.fstat(handle).st_size
            told = f"{note}\n".encode()
            # A process that starts again sends the newest one again.
            if os.pread(handle, len(told), max(0, length - len(told))) != told:
                if os.write(handle, told) != len(told):
                    raise CopyFailed("the disk is full")
                os.fsync(handle)
        finally:
            os.close(handle)


class ObjectOutside:
    """A prefix in an object store: an object for each checkpoint, named by its size."""

    def __init__(self, name: str, prefix: str, put: Callable[[str, bytes], None]) -> None:
        self.name = name
        self._prefix = prefix
        self._put = put

    def keep(self, size: int, note: str) -> None:
        self._put(f"{self._prefix}checkpoint-{size:020d}", note.encode())


class Copies:
    """Sends the newest checkpoint to each place that has not taken it; where that fails, again in a minute."""

    def __init__(self, places: Sequence[Outside]) -> None:
        self._places = places
        self._taken = dict.fromkeys((place.name for place in places), 0)
        self._failed: dict[str, tuple[int, float]] = {}

    def send(self, database: Database, going: Callable[[], bool] = lambda: True) -> None:
        """Send what is to be sent now."""
        if not self._places:
            return
        last = database.read_now(SYSTEM, tree_store.last_checkpoint)
        if last is None:
            return
        for place in self._places:
            if going() and last.size != self._taken[place.name] and self._is_time(place, last.size):
                self._send(place, last.size, last.note)

    def _is_time(self, place: Outside, size: int) -> bool:
        failed_size, failed_at = self._failed.get(place.name, (0, 0.0))
        return size != failed_size or time.monotonic() - failed_at >= _TRY_AGAIN_S

    def _send(self, place: Outside, size: int, note: str) -> None:
        try:
            place.keep(size, note)
        except (CopyFailed, DomainError, OSError) as error:
            self._failed[place.name] = size, time.monotonic()
            _FAILED.labels(place.name).inc()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            _log.error("checkpoint not taken", extra={"fields": {"place": place.name, "size": size, "why": reason}})
        else:
            self._taken[place.name] = size
            _SENT.labels(place.name).inc()
