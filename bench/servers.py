"""Starts and stops the two servers under comparison, on loopback ports of their own."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.processes import tree

HOST = "127.0.0.1"
START_TIMEOUT = 180.0
STOP_TIMEOUT = 20.0
MLFLOW_WORKERS = 2
MLFLOW_UVICORN = "--loop uvloop --http httptools --no-access-log"
TOKEN = re.compile(r"export MLFLOW_TRACKING_TOKEN=['\"]?([^\s'\"]+)")

# Everything that mlflow can be told to leave out by its environment.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "PYTHONWARNINGS": "ignore",
}


class StartError(Exception):
    """A server did not become healthy; the message holds the end of its log."""


@dataclass(frozen=True)
class Server:
    """A running server: its process tree's root, its port, the token it wants, and how long it took to be healthy."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    token: str | None
    start_seconds: float

    @property
    def pid(self) -> int:
        """The root of the server's process tree."""
        return self.process.pid

    @property
    def url(self) -> str:
        """Where the server answers."""
        return f"http://{HOST}:{self.port}"

    def stop(self) -> None:
        """End the server politely, and its whole tree by force if it will not go."""
        stop_tree(self.process)


Launcher = Callable[[Path], Server]


def binary(name: str) -> str:
    """The command of that name beside the Python that runs the benchmark."""
    return str(Path(sys.executable).parent / name)


def start_mlflow(data: Path) -> Server:
    """`mlflow server` tuned: SQLite, proxied artifacts on local disk, two uvicorn workers on uvloop and httptools.

    Raises StartError.
    """
    port = free_port()
    command = [binary("mlflow"), "server", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{mlflow_database(data)}"]
    command += ["--serve-artifacts", "--artifacts-destination", str(data / "artifacts")]
    command += ["--workers", str(MLFLOW_WORKERS), "--uvicorn-opts", MLFLOW_UVICORN]
    server = _start("mlflow", command, data, port, MLFLOW_ENVIRONMENT)
    _verify_tuning(server)
    return server


def mlflow_database(data: Path) -> Path:
    """The file that mlflow's SQLite backend keeps under a data directory."""
    return data / "mlflow.db"


def start_modelkeep(
    data: Path,
    *,
    auth: str = "none",
    database: str = "",
    artifacts: str = "",
    environment: Mapping[str, str] | None = None,
) -> Server:
    """`modelkeep serve` as it comes, but for its limit on one caller's requests.

    With auth `token` every call carries the token it prints. Raises StartError.

    `database` and `artifacts` are where it keeps things, if not below `data`; `environment` holds the keys for that.
    """
    port = free_port()
    command = [binary("modelkeep"), "serve", "--port", str(port), "--data", str(data / "modelkeep"), "--auth", auth]
    # One caller makes all the load: what its limit costs is part of the figures, the limit itself is not to be met.
    command += ["--rate-limit", "1000000000"]
    command += ["--database", database] if database else []
    command += ["--artifacts", artifacts] if artifacts else []
    return _start("modelkeep", command, data, port, dict(environment or {}), wants_token=auth == "token")


def _start(
    name: str, command: list[str], data: Path, port: int, environment: dict[str, str], *, wants_token: bool = False
) -> Server:
    data.mkdir(parents=True, exist_ok=True)
    log = data / f"{name}.log"
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=data,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_healthy(process, port, log)
        elapsed = time.perf_counter() - began
        return Server(name, process, port, _printed_token(log) if wants_token else None, elapsed)
    except BaseException:
        stop_tree(process)
        raise


def _wait_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"ended with {process.returncode}: {_tail(log)}")
        if _healthy(port):
            return
        time.sleep(0.02)
    raise StartError(f"not healthy after {START_TIMEOUT:.0f} s: {_tail(log)}")


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _printed_token(log: Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := TOKEN.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise StartError(f"printed no token: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _verify_tuning(server: Server) -> None:
    """A baseline that silently ran without its tuning would flatter the comparison."""
    tuned = [p.pid for p in tree(server.pid) if _maps(p.pid) >= {"uvloop", "httptools"}]
    if len(tuned) != MLFLOW_WORKERS:
        server.stop()
        raise StartError(f"{len(tuned)} of {MLFLOW_WORKERS} mlflow workers run on uvloop and httptools")


def _maps(pid: int) -> set[str]:
    try:
        text = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return set()
    return {name for name in ("uvloop", "httptools") if f"/{name}/" in text}


def stop_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the root, and after a while SIGKILL to whatever of its tree is left."""
    if process.poll() is not None:
        return
    family = tree(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in family[1:]:
        if member.is_running():
            member.kill()


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
