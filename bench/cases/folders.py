"""Whole folders: `modelkeep push` and `pull` beside the stock client, a pull from the cache, a version as one tar.

Our commands count with the start of their process, the stock client without. `cp` of the same folder stands beside.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.case import Case, Figures, Group, Peer, at_most, times_better
from bench.load import ROOT
from bench.processes import MB
from bench.report import OURS
from bench.servers import binary

GIB = 1024**3
BLOCK = 1024**2
SMALL, SMALL_SIZE = 200, 100_000
REPEATS = 3
TIMEOUT = 900
BIG_NAME, SMALL_NAME = "bench-folder-big", "bench-folder-small"


def _folders(peer: Peer) -> Path:
    return peer.folder / "folders"


def prepare(peer: Peer) -> None:
    """One folder of one big file, one of many small ones; their versions are what is fetched later."""
    big, small = _folders(peer) / BIG_NAME, _folders(peer) / SMALL_NAME
    for folder in (big, small):
        folder.mkdir(parents=True, exist_ok=True)
    _write(big / "weights.bin", max(64 * BLOCK, int(GIB * min(1.0, peer.shape.scale)) // BLOCK * BLOCK))
    for number in range(SMALL):
        _write(small / f"{number}.bin", SMALL_SIZE)


def _write(file: Path, size: int) -> None:
    with file.open("wb") as opened:
        for start in range(0, size, BLOCK):
            opened.write(os.urandom(min(BLOCK, size - start)))


def push(name: str, peer: Peer) -> Figures:
    """Our command on our server, the stock client on the baseline."""
    if peer.name != OURS:
        return stock_push(name, peer)
    return _pushed(name, peer, lambda: _command(peer, "push", _folders(peer) / name, "--model", name, "--create"))


def stock_push(name: str, peer: Peer) -> Figures:
    """The stock client on either."""
    return _pushed(name, peer, lambda: _stock(peer, "push", _folders(peer) / name, name))


def _pushed(name: str, peer: Peer, send: Callable[[], float]) -> Figures:
    def once(number: int) -> float:
        for file in (_folders(peer) / name).iterdir():
            with file.open("r+b") as opened:
                opened.write(b"%08d" % number)  # bytes that the server has not
        return send()

    return _figures(peer, name, once)


def pull(name: str, peer: Peer) -> Figures:
    """Our command, without anything in its cache, on our server, the stock client on the baseline."""
    if peer.name != OURS:
        return stock_pull(name, peer)

    def once(_number: int) -> float:
        shutil.rmtree(_folders(peer) / "cache", ignore_errors=True)
        return _command(peer, "pull", f"models:/{name}/latest", _new(peer))

    return _figures(peer, name, once)


def stock_pull(name: str, peer: Peer) -> Figures:
    """The stock client on either."""
    return _figures(peer, name, lambda _: _stock(peer, "pull", _new(peer), name))


def _cached(peer: Peer) -> Figures:
    """The second pull of a version: only ours keeps a cache."""
    if peer.name != OURS:
        return {}
    _command(peer, "pull", f"models:/{SMALL_NAME}/latest", _new(peer))
    times = [_command(peer, "pull", f"models:/{SMALL_NAME}/latest", _new(peer)) for _ in range(REPEATS * 3)]
    return {"whole ms": statistics.median(times) * 1000}


def _archive(peer: Peer) -> Figures:
    """A version as one stream: only ours has it."""
    if peer.name != OURS:
        return {}

    def once(_number: int) -> float:
        address = f"{peer.server.url}/api/v1/models/{BIG_NAME}/versions/1/archive"
        headers = {"Authorization": f"Bearer {peer.server.token}"} if peer.server.token else {}
        began = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT) as answer:
            while answer.read(BLOCK):
                pass
        return time.perf_counter() - began

    return _figures(peer, BIG_NAME, once)


def _figures(peer: Peer, name: str, once: Callable[[int], float]) -> Figures:
    sizes = [file.stat().st_size for file in (_folders(peer) / name).iterdir()]
    seconds = statistics.median(once(time.monotonic_ns() % 10**8) for _ in range(REPEATS))
    return {
        "MB/s": sum(sizes) / MB / seconds,
        "files/s": len(sizes) / seconds,
        "s": seconds,
        "s of cp + sync": _copied(peer, name),
    }


def _copied(peer: Peer, name: str) -> float:
    copy = _new(peer)
    began = time.perf_counter()
    subprocess.run(["cp", "-r", _folders(peer) / name, copy], check=True, timeout=TIMEOUT)
    subprocess.run(["sync", *copy.iterdir()], check=True, timeout=TIMEOUT)
    return time.perf_counter() - began


def _new(peer: Peer) -> Path:
    """A folder that is not there."""
    new = _folders(peer) / "new"
    shutil.rmtree(new, ignore_errors=True)
    return new


def _environment(peer: Peer) -> dict[str, str]:
    own = {"MLFLOW_TRACKING_URI": peer.server.url, "MODELKEEP_CACHE": str(_folders(peer) / "cache")}
    token = {"MLFLOW_TRACKING_TOKEN": peer.server.token} if peer.server.token else {}
    return os.environ | own | token | {"MLFLOW_DISABLE_TELEMETRY": "true"} | peer.client_environment


def _command(peer: Peer, *arguments: str | Path) -> float:
    began = time.perf_counter()
    _run(peer, [binary("modelkeep"), *map(str, arguments)])
    return time.perf_counter() - began


def _stock(peer: Peer, *arguments: str | Path) -> float:
    command = [sys.executable, "-m", "bench.stock_folder", *map(str, arguments)]
    return float(json.loads(_run(peer, command).splitlines()[-1])["seconds"])


def _run(peer: Peer, command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(peer), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[1:3]} failed: {done.stderr[-1000:]}")
    return done.stdout


GROUP = Group(
    "folders",
    "Folders: push and pull beside the stock client",
    (
        Case("push, one big file", partial(push, BIG_NAME), (times_better("MB/s", 1.8),)),
        Case("pull, one big file", partial(pull, BIG_NAME), (times_better("MB/s", 1.8),)),
        Case("push, 200 of 100 kB", partial(push, SMALL_NAME), (times_better("files/s", 5),)),
        Case("pull, 200 of 100 kB", partial(pull, SMALL_NAME), (times_better("files/s", 5),)),
        Case("pull, 200 of 100 kB, cached", _cached, (at_most("whole ms", 100),)),
        Case("archive, one big file", _archive),
    ),
    prepare,
)
