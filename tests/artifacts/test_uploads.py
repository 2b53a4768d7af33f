"""Uploads in parts, on both databases and a local disk: what is taken, what it becomes, and what is left of it."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from conformance.stored import write_part
from modelkeep import artifacts, audit, bootstrap
from modelkeep.app import App
from modelkeep.artifacts import Completed, Part, PartBody, Said, Upload, plan_of_parts, plan_of_size
from modelkeep.artifacts.uploads import store as uploads_store
from modelkeep.artifacts.usage import service as usage_service
from modelkeep.config import Settings
from modelkeep.core.errors import Conflict, DomainError, InvalidInput, NotFound, TooLarge
from modelkeep.core.types import Actor, Caller

T = TypeVar("T")

MIB = 1 << 20
PART = 5 * MIB
ALICE = Caller(Actor("alice", "token"))
OTHER = Caller(Actor("alice", "token"), workspace="team-b")
ROOT = "1/run-1/artifacts"
DATA = os.urandom(2 * PART + 3)


class Site:
    """A registry with one run, and a caller's way to its uploads."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app = app
        self.folder = folder
        uri = f"mlflow-artifacts:/{ROOT}"
        app.database.write_now(ALICE, lambda tx: artifacts.open_tree(tx, uri, "run/run-1"))

    def begin(self, path: str = f"{ROOT}/big.bin", plan: artifacts.UploadPlan | None = None) -> Upload:
        """Begin an upload of DATA."""
        return self.run(self.begin_async, tuple(path.split("/")), plan or plan_of_size(len(DATA), PART))

    async def begin_async(self, segments: tuple[str, ...], plan: artifacts.UploadPlan) -> Upload:
        """The same in an event loop."""
        return await artifacts.begin_upload(self.app.database, ALICE, self.app.blobs, segments, plan)

    def send(self, upload: Upload, number: int, data: bytes | None = None, **said: Any) -> Part:
        """Send a part, those of DATA unless other bytes are given."""
        body = DATA[(number - 1) * PART : number * PART] if data is None else data

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 300_000):
                yield body[at : at + 300_000]

        async def receive() -> Part:
            taken = PartBody(pieces(), **said)
            return await artifacts.receive_part(self.app.database, ALICE, self.app.blobs, upload.id, number, taken)

        return self.run(receive)

    def send_all(self, upload: Upload) -> None:
        """Send every part of DATA, the last one first."""
        for number in reversed(range(1, upload.plan.parts + 1)):
            self.send(upload, number)

    def complete(self, upload: Upload, said: Said | None = None, caller: Caller = ALICE) -> Completed:
        """Make the parts the file."""
        return self.run(self.complete_async, upload, said or Said(), caller)

    async def complete_async(self, upload: Upload, said: Said, caller: Caller = ALICE) -> Completed:
        """The same in an event loop."""
        return await artifacts.complete_upload(self.app.database, caller, self.app.blobs, upload.id, said)

    def abort(self, upload: Upload, caller: Caller = ALICE) -> None:
        """Give an upload up."""
        self.run(artifacts.abort_upload, self.app.database, caller, self.app.blobs, upload.id)

    def shown(self, upload: Upload, caller: Caller = ALICE) -> Upload:
        """The upload as it is now."""
        return self.app.database.read_now(caller, lambda tx: artifacts.get_upload(tx, upload.id))

    def parts(self, upload: Upload) -> list[Part]:
        """The parts that are there."""
        return self.app.database.read_now(ALICE, lambda tx: artifacts.upload_parts(tx, upload.id))

    def read(self, path: str = f"{ROOT}/big.bin") -> bytes:
        """The file at a path."""
        file = self.app.database.read_now(ALICE, lambda tx: artifacts.find_file(tx, tuple(path.split("/"))))
        with contextlib.closing(self.app.blobs.open(file.sha256)) as reader:
            return reader.read_at(0, reader.size)

    def sweep(self, older_than_s: float) -> int:
        """Forget what is abandoned."""
        return artifacts.sweep_uploads(self.app.database, self.app.blobs, older_than_s)

    def left(self) -> list[str]:
        """Everything in the store but blobs."""
        kept = [*(self.folder / "parts").rglob("*"), *(self.folder / "staging").iterdir()]
        return sorted(path.name for path in kept)

    def kinds(self) -> list[str]:
        """What the journal tells of uploads and files."""
        rows = self.app.database.read_now(ALICE, lambda tx: audit.entries(tx, 2**63 - 1, 1000))
        return [row.kind for row in reversed(rows) if row.kind.startswith(("upload.", "artifact."))]

    def run(self, work: Callable[..., Awaitable[T]], *given: Any) -> T:
        """Run a coroutine to its end."""

        async def whole() -> T:
            return await work(*given)

        return asyncio.run(whole())


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A registry on each database."""
    settings = Settings(database=database_url, artifacts=f"file://{tmp_path / 'files'}", auth="none")
    app, _ = bootstrap.build(settings)
    with contextlib.closing(app):
        yield Site(app, tmp_path / "files")


def test_parts_become_the_file(site: Site) -> None:
    """Parts sent in any order are the file at the path, with the digest of the whole, and nothing else is left."""
    upload = site.begin()
    assert (upload.plan.parts, upload.state) == (3, "open")
    site.send_all(upload)
    assert [part.size for part in site.parts(upload)] == [PART, PART, 3]
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert site.complete(upload, Said(sha256=sha256)) == Completed(upload.path, sha256, len(DATA))
    assert site.read() == DATA
    assert site.left() == []
    assert (site.shown(upload).state, site.shown(upload).sha256) == ("done", sha256)
    assert site.kinds() == ["upload.begun", "artifact.stored"]


def test_completing_again_answers_the_same(site: Site) -> None:
    """A completion that is repeated, also at the same moment, gives one answer and stores the file once."""
    upload = site.begin()
    site.send_all(upload)

    async def several() -> list[Completed]:
        return await asyncio.gather(*(site.complete_async(upload, Said()) for _ in range(4)))

    answers = {*site.run(several), site.complete(upload)}
    assert answers == {Completed(upload.path, hashlib.sha256(DATA).hexdigest(), len(DATA))}
    assert site.kinds() == ["upload.begun", "artifact.stored"]
    with pytest.raises(InvalidInput, match="completed before"):
        site.complete(upload, Said(sha256="0" * 64))


def test_completing_again_does_not_bring_an_old_file_back(site: Site) -> None:
    """A completion repeated after the path got other bytes leaves those there."""
    upload = site.begin()
    site.send_all(upload)
    site.complete(upload)
    again = site.begin(plan=plan_of_size(4, None))
    site.send(again, 1, b"new!")
    site.complete(again)
    site.complete(upload)
    assert site.read() == b"new!"


def test_a_part_sent_again_replaces_the_first(site: Site) -> None:
    """Of a part that was sent twice the later one counts."""
    upload = site.begin()
    site.send(upload, 1, os.urandom(PART))
    site.send_all(upload)
    site.complete(upload)
    assert site.read() == DATA


def test_parts_that_are_missing_are_named(site: Site) -> None:
    """Without all parts there is no file; those that are missing are named, and can be sent still."""
    upload = site.begin()
    site.send(upload, 2)
    with pytest.raises(Conflict, match="missing: 1, 3"):
        site.complete(upload)
    with pytest.raises(NotFound):
        site.read()
    site.send_all(upload)
    site.complete(upload)
    assert site.read() == DATA


def test_a_part_of_another_length_is_refused(site: Site) -> None:
    """A part that is longer or shorter than its place is refused, declared or not, and the one before it stays."""
    upload = site.begin()
    first = site.send(upload, 3)
    for body, declared in ((b"1234", 4), (b"1234", None), (b"12", None), (b"12", 2), (b"", 0), (DATA, None)):
        with pytest.raises(InvalidInput):
            site.send(upload, 3, body, declared=declared)
    assert site.parts(upload) == [first]
    assert len(site.left()) == 2


def test_a_part_that_is_not_what_its_digest_says_is_refused(site: Site) -> None:
    """The SHA-256 that a sender gives is held against the bytes."""
    upload = site.begin()
    digest = hashlib.sha256(DATA[-3:]).digest()
    with pytest.raises(InvalidInput, match="digest"):
        site.send(upload, 3, b"abc", sha256=digest)
    assert site.parts(upload) == []
    site.send(upload, 3, sha256=digest)


def test_another_file_than_was_meant_is_given_up(site: Site) -> None:
    """If the whole has not the SHA-256 that the client means, there is no file, and the upload is over."""
    upload = site.begin()
    site.send_all(upload)
    with pytest.raises(InvalidInput, match="given up"):
        site.complete(upload, Said(sha256="0" * 64))
    with pytest.raises(NotFound):
        site.shown(upload)
    assert site.left() == []


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        ({1: "right"}, Conflict),
        ({1: "right", 2: "0" * 64}, InvalidInput),
        ({1: "right", 2: "right", 3: "right"}, InvalidInput),
        ({1: "right", 2: "right", 0: "right"}, InvalidInput),
        ({}, Conflict),
    ],
)
def test_the_clients_tags_are_held_against_ours(site: Site, tags: dict[int, str], error: type[DomainError]) -> None:
    """A part that is missing, is too many, or has another etag in the client's list is refused."""
    upload = site.begin(plan=plan_of_parts(2))
    etags = {number: site.send(upload, number, bytes([number])).etag for number in (1, 2)}
    with pytest.raises(error):
        site.complete(
            upload, Said(tags={at: etags.get(at, tag) if tag == "right" else tag for at, tag in tags.items()})
        )
    site.complete(upload, Said(upload.path, tags=etags))
    assert site.read() == b"\x01\x02"


