"""One line of JSON for each request, and the same facts as Prometheus metrics."""

import asyncio
import contextlib
import logging
import re
import sys
import time
from datetime import UTC, datetime

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_encode = msgspec.json.Encoder().encode
# What JSON leaves as it is and a terminal obeys, or takes for the end of a line or for a change of direction.
_COMMANDS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class JsonLines(logging.Formatter):
    """Log records as JSON objects, one a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's message and fields, and the traceback if it has one."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return line_of(entry)


def line_of(entry: dict[str, object]) -> str:
    """A log entry as one line of JSON that no terminal obeys."""
    text = _encode(entry).decode()
    return text if text.isprintable() else _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def configure_logging() -> None:
    """Send all logs to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


class AccessLog:
    """Counts requests by operation and writes a line for each."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["operation", "status"]
        self._requests = Counter(
            "modelkeep_http_requests", "Requests answered, by operation and status", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "modelkeep_http_request_duration_seconds",
            "Time from the request's head to the last byte of the answer",
            ["operation"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_progress = 0
        Gauge("modelkeep_http_requests_in_progress", "Requests being answered", registry=self.registry).set_function(
            lambda: self.in_progress
        )
        self._damage_found = Counter(
            "modelkeep_corrupt_blobs",
            "How often stored bytes were found not to be what was stored",
            registry=self.registry,
        )
        self._damage_counted = 0
        self._damaged = Gauge(
            "modelkeep_blobs_corrupt_now", "Stored blobs that are known to be damaged", registry=self.registry
        )
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._second = 0
        self._shown = ""
        self._lines: list[str] = []

    def record(
        self,
        *,
        operation: str,
        method: str,
        path: str,
        status: int,
        seconds: float,
        who: str,
        request_id: str,
        broken_off: bool = False,
    ) -> None:
        """One request has been answered; `broken_off` if the status was sent, and not the whole body."""
        counter, histogram = self._metrics_of(operation, f"{status} broken off" if broken_off else str(status))
        counter.inc()
        histogram.observe(seconds)
        line = {
            "time": self._now(),
            "level": "info",
            "logger": "request",
            "request_id": request_id,
            "method": method,
            "path": path,
            "operation": operation,
            "status": status,
            "ms": round(seconds * 1000, 3),
            "actor": who,
        }
        if broken_off:
            line |= {"level": "error", "broken_off": True}
        # Requests that end in one turn of the event loop share one write: each gives up the interpreter's lock.
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(line_of(line))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        # A log on a full disk must not take the requests with it.
        with contextlib.suppress(OSError):
            sys.stderr.write("\n".join([*lines, ""]))

    def _now(self) -> str:
        """The time as in all other lines; what does not change within a second is kept."""
        second, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._second, self._shown = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._shown}.{milliseconds:03d}+00:00"

    def exposition(self, *, damage_found: int, damaged: int) -> bytes:
        """Everything counted, in Prometheus's text format, with how often damage was found and what is damaged now."""
        self._damage_found.inc(damage_found - self._damage_counted)
        self._damage_counted = damage_found
        self._damaged.set(damaged)
        return generate_latest(self.registry) + generate_latest(REGISTRY)

    def _metrics_of(self, operation: str, status: str) -> tuple[Counter, Histogram]:
        found = self._children.get((operation, status))
        if found is None:
            found = self._requests.labels(operation, status), self._seconds.labels(operation)
            self._children[operation, status] = found
        return found
