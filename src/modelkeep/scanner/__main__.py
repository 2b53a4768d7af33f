"""The scanner's process: takes a task from standard input, asks for the bytes it needs, and writes its report."""

import sys
from collections import Counter
from typing import BinaryIO

import msgspec

from modelkeep.scanner.jail import lock_in
from modelkeep.scanner.look import look
from modelkeep.scanner.metadata import read_metadata
from modelkeep.scanner.report import Finding, InspectedFile, Report, Task, Verdict
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Broken, Remote, Source
from modelkeep.scanner.wire import HEADER, LENGTH, LONGEST_ANSWER, REFUSED, Request


class Pipes:
    """The two ends towards the server."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def task(self) -> Task:
        """What is to be looked at."""
        return msgspec.json.decode(self._received(), type=Task)

    def read(self, file: int, offset: int, length: int) -> bytes:
        """Bytes of a file. Raises Broken if the server could not read them."""
        self._send(HEADER.pack(Request.READ, file, offset, length))
        content = self._received()
        if len(content) != length:
            raise Broken("its bytes end early")
        return content

    def report(self, report: Report) -> None:
        """Say all that was found; no more fits than the server takes."""
        content = msgspec.json.encode(report)
        if len(content) > LONGEST_ANSWER:
            report.contents.safetensors, report.contents.files = [], report.contents.files[:1000]
            content = msgspec.json.encode(report)
        self._send(HEADER.pack(Request.REPORT, 0, 0, len(content)) + content)

    def _send(self, content: bytes) -> None:
        self._outgoing.write(content)
        self._outgoing.flush()

    def _received(self) -> bytes:
        length = LENGTH.unpack(self._exactly(LENGTH.size))[0]
        if length == REFUSED:
            raise Broken("its bytes cannot be read")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        content = self._incoming.read(length)
        if len(content) < length:
            raise SystemExit(1)
        return content


def _source(pipes: Pipes, index: int, size: int) -> Source:
    return Remote(lambda offset, length: pipes.read(index, offset, length), size)


def inspect(pipes: Pipes, task: Task) -> Report:
    """Look at all files of a task."""
    scan = Scan(look, frozenset(file.path for file in task.files))
    sources = {file.path: _source(pipes, index, file.size) for index, file in enumerate(task.files)}
    kinds: dict[str, str] = {}
    for path, source in sources.items():
        scan.file = path
        kinds[path] = _looked_at(scan, source)
    read_metadata(scan, sources)
    _settle_raw_files(scan, kinds)
    scan.contents.files = [InspectedFile(path=f.path, size=f.size, kind=kinds[f.path]) for f in task.files]
    scan.contents.kinds = dict(Counter(kinds.values()))
    return Report(findings=list(scan.findings.values()), contents=scan.contents)


def _looked_at(scan: Scan, source: Source) -> str:
    """What a file is. Where the scanner itself fails, that is a finding: a file that it trips over is not safe."""
    try:
        return scan.look_at(source, scan.file)
    except MemoryError:
        why = "It takes more memory than the inspection may use."
    except Exception as error:
        why = f"The inspection failed ({type(error).__name__})."
    scan.add(Finding(file=scan.file, rule="inspection.failed", severity=Verdict.ERROR, text=why))
    return "not looked at"


def _settle_raw_files(scan: Scan, kinds: dict[str, str]) -> None:
    """What another file names as its tensors' numbers is known, whichever of them was looked at first."""
    for path in scan.raw_files & kinds.keys():
        if kinds[path] == "unknown":
            kinds[path] = "tensor data"
            for key in [key for key, found in scan.findings.items() if key[0] == path and key[2] == "format.unknown"]:
                del scan.findings[key]


def main() -> None:
    """Do one task."""
    lock_in()
    pipes = Pipes(sys.stdin.buffer, sys.stdout.buffer)
    pipes.report(inspect(pipes, pipes.task()))


if __name__ == "__main__":
    main()
