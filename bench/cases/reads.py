"""The four reads of a deployment, on a model with 3 versions and on one with 2,000."""

from collections.abc import Callable

from bench import wire
from bench.case import Case, Figures, Group, Peer, at_most, times_better
from bench.cases import registry
from bench.seed import BIG_MODEL, BIG_VERSIONS
from bench.servers import Server

SMALL_MODEL = "three"
ALIAS = "champion"
CONNECTIONS = 32
TARGETS = (times_better("req/s", 25), at_most("CPU ms/req", 0.35))

Requests = Callable[[Server, str, list[int]], list[bytes]]


def _prepare(peer: Peer) -> None:
    registry.create_model(peer.server, SMALL_MODEL, 3)
    for name, newest in ((SMALL_MODEL, 3), (BIG_MODEL, BIG_VERSIONS)):
        registry.set_alias(peer.server, name, ALIAS, newest - 1)
        registry.move(peer.server, name, newest - 1, "Production")
        registry.move(peer.server, name, newest - 2, "Staging")


def _get(server: Server, name: str, numbers: list[int]) -> list[bytes]:
    return [wire.get(server, "model-versions/get", name=name, version=number) for number in numbers]


def _by_alias(server: Server, name: str, _: list[int]) -> list[bytes]:
    return [wire.get(server, "registered-models/alias", name=name, alias=ALIAS)]


def _latest(server: Server, name: str, _: list[int]) -> list[bytes]:
    return [wire.post(server, "registered-models/get-latest-versions", {"name": name})]


def _download_uri(server: Server, name: str, numbers: list[int]) -> list[bytes]:
    return [wire.get(server, "model-versions/get-download-uri", name=name, version=number) for number in numbers]


READS: dict[str, Requests] = {
    "get version": _get,
    "version by alias": _by_alias,
    "get-latest-versions": _latest,
    "get-download-uri": _download_uri,
}


def _case(read: str, model: str, numbers: list[int]) -> Case:
    def measure(peer: Peer) -> Figures:
        return peer.measure(READS[read](peer.server, model, numbers), connections=CONNECTIONS)

    size = BIG_VERSIONS if model == BIG_MODEL else 3
    return Case(f"{read}, {size:,} versions", measure, TARGETS)


def _cases() -> tuple[Case, ...]:
    spread = list(range(1, BIG_VERSIONS + 1, 7))
    small = [_case(read, SMALL_MODEL, [1, 2, 3]) for read in READS]
    return (*small, *(_case(read, BIG_MODEL, spread) for read in READS))


GROUP = Group("reads", "Reads, 32 clients", _cases(), _prepare)
