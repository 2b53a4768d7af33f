"""Uploads and deletions of the same bytes at once, with no grace at all: no named file is ever without its bytes."""

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from artifacts.storing import ALICE, ROOT, Storing, arriving
from modelkeep import artifacts
from modelkeep.artifacts import CHUNK, LocalBlobs
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import Conflict, NotFound, Unavailable
from modelkeep.db import Database

# Few enough that uploads, deletions and the collector meet all the time; of either way to come in.
BODIES = [b"one", b"two" * 9, b"three" * 10_000, b"four" * (CHUNK // 2)]
UPLOADERS = 4
# Fewer than these are no hunt: it goes on until there are as many, however slow the machine, but not for ever.
UPLOADS, DELETIONS = 20, 5
PATIENCE_S = 150.0
Loop = asyncio.AbstractEventLoop


class Party:
    """One process's way to the registry: a database and a store of its own, over the same data."""

    def __init__(self, database: Database, blobs: LocalBlobs, number: int, loop: Loop) -> None:
        self.database = database
        self.loop = loop
        self.blobs = blobs
        self.number = number
        self.random = random.Random(number)
        self.uploads = self.deleted = 0

    def upload_and_delete(self, goes_on: Callable[[], bool]) -> None:
        """Upload files, read each one back at once, and take some away again."""
        for count in itertools.count():
            if not goes_on():
                return
            path = (*ROOT, f"{self.number}-{count % 3}")
            body = self.random.choice(BODIES)
            upload = artifacts.store_file(self.database, ALICE, self.blobs, path, arriving([body]), len(body))
            try:
                asyncio.run_coroutine_threadsafe(upload, self.loop).result()
            except Unavailable:
                continue
            self.check(path, body)
            self.uploads += 1
            if self.random.random() < 0.8:
                self.database.write_now(ALICE, lambda tx, path=path: artifacts.delete_files(tx, path))

    def check(self, path: tuple[str, ...], body: bytes) -> None:
        """Only this uploader writes this path: what it names now are the bytes that were acknowledged."""
        found = self.database.read_now(ALICE, lambda tx: artifacts.find_file(tx, path))
        reader = self.blobs.open(found.sha256)
        assert reader.read_at(0, reader.size) == body
        reader.close()

    def collect(self, goes_on: Callable[[], bool]) -> None:
        """Put everything that nothing names into the trash and delete it at once."""
        while goes_on():
            artifacts.trash_unnamed(self.database, ALICE)
            try:
                self.deleted += artifacts.empty_trash(self.database, ALICE, self.blobs, 0).count
            except Conflict:
                continue


@contextmanager
def running_loop() -> Iterator[Loop]:
    """An event loop in a thread of its own, as a server has one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def parties(storing: Storing, url: str, count: int, stack: ExitStack) -> Iterator[Party]:
    """Parties that share the database where it takes one process only, and have their own connections otherwise."""
    loop = stack.enter_context(running_loop())
    for number in range(count):
        database = storing.database
        if url.startswith("postgresql"):
            database = open_database(url, [])
            stack.callback(database.close)
        blobs = LocalBlobs(storing.folder)
        stack.callback(blobs.close)
        yield Party(database, blobs, number, loop)


def hunt(storing: Storing, url: str, seconds: float) -> tuple[int, int]:
    """Let them meet for a while; how many uploads were acknowledged, and how many blobs deleted."""
    with ExitStack() as stack, ThreadPoolExecutor(UPLOADERS + 2) as threads:
        made, began = list(parties(storing, url, UPLOADERS + 2, stack)), time.monotonic()

        def goes_on() -> bool:
            uploads, deleted = done(made)
            is_enough = uploads > UPLOADS and deleted > DELETIONS
            return time.monotonic() < began + (seconds if is_enough else PATIENCE_S)

        work = [party.upload_and_delete for party in made[:UPLOADERS]]
        work += [party.collect for party in made[UPLOADERS:]]
        for end in [threads.submit(one, goes_on) for one in work]:
            end.result()
    return done(made)


def done(made: list[Party]) -> tuple[int, int]:
    """How many uploads were acknowledged, and how many blobs deleted, so far."""
    return sum(party.uploads for party in made), sum(party.deleted for party in made)


def assert_every_name_has_bytes(storing: Storing) -> None:
    """What is named can be read, and what the database knows is in the store."""
    for entry in storing.read(lambda tx: artifacts.list_folder(tx, ROOT)):
        assert storing.download(entry.name) in BODIES
    assert storing.damage == []


@pytest.fixture
def storing(database_url: str, tmp_path: Path) -> Iterator[Storing]:
    """An empty registry on either database."""
    made = Storing(database_url, tmp_path / "store")
    yield made
    made.close()


def test_deletion_without_grace_loses_no_named_blob(storing: Storing, database_url: str) -> None:
    """While collectors delete at once what nothing names, every acknowledged upload is there, whole, right after."""
    uploads, deleted = hunt(storing, database_url, 4)
    assert_every_name_has_bytes(storing)
    assert uploads > UPLOADS
    assert deleted > DELETIONS


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_long_hunt_loses_no_named_blob(storing: Storing, database_url: str) -> None:
    """The same for a minute."""
    uploads, deleted = hunt(storing, database_url, 60)
    assert_every_name_has_bytes(storing)
    print(f"{uploads} uploads, {deleted} deletions")
    assert deleted > 100


def test_threads_meet(storing: Storing) -> None:
    """An upload that has read its epoch before a deletion began commits its bytes again, and names what is there."""
    body = BODIES[2]
    storing.upload("x", body)
    storing.write(lambda tx: artifacts.delete_files(tx, (*ROOT, "x")))
    artifacts.trash_unnamed(storing.database, ALICE)
    half, gone = threading.Event(), threading.Event()

    async def slowly() -> None:
        async def pieces():  # type: ignore[no-untyped-def]
            yield body[:100]
            half.set()
            await asyncio.to_thread(gone.wait)
            yield body[100:]

        await artifacts.store_file(storing.database, ALICE, storing.blobs, (*ROOT, "y"), pieces(), len(body))

    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(asyncio.run, slowly())
        half.wait()
        try:
            assert artifacts.empty_trash(storing.database, ALICE, storing.blobs, 0).count == 1
            with pytest.raises(NotFound):
                storing.blobs.open(name_of(body))
        finally:
            gone.set()
        upload.result()
    assert storing.download("y") == body


def name_of(body: bytes) -> str:
    """The name of these bytes."""
    digests = artifacts.Digests()
    digests.update(body)
    return digests.content().sha256
