"""What is hidden takes the time of what is not there: the same statements, and times that cannot be told apart (AZ-08).

The first is the reason, and tested for every route; the second what somebody outside could measure.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from scipy.stats import mannwhitneyu

from modelkeep import app
from security.access_matrix import asked
from security.counted import Counting
from security.furniture import furnish
from security.governed import Asked, Governed, Wire
from security.raw import Raw
from security.table import ROUTES
from security.test_access_matrix import HIDDEN, NEVER, NEW_NAMES, SAY_MORE
from servers import RunningServer

ELSEWHERE = ((b"x-mlflow-workspace", b"red"),)


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Governed, Counting]]:
    """The furnished registry, and what every request asks of its database; nothing is kept of what requests change.

    Which workspaces there are is not looked up anew between a request and the one that it is compared with.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        Governed.start(tmp_path_factory.mktemp("timing") / "data") as registry,
    ):
        patch.setattr(app, "_WORKSPACE_KNOWN_S", 3600.0)
        furnish(registry)
        registry.keep_nothing()
        database = Counting(registry.app.database)
        registry.wire.close()
        registry.app = replace(registry.app, database=database)
        registry.wire = Wire(registry.app)
        yield registry, database


def statements(counting: tuple[Governed, Counting], request: Asked) -> list[str]:
    """What a request asks of the database before it is answered; of a change that had to run again, the last time."""
    registry, database = counting
    _, heard = registry.wire.listened(database, request)
    began = [at for at, one in enumerate(heard) if one == "write"]
    return heard[began[-1] :] if began else heard


def pairs(registry: Governed, who: str, names: tuple[str, ...]) -> Iterator[tuple[str, Asked, Asked]]:
    """Every route that takes one of these, with what is hidden and with what never was."""
    swap = {str(registry.made[name]): NEVER[name] for name in names}
    for route in ROUTES:
        here, never = asked(registry, route, who), asked(registry, route, who, swap=swap)
        if route.operation.name not in NEW_NAMES | SAY_MORE and (here.target, here.body) != (never.target, never.body):
            yield str(route), here, never


@pytest.mark.parametrize("who", HIDDEN)
def test_AZ_08_hidden_and_absent_take_the_same_statements(counting: tuple[Governed, Counting], who: str) -> None:
    """On every route the database is asked the same for what a caller may not know of as for what never was."""
    wrong = []
    for route, here, never in pairs(counting[0], who, HIDDEN[who]):
        statements(counting, here)
        hidden, absent = statements(counting, here), statements(counting, never)
        if hidden != absent:
            wrong.append((route, len(hidden), len(absent)))
    assert wrong == []


def test_AZ_08_another_workspace_takes_the_same_statements(counting: tuple[Governed, Counting]) -> None:
    """From another workspace, by somebody who may do everything there, the same: ids and names of here are none."""
    wrong, tried = [], 0
    for route, here, never in pairs(counting[0], "member of red only", tuple(NEVER)):
        there = [replace(one, headers=(*one.headers, *ELSEWHERE)) for one in (here, here, never)]
        _, hidden, absent = [statements(counting, one) for one in there]
        tried += 1
        if hidden != absent:
            wrong.append((route, len(hidden), len(absent)))
    assert wrong == []
    assert tried > 100


# A request that is told that nothing is there: method, address, and the field of a body that has the name.
Kinds = dict[str, tuple[str, str, str, tuple[str, str]]]
RPC = "/api/2.0/mlflow/"
SAMPLES = 1_000
BURSTS, IN_A_BURST = 20, 50
# Somebody who asks over a network sees differences of no less.
LEAST_SEEN_S = 0.001


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Raw, Kinds]]:
    """Somebody who may know of one model, on a server that has more; and what they may ask for in vain."""
    folder = tmp_path_factory.mktemp("measured")
    with (
        RunningServer(folder / "data", arguments=["--rate-limit", "0"]) as server,
        Raw(server.port, server.token) as raw,
    ):
        kinds = furnished(raw)
        token = raw.json("POST", "/api/v1/tokens", {"owner": "eve", "name": "t"}).json["token"]
        with Raw(server.port, token) as eve:
            yield eve, kinds


