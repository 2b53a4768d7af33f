"""Sending the journal's entries on as they get their places: to a syslog server, or to the end of a file.

At least once, in their order, and never in the way of whoever writes: what a place does not take is sent again.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from prometheus_client import Counter, Gauge

from modelkeep.audit import sink_store
from modelkeep.audit.syslog import message
from modelkeep.audit.writing import as_lines
from modelkeep.core.errors import BadSetting
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx

_AT_ONCE = 256
_LIMIT_S = 10.0
_TRY_AGAIN_S = 5.0
_LONGEST_DATAGRAM = 8192

_log = logging.getLogger("modelkeep.audit")
_SENT = Counter("modelkeep_audit_sent", "Entries of the audit log sent to the place outside")
_AWAY = Gauge("modelkeep_audit_sink_away", "1 while the place that entries are sent to does not take them")


class Place(Protocol):
    """Where entries go. Its name is kept with how far it got, and shown in logs."""

    name: str

    def take(self, rows: Sequence[Any]) -> None:
        """Take these entries, all of them, durably as far as it can be known. Raises OSError."""


class FileEnd:
    """A file that grows by a line of JSON for each entry."""

    def __init__(self, path: Path) -> None:
        self.name = f"file://{path}"
        self._path = path

    def take(self, rows: Sequence[Any]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(self._path, flags, 0o600), "ab") as file:
            file.write(as_lines(rows))
            file.flush()
            os.fsync(file.fileno())


class SyslogStream:
    """A syslog server over TCP (RFC 6587, by counted octets): a connection for each batch, which it closes when it has
    read all of it. Without that nothing would tell what was lost on the way.
    """

    def __init__(self, host: str, port: int) -> None:
        self.name = f"syslog+tcp://{host}:{port}"
        self._address = host, port

    def take(self, rows: Sequence[Any]) -> None:
        messages = [message(row) for row in rows]
        with socket.create_connection(self._address, _LIMIT_S) as connection:
            connection.sendall(b"".join([b"%d %b" % (len(one), one) for one in messages]))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1024):
                pass  # what it says does not matter, only that it has come to the end


class SyslogDatagrams:
    """A syslog server over UDP: one datagram for each entry. Nobody knows whether it arrives."""

    def __init__(self, host: str, port: int) -> None:
        self.name = f"syslog+udp://{host}:{port}"
        self._address = host, port

    def take(self, rows: Sequence[Any]) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sender:
            for row in rows:
                sender.sendto(message(row)[:_LONGEST_DATAGRAM], address)


class Sink:
    """Sends what has its place in the tree and was not sent yet; where that fails, again in a few seconds."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._not_before = 0.0

    def send(self, database: Database, going: Callable[[], bool] = lambda: True) -> None:
        """Send what is there now, unless another process does."""
        if time.monotonic() < self._not_before or not self._waiting(database):
            return
        with database.alone(f"audit sink {self.place.name}") as still_alone:
            while still_alone is not None and going():
                still_alone()
                rows = self._waiting(database)
                if not rows or not self._sent(rows):
                    break
                first, behind = rows[0].seq, rows[-1].seq + 1
                database.write_now(SYSTEM, lambda tx, a=first, b=behind: self._note(tx, a, b))  # type: ignore[misc]

    def _waiting(self, database: Database) -> list[Any]:
        return database.read_now(
            SYSTEM, lambda tx: sink_store.rows_from(tx, sink_store.next_place(tx, self.place.name), _AT_ONCE)
        )

    def _note(self, tx: Tx, first: int, behind: int) -> None:
        sink_store.sent(tx, self.place.name, first, behind)

    def _sent(self, rows: Sequence[Any]) -> bool:
        try:
            self.place.take(rows)
        except OSError as error:
            self._not_before = time.monotonic() + _TRY_AGAIN_S
            _AWAY.set(1)
            why = error.strerror or str(error) or type(error).__name__
            fields = {"place": self.place.name, "from": rows[0].seq, "why": why}
            _log.error("entries of the audit log not taken", extra={"fields": fields})
            return False
        _AWAY.set(0)
        _SENT.inc(len(rows))
        return True


_SYSLOG: Mapping[str, Callable[[str, int], Place]] = {"syslog+tcp": SyslogStream, "syslog+udp": SyslogDatagrams}


def open_sink(url: str) -> Sink:
    """The sink at `syslog+tcp://HOST:PORT`, `syslog+udp://HOST:PORT` or `file://PATH`. Raises BadSetting."""
    if url.startswith("file:///"):
        return Sink(FileEnd(Path(url.removeprefix("file://"))))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    kind = _SYSLOG.get(url.partition("://")[0])
    if kind is None or not host or not port or parts.path.strip("/") or parts.query or parts.username:
        raise BadSetting(
            "--audit-sink is syslog+tcp://HOST:PORT, syslog+udp://HOST:PORT or file:///PATH (an absolute path)."
        )
    return Sink(kind(host, port))
