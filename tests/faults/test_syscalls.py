"""The server dies, or the disk fails, at each single system call that makes an upload and a registration durable."""

import hashlib
import http.client
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from faces.mlflow.wire import Answer
from faults.load import Client, NoAnswer
from faults.oracle import Oracle
from faults.traced import QUICK_WHERE_IT_CAN, Call, MortalServer, calls, traced
from faults.whole import Served

FSYNC_FAILED = 70
KILLED = -9
# Each of the first calls is tried; of those after them, thousands where threads wake one another, ever fewer.
EACH, GROWTH = 40, 1.2
# What makes bytes and rows durable, and at how many of each the story below is interrupted at least.
DURABLE = {
    "fsync": 4,
    "fdatasync": 4,
    "linkat,link": 1,
    "unlinkat,unlink": 1,
    "mkdirat,mkdir": 2,
    "pwrite64": 8,
    "write": 4,
}

# What may fail without the end of the process, how it is refused, and by which error.
FAILURES = [
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EIO"),
    ("pread64", "EIO"),
    ("linkat,link", "ENOSPC"),
    ("mkdirat,mkdir", "ENOSPC"),
    ("openat", "EMFILE"),
]
REFUSALS = {503: "TEMPORARILY_UNAVAILABLE", 507: "RESOURCE_EXHAUSTED"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A started server on SQLite that may end by itself."""
    server = MortalServer(tmp_path / "data")
    yield Served(server, f"sqlite:///{tmp_path / 'data' / 'modelkeep.db'}")
    server.kill()


def tell_story(client: Client) -> None:
    """A model, a run with files, one of them over another, versions of it, a tag, an alias, a stage, metrics."""
    client.create_model()
    client.create_run()
    go_on(client)


def go_on(client: Client) -> None:
    """What follows once there are a model and a run."""
    for size in (0, 10, 100_000):
        client.upload(os.urandom(size))
    client.register_tree()
    client.upload(os.urandom(20))
    client.register_tree()
    for change in (client.tag_model, client.tag_version, client.set_alias, client.move, client.log_batch):
        change()


def ends_in(served: Served, oracle: Oracle, trace: Path, name: str, fault: str, *options: str) -> int | None:
    """Tell a story with a fault; the exit code if it ended the server, None if it did not. `options` are strace's."""
    server = served.server
    assert isinstance(server, MortalServer)
    client = Client(server, oracle, name, 0, shared="story")
    with traced(server, trace, "-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}", *options):
        try:
            tell_story(client)
        except NoAnswer:
            return server.exit_code()
        finally:
            client.close()
    return None


def numbers_to_try() -> Iterator[int]:
    """Which calls are tried, without end."""
    yield from range(1, EACH)
    for power in itertools.count():
        yield int(EACH * GROWTH**power)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("call", DURABLE)
def test_a_kill_at_any_single_call_loses_nothing_acknowledged(served: Served, tmp_path: Path, call: str) -> None:
    """Killed at the n-th such call of any thread, n growing until none is left, it keeps what it acknowledged."""
    oracle = Oracle(0)
    served.wire.post("registered-models/create", name="story").ok()
    kills = 0
    for number in numbers_to_try():
        code = ends_in(served, oracle, tmp_path / "trace", f"kill{number}", f"{call}:signal=KILL:when={number}")
        if code is None:
            break
        assert code == KILLED
        kills += 1
        served.start_later()
        served.assert_whole()
        oracle.compare(served.wire)
    oracle.compare_all(served.wire)
    served.assert_bytes()
    print(f"{call}: killed {kills} times, none left at number {number}")
    assert kills >= DURABLE[call]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("call", ["fsync", "fdatasync"])
def test_a_failed_fsync_ends_the_server(served: Served, tmp_path: Path, call: str) -> None:
    """When the n-th fsync answers EIO, the server ends with code 70 and has acknowledged nothing of it."""
    # SQLite syncs the folder of a new log too, and by its own decision does not look at what that answers.
    only = ("-P", str(served.server.data / "modelkeep.db-wal")) if call == "fdatasync" else ()
    oracle = Oracle(0)
    served.wire.post("registered-models/create", name="story").ok()
    for number in (1, 2, 3, 4):
        code = ends_in(served, oracle, tmp_path / "trace", f"eio{number}", f"{call}:error=EIO:when={number}", *only)
        assert code == FSYNC_FAILED, number
        assert "durable" in served.server.log or "fsync failed" in served.server.log
        served.start_later()
        served.assert_whole()
        oracle.compare(served.wire)
    oracle.compare_all(served.wire)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("call", "error"), FAILURES)
def test_a_call_that_fails_once_refuses_one_write(served: Served, tmp_path: Path, call: str, error: str) -> None:
    """When the n-th such call fails, a write is refused, all others are kept, and the server lives."""
    oracle = Oracle(0)
    served.wire.post("registered-models/create", name="story").ok()
    # SQLite calls a page that it cannot read damaged, which is no reason to tell the client to come again.
    refusals = REFUSALS | ({500: "INTERNAL_ERROR"} if call == "pread64" else {})
    client = Client(served.server, oracle, "failure", 0, shared="story", refusals=refusals)
    tell_story(client)
    for number in (1, 2, 3, 4, 6, 9):
        refused = client.refused
        fault = f"inject={call}:error={error}:when={number}"
        with traced(served.server, tmp_path / "trace", "-e", f"trace={call}", "-e", fault):
            go_on(client)
            assert served.wire.call("GET", "/health").status == 200
        go_on(client)
        oracle.compare(served.wire)
        served.assert_whole()
        print(f"{call} number {number} answers {error}: {client.refused - refused} writes refused")
    assert client.refused > 0
    served.server.restart()
    oracle.compare_all(served.wire)
    served.assert_bytes()


