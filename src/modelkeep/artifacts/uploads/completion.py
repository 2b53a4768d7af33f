"""Putting the parts of an upload together: read and hashed once, made a blob, and named in one transaction.

Several servers may be asked for it, again and again: one of them has its turn and says every few seconds that it lives,
the others wait for what comes of it. Whoever lost its turn changes nothing any more.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from modelkeep.artifacts.blobs import BLOCK, UNKNOWN_SIZE, BlobStore, Joined, Part
from modelkeep.artifacts.digests import Content, Digests
from modelkeep.artifacts.service import Naming, check_writable, put_file
from modelkeep.artifacts.threads import HASHING, Lane, in_thread
from modelkeep.artifacts.transfer import Received, commit_and_name
from modelkeep.artifacts.uploads import store
from modelkeep.artifacts.uploads.ahead import BEGINNINGS, Beginning
from modelkeep.artifacts.uploads.service import Upload, check_path, check_sha256, is_alive, upload_of
from modelkeep.artifacts.usage.service import within_quota
from modelkeep.core.errors import Conflict, InvalidInput, NotFound, Unavailable
from modelkeep.core.types import Caller
from modelkeep.db import Database, Tx

T = TypeVar("T")

_JOINING = ThreadPoolExecutor(4, thread_name_prefix="join")
_BLOCKS_AHEAD = 2
_BEAT_S = 2.0
# Shorter than a proxy's usual patience: who asked is told to ask again, while the work goes on.
_ANSWER_WITHIN_S = 50.0
_LOOK_AGAIN_S = 0.25
_STILL_AT_IT = "The parts are still being put together; ask for the completion again."

_running: set["asyncio.Task[Completed]"] = set()


class Completed(NamedTuple):
    """The file that an upload became."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a client says of the upload that it completes: each is held against what is there, if it is said."""

    path: str | None = None
    sha256: str | None = None
    tags: Mapping[int, str] | None = None


class _TurnLost(Exception):
    """Somebody else puts this upload together now."""


