"""Many clients that act at the same moment."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from faces.mlflow.build import Build
from faces.mlflow.wire import Answer, Wire
from servers import RunningServer

T = TypeVar("T")


class Crowd:
    """Clients spread evenly over the servers of one registry."""

    def __init__(self, servers: Sequence[RunningServer]) -> None:
        self.servers = servers
        self.wires = [Wire(server.url, server.token) for server in servers]
        self.wire = self.wires[0]
        self.build = Build(self.wire)

    def at_once(self, clients: int, act: Callable[[Wire, int], T]) -> list[T]:
        """What each client gets from `act(wire, its number)`, when all begin together."""
        barrier = threading.Barrier(clients)

        def begin(number: int) -> T:
            barrier.wait()
            return act(self.wires[number % len(self.wires)], number)

        with ThreadPoolExecutor(clients) as threads:
            return list(threads.map(begin, range(clients)))

    def run_folder(self) -> str:
        """The path of a new run's files."""
        return self.build.artifacts_of(self.build.run())


def statuses(answers: Sequence[Answer]) -> list[int]:
    """The status of each answer, in order of size."""
    return sorted(answer.status for answer in answers)