def test_a_part_that_never_came_is_not_believed(site: Site) -> None:
    """An etag for a part that the store does not have is refused."""
    upload = site.begin(plan=plan_of_parts(2))
    etag = site.send(upload, 1, b"x").etag
    with pytest.raises(Conflict, match="Part 2"):
        site.complete(upload, Said(tags={1: etag, 2: etag}))
    assert site.shown(upload).state == "open"


def test_a_part_that_changed_on_the_disk_is_noticed(site: Site) -> None:
    """A part whose bytes are not those that were acknowledged makes no file; sent again it does."""
    upload = site.begin()
    site.send_all(upload)
    part = site.folder / "parts" / upload.id / "2"
    data = bytearray(part.read_bytes())
    data[100] ^= 1
    part.write_bytes(data)
    with pytest.raises(Conflict, match="Part 2 is not the one"):
        site.complete(upload)
    part.unlink()
    with pytest.raises(Conflict, match="Part 2"):
        site.complete(upload)
    site.send(upload, 2)
    site.complete(upload)
    assert site.read() == DATA


def test_uploads_are_found_in_their_workspace_only(site: Site) -> None:
    """To a caller of another workspace an upload does not exist, whatever the call."""
    upload = site.begin()
    site.send_all(upload)
    with pytest.raises(NotFound):
        site.shown(upload, OTHER)
    with pytest.raises(NotFound):
        site.complete(upload, caller=OTHER)
    with pytest.raises(NotFound):
        site.abort(upload, OTHER)
    assert site.shown(upload).state == "open"


