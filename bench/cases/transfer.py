"""One big file through the artifact proxy and back, then twenty at once: speed, CPU, and whether memory stays flat.

Each speed stands beside what the machine could do at most, measured right before and after it.
"""

import os
import shutil
import socket
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from bench import limits, wire
from bench.case import Case, Figures, Group, Peer, at_least, at_most, times_better
from bench.cases import registry
from bench.load import content_length
from bench.processes import MB, watched
from bench.report import OURS
from bench.servers import HOST, Server

GIB = 1024**3
LEAST_BYTES = 64 * 1024**2
BLOCK = 1024**2
REPEATS = 3
TIMEOUT = 600
GROWTH = "memory growth MB"
# A server that streams holds a few blocks of each transfer; one that gathers would grow by the file.
FLAT_MB = 64
EXPERIMENT = "bench-transfer"
PARALLEL = 20
SPARE = 2 * GIB
PUT_SHARE, GET_SHARE = "of sha256 or disk", "of loopback or disk"


def _size(peer: Peer) -> int:
    return max(LEAST_BYTES, int(GIB * min(1.0, peer.shape.scale)) // BLOCK * BLOCK)


def prepare(peer: Peer) -> None:
    """A run for the files, and the file that is sent."""
    _, peer.artifact_roots[EXPERIMENT] = registry.create_run(peer.server, EXPERIMENT)
    with local_file(peer).open("wb") as file:
        for _ in range(_size(peer) // BLOCK):
            file.write(os.urandom(BLOCK))


def local_file(peer: Peer) -> Path:
    """The file that is sent."""
    peer.folder.mkdir(parents=True, exist_ok=True)
    return peer.folder / "big.bin"


def put_big(peer: Peer) -> Figures:
    """The file sent, as often as it is measured."""
    root = peer.artifact_roots[EXPERIMENT]
    return _measure(peer, lambda index: _upload(peer.server, f"{root}/big-{index}.bin", local_file(peer), index))


def get_big(peer: Peer) -> Figures:
    """The files that were sent, fetched."""
    root = peer.artifact_roots[EXPERIMENT]
    return _measure(peer, lambda index: _download(peer.server, f"{root}/big-{index}.bin"))


def _put(peer: Peer) -> Figures:
    local, copy = local_file(peer), peer.folder / "copy.bin"
    return beside(
        lambda: put_big(peer),
        {"sha256 MB/s": limits.sha256, "cp + fsync MB/s": lambda: limits.disk_write(local, copy)},
        PUT_SHARE,
    )


def _get(peer: Peer) -> Figures:
    return beside(
        lambda: get_big(peer),
        {"loopback MB/s": limits.loopback, "disk read MB/s": lambda: limits.disk_read(local_file(peer))},
        GET_SHARE,
    )


def beside(measure: Callable[[], Figures], bounds: dict[str, Callable[[], float]], share: str) -> Figures:
    """The figures, the machine's bounds from just before and just after, and the share of the slower bound."""
    before = {name: bound() for name, bound in bounds.items()}
    figures = measure()
    means = {name: (before[name] + bound()) / 2 for name, bound in bounds.items()}
    return figures | {share: figures["MB/s"] / min(means.values())} | means


def _put_many(peer: Peer) -> Figures:
    """Twenty uploads at once. Their files are removed at once too: there is room for one server's at a time."""
    _check_room(peer, PARALLEL * _size(peer))
    try:
        return _put_all(peer)
    finally:
        _remove_many(peer)


def _put_all(peer: Peer) -> Figures:
    root = peer.artifact_roots[EXPERIMENT]
    return _all_at_once(
        peer, lambda number: _upload_made(peer.server, f"{root}/many-{number}.bin", number, _size(peer))
    )


def _get_many(peer: Peer) -> Figures:
    """Twenty downloads at once, of the files that the uploads one by one left."""
    root = peer.artifact_roots[EXPERIMENT]
    return _all_at_once(peer, lambda number: _download(peer.server, f"{root}/big-{number % REPEATS}.bin"))


def _check_room(peer: Peer, size: int) -> None:
    free = shutil.disk_usage(peer.folder).free
    if free < size + SPARE:
        raise RuntimeError(f"{size + SPARE >> 30} GiB are needed and {free >> 30} are free; see MODELKEEP_BENCH_CACHE")


def _remove_many(peer: Peer) -> None:
    root = peer.artifact_roots[EXPERIMENT]
    for number in range(PARALLEL):
        with suppress(wire.CallError):  # one that did not come through
            wire.delete_file(peer.server, f"{root}/many-{number}.bin")
    cursor: str | None = "" if peer.name == OURS else None
    while cursor is not None:
        asked = {"apply": True, "trash_days": 0, "cursor": cursor}
        cursor = wire.native(peer.server, "POST", "gc", asked).get("next_cursor")


def _all_at_once(peer: Peer, transfer: Callable[[int], int]) -> Figures:
    with ThreadPoolExecutor(PARALLEL) as threads, watched(peer.server.pid) as usage:
        began = time.perf_counter()
        sizes = list(threads.map(transfer, range(PARALLEL)))
        elapsed = time.perf_counter() - began
    if sizes != [_size(peer)] * PARALLEL:
        raise RuntimeError(f"{sizes} bytes came through of {_size(peer)} each")
    total = sum(sizes)
    return {"MB/s": total / MB / elapsed, "CPU s/GiB": usage.cpu_seconds * GIB / total, GROWTH: usage.growth_mb}


def _measure(peer: Peer, transfer: Callable[[int], int]) -> Figures:
    speeds, cpu, growth = [], [], []
    for index in range(REPEATS):
        os.sync()
        with watched(peer.server.pid) as usage:
            began = time.perf_counter()
            size = transfer(index)
            elapsed = time.perf_counter() - began
        if size != _size(peer):
            raise RuntimeError(f"{size} bytes came through of {_size(peer)}")
        speeds.append(size / MB / elapsed)
        cpu.append(usage.cpu_seconds * GIB / size)
        growth.append(usage.growth_mb)
    return {"MB/s": statistics.median(speeds), "CPU s/GiB": statistics.median(cpu), GROWTH: max(growth)}


def _upload(server: Server, path: str, local: Path, index: int) -> int:
    """Send the file, its first bytes changed so that no two uploads are the same bytes; how many were sent."""
    with local.open("r+b") as file, socket.create_connection((HOST, server.port), TIMEOUT) as connection:
        file.write(b"%08d" % index)
        file.flush()
        size = local.stat().st_size
        target = wire.ARTIFACTS + path
        connection.sendall(wire.head(server, "PUT", target, size, "application/octet-stream"))
        sent = connection.sendfile(file, offset=0)
        _expect_ok(_head(connection)[0])
    return sent


def _upload_made(server: Server, path: str, number: int, size: int) -> int:
    """Send bytes that are made as they go, so that twenty files need no room on the client's disk."""
    block = os.urandom(BLOCK - 16)
    with socket.create_connection((HOST, server.port), TIMEOUT) as connection:
        connection.sendall(wire.head(server, "PUT", wire.ARTIFACTS + path, size, "application/octet-stream"))
        for index in range(size // BLOCK):
            connection.sendall(b"%08d%08d" % (number, index) + block)
        _expect_ok(_head(connection)[0])
    return size


def _download(server: Server, path: str) -> int:
    """Fetch the file into one buffer again and again; how many bytes came."""
    buffer = memoryview(bytearray(BLOCK))
    with socket.create_connection((HOST, server.port), TIMEOUT) as connection:
        connection.sendall(wire.get_file(server, path))
        head, received = _head(connection)
        _expect_ok(head)
        size = content_length(head)
        while received < size:
            count = connection.recv_into(buffer)
            if count == 0:
                raise RuntimeError(f"the connection ended after {received} of {size} bytes")
            received += count
    return received


def _head(connection: socket.socket) -> tuple[bytes, int]:
    """The answer's head, and how many bytes of its body came with it."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        block = connection.recv(65536)
        if not block:
            raise RuntimeError(f"the connection ended within the head: {data[:200]!r}")
        data += block
    return data[:end], len(data) - end - 4


def _expect_ok(head: bytes) -> None:
    if head[9:12] != b"200":
        raise RuntimeError(f"refused: {head[:200]!r}")


GROUP = Group(
    "transfer",
    "One file of 1 GiB, raw client",
    (
        Case("PUT", _put, (times_better("MB/s", 1.8), at_most(GROWTH, FLAT_MB), at_least(PUT_SHARE, 0.8))),
        Case("GET", _get, (times_better("MB/s", 6), at_most(GROWTH, FLAT_MB), at_least(GET_SHARE, 0.6))),
        Case(f"PUT x {PARALLEL}", _put_many, (at_most(GROWTH, FLAT_MB),)),
        Case(f"GET x {PARALLEL}", _get_many, (at_most(GROWTH, FLAT_MB),)),
    ),
    prepare,
)