class _OtherBytes(Exception):
    """The file is not the one that the client means."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Claim(NamedTuple):
    upload: Upload
    turn: int
    parts: Sequence[Part]
    quota: int | None

    @property
    def segments(self) -> tuple[str, ...]:
        """The path that the file shall have."""
        return tuple(self.upload.path.split("/"))

    @property
    def held(self) -> int:
        """The bytes of it that count against the quota already."""
        sent = sum(part.size for part in self.parts if part.size != UNKNOWN_SIZE)
        return sent if self.upload.plan.size is None else self.upload.plan.size


async def complete_upload(
    database: Database, caller: Caller, blobs: BlobStore, upload_id: str, said: Said
) -> Completed:
    """Make the parts of an upload the file at its path; asked again, it answers the same.

    Raises NotFound; InvalidInput where what is said is wrong; Conflict where a part is missing or another one, or the
    path cannot be; what the store raises; and Unavailable if it takes long: then it goes on, and may be asked again.
    """
    check_sha256(said.sha256)
    task = asyncio.create_task(_completed(database, caller, blobs, upload_id, said))
    _running.add(task)
    task.add_done_callback(_ended)
    done, _ = await asyncio.wait({task}, timeout=_ANSWER_WITHIN_S)
    if not done:
        raise Unavailable(_STILL_AT_IT)
    return task.result()


def _ended(task: "asyncio.Task[Completed]") -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # whoever asks again is told


async def _completed(database: Database, caller: Caller, blobs: BlobStore, upload_id: str, said: Said) -> Completed:
    deadline = time.monotonic() + _ANSWER_WITHIN_S
    while time.monotonic() < deadline:  # nobody waits for this any longer, unless it has its turn
        taken = await database.write(caller, lambda tx: _take_turn(tx, upload_id, said))
        if isinstance(taken, Completed):
            return taken
        if taken is not None:
            with contextlib.suppress(_TurnLost):
                return await _Assembly(database, caller, blobs, taken).run(said.sha256)
        await asyncio.sleep(_LOOK_AGAIN_S)
    raise Unavailable(_STILL_AT_IT)


def _take_turn(tx: Tx, upload_id: str, said: Said) -> Completed | _Claim | None:
    """What the upload became; or the claim to make it so; or None while somebody else does."""
    row = store.upload_to_change(tx, upload_id)
    upload = upload_of(row)
    check_path(upload, said.path)
    if upload.state == store.DONE:
        return _done(upload, said.sha256)
    if row is None or is_alive(upload, tx.now):
        return None
    parts = _agreed_parts(tx, upload, said.tags)
    claim = _Claim(upload, row.attempt + 1, parts, check_writable(tx, upload.path.split("/")))
    store.claim(tx, upload_id, claim.turn)
    return claim


def _done(upload: Upload, sha256: str | None) -> Completed:
    if sha256 is not None and sha256 != upload.sha256:
        raise InvalidInput(f"The file was completed before, with the SHA-256 {upload.sha256}.", "sha256")
    return Completed(upload.path, upload.sha256 or "", upload.plan.size or 0)


def _agreed_parts(tx: Tx, upload: Upload, tags: Mapping[int, str] | None) -> list[Part]:
    """The parts in order, as the client and the server both know them."""
    noted = {part.number: part for part in store.parts_of(tx, upload.id)}
    numbers = range(1, upload.plan.parts + 1)
    if tags is None:
        if missing := [number for number in numbers if number not in noted]:
            raise _missing(missing)
        return [noted[number] for number in numbers]
    if missing := [number for number in numbers if number not in tags]:
        raise _missing(missing)
    if extra := sorted(tags.keys() - set(numbers)):
        raise InvalidInput(f"The parts of this upload are numbered from 1 to {numbers[-1]}, not {extra[0]}.", "parts")
    return [_agreed(noted.get(number), number, tags[number]) for number in numbers]


def _agreed(noted: Part | None, number: int, tag: str) -> Part:
    if noted is None:  # sent straight to the store, which knows
        return Part(number, UNKNOWN_SIZE, tag)
    if noted.etag != tag:
        raise InvalidInput(f"Part {number} has another etag; send it again, or say the right one.", "parts")
    return noted


def _missing(numbers: Sequence[int]) -> Conflict:
    shown = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
    return Conflict(f"Parts of the upload are missing: {shown}.", "parts")


class _Assembly:
    """One turn at putting an upload together."""

    def __init__(self, database: Database, caller: Caller, blobs: BlobStore, claim: _Claim) -> None:
        self._database = database
        self._caller = caller
        self._blobs = blobs
        self._claim = claim
        self._lost = threading.Event()

    async def run(self, sha256: str | None) -> Completed:
        """Read, hash, commit, name. Whatever goes wrong leaves the upload as it was before."""
        beating = asyncio.create_task(self._beat())
        try:
            return await self._joined(sha256)
        except Exception:
            await self._write(lambda tx: store.release(tx, self._id, self._claim.turn))
            raise
        finally:
            beating.cancel()

    async def _joined(self, sha256: str | None) -> Completed:
        upload, parts = self._claim.upload, self._claim.parts
        try:
            joined = await in_thread(lambda: self._blobs.parts.join(upload.id, upload.handle, parts))
        except NotFound as error:
            raise Conflict(f"{error.message}. Send it again.", "parts") from error
        try:
            held = min(self._claim.held, joined.size)
            async with within_quota(self._database, self._caller, self._claim.quota, joined.size, held):
                content = await self._stored(joined, sha256)
        except _OtherBytes as error:
            await in_thread(joined.abort)
            raise InvalidInput(error.message, "sha256") from error
        except BaseException:
            _JOINING.submit(joined.close)
            raise
        await in_thread(joined.abort)
        return Completed(upload.path, content.sha256, content.size)

    async def _stored(self, joined: Joined, sha256: str | None) -> Content:
        beginning = BEGINNINGS.take(self._id)
        content = await asyncio.wrap_future(_JOINING.submit(lambda: self._read(joined, beginning)))
        if sha256 not in (None, content.sha256):
            raise await self._refusal(content.sha256)
        await commit_and_name(
            self._database,
            self._caller,
            Received(joined, content),
            lambda tx, epoch, healed: self._name(tx, content, epoch, healed=healed),
        )
        return content

    @property
    def _id(self) -> str:
        return self._claim.upload.id

    def _read(self, joined: Joined, beginning: Beginning | None) -> Content:
        """Every byte once: one thread reads, and in the store writes, while the other hashes what is not hashed yet."""
        digests = Digests() if beginning is None else beginning.end(self._claim.parts)
        known, naming = digests.size, Lane(HASHING)
        under_way: deque[Future[None]] = deque()
        for offset in range(0, joined.size, BLOCK):
            if self._lost.is_set():
                raise _TurnLost
            block = memoryview(joined.read_at(offset, BLOCK))[max(0, known - offset) :]
            if not block:
                continue
            digests.hash_chunks(block)
            under_way.append(naming.submit(partial(digests.hash_whole, block)))
            if len(under_way) > _BLOCKS_AHEAD:
                under_way.popleft().result()
        for hashed in under_way:
            hashed.result()
        return digests.content()

    def _name(self, tx: Tx, content: Content, epoch: int, *, healed: bool) -> Naming:
        naming = put_file(tx, self._claim.segments, content, epoch, healed=healed)
        if naming is Naming.DONE and not store.finish(tx, self._id, self._claim.turn, content.sha256, content.size):
            raise _TurnLost
        return naming

    async def _refusal(self, found: str) -> "_OtherBytes":
        """Forget an upload whose bytes are not those that were meant: nobody knows which of its parts is wrong."""
        if not await self._write(lambda tx: store.give_up(tx, self._id, self._claim.turn)):
            raise _TurnLost
        return _OtherBytes(f"The bytes have the SHA-256 {found}, another one. The upload is given up: begin again.")

    async def _write(self, work: Callable[[Tx], T]) -> T:
        return await self._database.write(self._caller, work)

    async def _beat(self) -> None:
        """Say that this turn lives, for as long as it does."""
        while not self._lost.is_set():
            await asyncio.sleep(_BEAT_S)
            with contextlib.suppress(Unavailable):
                if not await self._write(lambda tx: store.beat(tx, self._id, self._claim.turn)):
                    self._lost.set()
