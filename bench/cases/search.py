"""Searches by one client, a page of 100 each, over 100,000 versions and 100,000 runs."""

from collections.abc import Callable

from bench import wire
from bench.case import Case, Figures, Group, NoAnswerError, Peer, at_most
from bench.seed import EXPERIMENT, Shape

PAGE = 100
VARIANTS = 10
LEAST = 3
HARD_SECONDS = 60.0
UNANSWERED = "unanswered, so at least"
TARGETS = (at_most("p50 ms", 10),)
SHOWN = ("p50 ms", "p99 ms", "CPU ms/req", "errors")


def _case(name: str, requests: Callable[[Peer], list[bytes]]) -> Case:
    def measure(peer: Peer) -> Figures:
        try:
            found = peer.measure(requests(peer), connections=1, least=LEAST, hard_seconds=HARD_SECONDS)
        except NoAnswerError:
            return {"p50 ms": HARD_SECONDS * 1000, UNANSWERED: 1.0}
        return {figure: found[figure] for figure in SHOWN}

    return Case(name, measure, TARGETS)


def _versions(filters: Callable[[Shape], list[str]]) -> Callable[[Peer], list[bytes]]:
    def requests(peer: Peer) -> list[bytes]:
        wanted = filters(peer.shape)
        return [wire.get(peer.server, "model-versions/search", max_results=PAGE, filter=text) for text in wanted]

    return requests


def _models(filters: Callable[[Shape], list[str]]) -> Callable[[Peer], list[bytes]]:
    def requests(peer: Peer) -> list[bytes]:
        wanted = filters(peer.shape)
        return [wire.get(peer.server, "registered-models/search", max_results=PAGE, filter=text) for text in wanted]

    return requests


def _runs(filters: list[str], order_by: list[str]) -> Callable[[Peer], list[bytes]]:
    def requests(peer: Peer) -> list[bytes]:
        found = wire.call(peer.server, "GET", "experiments/get-by-name", experiment_name=EXPERIMENT)
        rest = {"experiment_ids": [found["experiment"]["experiment_id"]], "max_results": PAGE, "order_by": order_by}
        return [wire.post(peer.server, "runs/search", {"filter": text, **rest}) for text in filters]

    return requests


def _prefixes(shape: Shape) -> list[str]:
    """Each finds ten models."""
    return [f"name LIKE 'model-{index:03d}%'" for index in range(max(1, shape.models // 10))][:VARIANTS]


def _infixes(shape: Shape) -> list[str]:
    """Each finds one model, by letters that begin no name."""
    return [f"name LIKE '%{index:03d}4%'" for index in range(max(1, shape.models // 10))][:VARIANTS]


def _every(_: Shape) -> list[str]:
    return [""]


def _team(_: Shape) -> list[str]:
    return [f"tags.team = 'team-{index}'" for index in range(VARIANTS)]


def _build(_: Shape) -> list[str]:
    return [f"tags.build = 'build-{index:04d}'" for index in range(VARIANTS)]


METRIC = [f"metrics.acc > 0.{90 + index}" for index in range(VARIANTS)]
RARE_METRIC = [f"metrics.acc > 0.99{90 + index}" for index in range(VARIANTS)]
PARAM = [f"params.lr = '0.{index}'" for index in range(VARIANTS)]
RARE_PARAM = [f"params.seed = '{index}'" for index in range(VARIANTS)]
RUN_TAG = [f"tags.dataset = 'dataset-{index:04d}'" for index in range(VARIANTS)]

CASES = (
    _case("versions, first page", _versions(_every)),
    _case("versions, name LIKE 'prefix%'", _versions(_prefixes)),
    _case("versions, name LIKE '%infix%'", _versions(_infixes)),
    _case("versions, tag = (1 in 10)", _versions(_team)),
    _case("versions, tag = (1 in 1,000)", _versions(_build)),
    _case("models, first page", _models(_every)),
    _case("models, name LIKE '%infix%'", _models(_infixes)),
    _case("runs, default order", _runs([""], [])),
    _case("runs, metric > (1 in 10 and fewer)", _runs(METRIC, [])),
    _case("runs, metric > (1 in 1,000 and fewer)", _runs(RARE_METRIC, [])),
    _case("runs, param = (1 in 10)", _runs(PARAM, [])),
    _case("runs, param = (1 in 1,000)", _runs(RARE_PARAM, [])),
    _case("runs, tag = (1 in 1,000)", _runs(RUN_TAG, [])),
    _case("runs, order by metric DESC", _runs([""], ["metrics.acc DESC"])),
    _case("runs, metric > and order by it", _runs(METRIC, ["metrics.acc DESC"])),
)

GROUP = Group("search", "Searches, 1 client, pages of 100", CASES)
