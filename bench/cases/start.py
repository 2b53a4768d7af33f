"""How soon a server answers, on an empty folder and again on the same one, and what it holds when idle."""

import statistics
import time

from bench.case import Case, Figures, Group, Peer, at_most
from bench.processes import pss_mb, rss_mb, tree

RESTARTS = 3
IDLE_SECONDS = 5.0


def _first(peer: Peer) -> Figures:
    server = peer.launch(peer.folder / "start")
    server.stop()
    return {"seconds": server.start_seconds}


def _again(peer: Peer) -> Figures:
    seconds = []
    for _ in range(RESTARTS):
        server = peer.launch(peer.folder / "start")
        server.stop()
        seconds.append(server.start_seconds)
    return {"seconds": statistics.median(seconds)}


def _idle(peer: Peer) -> Figures:
    server = peer.launch(peer.folder / "start")
    try:
        time.sleep(IDLE_SECONDS)
        processes = tree(server.pid)
        return {"PSS MB": pss_mb(server.pid), "RSS MB": rss_mb(processes), "processes": float(len(processes))}
    finally:
        server.stop()


GROUP = Group(
    "start",
    "Start and idle",
    (
        Case("first start, empty folder", _first),
        Case("start to healthy", _again, (at_most("seconds", 1),)),
        Case("idle after 5 s, all processes", _idle, (at_most("PSS MB", 120),)),
    ),
)
