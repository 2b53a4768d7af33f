"""Rate limits: whoever is too fast is slowed down, then refused with a time to wait, and moves nobody else (IN-10)."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.core.errors import TooManyRequests
from modelkeep.faces.pace import Pace, Turns
from security.raw import Raw, Reply
from servers import RunningServer

MODELS = "/api/v1/models"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that takes ten requests at once and five a second from one caller."""
    with RunningServer(tmp_path / "data", arguments=["--rate-limit", "5", "--rate-burst", "10"]) as running:
        yield running


def refused(reply: Reply) -> bool:
    """Whether a request was one too many, and says so as it should."""
    if reply.status != 429:
        return False
    assert int(reply.headers["retry-after"]) >= 1
    problem = reply.problem()
    assert problem.get("code") == "too_many_requests" or problem["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    return True


def storm(server: RunningServer, token: str | None, target: str, threads: int = 16, calls: int = 4) -> list[Reply]:
    """What so many threads get that all call at once."""
    replies: list[Reply] = []

    def call() -> None:
        with Raw(server.port, token) as raw:
            replies.extend(raw.request("GET", target) for _ in range(calls))

    started = [threading.Thread(target=call) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return replies


def another_token(server: RunningServer) -> str:
    """A token of somebody else."""
    with Raw(server.port, server.token) as raw:
        assert raw.json("POST", "/api/v1/users", {"name": "eve", "password": "a long enough passphrase"}).status == 201
        made = raw.json("POST", "/api/v1/tokens", {"owner": "eve", "name": "t"})
        assert made.status == 201, made
        return str(made.json["token"])


def test_IN_10_a_burst_is_refused_with_a_time_to_wait(server: RunningServer) -> None:
    """Beyond the burst a caller gets 429 and Retry-After on both faces; after that time they are served again."""
    for target in (MODELS, "/api/2.0/mlflow/registered-models/search"):
        replies = storm(server, server.token, target)
        late = [reply for reply in replies if refused(reply)]
        assert late, [reply.status for reply in replies]
        assert {reply.status for reply in replies} == {200, 429}
        time.sleep(max(int(reply.headers["retry-after"]) for reply in late))
        with Raw(server.port, server.token) as raw:
            assert raw.request("GET", target).status == 200


def test_IN_10_callers_have_a_bucket_each(server: RunningServer) -> None:
    """While one caller is refused, another one from the same address is served."""
    other = another_token(server)
    replies = storm(server, server.token, MODELS)
    assert any(map(refused, replies))
    with Raw(server.port, other) as raw:
        assert [raw.request("GET", "/api/v1/me").status for _ in range(5)] == [200] * 5


def test_IN_10_strangers_share_the_bucket_of_their_address(server: RunningServer) -> None:
    """Bad tokens, no tokens and open routes count for the address; who signed in is not held up by them."""
    replies = storm(server, "mk_0123456789abcdef_nothing", MODELS)
    assert {reply.status for reply in replies} == {401, 429}
    assert any(map(refused, storm(server, None, "/health")))
    with Raw(server.port, server.token) as raw:
        assert raw.request("GET", MODELS).status == 200


def test_a_caller_who_is_a_little_too_fast_is_only_slowed_down(server: RunningServer) -> None:
    """One after the other, thirty requests are all answered, at the pace that is allowed."""
    with Raw(server.port, server.token) as raw:
        began = time.monotonic()
        assert [raw.request("GET", MODELS).status for _ in range(30)] == [200] * 30
        assert time.monotonic() - began > 3


def test_without_a_limit_nobody_waits(tmp_path: Path) -> None:
    """`--rate-limit 0` lets every request through."""
    with RunningServer(tmp_path / "data", arguments=["--rate-limit", "0", "--rate-burst", "1"]) as server:
        assert {reply.status for reply in storm(server, server.token, MODELS)} == {200}


@given(st.floats(0.5, 1000), st.integers(1, 1000), st.lists(st.floats(0, 5), max_size=200))
def test_no_order_of_requests_gets_more_than_burst_and_rate(rate: float, burst: int, gaps: list[float]) -> None:
    """However requests are spread, within any time no more run than the burst and what the rate gives."""
    pace, now, begun = Pace(rate, burst), 1000.0, []
    for gap in gaps:
        now += gap
        try:
            begun.append(now + pace.take("somebody", now))
        except TooManyRequests as error:
            assert error.retry_after_s >= 1
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            assert last - first + 1 <= burst + (begun[last] - begun[first]) * rate + 1.001


def test_buckets_do_not_pile_up() -> None:
    """A million callers take no more room than some thousand, and those at work keep their buckets."""
    pace = Pace(1000.0, 10)
    for number in range(100_000):
        pace.take(f"caller {number}", 1000.0 + number / 1000)
    assert len(pace._buckets) <= 10_000


def test_searches_of_one_caller_wait_for_one_another() -> None:
    """No more than so many run at once, all get their turn, others do not wait, and beyond a hundred it is refused."""
    turns = Turns(3)
    inside = {"noisy": 0, "quiet": 0}
    most = dict(inside)

    async def search(who: str) -> str:
        inside[who] += 1
        most[who] = max(most[who], inside[who])
        await asyncio.sleep(0.001)
        inside[who] -= 1
        return who

    async def crowd() -> None:
        noisy = [asyncio.create_task(turns.run("noisy", lambda: search("noisy"))) for _ in range(120)]
        await asyncio.sleep(0)
        assert await turns.run("quiet", lambda: search("quiet")) == "quiet"
        assert not all(task.done() for task in noisy)
        done = await asyncio.gather(*noisy, return_exceptions=True)
        assert done.count("noisy") == 103
        assert sum(isinstance(one, TooManyRequests) for one in done) == 17

    asyncio.run(crowd())
    assert most == {"noisy": 3, "quiet": 1}
    assert turns._lanes == {}


def test_a_search_that_fails_or_is_given_up_gives_its_turn_back() -> None:
    """After errors and cancellations as many run at once as before."""
    turns = Turns(1)

    async def fail() -> None:
        raise ValueError

    async def rounds() -> None:
        for _ in range(5):
            with pytest.raises(ValueError):
                await turns.run("a", fail)
            waiting = asyncio.create_task(turns.run("a", lambda: asyncio.sleep(60)))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        await turns.run("a", lambda: asyncio.sleep(0))

    asyncio.run(rounds())
    assert turns._lanes == {}
