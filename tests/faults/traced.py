"""A server whose system calls are watched, or made to fail or kill it, by strace."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers import RunningServer

# Attaching to another process takes root on many systems: elsewhere what needs it is among the slow tests.
CAN_TRACE = os.geteuid() == 0 and shutil.which("strace") is not None
QUICK_WHERE_IT_CAN = [] if CAN_TRACE else [pytest.mark.slow]
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\w+)")
_PATIENCE = 60


class MortalServer(RunningServer):
    """A server that may end by itself."""

    def exit_code(self) -> int:
        """Wait for its end; negative where a signal ended it."""
        assert self._process is not None
        code = self._process.wait(_PATIENCE)
        self._ended()
        return code


@dataclass(frozen=True)
class Call:
    """A system call that has returned."""

    name: str
    arguments: str
    result: str


@contextmanager
def traced(server: RunningServer, trace: Path, *options: str) -> Iterator[None]:
    """Watch all threads of a server while the block runs, or until the server ends; `options` go to strace."""
    command = ["strace", "-f", "-y", "-o", str(trace), *options, "-p", str(server.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        told = strace.stderr.readline()
        assert "attached" in told, told + strace.stderr.read()
        try:
            yield
        finally:
            strace.terminate()
            strace.communicate(timeout=_PATIENCE)


def calls(trace: Path) -> list[Call]:
    """The calls of a trace in the order of their returns; lines of threads that interleave are put together."""
    begun: dict[str, str] = {}
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        thread, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>")
            continue
        if _RESUMED.match(text):
            text = begun.pop(thread, "") + _RESUMED.sub("", text, count=1)
        if match := _CALL.match(text):
            found.append(Call(**match.groupdict()))
    return found
