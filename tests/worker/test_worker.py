"""The worker: jobs and chores beside each other, and an end in time whatever is at work."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam

from modelkeep.app import App
from modelkeep.bootstrap import build
from modelkeep.config import Settings
from modelkeep.core.types import SYSTEM
from modelkeep.db import Prepared
from modelkeep.db.jobs import claim, is_due, jobs, queue, waits
from modelkeep.worker import Chore, Going, Worker

SOON = 0.01
LONG = 60.0


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[App]:
    """A registry without a server, on each database."""
    settings = Settings("127.0.0.1", 5000, tmp_path / "data", database_url, f"file://{tmp_path / 'blobs'}", "token")
    made, _ = build(settings)
    yield made
    made.close()


@pytest.fixture
def working(app: App) -> Iterator[Callable[..., Worker]]:
    """A function that starts a worker with a handler for the kind `test` and some chores; stopped at the end."""
    started: list[Worker] = []

    def start(handler: Callable[[App, Any, Any], None], *chores: Chore) -> Worker:
        worker = Worker(app, {"test": handler}, chores)
        worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.stop(0)


def queue_one(app: App, key: str = "one") -> None:
    """Have a job of the kind `test` done."""
    app.database.write_now(SYSTEM, lambda tx: queue(tx, "test", key))


@pytest.mark.parametrize(("minutes", "is_free"), [(-1, True), (10, False), (60, True)], ids=["dead", "live", "ahead"])
def test_a_claim_from_the_future_is_a_dead_worker_s(app: App, minutes: int, *, is_free: bool) -> None:
    """A job is left to the worker that has it, unless that has it longer than any could: the clock was put back."""
    queue_one(app)
    claimed, kinds, lease = Prepared(jobs.update().values(claimed_until=bindparam("until"))), '["test"]', 15 * 60_000
    app.database.write_now(SYSTEM, lambda tx: tx.run(claimed, until=tx.now + minutes * 60_000))
    assert app.database.read_now(SYSTEM, lambda tx: is_due(tx, kinds, lease)) is is_free
    assert (app.database.write_now(SYSTEM, lambda tx: claim(tx, kinds, lease)) is not None) is is_free


def test_a_long_chore_holds_up_no_job(app: App, working: Callable[..., Worker]) -> None:
    """While a chore is at work, a job that is queued is done."""
    begun, done, end = threading.Event(), threading.Event(), threading.Event()

    def chore(_app: App, _going: Going) -> None:
        begun.set()
        end.wait(LONG)

    working(lambda *_: done.set(), Chore("long", SOON, chore))
    assert begun.wait(LONG)
    queue_one(app)
    assert done.wait(LONG)
    end.set()


def test_a_long_job_holds_up_no_chore(app: App, working: Callable[..., Worker]) -> None:
    """While a job is at work, chores come round."""
    begun, rounds, end = threading.Event(), threading.Semaphore(0), threading.Event()

    def handler(*_: object) -> None:
        begun.set()
        end.wait(LONG)

    queue_one(app)
    working(handler, Chore("short", SOON, lambda *_: rounds.release()))
    assert begun.wait(LONG)
    while rounds.acquire(blocking=False):
        pass
    assert rounds.acquire(timeout=LONG)
    end.set()


def test_a_long_chore_holds_up_no_chore_that_stands_apart(app: App, working: Callable[..., Worker]) -> None:
    """While a chore is at work, one with a thread of its own comes round again and again."""
    begun, rounds, end = threading.Event(), threading.Semaphore(0), threading.Event()

    def chore(_app: App, _going: Going) -> None:
        begun.set()
        end.wait(LONG)

    prompt = Chore("prompt", SOON, lambda *_: rounds.release(), apart="prompt")
    working(lambda *_: None, Chore("long", SOON, chore), prompt)
    assert begun.wait(LONG)
    while rounds.acquire(blocking=False):
        pass
    assert rounds.acquire(timeout=LONG)
    assert rounds.acquire(timeout=LONG)
    end.set()


def test_a_chore_is_told_to_stop(app: App, working: Callable[..., Worker]) -> None:
    """Work that asks whether it is to go on hears no once the worker is being stopped, and what follows is left."""
    begun, heard, other = threading.Event(), threading.Event(), threading.Event()

    def endless(_app: App, going: Going) -> None:
        begun.set()
        while going():
            heard.wait(SOON)
        heard.set()

    worker = working(lambda *_: None, Chore("endless", SOON, endless), Chore("next", 1.0, lambda *_: other.set()))
    assert begun.wait(LONG)
    worker.stop(LONG)
    assert heard.is_set()
    assert not other.is_set()


def test_stopping_does_not_wait_for_ever(app: App, working: Callable[..., Worker]) -> None:
    """A chore that asks nobody is left behind when the time for an end is up."""
    begun, end = threading.Event(), threading.Event()

    def deaf(_app: App, _going: Going) -> None:
        begun.set()
        end.wait()

    worker = working(lambda *_: None, Chore("deaf", SOON, deaf))
    assert begun.wait(LONG)
    worker.stop(SOON)
    end.set()
    worker.stop(LONG)


def test_what_fails_is_tried_again(app: App, working: Callable[..., Worker]) -> None:
    """A chore that fails comes round again and keeps no other from its turn; a job that fails waits to be done."""
    failures, others, tried = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def failing(_app: App, _going: Going) -> None:
        failures.release()
        raise RuntimeError("chore")

    def handler(*_: object) -> None:
        tried.set()
        raise RuntimeError("job")

    queue_one(app)
    working(handler, Chore("failing", SOON, failing), Chore("other", SOON, lambda *_: others.release()))
    for semaphore in (failures, others):
        assert semaphore.acquire(timeout=LONG)
        assert semaphore.acquire(timeout=LONG)
    assert tried.wait(LONG)
    assert app.database.read_now(SYSTEM, lambda tx: waits(tx, "test", "one"))
