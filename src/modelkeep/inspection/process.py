"""Runs the scanner's process and serves it the bytes that it asks for. What comes back from it is not trusted."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Protocol
from weakref import WeakSet

import msgspec

from modelkeep.core.errors import Unavailable
from modelkeep.scanner import HEADER, LONGEST_ANSWER, LONGEST_READ, Report, Request, Task, TaskFile

COMMAND = (sys.executable, "-I", "-m", "modelkeep.scanner")
WALL_SECONDS = 180.0
# The scanner goes back in what it reads, but no honest one reads everything more often than this.
_TIMES_READ = 32
_READ_AT_LEAST = 256 << 20

_running: set["subprocess.Popen[bytes]"] = set()
_broken_off: WeakSet["subprocess.Popen[bytes]"] = WeakSet()


class ScanFailed(Exception):
    """The scanner ended early, said nothing that makes sense, or took too long; the text says which."""


class Readable(Protocol):
    """A file to be looked at."""

    path: str
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """As many bytes, from there."""


def interrupt() -> None:
    """End the scanners that are at work; `scan` raises Unavailable, so that they are done again later."""
    for process in list(_running):
        _broken_off.add(process)
        _kill(process)


def scan(files: Sequence[Readable], command: Sequence[str] = COMMAND, wall_seconds: float = WALL_SECONDS) -> Report:
    """Have files looked at. Raises ScanFailed, Unavailable where it was interrupted, and what reading a file raises."""
    with _started(command) as process:
        timer = threading.Timer(wall_seconds, _kill, [process])
        timer.start()
        try:
            return _Conversation(process, files).run()
        except (BrokenPipeError, EOFError) as error:
            _kill(process)
            if process in _broken_off:
                raise Unavailable("The inspection was broken off, as the server stops.") from error
            raise ScanFailed(_end_of(process, timer)) from error
        finally:
            timer.cancel()


@contextlib.contextmanager
def _started(command: Sequence[str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    _running.add(process)
    try:
        yield process
    finally:
        _kill(process)
        process.wait()
        _running.discard(process)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _end_of(process: "subprocess.Popen[bytes]", timer: threading.Timer) -> str:
    code = process.wait()
    if not timer.is_alive():
        return "The inspection took too long."
    if code == -signal.SIGXCPU:
        return "The inspection took too much computing time."
    return f"The inspection ended early (exit code {code})."


class _Conversation:
    """Everything that is said to and by one scanner."""

    def __init__(self, process: "subprocess.Popen[bytes]", files: Sequence[Readable]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to: BinaryIO = process.stdin  # type: ignore[assignment]
        self._from: BinaryIO = process.stdout  # type: ignore[assignment]
        self._files = files
        self._left = _READ_AT_LEAST + _TIMES_READ * sum(file.size for file in files)
        self._answers: dict[int, Callable[[int, int, int], Report | None]] = {
            Request.READ: self._read,
            Request.REPORT: self._report,
        }

    def run(self) -> Report:
        """Answer until it reports. Raises EOFError or BrokenPipeError where it went away, and ScanFailed."""
        task = Task(files=[TaskFile(path=file.path, size=file.size) for file in self._files])
        self._send(msgspec.json.encode(task))
        while True:
            kind, file, offset, length = HEADER.unpack(self._exactly(HEADER.size))
            answer = self._answers.get(kind)
            if answer is None:
                raise ScanFailed("The inspection said something that makes no sense.")
            report = answer(file, offset, length)
            if report is not None:
                return report

    def _read(self, file: int, offset: int, length: int) -> None:
        self._left -= length
        if file >= len(self._files) or not 0 < length <= LONGEST_READ or offset + length > self._files[file].size:
            raise ScanFailed("The inspection asked for bytes that are not there.")
        if self._left < 0:
            raise ScanFailed("The inspection read too much.")
        self._send(self._files[file].read_at(offset, length))

    def _report(self, _file: int, _offset: int, length: int) -> Report:
        if length > LONGEST_ANSWER:
            raise ScanFailed("The inspection said too much.")
        try:
            report = msgspec.json.decode(self._exactly(length), type=Report)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ScanFailed("The inspection said something that makes no sense.") from error
        if {finding.file for finding in report.findings} - {file.path for file in self._files}:
            raise ScanFailed("The inspection spoke of files that are not there.")
        return report

    def _send(self, content: bytes) -> None:
        self._to.write(len(content).to_bytes(4, "little") + content)
        self._to.flush()

    def _exactly(self, length: int) -> bytes:
        content = self._from.read(length)
        if len(content) < length:
            raise EOFError
        return content