@pytest.mark.parametrize(
    ("path", "error"), [("1/other/artifacts/x", NotFound), (ROOT, Conflict), ("registered/m/1/x", Conflict)]
)
def test_only_writable_paths_are_begun(site: Site, path: str, error: type[DomainError]) -> None:
    """Where no file can be stored no upload is begun, and nothing is left of the try."""
    with pytest.raises(error):
        site.begin(path)
    assert site.left() == []


def test_a_path_that_became_a_folder_is_refused_at_the_end(site: Site) -> None:
    """A file that would be a folder too is refused when it is completed; the parts stay, and can be given up."""
    upload, below = site.begin(), site.begin(f"{ROOT}/big.bin/below")
    site.send_all(upload)
    site.send_all(below)
    site.complete(below)
    with pytest.raises(Conflict, match="folder"):
        site.complete(upload)
    assert site.shown(upload).state == "open"
    site.abort(upload)
    assert site.left() == []


def test_an_upload_given_up_is_gone(site: Site) -> None:
    """After an abort there is no upload, no part and no file; a complete upload is not given up."""
    upload = site.begin()
    site.send_all(upload)
    site.abort(upload)
    for again in (lambda: site.abort(upload), lambda: site.send(upload, 1), lambda: site.complete(upload)):
        with pytest.raises(NotFound):
            again()
    assert site.left() == []
    assert site.kinds() == ["upload.begun", "upload.aborted"]
    done = site.begin(plan=plan_of_size(1, None))
    site.send(done, 1, b"x")
    site.complete(done)
    with pytest.raises(Conflict, match="complete"):
        site.abort(done)
    assert site.read() == b"x"


def taken(site: Site, upload: Upload, age_ms: int) -> None:
    """What a server leaves that took its turn and was last heard of so long ago."""

    def claim(tx: Any) -> None:
        uploads_store.claim(tx, upload.id, 7)
        tx.run(uploads_store._TOUCH, id=upload.id, now=tx.now - age_ms)

    site.app.database.write_now(ALICE, claim)


