"""What a program prints arrives whole where its pipe takes a part at once: it is stopped and continued meanwhile."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from faces.mlflow.wire import Wire
from servers import PROGRAM, RunningServer, clean_environment

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60
# Two pages of the pipe: it has room for a part of what comes next.
READ_FIRST = 8192
REQUESTS = 1000
MODELS, LONG = 40, "x" * 5000
# The same request again and again, and of each answer all that it has.
JOB = """
import pickle, sys
from bench.load import Job
request = f"GET /api/v1/me HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAuthorization: Bearer {sys.argv[3]}\\r\\n\\r\\n".encode()
job = Job(int(sys.argv[1]), int(sys.argv[2]), [request], connections=4, count=int(sys.argv[4]), collect=b"(?s)^(.*)$")
sys.stdout.buffer.write(pickle.dumps(job))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with models that have much said of them."""
    with RunningServer(tmp_path_factory.mktemp("large") / "data") as running:
        wire = Wire(running.url, running.token).under("/api/v1/")
        for number in range(MODELS):
            assert wire.post("models", name=f"m{number}", description=LONG).status == 201
        yield running


def interrupted(process: subprocess.Popen[bytes]) -> bytes:
    """All that a program prints that is stopped and continued while it waits for the pipe to take more."""
    assert process.stdout is not None
    first = b""
    while len(first) < READ_FIRST:
        part = process.stdout.read(READ_FIRST - len(first))
        assert part, first
        first += part
    watched = psutil.Process(process.pid)
    wait_until(watched, psutil.STATUS_SLEEPING)
    process.send_signal(signal.SIGSTOP)
    wait_until(watched, psutil.STATUS_STOPPED)
    process.send_signal(signal.SIGCONT)
    rest = process.stdout.read()
    assert process.wait(LIMIT_S) == 0
    return first + rest


def wait_until(watched: psutil.Process, status: str) -> None:
    """Wait until the system says so of a process."""
    deadline = time.monotonic() + LIMIT_S
    while watched.status() != status:
        assert time.monotonic() < deadline, watched.status()
        time.sleep(0.01)


def test_what_load_was_measured_arrives_whole(server: RunningServer) -> None:
    """The load generator's answer has all that it collected, however much that is."""
    given = [str(server.port), str(server.pid), server.token, str(REQUESTS)]
    job = subprocess.run([sys.executable, "-c", JOB, *given], cwd=ROOT, capture_output=True, check=True).stdout
    with subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        cwd=ROOT,
        env=clean_environment({"PYTHONUNBUFFERED": "1"}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(job)
        process.stdin.close()
        result = json.loads(interrupted(process))
    assert (result["answers"], result["errors"], len(result["collected"])) == (REQUESTS, 0, REQUESTS)


@pytest.mark.parametrize("command", [("audit", "search", "--json"), ("audit", "export-entries", "-")], ids=" ".join)
def test_what_a_command_prints_arrives_whole(server: RunningServer, command: tuple[str, ...]) -> None:
    """A command's answer has every entry, also where it runs without buffers, as in many containers."""
    environment = {"PYTHONUNBUFFERED": "1", "MODELKEEP_URL": server.url, "MLFLOW_TRACKING_TOKEN": server.token}
    with subprocess.Popen(
        [str(PROGRAM), *command], env=clean_environment(environment), stdout=subprocess.PIPE, bufsize=0
    ) as process:
        text = interrupted(process)
    entries = json.loads(text) if "--json" in command else [json.loads(line) for line in text.splitlines()]
    made = [entry["data"]["description"] for entry in entries if entry["kind"] == "registered_model.created"]
    assert made == [LONG] * MODELS
