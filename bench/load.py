"""The load generator: N keep-alive connections in a process of its own, costing little CPU beside the server.

Requests come as ready bytes and answers are read by Content-Length alone. A job arrives pickled on standard input, the
result leaves as JSON on standard output. All of it goes to 127.0.0.1.
"""

import asyncio
import json
import pickle
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.processes import cpu_seconds
from bench.servers import HOST
from bench.wire import FIRST_IN_SEQUENCE, SEQUENCE

ROOT = Path(__file__).resolve().parent.parent
MARK = str(SEQUENCE).encode()
MOST_ERRORS = 200


@dataclass(frozen=True)
class Job:
    """What to send, over how many connections, and when to stop.

    With `count` every request counts and exactly that many are sent. Otherwise the requests are sent in turn: first for
    `warmup` seconds and at least one answer a connection, then measured for `seconds` and at least `least` answers.
    """

    port: int
    server_pid: int
    requests: list[bytes]
    connections: int = 32
    seconds: float = 4.0
    warmup: float = 1.0
    least: int = 1
    count: int | None = None
    hard_seconds: float = 120.0
    first: int = 0
    collect: bytes | None = None


@dataclass
class Result:
    """What was measured; times in milliseconds unless named otherwise."""

    answers: int = 0
    errors: int = 0
    seconds: float = 0.0
    per_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    cpu_ms: float = 0.0
    load_cpu: float = 0.0
    sent: int = 0
    limit_reached: bool = False
    first_error: str = ""
    collected: list[str] = field(default_factory=list)


def run(job: Job) -> Result:
    """Run a job in a child process. Raises CalledProcessError when the child itself fails."""
    child = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=pickle.dumps(job),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
        timeout=job.hard_seconds + 60,
    )
    return Result(**json.loads(child.stdout))


class Load:
    """The state that the connections of one job share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.collect = re.compile(job.collect) if job.collect else None
        self.result = Result()
        self.latencies: list[float] = []
        self.finished = asyncio.get_running_loop().create_future()
        self.sent = 0
        self.answered = 0
        self.measuring = job.count is not None
        self.collected: dict[int, str] = {}
        self.began = time.perf_counter()
        self.cpu_before = cpu_seconds(job.server_pid)
        self.own_before = time.process_time()

    def next_request(self) -> tuple[int, bytes] | None:
        """The number and bytes of the next request, None when there is nothing more to send."""
        if self.finished.done() or (self.job.count is not None and self.sent >= self.job.count):
            return None
        number = self.sent + self.job.first
        self.sent += 1
        data = self.job.requests[number % len(self.job.requests)]
        return number, data.replace(MARK, b"%d" % (FIRST_IN_SEQUENCE + number))

    def answer(self, number: int, started: float, status: bytes, response: bytes) -> None:
        """Take note of an answer, and turn from warming up to measuring and from measuring to done."""
        now = time.perf_counter()
        self.answered += 1
        if self.measuring:
            self._record(number, now - started, status, response)
        elif now - self.began >= self.job.warmup and self.answered >= self.job.connections:
            self._start_measuring()
        if self._done(now):
            self.stop()

    def _record(self, number: int, latency: float, status: bytes, response: bytes) -> None:
        self.latencies.append(latency)
        if status != b"200":
            self.fail(status.decode() + " " + response.partition(b"\r\n\r\n")[2][:300].decode(errors="replace"))
        elif self.collect and (found := self.collect.search(response)):
            self.collected[number] = found[1].decode()

    def _start_measuring(self) -> None:
        self.measuring = True
        self.began = time.perf_counter()
        self.cpu_before = cpu_seconds(self.job.server_pid)
        self.own_before = time.process_time()

    def _done(self, now: float) -> bool:
        if not self.measuring:
            return False
        if self.job.count is not None:
            return self.answered >= self.job.count
        return now - self.began >= self.job.seconds and len(self.latencies) >= self.job.least

    def fail(self, reason: str) -> None:
        """Count an error; too many end the job."""
        self.result.errors += 1
        self.result.first_error = self.result.first_error or reason
        if self.result.errors >= MOST_ERRORS:
            self.stop()

    def broke(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A fault of the generator itself ends the job at once, with nothing to report but the fault."""
        self.fail(f"load generator: {context.get('exception') or context['message']}")
        self.latencies.clear()
        self.stop()

    def give_up(self) -> None:
        """The hard limit was reached; requests may still be under way in the server."""
        self.result.limit_reached = True
        self.stop()

    def stop(self) -> None:
        """Close the measurement."""
        if self.finished.done():
            return
        result, self.result.seconds = self.result, time.perf_counter() - self.began
        result.answers = len(self.latencies)
        cpu = cpu_seconds(self.job.server_pid) - self.cpu_before
        result.load_cpu = (time.process_time() - self.own_before) / max(result.seconds, 1e-9)
        result.per_second = result.answers / max(result.seconds, 1e-9)
        result.cpu_ms = cpu * 1000 / max(result.answers, 1)
        result.p50, result.p99 = percentile(self.latencies, 0.50) * 1000, percentile(self.latencies, 0.99) * 1000
        result.sent = self.sent
        result.collected = [self.collected[number] for number in sorted(self.collected)]
        self.finished.set_result(None)


