"""The server as users run it: a process of its own, started, stopped, killed and restarted by the tests."""

import atexit
import contextlib
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAM = Path(sys.executable).parent / "modelkeep"
START_LIMIT = 60.0
STOP_LIMIT = 60.0
LOG_TAIL = 8_000
# A folder that all processes of a test run share; its name is in the environment. The bench has none.
SHARED = "MODELKEEP_TEST_SHARED"
# Below the ports that systems hand out by themselves: none of them becomes one end of somebody's connection.
PORTS = range(20_000, 32_000)

STARTED: weakref.WeakSet["RunningServer"] = weakref.WeakSet()


class ServerError(AssertionError):
    """The server did not start or stop as it should; the message carries the end of its logs."""


def free_port() -> int:
    """A loopback port that nobody listens on now, and that nobody else in this run is given, now or later."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _claim(port)
            return port


def _claim(port: int) -> None:
    """Note that a port is given; FileExistsError where it was before, in this run."""
    run = os.environ.get(SHARED)
    if run:
        given = Path(run) / "ports"
        given.mkdir(exist_ok=True)
        (given / str(port)).touch(exist_ok=False)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of Modelkeep or of an MLflow client, so that defaults are tested."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODELKEEP_", "MLFLOW_"))}
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra or {})


class RunningServer:
    """`modelkeep serve` on a loopback port, healthy when the constructor returns.

    `data` keeps the server's files and, beside them, its logs; a restarted server has the same port, data and token.
    Raises ServerError with the end of the logs when the server ends early or is not healthy in time.
    """

    def __init__(
        self,
        data: Path,
        *,
        database: str | None = None,
        auth: str = "token",
        port: int | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token: str | None = None
        self.stdout_path = data.with_name(f"{data.name}.stdout.log")
        self.stderr_path = data.with_name(f"{data.name}.stderr.log")
        self._command = self._serve_command(database, auth, arguments)
        self._environment = clean_environment(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _serve_command(self, database: str | None, auth: str, arguments: Sequence[str]) -> list[str]:
        command = [str(PROGRAM), "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--data", str(self.data), "--auth", auth]
        return command + (["--database", database] if database else []) + list(arguments)

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """The end of what the server has written to both its outputs, for a failure's report."""
        parts = [f"--- {path.name}\n{_tail(path)}" for path in (self.stdout_path, self.stderr_path) if path.exists()]
        return "\n".join([" ".join(self._command), *parts])

    def start(self) -> None:
        """Start the process and wait until it answers; needed only after `stop` or `kill`."""
        assert self._process is None, "the server is running already"
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self.stdout_path.open("ab") as stdout, self.stderr_path.open("ab") as stderr:
            self._process = subprocess.Popen(
                self._command, stdout=stdout, stderr=stderr, env=self._environment, start_new_session=True
            )
        STARTED.add(self)
        atexit.register(self.kill)
        self._wait_until_healthy()
        self.token = self._printed_token() or self.token

    def stop(self) -> None:
        """End the server as an operator would (SIGTERM) and hold it to a clean exit."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            code = self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"the server ignored SIGTERM\n{self.log}") from None
        self._ended()
        if code != 0:
            raise ServerError(f"the server ended with exit code {code} on SIGTERM\n{self.log}")

    def kill(self) -> None:
        """End the server and all its children at once (SIGKILL), as a crash would; harmless when it has ended."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._ended()

    def restart(self) -> None:
        """Stop, if it runs, and start again on the same port, data and database."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def _ended(self) -> None:
        self._process = None
        atexit.unregister(self.kill)
        STARTED.discard(self)

    def _wait_until_healthy(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_LIMIT
        while not _answers_health(self.port):
            code = self._process.poll()
            if code is not None:
                self._ended()
                raise ServerError(f"the server ended with exit code {code} before it was healthy\n{self.log}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"the server was not healthy after {START_LIMIT:.0f} s\n{self.log}")
            time.sleep(0.02)

    def _printed_token(self) -> str | None:
        found = re.findall(r"^export MLFLOW_TRACKING_TOKEN=(\S+)$", self.stdout_path.read_text(), re.MULTILINE)
        return str(found[-1]).strip("'\"") if found else None


def _answers_health(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(path: Path) -> str:
    return path.read_bytes()[-LOG_TAIL:].decode(errors="replace")
