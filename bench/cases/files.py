"""Many small files through the artifact proxy: 200 of 100 kB, over eight connections, three times."""

import os

from bench import load, wire
from bench.case import Case, Figures, Group, Peer, times_better
from bench.cases import registry

CONNECTIONS = 8
FILES = 200
ROUNDS = 3
WARM_UP = 16
SIZE = 100_000
EXPERIMENT = "bench-files"


def put(peer: Peer) -> Figures:
    """Files that the server has not, sent."""
    root = peer.artifact_roots[EXPERIMENT]
    # The running number makes each file's content its own.
    content = str(wire.SEQUENCE).encode() + os.urandom(SIZE - len(str(wire.SEQUENCE)))
    return _measure(peer, wire.put_file(peer.server, f"{root}/{wire.SEQUENCE}.bin", content))


def get(peer: Peer) -> Figures:
    """The same files, fetched."""
    root = peer.artifact_roots[EXPERIMENT]
    return _measure(peer, wire.get_file(peer.server, f"{root}/{wire.SEQUENCE}.bin"))


def prepare(peer: Peer) -> None:
    """A run for the files."""
    _, peer.artifact_roots[EXPERIMENT] = registry.create_run(peer.server, EXPERIMENT)


def _measure(peer: Peer, request: bytes) -> Figures:
    _send(peer, request, first=0, count=WARM_UP)
    result = _send(peer, request, first=WARM_UP, count=FILES * ROUNDS)
    return {
        "files/s": result.per_second,
        "p50 ms": result.p50,
        "p99 ms": result.p99,
        "CPU ms/req": result.cpu_ms,
        "errors": float(result.errors),
    }


def _send(peer: Peer, request: bytes, *, first: int, count: int) -> load.Result:
    server = peer.server
    return load.run(load.Job(server.port, server.pid, [request], connections=CONNECTIONS, first=first, count=count))


GROUP = Group(
    "files",
    "200 files of 100 kB, 8 clients",
    (
        Case("PUT", put, (times_better("files/s", 5),)),
        Case("GET", get, (times_better("files/s", 5),)),
    ),
    prepare,
)
