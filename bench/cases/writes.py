"""The registry's writes at 32 clients: create, tag, alias, stage."""

from collections.abc import Callable, Mapping

from bench import wire
from bench.case import Case, Figures, Group, Peer, at_most
from bench.cases import registry
from bench.servers import Server

CONNECTIONS = 32
MODELS = [f"writes-{index:02d}" for index in range(32)]
TARGETS = (at_most("CPU ms/req", 0.6), at_most("p99 ms", 60))


def _prepare(peer: Peer) -> None:
    for name in MODELS:
        registry.create_model(peer.server, name, 3)
    # One after the other: `mlflow server` refuses some calls that race to be the first to set a tag or alias.
    for requests in (_set_tag(peer.server), _set_alias(peer.server)):
        peer.send_once(requests)


def _create_model(server: Server) -> list[bytes]:
    return [wire.post(server, "registered-models/create", {"name": f"created-{wire.SEQUENCE}"})]


def _create_version(server: Server) -> list[bytes]:
    source = f"s3://bench/created/{wire.SEQUENCE}"
    return [wire.post(server, "model-versions/create", {"name": name, "source": source}) for name in MODELS]


def _set_tag(server: Server) -> list[bytes]:
    tag = {"key": "note", "value": f"value {wire.SEQUENCE}"}
    return _for_each_version(server, "model-versions/set-tag", tag)


def _set_alias(server: Server) -> list[bytes]:
    return _for_each_version(server, "registered-models/alias", {"alias": "champion"})


def _move(server: Server) -> list[bytes]:
    to_production = {"stage": "Production", "archive_existing_versions": True}
    return _for_each_version(server, "model-versions/transition-stage", to_production)


def _for_each_version(server: Server, path: str, rest: Mapping[str, object]) -> list[bytes]:
    """Version by version over all models, so that neighbours in time touch different models."""
    return [
        wire.post(server, path, {"name": name, "version": str(number), **rest})
        for number in (1, 2, 3)
        for name in MODELS
    ]


WRITES: dict[str, Callable[[Server], list[bytes]]] = {
    "create registered model": _create_model,
    "create model version": _create_version,
    "set version tag": _set_tag,
    "set alias": _set_alias,
    "transition stage, archiving": _move,
}


def _case(write: str) -> Case:
    def measure(peer: Peer) -> Figures:
        return peer.measure(WRITES[write](peer.server), connections=CONNECTIONS)

    return Case(write, measure, TARGETS)


GROUP = Group("writes", "Writes, 32 clients", tuple(_case(write) for write in WRITES), _prepare)
