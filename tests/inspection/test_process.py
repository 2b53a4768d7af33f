"""The scanner's process is not trusted: whatever it does, the server goes on, and no verdict is safe by accident."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from inspection.scans import MemoryFile, program
from modelkeep.core.errors import Unavailable
from modelkeep.inspection import process
from modelkeep.inspection.process import ScanFailed, interrupt, scan

WRITE = "import sys; sys.stdout.buffer.write"
FILES = [MemoryFile("a.txt", b"hello")]
BAD = {
    "dies": "raise SystemExit(3)",
    "says-nothing": "",
    "prints-rubbish": "print('x' * 100)",
    "prints-text": "print('all is well')",
    "prints-gigabytes": "import sys\nwhile True: sys.stdout.buffer.write(b'x' * 65536)",
    "announces-gigabytes": WRITE + "(b'\\x02' + bytes(12) + b'\\xff\\xff\\xff\\x7f')",
    "reports-no-json": WRITE + "(b'\\x02' + bytes(12) + b'\\x02\\0\\0\\0{]')",
    "reports-other-json": WRITE + "(b'\\x02' + bytes(12) + b'\\x02\\0\\0\\0{}')",
    "reports-deep-json": WRITE + "(b'\\x02' + bytes(12) + b'\\x40\\x0d\\x03\\0' + b'[' * 200000)",
    "asks-for-another-file": WRITE + "(b'\\x01\\x07\\0\\0\\0' + bytes(8) + b'\\x01\\0\\0\\0')",
    "asks-behind-the-end": WRITE + "(b'\\x01' + bytes(4) + b'\\xff' * 8 + b'\\x01\\0\\0\\0')",
    "asks-for-too-much": WRITE + "(b'\\x01' + bytes(12) + b'\\xff\\xff\\xff\\x7f')",
    "sleeps": "import time; time.sleep(60)",
    "closes-its-output": "import os, time; os.close(1); time.sleep(60)",
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_process_that_behaves_badly_only_fails(name: str) -> None:
    """It ends with a reason, and no process is left."""
    with pytest.raises(ScanFailed):
        scan(FILES, program(BAD[name]), wall_seconds=2)
    assert [child for child in psutil.Process().children() if "-I" in child.cmdline()] == []


def test_a_report_of_files_that_are_not_there_is_refused() -> None:
    """Findings can only be about files of the task."""
    text = '{"findings":[{"file":"other","rule":"r","severity":"unsafe","text":"t"}],"contents":{}}'
    source = f"t = {text!r}.encode(); {WRITE}(b'\\x02' + bytes(12) + len(t).to_bytes(4, 'little') + t)"
    with pytest.raises(ScanFailed, match="not there"):
        scan(FILES, program(source))


def test_a_process_that_reads_without_end_is_stopped() -> None:
    """It cannot make the server fetch more than some times what there is."""
    ask = "sys.stdout.buffer.write(b'\\x01' + bytes(12) + (1 << 20).to_bytes(4, 'little')); sys.stdout.flush()"
    source = f"import sys\nwhile True:\n {ask}\n sys.stdin.buffer.read(4 + (1 << 20))"
    with pytest.raises(ScanFailed):
        scan([MemoryFile("big", b"x" * (1 << 20))], program(source), wall_seconds=60)


def once_one_runs(act: Callable[[], None]) -> threading.Thread:
    """Does something as soon as a scanner runs."""

    def wait_and_act() -> None:
        while not process._running:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def kill() -> None:
    """Kill the scanners that run."""
    for one in list(process._running):
        os.killpg(one.pid, signal.SIGKILL)


def test_a_scanner_that_is_killed_fails() -> None:
    """A killed process is no verdict."""
    thread = once_one_runs(kill)
    with pytest.raises(ScanFailed, match="ended early"):
        scan(FILES, program("import time; time.sleep(30)"))
    thread.join()


def test_an_inspection_can_be_broken_off() -> None:
    """The server does not wait for scanners when it stops; what they were at is no verdict, but done again."""
    thread = once_one_runs(interrupt)
    with pytest.raises(Unavailable):
        scan(FILES, program("import time; time.sleep(60)"))
    thread.join()


def test_an_error_while_reading_passes_through() -> None:
    """A store that does not answer is the caller's matter, and the process is ended."""

    class Gone(MemoryFile):
        def read_at(self, offset: int, length: int) -> bytes:
            raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        scan([Gone("a.txt", b"hello")])
    assert not process._running


JAILED = """
import sys
sys.path[:0] = [{source!r}]
from modelkeep.scanner.jail import lock_in
import os, socket, subprocess, json
lock_in()
done = {{}}
for name, act in dict(
    open=lambda: open({path!r}), create=lambda: open({path!r} + '.new', 'w'), socket=lambda: socket.socket(),
    fork=lambda: subprocess.Popen(['/bin/true']), pipe=lambda: os.pipe(), memory=lambda: bytearray(2 << 30),
    dup=lambda: os.dup(1),
).items():
    try:
        act()
        done[name] = 'done'
    except (OSError, MemoryError) as error:
        done[name] = 'refused'
os.write(1, json.dumps(done).encode())
"""


def test_the_process_can_open_start_and_send_nothing(tmp_path: Path) -> None:
    """Locked in, it opens no file, socket or pipe, starts no process, and gets no more memory than its share."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    source = str(Path(process.__file__).parents[2])
    done = subprocess.run(program(JAILED.format(source=source, path=str(secret))), capture_output=True, check=True)
    outcome = json.loads(done.stdout)
    assert outcome == dict.fromkeys(("open", "create", "socket", "fork", "pipe", "memory", "dup"), "refused")


def test_the_scanner_imports_nothing_that_could_run_a_model() -> None:
    """Neither a pickle's loader nor a library of models is in its process, nor anything of the server."""
    source = "import modelkeep.scanner.__main__, sys; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(program(source), capture_output=True, text=True, check=True).stdout.split()
    assert not {"pickle", "numpy", "torch", "mlflow", "joblib", "sqlalchemy", "zipfile"} & set(loaded)
    assert not [name for name in loaded if name.startswith("modelkeep.") and not name.startswith("modelkeep.scanner")]