class Client(asyncio.Protocol):
    """One connection: send, wait for the whole answer, send the next."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.parts: list[bytes] = []
        self.missing = 0
        self.number = -1
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin at once."""
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        following = self.load.next_request()
        self.number = -1
        if following is None or self.transport is None:
            return
        self.number, data = following
        self.parts, self.missing = [], 0
        self.started = time.perf_counter()
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Collect the answer; its length is known once the head is whole."""
        self.parts.append(data)
        self.missing -= len(data)
        if self.missing > 0:
            return
        response = b"".join(self.parts)
        self.parts = [response]
        end = response.find(b"\r\n\r\n")
        if end < 0:
            return
        self.missing = end + 4 + content_length(response[:end]) - len(response)
        if self.missing <= 0:
            self.load.answer(self.number, self.started, response[9:12], response)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection lost under a request is an error; another takes its place while the job runs."""
        if self.load.finished.done():
            return
        if self.number >= 0:
            self.load.answered += 1
            self.load.fail(f"connection lost: {exc}")
        reconnect = asyncio.get_running_loop().create_task(open_client(self.load))
        reconnect.add_done_callback(_ignore_refusal)


def _ignore_refusal(task: asyncio.Task[None]) -> None:
    """A refused reconnection shows as missing answers; the hard limit ends the job."""
    if not task.cancelled():
        task.exception()


async def open_client(load: Load) -> None:
    """Open one connection of the job."""
    await asyncio.get_running_loop().create_connection(lambda: Client(load), HOST, load.job.port)


def content_length(header: bytes) -> int:
    """The body's length that a response head declares; 0 without one."""
    lower = header.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(lower[at + 17 :].split(b"\r\n", 1)[0])


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies; 0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def _execute(job: Job) -> Result:
    load = Load(job)
    asyncio.get_running_loop().set_exception_handler(load.broke)
    await asyncio.gather(*(open_client(load) for _ in range(job.connections)))
    hard = asyncio.get_running_loop().call_later(job.hard_seconds, load.give_up)
    await load.finished
    hard.cancel()
    return load.result


def main() -> None:
    """Read a job, run it, write the result."""
    job: Job = pickle.load(sys.stdin.buffer)
    result = uvloop.run(_execute(job))
    # Not by `print`: with PYTHONUNBUFFERED it gives the text to the system once, and what a pipe did not take of it (a
    # process that is stopped and continued takes part of it) is lost without an error.
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(json.dumps(asdict(result)).encode())


if __name__ == "__main__":
    main()
