"""Starts the server under test as a process of its own: Modelkeep, or MLflow's own server to cross-check the claims."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from servers import free_port

PEER = os.environ.get("MODELKEEP_TEST_PEER", "modelkeep")
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Served:
    """A server that answers, and how to speak to it."""

    url: str
    token: str | None
    process: subprocess.Popen[bytes]


def modelkeep_command(port: int, data: Path, database: str | None) -> list[str]:
    """The line that serves Modelkeep."""
    line = [str(PROGRAMS / "modelkeep"), "serve", "--host", "127.0.0.1", "--port", str(port), "--data", str(data)]
    return [*line, "--database", database] if database else line


def mlflow_command(port: int, data: Path) -> list[str]:
    """The line that serves MLflow on SQLite and local files."""
    line = [str(PROGRAMS / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = f"sqlite:///{data}/mlflow.db"
    return [*line, "--backend-store-uri", store, "--artifacts-destination", str(data / "artifacts")]


def start(data: Path, database: str | None) -> Served:
    """Start the chosen server on an empty directory and wait until it is healthy."""
    port = free_port()
    ours = PEER == "modelkeep"
    command = modelkeep_command(port, data, database) if ours else mlflow_command(port, data)
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    printed = data / "printed.txt"
    with printed.open("wb") as output, (data / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=output, stderr=log, cwd=data, env=os.environ | quiet)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(url, process, data)
    except BaseException:
        stop(process)
        raise
    return Served(url, read_token(printed) if ours else None, process)


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], data: Path) -> None:
    """Return once GET /health is 200; fail with the server's own words when it ends or never answers."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/health", timeout=5) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {(data / 'log.txt').read_text()[-3000:]}")


def read_token(printed: Path) -> str:
    """The access token of the line `export MLFLOW_TRACKING_TOKEN=...` that a first start prints."""
    found = re.search(r"^export MLFLOW_TRACKING_TOKEN=['\"]?([^'\"\s]+)", printed.read_text(), re.MULTILINE)
    assert found, "the server printed no access token"
    return found.group(1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, gently and then not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
