"""The words that every group of measurements uses: peer, case, figures, target."""

import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, seed
from bench.servers import Launcher, Server, mlflow_database

# Of these more is better, of everything else less.
MORE_IS_BETTER = frozenset({"req/s", "MB/s", "files/s", "of sha256 or disk", "of loopback or disk"})

# A few refusals are shown as errors; with more, the figures would be those of refusing.
MOST_REFUSED = 0.05

# Figure name -> value, for one case on one server.
Figures = dict[str, float]


class NoAnswerError(Exception):
    """Not one request of a case was answered within its limit."""


@dataclass
class Peer:
    """One side of the comparison; its server starts, on seeded data, when a case first asks for it.

    `besides` is what a group of cases started for this side alone; it ends with the server.
    """

    name: str
    launch: Launcher
    folder: Path
    shape: seed.Shape
    seconds: float
    journal: str
    artifact_roots: dict[str, str] = field(default_factory=dict)
    is_seeded: bool = True
    client_environment: dict[str, str] = field(default_factory=dict)
    besides: ExitStack = field(default_factory=ExitStack)
    _server: Server | None = None
    _failure: Exception | None = None

    @property
    def server(self) -> Server:
        """The running server. Raises, each time, what stopped it from starting or from being seeded."""
        if self._failure is not None:
            raise self._failure
        if self._server is None:
            try:
                self._server = self._seeded()
            except Exception as failure:
                self._failure = failure
                raise
        return self._server

    def _seeded(self) -> Server:
        data = self.folder / "seeded"
        if not self.is_seeded:
            return self.launch(data)
        if self.name == "mlflow":
            data.mkdir(parents=True)
            shutil.copyfile(seed.seeded_mlflow(self.shape), mlflow_database(data))
            seed.set_journal(mlflow_database(data), self.journal)
            return self.launch(data)
        server = self.launch(data)
        try:
            seed.fill_over_the_wire(server, self.shape)
        except BaseException:
            server.stop()
            raise
        return server

    def measure(self, requests: list[bytes], *, connections: int, least: int = 1, hard_seconds: float = 120) -> Figures:
        """Send requests in turn for the set time after a warm-up; the usual figures."""
        job = load.Job(
            self.server.port,
            self.server.pid,
            requests,
            connections=connections,
            seconds=self.seconds,
            warmup=self.seconds / 4,
            least=least,
            hard_seconds=hard_seconds,
        )
        result = load.run(job)
        if result.limit_reached:
            self._restart()
        return figures(result)

    def send_once(self, requests: list[bytes]) -> None:
        """Send each request once, one after the other, outside a measurement. Raises RuntimeError on a refusal."""
        result = load.run(load.Job(self.server.port, self.server.pid, requests, connections=1, count=len(requests)))
        if result.errors or result.answers != len(requests):
            raise RuntimeError(f"{result.errors} of {len(requests)} refused, the first: {result.first_error}")

    def _restart(self) -> None:
        """A request that outlived its case would work on in the server and burden the next one."""
        if self._server is not None:
            self._server.stop()
            self._server = self.launch(self.folder / "seeded")

    def close(self) -> None:
        """Stop the server if it runs, and all that runs besides."""
        self.besides.close()
        if self._server is not None:
            self._server.stop()


def figures(result: load.Result) -> Figures:
    """What the table shows of a load result. Raises when there is nothing to show: no answers, or refusals instead."""
    if result.answers == 0:
        raise NoAnswerError(result.first_error or f"no answer in {result.seconds:.0f} s")
    if result.errors > result.answers * MOST_REFUSED:
        raise RuntimeError(f"{result.errors} of {result.answers} refused, the first: {result.first_error}")
    if result.errors:
        print(f"{result.errors} errors, the first: {result.first_error}", file=sys.stderr)
    return {
        "req/s": result.per_second,
        "p50 ms": result.p50,
        "p99 ms": result.p99,
        "CPU ms/req": result.cpu_ms,
        "errors": float(result.errors),
    }


@dataclass(frozen=True)
class Target:
    """What Modelkeep has to reach in one figure: a bound of its own, or so many times better than the baseline."""

    figure: str
    bound: float
    times_better: bool = False
    least: bool = False

    def __str__(self) -> str:
        if self.times_better:
            return f">= {self.bound:g}x"
        return f">= {self.bound:g}" if self.least else f"<= {self.bound:g}"

    def met(self, ours: float, ratio: float | None) -> bool | None:
        """Whether it is reached; None where there is nothing to compare with."""
        if not self.times_better:
            return ours >= self.bound if self.least else ours <= self.bound
        return None if ratio is None else ratio >= self.bound


def at_most(figure: str, bound: float) -> Target:
    """A bound on Modelkeep's own figure."""
    return Target(figure, bound)


def at_least(figure: str, bound: float) -> Target:
    """What Modelkeep's own figure has to reach."""
    return Target(figure, bound, least=True)


def times_better(figure: str, bound: float) -> Target:
    """A bound on the ratio to the baseline."""
    return Target(figure, bound, times_better=True)


def better(figure: str, baseline: float | None, ours: float | None) -> float | None:
    """How many times better ours is than the baseline; None when either is missing or nothing."""
    if not baseline or not ours:
        return None
    return ours / baseline if figure in MORE_IS_BETTER else baseline / ours


@dataclass(frozen=True)
class Case:
    """One measurement and the targets of its figures."""

    name: str
    measure: Callable[[Peer], Figures]
    targets: tuple[Target, ...] = ()


def nothing_to_prepare(peer: Peer) -> None:
    """For groups whose cases need no data of their own."""


@dataclass(frozen=True)
class Group:
    """Cases that share a name on the command line and some prepared data."""

    name: str
    title: str
    cases: tuple[Case, ...]
    prepare: Callable[[Peer], None] = field(default=nothing_to_prepare)
