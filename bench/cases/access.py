"""What access costs: a read with a token beside one without, and decisions among 1,000 grants; Modelkeep only."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import load, wire
from bench.case import Case, Figures, Group, Peer, at_most, figures
from bench.cases import registry
from bench.report import BASELINE
from bench.servers import Server, start_modelkeep
from modelkeep.access import Effect, Grant, Kind, Rights, Target, Verb, by_id

CONNECTIONS = 32
GRANTS = 1_000
ROUNDS = 6
DECISIONS = 20_000
TOKEN_MS, DECISION_MS = 0.05, 0.1
MODEL = "three"
# No limit on how fast one caller asks: that is what this is to find out.
ENVIRONMENT = {"MODELKEEP_RATE_LIMIT": "0"}


def _token_check(peer: Peer) -> Figures:
    """Both servers in turns, so that what else the machine does weighs on both."""
    if peer.name == BASELINE:
        return {}
    with tempfile.TemporaryDirectory(dir=peer.folder.parent) as scratch:
        servers = [
            start_modelkeep(Path(scratch) / auth, auth=auth, environment=ENVIRONMENT) for auth in ("token", "none")
        ]
        try:
            for server in servers:
                registry.create_model(server, MODEL, 3)
            rounds = [[_cpu_ms(server, peer.seconds / 2) for server in servers] for _ in range(ROUNDS)]
        finally:
            for server in servers:
                server.stop()
    token, none = (min(found) for found in zip(*rounds, strict=True))
    return {"CPU ms/req": token, "CPU ms/req, --auth none": none, "CPU ms of a token": token - none}


def _cpu_ms(server: Server, seconds: float) -> float:
    requests = [wire.get(server, "model-versions/get", name=MODEL, version=number) for number in (1, 2, 3)]
    job = load.Job(server.port, server.pid, requests, CONNECTIONS, seconds, seconds / 4)
    return figures(load.run(job))["CPU ms/req"]


def _rights(pattern: Callable[[int], str]) -> Rights:
    verbs = frozenset({Verb.READ, Verb.DOWNLOAD})
    grants = [Grant(Effect.ALLOW, verbs, "team", Kind.MODEL, pattern(at)) for at in range(GRANTS - 100)]
    denials = [Grant(Effect.DENY, verbs, "team", Kind.MODEL, f"secret-{at}*") for at in range(100)]
    return Rights([*grants, *denials])


def _decisions(pattern: Callable[[int], str]) -> Callable[[Peer], Figures]:
    """The last of the grants fits, so that none is looked at in vain less."""

    def measure(peer: Peer) -> Figures:
        if peer.name == BASELINE:
            return {}
        rights = _rights(pattern)
        last = GRANTS - 101
        fitting = Target(Kind.MODEL, f"id-{last}", f"model-{last}-x", "team")
        other = Target(Kind.MODEL, "id-none", "none", "team")
        assert rights.decide(Verb.READ, fitting).allowed
        assert not rights.decide(Verb.READ, other).allowed
        began = _cpu_s()
        for _ in range(DECISIONS // 20):
            rights.decide(Verb.READ, fitting)
            rights.decide(Verb.READ, other)
        return {"grants": float(GRANTS), "CPU ms/decision": (_cpu_s() - began) * 1000 / (DECISIONS // 10)}

    return measure


def _making(peer: Peer) -> Figures:
    """Laying out grants, as for a caller who was not seen within the last second."""
    if peer.name == BASELINE:
        return {}
    began, rounds = _cpu_s(), 50
    for _ in range(rounds):
        _rights(by_id_of)
    return {"grants": float(GRANTS), "CPU ms": (_cpu_s() - began) * 1000 / rounds}


def by_id_of(at: int) -> str:
    """A grant on one thing."""
    return by_id(f"id-{at}")


def _cpu_s() -> float:
    return time.process_time()


GROUP = Group(
    "access",
    "Access",
    (
        Case("a token's part of get version, 32 clients", _token_check, (at_most("CPU ms of a token", TOKEN_MS),)),
        Case("decision, 1,000 grants by id", _decisions(by_id_of), (at_most("CPU ms/decision", DECISION_MS),)),
        Case(
            "decision, 1,000 grants by name",
            _decisions(lambda at: f"model-{at}-*"),
            (at_most("CPU ms/decision", DECISION_MS),),
        ),
        Case("laying out 1,000 grants", _making),
    ),
)
