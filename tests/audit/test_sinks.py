"""Entries sent on: each at least once, in order, from where the last sending ended, to real listeners."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.journal import Journal
from modelkeep import audit
from modelkeep.core.errors import BadSetting
from modelkeep.core.types import SYSTEM

_FRAME = re.compile(rb"([1-9][0-9]*) ")
_PLACE = re.compile(r" externalId=(\d+) ")


class Collector:
    """A syslog server over TCP that reads messages by their counted octets until a client has ended."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.refusing = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def places(self) -> list[int]:
        """The places of the entries that came, in the order they came."""
        return [int(found[1]) for one in self.messages if (found := _PLACE.search(one))]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                if self.refusing:
                    stream.read(64)
                    # What was not read makes the kernel reset the connection, as a server that crashed.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                else:
                    self._read(stream.read())

    def _read(self, data: bytes) -> None:
        while data:
            found = _FRAME.match(data)
            assert found
            end = found.end() + int(found[1])
            self.messages.append(data[found.end() : end].decode())
            data = data[end:]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A syslog server."""
    made = Collector()
    yield made
    made.close()


def test_a_syslog_server_gets_every_entry_once_and_goes_on_after_a_restart(
    journal: Journal, collector: Collector
) -> None:
    """Over TCP all entries come in the order of their places; a new process goes on behind the last."""
    url = f"syslog+tcp://127.0.0.1:{collector.port}"
    journal.grow(300)
    audit.open_sink(url).send(journal.database)
    assert collector.places() == list(range(300))
    journal.close()
    journal.open()
    journal.grow(5)
    audit.open_sink(url).send(journal.database)
    assert collector.places() == list(range(305))
    audit.open_sink(url).send(journal.database)
    assert collector.places() == list(range(305))


def test_what_a_server_did_not_read_is_sent_again(journal: Journal, collector: Collector) -> None:
    """A server that hangs up in the middle has taken nothing: all of it comes again, and nothing is left out."""
    url = f"syslog+tcp://127.0.0.1:{collector.port}"
    journal.grow(20)
    collector.refusing = True
    audit.open_sink(url).send(journal.database)
    assert collector.places() == []
    collector.refusing = False
    audit.open_sink(url).send(journal.database)
    assert collector.places() == list(range(20))


def test_a_server_that_is_away_holds_nobody_up(journal: Journal) -> None:
    """While nobody listens entries are written and placed as ever, and all are sent once somebody does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sink = audit.open_sink(f"syslog+tcp://127.0.0.1:{port}")
    journal.grow(3)
    sink.send(journal.database)
    journal.grow(3)
    assert journal.see(audit.log_state).size == 6
    assert journal.see(audit.last_entry) == 6


def test_only_what_has_its_place_is_sent(journal: Journal, collector: Collector) -> None:
    """Entries that wait for their place in the tree are sent after they have it."""
    url = f"syslog+tcp://127.0.0.1:{collector.port}"
    journal.grow(2)
    journal.note(2)
    audit.open_sink(url).send(journal.database)
    assert collector.places() == [0, 1]
    journal.sign()
    audit.open_sink(url).send(journal.database)
    assert collector.places() == [0, 1, 2, 3]


def test_a_message_is_syslog_with_cef_in_it(journal: Journal, collector: Collector) -> None:
    """The head is that of RFC 5424 with the facility of audit logs; what a reader splits at is escaped."""
    journal.note(1, text="a=b|c\\d\nsecond line")
    journal.sign()
    audit.open_sink(f"syslog+tcp://127.0.0.1:{collector.port}").send(journal.database)
    (message,) = collector.messages
    head, _, text = message.partition(" - CEF:0|")
    assert re.fullmatch(r"<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [!-~]+ modelkeep - test\.noted", head)
    assert re.match(r"Modelkeep\|modelkeep\|[^|]+\|test\.noted\|test\.noted\|3\|rt=\d+ externalId=0 suser=álice ", text)
    assert "suid=u-1 src=192.0.2.1 outcome=done reason=because cs1Label=resource cs1=test/n0 " in text
    assert text.endswith(r'msg={"name":"n0","text":"a\=b|c\\\\d\\nsecond line"}')
    assert "\n" not in message


def test_datagrams_carry_an_entry_each(journal: Journal) -> None:
    """Over UDP each entry is one datagram, and none is sent twice."""
    journal.grow(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        sink = audit.open_sink(f"syslog+udp://127.0.0.1:{listener.getsockname()[1]}")
        sink.send(journal.database)
        found = [_PLACE.search(listener.recv(65_536).decode()) for _ in range(3)]
        assert [one and one[1] for one in found] == ["0", "1", "2"]
        sink.send(journal.database)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(1)


def test_a_file_grows_by_a_line_for_each_entry(journal: Journal, tmp_path: Path) -> None:
    """The file has each entry as JSON, in order, is its owner's alone, and is only ever added to."""
    path = tmp_path / "entries.jsonl"
    url = f"file://{path}"
    journal.grow(4)
    audit.open_sink(url).send(journal.database)
    first = path.read_bytes()
    journal.grow(2)
    audit.open_sink(url).send(journal.database)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["seq"] for line in lines] == list(range(6))
    assert lines[5]["data"] == {"name": "n1", "text": ""}
    assert path.read_bytes().startswith(first)
    assert path.stat().st_mode & 0o077 == 0


def test_two_places_are_sent_to_independently(journal: Journal, tmp_path: Path) -> None:
    """How far each place got is kept apart."""
    journal.grow(2)
    audit.open_sink(f"file://{tmp_path / 'one'}").send(journal.database)
    journal.grow(1)
    for name, count in (("one", 3), ("two", 3)):
        audit.open_sink(f"file://{tmp_path / name}").send(journal.database)
        assert len((tmp_path / name).read_bytes().splitlines()) == count


def test_while_one_process_sends_another_does_not(journal: Journal, tmp_path: Path) -> None:
    """Who is not alone in sending sends nothing."""
    journal.grow(2)
    sink = audit.open_sink(f"file://{tmp_path / 'one'}")
    with journal.database.alone(f"audit sink {sink.place.name}"):
        sink.send(journal.database)
    assert not (tmp_path / "one").exists()
    journal.database.write_now(SYSTEM, lambda tx: None)
    sink.send(journal.database)
    assert len((tmp_path / "one").read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    "url",
    [
        "syslog://h:1",
        "syslog+tcp://h",
        "syslog+tcp://:514",
        "syslog+tcp://h:x",
        "syslog+udp://h:1/path",
        "syslog+tcp://u:p@h:1",
        "syslog+tcp://h:99999",
        "file://relative",
        "http://h:1",
        "h:1",
    ],
)
def test_what_is_no_place_is_refused_at_the_start(url: str) -> None:
    """An address of another kind, or one that lacks something, is refused with what it should be."""
    with pytest.raises(BadSetting, match="--audit-sink is syslog"):
        audit.open_sink(url)
