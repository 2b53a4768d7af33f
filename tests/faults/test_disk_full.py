"""A full disk refuses writes and nothing else: reads go on, nothing is there by halves, and space heals it."""

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faces.mlflow.wire import Answer, Wire
from faults.load import SHARED_MODEL, Load, new_seed
from faults.oracle import Oracle
from faults.whole import Served
from servers import RunningServer

DISK = 48 * 1024 * 1024
MIB = 1024 * 1024
MANY = 2_000
PATIENCE_S = 60.0
# Mounting takes root: for everybody else these tests are among those that need something of the system.
pytestmark = [] if os.geteuid() == 0 else [pytest.mark.slow]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def small(disk: Path) -> Iterator[Served]:
    """A server whose database, files and logs are on the small disk."""
    with RunningServer(disk / "data") as server:
        yield Served(server, f"sqlite:///{disk / 'data' / 'modelkeep.db'}")


@pytest.fixture
def run_path(small: Served) -> str:
    """The path of a run's files."""
    info = small.wire.post("runs/create", experiment_id="0").ok()["run"]["info"]
    return f"{info['experiment_id']}/{info['run_id']}/artifacts"


def fill(disk: Path, leave: int = 0) -> Path:
    """Take all space but so much of it, beside whoever writes there; the file to remove in order to give it back."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        while (space := min(shutil.disk_usage(disk).free - leave, MIB)) > 0:
            try:
                os.posix_fallocate(file.fileno(), ballast.stat().st_size, space)
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return ballast


def refused_in_time(answers: Iterator[Answer]) -> tuple[int, Answer]:
    """How many writes went well before the first refusal, and that refusal."""
    for number, answer in enumerate(answers):
        if answer.status != 200:
            return number, answer
        assert number < MANY, "the disk is full and every write is still accepted"
    raise AssertionError("no write was refused")


def tagging(wire: Wire, name: str) -> Iterator[Answer]:
    """Ever larger tags of a model."""
    number = 0
    while True:
        number += 1
        yield wire.post("registered-models/set-tag", name=name, key=f"k{number}", value="v" * 4_000)


def assert_refused(answer: Answer) -> None:
    """The answer says in JSON that the disk is full."""
    answer.refused(507, "RESOURCE_EXHAUSTED", "full")


def test_an_upload_that_does_not_fit_is_refused_and_leaves_nothing(disk: Path, small: Served, run_path: str) -> None:
    """An upload larger than the disk answers 507 in JSON and gives its space back; a small one then still fits."""
    wire = small.wire
    free = shutil.disk_usage(disk).free
    assert_refused(wire.put_file(f"{run_path}/huge.bin", os.urandom(DISK)))
    assert small.leftovers() == []
    assert free - shutil.disk_usage(disk).free < MIB
    wire.get_file(f"{run_path}/huge.bin").missing()
    wire.put_file(f"{run_path}/small.bin", b"small").ok()
    assert wire.get_file(f"{run_path}/small.bin").body == b"small"


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold while it is asked again and again."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_full_disk_refuses_metadata_and_reads_go_on(disk: Path, small: Served, run_path: str) -> None:
    """With no space left writes answer 507, reads, downloads and /health 200, /ready 503; with space all is well."""
    wire = small.wire
    wire.post("registered-models/create", name="model").ok()
    wire.put_file(f"{run_path}/kept.bin", b"kept" * 1_000).ok()
    for leave in (0, 4_096, 65_536):
        ballast = fill(disk, leave)
        done, refusal = refused_in_time(tagging(wire, "model"))
        assert_refused(refusal)
        assert_refused(wire.put_file(f"{run_path}/new.bin", os.urandom(MIB)))
        assert wire.call("GET", "/health").status == 200
        assert soon(lambda: wire.call("GET", "/ready").status == 503)  # an answer is kept for a second
        record = wire.get("registered-models/get", name="model").ok()["registered_model"]
        assert len(record.get("tags", [])) >= done
        assert wire.get_file(f"{run_path}/kept.bin").body == b"kept" * 1_000
        ballast.unlink()
        assert wire.call("GET", "/ready").status == 200
        wire.post("registered-models/set-tag", name="model", key="after", value=str(leave)).ok()
        wire.put_file(f"{run_path}/new.bin", os.urandom(MIB)).ok()
        small.assert_whole()


def test_a_disk_that_fills_under_load_loses_nothing(disk: Path, small: Served) -> None:
    """Eight clients write while the disk fills three times: each write is accepted or refused with 507, exactly so.

    What was accepted is there afterwards, what was refused is not, also after a kill and a restart.
    """
    seed = new_seed()
    oracle = Oracle(seed)
    small.wire.post("registered-models/create", name=SHARED_MODEL).ok()
    for number in range(3):
        load = Load(small.server, oracle, f"full{number}", seed)
        assert load.answered.wait(60)
        ballast = fill(disk, 200_000)
        load.wait_until(lambda load=load: load.refused >= 40)
        ballast.unlink()
        load.wait_until(lambda load=load, before=load.accepted: load.accepted > before + 40)
        load.stop()
        oracle.compare(small.wire)
    small.server.kill()
    small.start_later()
    small.assert_whole()
    small.assert_bytes()
    oracle.compare_all(small.wire)
