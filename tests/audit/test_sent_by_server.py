"""A running server sends its log on, through restarts and crashes, and gives all of it out as a file of any length."""

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from audit.journal import Journal, Noted
from audit.test_sinks import Collector
from faces.mlflow.wire import Wire
from modelkeep.core.types import Actor, Caller
from servers import RunningServer

LIMIT_S = 60
ENTRIES = 10_000
MIB = 1024 * 1024
HOSTILE = "=HYPERLINK(1,2)"


def until(found: Callable[[], Any]) -> Any:
    """What is found, once it is."""
    deadline = time.monotonic() + LIMIT_S
    while not (value := found()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.05)
    return value


def native(server: RunningServer) -> Wire:
    """The native API of a server."""
    return Wire(server.url, server.token).under("/api/v1/")


def work(server: RunningServer, names: list[str]) -> None:
    """Some changes."""
    for name in names:
        assert native(server).post("models", name=name).status == 201


def all_sent(server: RunningServer, places: Callable[[], list[int]]) -> list[int]:
    """The places of all that was sent, once everything that has a place was."""

    def sent() -> list[int] | None:
        state, found = native(server).get("audit").ok(), places()
        return found if not state["waiting"] and found and found[-1] == state["placed"] - 1 else None

    found: list[int] = until(sent)
    return found


def places_in(path: Path) -> list[int]:
    """The places of the entries in a file, in their order; a last line that is being written is not looked at."""
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return [json.loads(line)["seq"] for line in whole.splitlines()]


def test_a_file_has_each_entry_once_and_in_order_through_a_restart(database_url: str, tmp_path: Path) -> None:
    """What the server did is in the file by itself within a moment; stopped and started it goes on behind the last."""
    path = tmp_path / "entries.jsonl"
    with RunningServer(
        tmp_path / "data", database=database_url, arguments=["--audit-sink", f"file://{path}"]
    ) as server:
        work(server, [f"before-{number}" for number in range(20)])
        before = all_sent(server, lambda: places_in(path))
        server.restart()
        work(server, [f"after-{number}" for number in range(20)])
        after = all_sent(server, lambda: places_in(path))
    assert before == list(range(len(before)))
    assert after == list(range(len(after)))
    assert len(after) >= len(before) + 20


@pytest.mark.slow
def test_a_crash_leaves_no_gap_and_repeats_only_what_was_just_sent(database_url: str, tmp_path: Path) -> None:
    """However often a server is killed, each entry comes; one that comes again is among those sent last before."""
    path = tmp_path / "entries.jsonl"
    with RunningServer(
        tmp_path / "data", database=database_url, arguments=["--audit-sink", f"file://{path}"]
    ) as server:
        for round_ in range(5):
            work(server, [f"m-{round_}-{number}" for number in range(30)])
            time.sleep(0.1 * round_)
            server.kill()
            server.start()
        found = all_sent(server, lambda: places_in(path))
    assert sorted(set(found)) == list(range(found[-1] + 1))
    steps = [after - before for before, after in pairwise(found)]
    assert all(step == 1 or step <= 0 for step in steps), "an entry was left out and came later"
    assert sum(step <= 0 for step in steps) <= 5


def test_a_syslog_server_that_goes_and_comes_gets_all_entries_in_order(tmp_path: Path) -> None:
    """What happened while the collector took nothing is sent once it does, before what came after."""
    collector = Collector()
    arguments = ["--audit-sink", f"syslog+tcp://127.0.0.1:{collector.port}"]
    with RunningServer(tmp_path / "data", arguments=arguments) as server:
        work(server, ["one", "two"])
        all_sent(server, collector.places)
        collector.refusing = True
        work(server, ["three", "four"])
        until(lambda: "entries of the audit log not taken" in server.log)
        collector.refusing = False
        work(server, ["five"])
        found = all_sent(server, collector.places)
    collector.close()
    assert found == list(range(len(found)))
    kinds = [one.split("|")[4] for one in collector.messages]
    assert kinds.count("registered_model.created") == 5


def test_two_servers_of_one_database_send_each_entry_once(fresh_postgres: Callable[[], str], tmp_path: Path) -> None:
    """Servers that share a database and a place take turns: it gets what all of them did, once, in one order."""
    database, path = fresh_postgres(), tmp_path / "entries.jsonl"
    options: dict[str, Any] = {"database": database, "arguments": ["--audit-sink", f"file://{path}"]}
    with RunningServer(tmp_path / "data", **options) as first:
        (tmp_path / "other").mkdir(mode=0o700)
        for name in first.data.glob("audit-key*"):
            (tmp_path / "other" / name.name).write_bytes(name.read_bytes())
            (tmp_path / "other" / name.name).chmod(0o600)
        with RunningServer(tmp_path / "other", **options) as second:
            second.token = first.token
            for number in range(15):
                work(first, [f"first-{number}"])
                work(second, [f"second-{number}"])
            found = all_sent(second, lambda: places_in(path))
    assert found == list(range(len(found)))
    assert len(found) >= 30


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with many long entries, each with a reason that a spreadsheet would compute."""
    data = tmp_path_factory.mktemp("full") / "data"
    data.mkdir(mode=0o700)
    journal = Journal(f"sqlite:///{data}/modelkeep.db", data)
    caller = Caller(Actor("álice", "token", "t-1", "u-1"), "default", "r-1", "192.0.2.1", HOSTILE)
    for start in range(0, ENTRIES, 500):
        names = [f"n{number}" for number in range(start, start + 500)]
        journal.database.write_now(
            caller, lambda tx, names=names: [tx.emit(Noted(name, "x" * 4_000)) for name in names]
        )
    journal.close()
    with RunningServer(data) as server:
        until(lambda: native(server).get("audit").ok()["waiting"] == 0)
        for form in ("jsonl", "csv"):
            exported(server, form)
        yield server


def exported(server: RunningServer, form: str) -> tuple[list[bytes], int]:
    """The lines of an export of those entries, and by how much the server grew while it gave them out."""
    process = psutil.Process(server.pid)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    before, most, pieces = process.memory_info().rss, 0, []
    connection.request(
        "GET",
        f"/api/v1/journal/export?format={form}&kind=test.noted",
        headers={"Authorization": f"Bearer {server.token}"},
    )
    response = connection.getresponse()
    assert response.status == 200
    while piece := response.read(MIB):
        pieces.append(piece)
        most = max(most, process.memory_info().rss)
    connection.close()
    return b"".join(pieces).splitlines(), most - before


def test_all_entries_as_lines_of_json_take_no_memory(full: RunningServer) -> None:
    """Forty megabytes of entries come whole, once each and in order, and the server does not grow by them."""
    lines, grown = exported(full, "jsonl")
    entries = [json.loads(line) for line in lines]
    assert [entry["data"]["name"] for entry in entries] == [f"n{number}" for number in range(ENTRIES)]
    assert {entry["reason"] for entry in entries} == {HOSTILE}
    assert sum(map(len, lines)) > 40 * MIB
    assert grown < 20 * MIB


def test_all_entries_as_a_table_are_no_formulas_and_take_no_memory(full: RunningServer) -> None:
    """As CSV the same, and no cell begins with what a spreadsheet computes; the apostrophe can be taken off again."""
    lines, grown = exported(full, "csv")
    head, *rows = csv.reader(io.StringIO(b"\n".join(lines).decode()))
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert [json.loads(one["data"])["name"] for one in told] == [f"n{number}" for number in range(ENTRIES)]
    assert {one["reason"] for one in told} == {f"'{HOSTILE}"}
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert grown < 20 * MIB