def test_what_a_dead_server_began_is_taken_over(site: Site) -> None:
    """A completion whose server was not heard of for a while is done by another, and the dead one's turn is over."""
    upload = site.begin()
    site.send_all(upload)
    taken(site, upload, 60_000)
    assert site.complete(upload).size == len(DATA)
    finished = site.app.database.write_now(ALICE, lambda tx: uploads_store.finish(tx, upload.id, 7, "0" * 64, 1))
    assert not finished
    assert site.read() == DATA


def test_what_was_begun_before_the_clock_was_put_back_is_taken_over(site: Site) -> None:
    """A completion that was heard of in the future is as dead as one of long ago, and may be given up too."""
    upload, unwanted = site.begin(), site.begin(f"{ROOT}/unwanted")
    site.send_all(upload)
    for one in (upload, unwanted):
        taken(site, one, -3_600_000)
    assert site.complete(upload).size == len(DATA)
    site.abort(unwanted)


def test_a_live_completion_is_left_alone(site: Site) -> None:
    """While a server puts an upload together it takes no parts and cannot be given up, and others wait for it."""
    upload = site.begin()
    site.send_all(upload)
    taken(site, upload, 0)
    with pytest.raises(Conflict):
        site.send(upload, 1)
    with pytest.raises(Conflict):
        site.abort(upload)

    async def waiting() -> Completed:
        task = asyncio.create_task(site.complete_async(upload, Said()))
        await asyncio.sleep(0.6)
        assert not task.done()
        await site.app.database.write(ALICE, lambda tx: uploads_store.release(tx, upload.id, 7))
        return await task

    assert site.run(waiting).size == len(DATA)


def test_abandoned_uploads_are_swept(site: Site) -> None:
    """Uploads without progress are forgotten with their parts, and so are parts that no upload knows; others stay."""
    upload, done = site.begin(), site.begin(f"{ROOT}/done", plan_of_size(1, None))
    site.send_all(upload)
    site.send(done, 1, b"x")
    site.complete(done)
    orphan = site.app.blobs.parts
    orphan.begin("f" * 32)
    write_part(site.app.blobs, "f" * 32, "", 1, [b"x"])
    assert site.sweep(3600) == 0
    assert site.shown(upload).state == "open"
    assert site.sweep(0) == 3
    assert site.left() == []
    assert site.read(f"{ROOT}/done") == b"x"
    for gone in (upload, done):
        with pytest.raises(NotFound):
            site.shown(gone)
    assert site.kinds().count("upload.aborted") == 1


def test_a_sweep_spares_the_parts_of_live_uploads(site: Site) -> None:
    """Parts of an upload that is known are no orphans, however old they are."""
    upload = site.begin()
    site.send_all(upload)
    for path in (site.folder / "parts").iterdir():
        os.utime(path, (0, 0))
    assert site.sweep(3600) == 0
    site.complete(upload)
    assert site.read() == DATA


def test_a_quota_is_held(site: Site) -> None:
    """An upload that has no room is refused when it is begun, or else before it is put together; then it can wait."""
    site.app.database.write_now(ALICE, lambda tx: artifacts.set_quota(tx, "default", PART))
    with pytest.raises(TooLarge):
        site.begin()
    upload = site.begin(plan=plan_of_parts(2))
    site.send(upload, 1, os.urandom(PART))
    for declared in (PART, None):
        with pytest.raises(TooLarge, match=f"{PART} are in use"):
            site.send(upload, 2, os.urandom(PART), declared=declared)
    assert [part.number for part in site.parts(upload)] == [1]
    site.app.database.write_now(ALICE, lambda tx: artifacts.lift_quota(tx, "default"))
    site.send(upload, 2, os.urandom(PART))
    site.app.database.write_now(ALICE, lambda tx: artifacts.set_quota(tx, "default", 2 * PART))
    site.complete(upload)
    assert len(site.read()) == 2 * PART