class TestStagedFile:
    """What a disk that fails under the bytes of one upload leads to."""

    pytestmark = QUICK_WHERE_IT_CAN

    CONTENT = os.urandom(12_000_000)

    @pytest.mark.parametrize(("error", "status"), [("ENOSPC", 507), ("EIO", 503)])
    def test_a_write_of_an_upload_fails(self, served: Served, tmp_path: Path, error: str, status: int) -> None:
        """In the middle of its body the upload is refused, and leaves neither name nor staged bytes."""
        path, trace, half = self.path(served), tmp_path / "trace", len(self.CONTENT) // 2
        connection = self.begun(served, path, half)
        (staged,) = self.staged(served)
        fault = f"inject=write:error={error}:when=1"
        with traced(served.server, trace, "-P", str(staged), "-e", "trace=write", "-e", fault):
            connection.send(self.CONTENT[half:])
            reply = connection.getresponse()
            Answer(reply.status, dict(reply.getheaders()), reply.read()).refused(status, REFUSALS[status])
        connection.close()
        self.assert_gone_and_welcome_again(served, path, trace)

    @pytest.mark.parametrize("size", [20, 3_000_000])
    def test_the_disk_is_found_full_by_the_fsync_of_an_upload(self, served: Served, tmp_path: Path, size: int) -> None:
        """The upload is refused, and the server lives: the whole file is thrown away."""
        path, trace, content = self.path(served), tmp_path / "trace", self.CONTENT[:size]
        # The folder of the same bytes is durable already, so that the staged file is the first that is synced.
        served.wire.put_file(f"{path}-before", content).ok()
        with traced(served.server, trace, "-e", "trace=fsync", "-e", "inject=fsync:error=ENOSPC:when=1"):
            served.wire.put_file(path, content).refused(507, REFUSALS[507])
        self.assert_gone_and_welcome_again(served, path, trace)

    def path(self, served: Served) -> str:
        """A path of a new run."""
        run_id = served.wire.post("runs/create", experiment_id="0").ok()["run"]["info"]["run_id"]
        return f"0/{run_id}/artifacts/file"

    def begun(self, served: Served, path: str, half: int) -> http.client.HTTPConnection:
        """An upload of which this much was sent, and some of it has been staged."""
        connection = http.client.HTTPConnection("127.0.0.1", served.server.port, timeout=60)
        connection.putrequest("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}")
        connection.putheader("authorization", f"Bearer {served.server.token}")
        connection.putheader("content-length", str(len(self.CONTENT)))
        connection.endheaders()
        connection.send(self.CONTENT[:half])
        deadline = time.monotonic() + 30
        while not any(file.stat().st_size for file in self.staged(served)):
            assert time.monotonic() < deadline, "nothing is staged"
            time.sleep(0.02)
        return connection

    def staged(self, served: Served) -> list[Path]:
        """The staged files."""
        return list((served.server.data / "staging").iterdir())

    def assert_gone_and_welcome_again(self, served: Served, path: str, trace: Path) -> None:
        """The fault met the staged file; nothing of the upload is left, and the same upload then works."""
        assert [made for made in calls(trace) if "/staging/" in made.arguments and made.result == "-1"]
        served.wire.get_file(path).missing()
        assert served.leftovers() == []
        served.wire.put_file(path, self.CONTENT).ok()
        assert served.wire.get_file(path).body == self.CONTENT
        served.assert_whole()
        served.assert_bytes()


class TestOrder:
    """What is durable before what, read from the system calls of one upload."""

    pytestmark = QUICK_WHERE_IT_CAN
    WATCHED = "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2,pwrite64,write,writev,sendto,sendmsg"
    CONTENT = b"bytes that are to survive"
    SHA256 = hashlib.sha256(CONTENT).hexdigest()

    def test_bytes_then_name_then_row_then_answer(self, served: Served, tmp_path: Path) -> None:
        """File synced, linked to its name, folder synced, row in the log, log synced, answer: in this order."""
        wire, trace = served.wire, tmp_path / "trace"
        info = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]
        with traced(served.server, trace, "-e", self.WATCHED, "-s", "8192"):
            wire.put_file(f"0/{info['run_id']}/artifacts/file", self.CONTENT).ok()
            # The answer is here before its call is written down; by the next answer, that has been done.
            httpx.get(f"{served.server.url}/health").raise_for_status()
        made = calls(trace)
        # Others write to the log as well, before and after: the row is the page that has the name of the bytes.
        row = self.place(made, ("pwrite64",), "modelkeep.db-wal>", self.SHA256)
        steps = [
            self.place(made, ("fsync",), "/staging/"),
            self.place(made, ("link", "linkat", "rename", "renameat", "renameat2"), self.SHA256),
            self.place(made, ("fsync",), f"/sha256/{self.SHA256[:2]}/{self.SHA256[2:4]}>"),
            row,
            row + self.place(made[row:], ("fsync", "fdatasync"), "modelkeep.db-wal>"),
            self.place(made, ("write", "writev", "sendto", "sendmsg"), "HTTP/1.1 200"),
        ]
        assert steps == sorted(steps), [made[step] for step in steps]

    def place(self, made: list[Call], names: tuple[str, ...], *texts: str) -> int:
        """Where the first call with these texts stands, which must have worked."""
        found = [
            place
            for place, call in enumerate(made)
            if call.name in names and all(text in call.arguments for text in texts)
        ]
        assert found, f"no {'/'.join(names)} with {texts} among {made}"
        assert not made[found[0]].result.startswith("-")
        return found[0]
