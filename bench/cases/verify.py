"""Stored bytes rehashed by the server, 2 GiB in large files and in small ones; the baseline has nothing like it."""

import os
import time

from bench import load, wire
from bench.case import Case, Figures, Group, Peer, at_most
from bench.cases import registry
from bench.processes import MB, watched
from bench.report import BASELINE

GIB = 1024**3
LARGE = 256 * 1024**2
SMALL = 100_000
LEAST_BYTES = LARGE
EXPERIMENT = "bench-verify"
# 400 MB/s a core.
CPU_A_GIB = GIB / 400e6
CPU = "CPU s/GiB"


def _prepare(peer: Peer) -> None:
    """Half of the bytes in large files, half in small ones."""
    if peer.name == BASELINE:
        return
    _, root = registry.create_run(peer.server, EXPERIMENT)
    half = max(LEAST_BYTES, int(GIB * min(1.0, peer.shape.scale)))
    for number in range(half // LARGE):
        _put(peer, wire.put_file(peer.server, f"{root}/large-{number}.bin", os.urandom(LARGE)), 1)
    content = str(wire.SEQUENCE).encode() + os.urandom(SMALL - len(str(wire.SEQUENCE)))
    _put(peer, wire.put_file(peer.server, f"{root}/small/{wire.SEQUENCE}.bin", content), half // SMALL)


def _put(peer: Peer, request: bytes, count: int) -> None:
    server = peer.server
    result = load.run(load.Job(server.port, server.pid, [request], connections=min(count, 4), count=count))
    if result.errors or result.answers != count:
        raise RuntimeError(f"{result.errors} of {count} refused, the first: {result.first_error}")


def _verify(peer: Peer) -> Figures:
    return _measured(peer, deep=False)


def _verify_deep(peer: Peer) -> Figures:
    return _measured(peer, deep=True)


def _measured(peer: Peer, *, deep: bool) -> Figures:
    if peer.name == BASELINE:
        return {}
    size, cursor, longest = 0, "", 0.0
    with watched(peer.server.pid) as usage:
        began = time.perf_counter()
        while cursor or not size:
            asked = time.perf_counter()
            page = wire.native(peer.server, "POST", "artifacts/verify", {"deep": deep, "cursor": cursor})
            longest = max(longest, time.perf_counter() - asked)
            if page["wrong"]:
                raise RuntimeError(f"wrong: {page['wrong'][:3]}")
            size, cursor = size + page["bytes"], page.get("next_cursor", "")
        elapsed = time.perf_counter() - began
    return {
        "MB/s": size / MB / elapsed,
        CPU: usage.cpu_seconds * GIB / size,
        "longest call s": longest,
        "memory growth MB": usage.growth_mb,
    }


GROUP = Group(
    "verify",
    "2 GiB of stored bytes rehashed",
    (
        Case("by the digests of chunks", _verify, (at_most(CPU, CPU_A_GIB), at_most("memory growth MB", 64))),
        Case("deep, by SHA-256", _verify_deep),
    ),
    _prepare,
)
