"""What a push has begun, kept in the cache until it is done: one that was killed goes on from there."""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from modelkeep.cli.refusals import Refused


class PushState:
    """The id of the open push, and those of uploads in parts by the path, size and time of their files.

    Any number of threads may note uploads.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._one_at_a_time = threading.Lock()
        kept = _read(file)
        self.push_id: str | None = kept.get("push")
        self.uploads: dict[str, str] = kept.get("uploads", {})

    def begin(self, push_id: str) -> None:
        """A new push: nothing of an earlier one counts."""
        self.push_id, self.uploads = push_id, {}
        self._save()

    def note_upload(self, key: str, upload_id: str) -> None:
        """An upload in parts was begun."""
        with self._one_at_a_time:
            self.uploads[key] = upload_id
            self._save()

    def forget(self) -> None:
        """The push is done."""
        self._file.unlink(missing_ok=True)

    def _save(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"push": self.push_id, "uploads": self.uploads}))
        new.replace(self._file)


@contextmanager
def push_state(cache: Path, *whose: str) -> Iterator[PushState]:
    """What is kept of the push that these words name. Raises Refused while another process works on it."""
    folder = cache / "pushes"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(json.dumps(whose).encode()).hexdigest()[:32]
    path = folder / f"{name}.lock"
    lock = _locked(path)
    try:
        yield PushState(folder / f"{name}.json")
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _locked(path: Path) -> int:
    """The file at a path, alone: one that was removed meanwhile is not the one any more."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(lock)
            raise Refused("Another process is pushing this folder; wait for it.") from None
        os.close(lock)


def _read(file: Path) -> dict[str, Any]:
    with suppress(FileNotFoundError, ValueError):
        kept = json.loads(file.read_text())
        return kept if isinstance(kept, dict) else {}
    return {}
