"""The worker's part of inspection: opens a manifest's files, has them looked at, and writes down what was found."""

import logging
import time
from collections import OrderedDict
from typing import Any, Protocol

from modelkeep.artifacts import (
    BlobReader,
    BlobStore,
    Damaged,
    FileBody,
    StoredFile,
    file_of_blob,
    manifest_files,
    with_chunks,
)
from modelkeep.core.errors import Corrupt, NotFound, Unavailable
from modelkeep.core.types import Caller
from modelkeep.db import Database, Tx
from modelkeep.inspection.process import ScanFailed, interrupt, scan
from modelkeep.inspection.service import JOB, is_due, record
from modelkeep.scanner import Contents, Finding, Report, Verdict, verdict_of

_MOST_OPEN = 64
# What failed once may have met a passing fault of the store or a busy machine.
_MOST_ATTEMPTS = 4
_log = logging.getLogger("modelkeep.inspection")


class Parts(Protocol):
    """The parts of the app that the work needs."""

    database: Database
    blobs: BlobStore


def inspect_files(app: Parts, caller: Caller, job: Any) -> None:
    """Handler: judge the files of the manifest that the job is named for.

    Raises Unavailable, to be tried again; what fails otherwise is written down, and tried again a few times.
    """
    digest = job.key
    if not app.database.read_now(caller, lambda tx: is_due(tx, digest, job.payload)):
        return
    began = time.monotonic()
    report = _judged(app, caller, digest)
    milliseconds = int((time.monotonic() - began) * 1000)
    app.database.write_now(caller, lambda tx: record(tx, digest, report, milliseconds))
    if verdict_of(report.findings) is Verdict.ERROR and job.attempts < _MOST_ATTEMPTS:
        raise Unavailable(f"The inspection failed and will be tried again: {report.findings[0].text}")


def _judged(app: Parts, caller: Caller, digest: str) -> Report:
    path = ""
    try:
        names, files = app.database.read_now(caller, lambda tx: _files(tx, digest))
        path = names[0] if names else ""
        files = [with_chunks(app.database, caller, app.blobs, file) for file in files]
        opened = OpenFiles(app.blobs)
        try:
            return scan([CheckedFile(name, file, opened) for name, file in zip(names, files, strict=True)])
        finally:
            opened.close()
    except (ScanFailed, NotFound, Corrupt) as error:
        _log.warning("inspection failed", extra={"fields": {"digest": digest, "why": str(error)}})
        return _failed(path, str(error))


def _files(tx: Tx, digest: str) -> tuple[list[str], list[StoredFile]]:
    found = manifest_files(tx, digest)
    files = [file_of_blob(tx, file.path.rpartition("/")[2], file.sha256, file.size) for file in found]
    return [file.path for file in found], files


def _failed(path: str, text: str) -> Report:
    finding = Finding(file=path, rule="inspection.failed", severity=Verdict.ERROR, text=text[:600])
    return Report(findings=[finding], contents=Contents())


class OpenFiles:
    """Blobs opened for reading, the last used of them kept open."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        self._readers: OrderedDict[str, BlobReader] = OrderedDict()

    def reader(self, sha256: str) -> BlobReader:
        """A blob's reader, good until the next call. Raises NotFound, Corrupt, Unavailable."""
        found = self._readers.pop(sha256, None) or self.store.open(sha256)
        self._readers[sha256] = found
        if len(self._readers) > _MOST_OPEN:
            self._readers.popitem(last=False)[1].close()
        return found

    def close(self) -> None:
        """Give all back."""
        while self._readers:
            self._readers.popitem()[1].close()


class CheckedFile:
    """A file whose bytes are checked before they are judged, as those that clients get are."""

    def __init__(self, path: str, file: StoredFile, opened: OpenFiles) -> None:
        self.path = path
        self.size = file.size
        self._file = file
        self._opened = opened

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the file. Raises Damaged, NotFound, Corrupt, Unavailable."""
        reader = self._opened.reader(self._file.sha256)
        if reader.size != self.size:
            raise Corrupt(f"The stored blob {self._file.sha256} has not the size it was stored with")
        return FileBody(self._opened.store, self._file, offset, offset + length, _leave_it, reader).read_all()


async def _leave_it(_damage: Damaged) -> None:
    """Damage is noted by those who serve the file."""


__all__ = ["JOB", "CheckedFile", "OpenFiles", "Parts", "inspect_files", "interrupt"]
