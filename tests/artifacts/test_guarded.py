"""What stands before the calls of a store: they are counted, limited, and made again while that may help."""

import threading
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from modelkeep.artifacts import Backoff, Guard
from modelkeep.artifacts.stores.backoff import Refused
from modelkeep.core.errors import Corrupt, DomainError, NotFound, StorageFull, Unavailable

PATIENCE = Backoff(give_up_after_s=30, first_pause_s=0.001, longest_pause_s=0.002)


def failing(times: int, error: DomainError) -> Callable[[], int]:
    """A call that fails so often, and then gives how often it was made."""
    made = 0

    def call() -> int:
        nonlocal made
        made += 1
        if made <= times:
            raise error
        return made

    return call


def counted(metric: str, store: str, **labels: str) -> float:
    """What a metric of a store has come to."""
    return REGISTRY.get_sample_value(metric, {"store": store, **labels}) or 0.0


def test_made_again() -> None:
    """A call that is not answered is made again until it is, and each time counts."""
    guard = Guard("again", PATIENCE)
    assert guard.call("open", failing(3, Unavailable("away"))) == 4
    assert counted("modelkeep_blob_calls_total", "again", call="open", outcome="unavailable") == 3
    assert counted("modelkeep_blob_calls_total", "again", call="open", outcome="ok") == 1
    assert counted("modelkeep_blob_calls_repeated_total", "again", call="open") == 3
    assert counted("modelkeep_blob_call_seconds_count", "again", call="open") == 4


@pytest.mark.parametrize(
    "error", [Refused("no"), NotFound("no"), Corrupt("no"), StorageFull("no")], ids=lambda e: e.code
)
def test_not_made_again(error: DomainError) -> None:
    """What another try would not change is raised at once."""
    call = failing(1, error)
    with pytest.raises(type(error)):
        Guard("not again", PATIENCE).call("open", call)
    assert call() == 2


def test_given_up() -> None:
    """A store that stays away is given up in the end, and a call that cannot be repeated at once."""
    with pytest.raises(Unavailable):
        Guard("given up", Backoff(0.01, 0.001)).call("open", failing(10**9, Unavailable("away")))
    call = failing(1, Unavailable("away"))
    with pytest.raises(Unavailable):
        Guard("given up", PATIENCE).once("write", call)
    assert call() == 2


def test_nobody_waits_any_more() -> None:
    """Nothing is asked again for whom the answer no longer matters."""
    call = failing(1, Unavailable("away"))
    with pytest.raises(Unavailable):
        PATIENCE.call(call, is_over=lambda: True)
    assert call() == 2


def test_limit() -> None:
    """No more calls than allowed run at once, and all have their turn."""
    guard, lock, running, most = Guard("limit", None, 2), threading.Lock(), 0, 0
    together = threading.Barrier(2)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(30)
        with lock:
            running -= 1

    threads = [threading.Thread(target=lambda: guard.call("open", work)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert counted("modelkeep_blob_calls_total", "limit", call="open", outcome="ok") == 8
