"""The server is killed at random moments under load: what it acknowledged is there, and nothing is there by halves."""

import random
import time

import pytest

from faults.load import CLIENTS, SHARED_MODEL, Load, new_seed
from faults.oracle import Oracle
from faults.whole import Served

SHORTEST, LONGEST = 0.05, 0.4


def kill_repeatedly(served: Served, kills: int) -> None:
    """Load, SIGKILL, start, compare; again and again on the same data, then compare everything once more."""
    seed = new_seed()
    moments, oracle = random.Random(seed), Oracle(seed)
    swept = 0
    served.wire.post("registered-models/create", name=SHARED_MODEL).ok()
    for number in range(kills):
        load = Load(served.server, oracle, f"kill{number}", seed)
        # A model and a run of each: however slow the machine, there is something to lose.
        load.wait_until(lambda load=load: load.accepted >= 2 * CLIENTS)
        time.sleep(moments.uniform(SHORTEST, LONGEST))
        served.server.kill()
        load.stop()
        swept += len(served.leftovers())
        served.start_later()
        served.assert_whole()
        oracle.compare(served.wire)
    oracle.compare_all(served.wire)
    served.assert_bytes()
    print(f"{kills} kills, {oracle.acknowledged} things acknowledged, {swept} leftovers swept")
    assert oracle.acknowledged > 10 * kills, "the clients hardly wrote anything"


def test_what_was_acknowledged_survives_a_few_kills(served: Served) -> None:
    """After each of four kills under load every acknowledged write and byte is there, and nothing by halves."""
    kill_repeatedly(served, 4)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_survives_hundreds_of_kills(served: Served) -> None:
    """After each of 150 kills of either server every acknowledged write and byte is there, and nothing by halves."""
    kill_repeatedly(served, 150)
