"""One caller at full speed takes nothing from another: the limit holds it, and nobody else is held (IN-10)."""

import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from security.raw import Raw
from servers import RunningServer

RATE, BURST = 15, 30
# So many wait for their turn of a second that more are refused.
NOISY_THREADS = 2 * RATE
SECONDS = 10.0
PAUSE_S = 0.1
MODELS = "/api/v1/models?limit=50"
# However busy the machine is that runs the tests: nobody waits a second because of somebody else.
LONGEST_S = 1.0


@dataclass
class Seen:
    """What a caller got: each answer's status, and how long it took."""

    statuses: list[int] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def ask(self, raw: Raw, target: str) -> None:
        """One request."""
        began = time.perf_counter()
        self.statuses.append(raw.request("GET", target).status)
        self.took.append(time.perf_counter() - began)

    @property
    def slowest_of_a_hundred(self) -> float:
        """The 99th percentile."""
        return statistics.quantiles(self.took, n=100)[-1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server with a limit, and things to be searched for."""
    arguments = ["--rate-limit", str(RATE), "--rate-burst", str(BURST)]
    with RunningServer(tmp_path / "data", arguments=arguments) as running:
        with Raw(running.port, running.token) as raw:
            for number in range(BURST):
                assert raw.json("POST", "/api/v1/models", {"name": f"m{number}"}).status == 201
        yield running


def somebody(server: RunningServer, name: str) -> str:
    """The token of somebody else, who may read everything."""
    with Raw(server.port, server.token) as raw:
        assert raw.json("POST", "/api/v1/users", {"name": name}).status == 201
        given = {"principal": f"user/{name}", "role": "viewer", "workspace": "default"}
        assert raw.json("POST", "/api/v1/assignments", given).status == 201
        return str(raw.json("POST", "/api/v1/tokens", {"owner": name, "name": "t"}).json["token"])


def calm(server: RunningServer, token: str, seconds: float) -> Seen:
    """Somebody who asks for something every now and then, well below the limit."""
    seen, end = Seen(), time.monotonic() + seconds
    with Raw(server.port, token) as raw:
        while time.monotonic() < end:
            seen.ask(raw, MODELS)
            time.sleep(PAUSE_S)
    return seen


def storm(server: RunningServer, token: str, seen: Seen, end: float) -> None:
    """Somebody who asks as fast as they are answered, whatever the answer."""
    with Raw(server.port, token) as raw:
        while time.monotonic() < end:
            seen.ask(raw, MODELS)


@pytest.mark.slow
def test_IN_10_a_caller_at_full_speed_does_not_slow_another(server: RunningServer) -> None:
    """The noisy one gets no more than the limit and 429 for the rest; the other is always served, and soon.

    The other's slowest answers of a hundred stay near those that they get alone.
    """
    noisy, quiet = somebody(server, "noisy"), somebody(server, "quiet")
    alone = calm(server, quiet, SECONDS / 2)
    seen, began = Seen(), time.monotonic()
    threads = [
        threading.Thread(target=storm, args=(server, noisy, seen, began + SECONDS)) for _ in range(NOISY_THREADS)
    ]
    for thread in threads:
        thread.start()
    beside = calm(server, quiet, SECONDS)
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - began

    assert set(alone.statuses) == set(beside.statuses) == {200}
    assert set(seen.statuses) == {200, 429}
    assert seen.statuses.count(200) <= BURST + RATE * (lasted + 1)
    assert seen.statuses.count(429) > BURST
    assert len(beside.took) > SECONDS / PAUSE_S / 4
    assert beside.slowest_of_a_hundred <= max(LONGEST_S, 10 * alone.slowest_of_a_hundred), alone.slowest_of_a_hundred