def furnished(raw: Raw) -> Kinds:
    """Things that are hidden from eve, each beside what never was."""

    def post(rpc: str, **fields: object) -> dict[str, dict[str, dict[str, str]]]:
        reply = raw.json("POST", RPC + rpc, fields)
        assert reply.status == 200, reply
        found: dict[str, dict[str, dict[str, str]]] = reply.json
        return found

    experiment = str(post("experiments/create", name="hidden")["experiment_id"])
    run = post("runs/create", experiment_id=experiment, start_time=1)["run"]["info"]
    root, nobodys = run["artifact_uri"].removeprefix("mlflow-artifacts:/"), "0" * 32
    files = f"/api/2.0/mlflow-artifacts/artifacts/{root}/a.txt"
    assert raw.request("PUT", files, b"x").status == 200
    for name in ("hidden", "mine"):
        post("registered-models/create", name=name)
        post("model-versions/create", name=name, source=run["artifact_uri"])
    assert raw.json("POST", "/api/v1/users", {"name": "eve"}).status == 201
    given = {"principal": "user/eve", "role": "contributor", "model": "mine"}
    assert raw.json("POST", "/api/v1/assignments", given).status == 201
    names = ("hidden", "absent")
    return {
        "model": ("GET", "/api/v1/models/{}", "", names),
        "version": ("GET", "/api/v1/models/{}/versions/1", "", names),
        "tag": ("POST", RPC + "registered-models/set-tag", "name", names),
        "experiment": ("GET", RPC + "experiments/get?experiment_id={}", "", (experiment, "987654")),
        "experiment by name": ("GET", RPC + "experiments/get-by-name?experiment_name={}", "", names),
        "run": ("GET", RPC + "runs/get?run_id={}", "", (run["run_id"], nobodys)),
        "file": ("GET", files.replace(run["run_id"], "{}"), "", (run["run_id"], nobodys)),
    }


def asker(asking: tuple[Raw, Kinds], kind: str) -> Callable[[int], float]:
    """How long the answer takes: 0 for what is hidden, 1 for what is not there."""
    raw, (method, address, field, names) = asking[0], asking[1][kind]

    def ask(which: int) -> float:
        began = time.perf_counter()
        if field:
            reply = raw.json(method, address, {field: names[which], "key": "k", "value": "v"})
        else:
            reply = raw.request(method, address.format(names[which]))
        took = time.perf_counter() - began
        assert reply.status == 404, (kind, reply)
        return took

    return ask


def told_apart(hidden: list[float], absent: list[float]) -> bool:
    """Whether two series of times differ, and by more than anybody could see from outside."""
    difference = abs(statistics.median(hidden) - statistics.median(absent))
    return difference > LEAST_SEEN_S and mannwhitneyu(hidden, absent).pvalue < 0.001


KINDS = ["model", "version", "tag", "experiment", "experiment by name", "run", "file"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_AZ_08_times_do_not_tell_hidden_from_absent(asking: tuple[Raw, Kinds], kind: str) -> None:
    """A thousand answers of each, asked in any order, take the same time to within what a network lets through."""
    ask, chance = asker(asking, kind), random.Random(8)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(SAMPLES):
        for which in chance.sample((0, 1), 2):
            times[which].append(ask(which))
    assert not told_apart(*times), [statistics.median(one) for one in times]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_AZ_08_bursts_do_not_tell_hidden_from_absent(asking: tuple[Raw, Kinds], kind: str) -> None:
    """Nor does a row of requests for the same: what the server does about one of them does not slow the next."""
    ask = asker(asking, kind)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(BURSTS):
        for which in ((0, 1), (1, 0))[number % 2]:
            times[which].append(sum(ask(which) for _ in range(IN_A_BURST)) / IN_A_BURST)
            time.sleep(0.05)
    assert not told_apart(*times), [statistics.median(one) for one in times]
