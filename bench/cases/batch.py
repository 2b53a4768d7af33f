"""log-batch of 1,000 metrics: ten keys, a hundred steps each, new points in every call."""

from bench import wire
from bench.case import Case, Figures, Group, Peer, at_most
from bench.cases import registry

CONNECTIONS = 4
KEYS = 10
STEPS = 100


def _measure(peer: Peer) -> Figures:
    server = peer.server
    requests = []
    for index in range(CONNECTIONS):
        run_id, _ = registry.create_run(server, f"bench-batch-{index}")
        payload = {"run_id": run_id, "metrics": _points()}
        requests.append(wire.post(server, "runs/log-batch", payload))
    return peer.measure(requests, connections=CONNECTIONS, least=5)


def _points() -> list[dict[str, object]]:
    return [
        {"key": f"metric-{key}", "value": key + step / 1000, "timestamp": wire.SEQUENCE, "step": step}
        for step in range(STEPS)
        for key in range(KEYS)
    ]


GROUP = Group(
    "batch",
    "log-batch, 4 clients",
    (Case("log-batch of 1,000 metrics", _measure, (at_most("CPU ms/req", 12),)),),
)