def test_what_unfinished_uploads_are_to_have_is_taken(site: Site) -> None:
    """Of several uploads that each have room alone, so many are begun as have room together, by any server."""
    site.app.database.write_now(ALICE, lambda tx: artifacts.set_quota(tx, "default", 3 * len(DATA) - 1))
    first, second = site.begin(), site.begin(f"{ROOT}/second")
    with pytest.raises(TooLarge):
        site.begin(f"{ROOT}/third")
    usage_service._COUNTS.clear()  # another server, which has counted nothing yet
    with pytest.raises(TooLarge, match=f"{2 * len(DATA)} are in use"):
        site.begin(f"{ROOT}/third")
    for upload in (first, second):
        site.send_all(upload)
        site.complete(upload)
    with pytest.raises(TooLarge):
        site.begin(f"{ROOT}/third")


def test_an_upload_over_a_quota_set_meanwhile_makes_no_file(site: Site) -> None:
    """A quota that was set after the parts came refuses the file; the parts stay, and become it when there is room."""
    upload = site.begin()
    site.send_all(upload)
    site.app.database.write_now(ALICE, lambda tx: artifacts.set_quota(tx, "default", len(DATA) - 1))
    with pytest.raises(TooLarge, match=f"no room for {len(DATA)} more bytes: 0 are in use"):
        site.complete(upload)
    assert site.shown(upload).state == "open"
    site.app.database.write_now(ALICE, lambda tx: artifacts.set_quota(tx, "default", len(DATA)))
    site.complete(upload)


def test_parts_from_slow_clients_hold_up_nobody(site: Site) -> None:
    """While far more clients than there are threads have sent half of a part, another part is taken."""
    slow, quick = site.begin(plan=plan_of_parts(100)), site.begin(f"{ROOT}/quick", plan_of_size(3, None))

    async def both() -> list[Part]:
        hurry = asyncio.Event()

        async def halves() -> AsyncIterator[bytes]:
            yield b"x"
            await hurry.wait()
            yield b"y"

        def taken(upload: Upload, number: int, chunks: AsyncIterator[bytes]) -> Awaitable[Part]:
            return artifacts.receive_part(site.app.database, ALICE, site.app.blobs, upload.id, number, PartBody(chunks))

        waiting = [asyncio.create_task(_of(taken(slow, number, halves()))) for number in range(1, 101)]
        await asyncio.sleep(0.5)
        await asyncio.wait_for(taken(quick, 1, _pieces(b"a", b"bc")), 30)
        hurry.set()
        return await asyncio.gather(*waiting)

    assert [part.size for part in site.run(both)] == [2] * 100


async def _of(work: Awaitable[T]) -> T:
    return await work


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_a_part_that_is_broken_off_leaves_nothing(site: Site) -> None:
    """A part whose client goes away after some MiB is not there, nor anything of it."""
    upload = site.begin()

    async def broken() -> None:
        arrived = asyncio.Event()

        async def some() -> AsyncIterator[bytes]:
            yield DATA[: 3 * MIB]
            arrived.set()
            await asyncio.Event().wait()

        taken = PartBody(some())
        task = asyncio.create_task(
            artifacts.receive_part(site.app.database, ALICE, site.app.blobs, upload.id, 1, taken)
        )
        await arrived.wait()
        task.cancel()
        await asyncio.wait([task])

    site.run(broken)
    assert (site.parts(upload), site.left()) == ([], [upload.id])


@pytest.mark.parametrize(
    ("size", "part_size", "parts"),
    [(1, None, 1), (16 * MIB, None, 1), (16 * MIB + 1, None, 2), (1 << 40, None, 9987), (PART + 1, PART, 2)],
)
def test_plans(size: int, part_size: int | None, parts: int) -> None:
    """A file is divided so that the parts make its size, at most 10,000 of them, of whole MiB unless said otherwise."""
    plan = plan_of_size(size, part_size)
    assert plan.parts == parts
    assert sum(plan.length_of(number) or 0 for number in range(1, parts + 1)) == size


@pytest.mark.parametrize(
    ("size", "part_size"), [(0, None), (-1, None), (10, MIB), (10, (5 << 30) + 1), (10_000 * PART + 1, PART)]
)
def test_plans_that_cannot_be(size: int, part_size: int | None) -> None:
    """No bytes, parts that are too small or too large, or too many of them are refused."""
    with pytest.raises((InvalidInput, TooLarge)):
        plan_of_size(size, part_size)


@pytest.mark.parametrize("parts", [0, -1, 10_001])
def test_numbers_of_parts_that_cannot_be(parts: int) -> None:
    """An upload has 1 to 10,000 parts."""
    with pytest.raises(InvalidInput, match="10000"):
        plan_of_parts(parts)
