"""PostgreSQL is restarted while versions are registered: each is there or was refused, and none by halves."""

import hashlib
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import postgres
from faults.load import Line
from faults.oracle import Oracle, Registration, check_files
from faults.whole import Served
from servers import RunningServer

CLIENTS = 4
PATIENCE = 60.0
ENDS = (signal.SIGINT, signal.SIGQUIT, signal.SIGINT)
# Enough that the last registrations meet a server that is going down, and few enough for a quick test.
EACH = 25
# Long enough that tries which become rarer and rarer would be far apart by then, and what one wait may take at most.
OUTAGE, WAIT = 17.0, 10.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[postgres.OwnServer]:
    """A PostgreSQL server of this test's own."""
    # Below a folder that PostgreSQL's user may enter.
    server = postgres.OwnServer(Path(os.environ["MODELKEEP_TEST_SHARED"]) / f"own-{tmp_path.name}")
    yield server
    server.stop()


@pytest.fixture
def served(database: postgres.OwnServer, tmp_path: Path) -> Iterator[Served]:
    """A started server on it."""
    with postgres.empty_database(database.address) as url, RunningServer(tmp_path / "data", database=url) as server:
        yield Served(server, url)


class Registering:
    """Clients that register versions of one model until they are told to stop; 503 is the only other answer."""

    def __init__(self, served: Served, oracle: Oracle, source: str, files: dict[str, str]) -> None:
        self.done = self.refused = 0
        self._served, self._oracle, self._source, self._files = served, oracle, source, files
        self._counts = threading.Lock()
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._ends = [self._threads.submit(self._work, at) for at in range(CLIENTS)]

    def wait_for(self, more: int) -> None:
        """Until so many more were registered."""
        wanted, deadline = self.done + more, time.monotonic() + PATIENCE
        while self.done < wanted and not any(end.done() for end in self._ends):
            assert time.monotonic() < deadline, f"{self.done} registered, {self.refused} refused"
            time.sleep(0.01)

    def stop(self) -> None:
        """End the clients; raises what any of them was surprised by."""
        self._stopping.set()
        for end in self._ends:
            end.result()
        self._threads.shutdown()

    def _work(self, client: int) -> None:
        line = Line(self._served.server)
        for number in itertools.count():
            if self._stopping.is_set():
                break
            self._register(line, f"{client}-{number}")
        line.close()

    def _register(self, line: Line, nonce: str) -> None:
        # One that is refused stays in question: the database may have gone after it had it.
        wanted = self._oracle.registrations[nonce] = Registration("model", self._files)
        fields = {"name": "model", "source": self._source, "description": nonce}
        answer = line.call("POST", "/api/2.0/mlflow/model-versions/create", json.dumps(fields).encode())
        with self._counts:
            if answer.status == 503:
                answer.refused(503, "TEMPORARILY_UNAVAILABLE", "try again")
                self.refused += 1
            else:
                wanted.number = int(answer.ok()["model_version"]["version"])
                self.done += 1


@pytest.mark.slow
def test_registrations_outlive_restarts_of_the_database(database: postgres.OwnServer, served: Served) -> None:
    """Restarted three times, once as by a crash: each registration is whole or refused, and numbers have no gap."""
    wire, oracle, content = served.wire, Oracle(0), os.urandom(2_000_000)
    wire.post("registered-models/create", name="model").ok()
    root = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]["artifact_uri"]
    wire.put_file(f"{root.removeprefix('mlflow-artifacts:/')}/m/weights", content).ok()
    files = {"weights": hashlib.sha256(content).hexdigest()}
    registering = Registering(served, oracle, f"{root}/m", files)
    for how in ENDS:
        registering.wait_for(EACH)
        database.stop(how)
        time.sleep(0.3)
        database.start()
    registering.wait_for(EACH)
    registering.stop()
    print(f"{registering.done} registered, {registering.refused} refused")
    assert registering.refused > 0
    oracle.compare_all(wire)
    check_files(wire, "model", registering.done, files)
    served.assert_whole()
    served.assert_bytes()


@pytest.mark.slow
def test_an_outage_of_the_database_ends_for_clients_when_it_ends(database: postgres.OwnServer, served: Served) -> None:
    """While PostgreSQL is down requests are refused in time; soon after it is back they are answered."""
    line, began = Line(served.server), time.monotonic()
    database.stop()
    while time.monotonic() < began + OUTAGE:
        asked = time.monotonic()
        line.call("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0").refused(
            503, "TEMPORARILY_UNAVAILABLE", "try again"
        )
        assert time.monotonic() - asked < WAIT + 2
    database.start()
    back = time.monotonic()
    while line.call("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0").status == 503:
        assert time.monotonic() - back < WAIT
    line.close()
    assert time.monotonic() - back < WAIT
