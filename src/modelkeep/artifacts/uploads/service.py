"""Uploads in parts, as use cases: begun for a path, filled part by part, shown, and forgotten when given up.

Putting the parts together is `upload_completion`. An id is a secret of 128 bits, but an upload is only found in the
workspace that it was begun in.
"""

import math
import re
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from modelkeep.artifacts.blobs import ABANDONED_AFTER_S, MOST_PARTS, BlobStore, Known, Link, Part
from modelkeep.artifacts.events import UploadAborted, UploadBegun
from modelkeep.artifacts.service import check_writable
from modelkeep.artifacts.threads import in_thread
from modelkeep.artifacts.uploads import store
from modelkeep.artifacts.usage.service import within_quota
from modelkeep.core.errors import Conflict, InvalidInput, NotFound, TooLarge
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db import Database, Tx

MIB = 1 << 20
SMALLEST_PART, LARGEST_PART = 5 * MIB, 5 << 30
USUAL_PART = 16 * MIB
# Whoever puts an upload together says so much more often than this; otherwise somebody else may do it.
LEASE_MS = 10_000

_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadPlan(NamedTuple):
    """How a file will come: in how many parts, and of which length each, if that is known before."""

    parts: int
    size: int | None = None
    part_size: int | None = None

    def length_of(self, number: int) -> int | None:
        """How long a part has to be."""
        if self.size is None or self.part_size is None:
            return None
        return min(self.part_size, self.size - (number - 1) * self.part_size)


class Upload(NamedTuple):
    """An upload in parts. `sha256` is there when it is done."""

    id: str
    path: str
    plan: UploadPlan
    state: str
    handle: str
    created_at: int
    updated_at: int
    sha256: str | None


def plan_of_parts(parts: int) -> UploadPlan:
    """So many parts of any length. Raises InvalidInput."""
    if not 1 <= parts <= MOST_PARTS:
        raise InvalidInput(f"An upload has 1 to {MOST_PARTS} parts, not {parts}; make the parts larger.", "num_parts")
    return UploadPlan(parts)


def plan_of_size(size: int, part_size: int | None) -> UploadPlan:
    """A file of this size in parts of one length, the last maybe shorter. Raises InvalidInput or TooLarge."""
    if size < 1:
        raise InvalidInput("An upload in parts has at least one byte; send an empty file whole.", "size")
    if part_size is None:
        part_size = max(USUAL_PART, math.ceil(size / MOST_PARTS / MIB) * MIB)
    if not SMALLEST_PART <= part_size <= LARGEST_PART:
        raise InvalidInput(f"A part has {SMALLEST_PART} to {LARGEST_PART} bytes, not {part_size}.", "part_size")
    parts = math.ceil(size / part_size)
    if parts > MOST_PARTS:
        raise TooLarge(f"{size} bytes are more than {MOST_PARTS} parts of {part_size}; make the parts larger.", "size")
    return UploadPlan(parts, size, part_size)


async def begin_upload(
    database: Database, caller: Caller, blobs: BlobStore, segments: Sequence[str], plan: UploadPlan
) -> Upload:
    """Open an upload for a path; what it is said to have counts against the quota from now on.

    Raises what `check_writable` and the store raise, and TooLarge for the quota.
    """
    quota = await database.read_quickly(caller, lambda tx: check_writable(tx, segments))
    async with within_quota(database, caller, quota, plan.size):
        return await _begun(database, caller, blobs, "/".join(segments), plan)


async def _begun(database: Database, caller: Caller, blobs: BlobStore, path: str, plan: UploadPlan) -> Upload:
    upload_id = secrets.token_hex(16)
    handle = await in_thread(lambda: blobs.parts.begin(upload_id))
    try:
        return await database.write(caller, lambda tx: _insert(tx, upload_id, handle, path, plan))
    except Exception:
        await in_thread(lambda: blobs.parts.abort(upload_id, handle))
        raise


def _insert(tx: Tx, upload_id: str, handle: str, path: str, plan: UploadPlan) -> Upload:
    new = {"id": upload_id, "workspace": tx.workspace, "path": path, "handle": handle, **plan._asdict()}
    new |= {"state": store.OPEN, "attempt": 0, "sha256": None, "created_by": tx.actor.name}
    store.insert_upload(tx, new | {"created_at": tx.now, "updated_at": tx.now})
    tx.emit(UploadBegun(path, plan.parts))
    return get_upload(tx, upload_id)


def get_upload(tx: Tx, upload_id: str) -> Upload:
    """An upload of this workspace. Raises NotFound."""
    return upload_of(store.upload(tx, upload_id))


def upload_of(row: Any | None) -> Upload:
    """The upload in a row. Raises NotFound where there is none."""
    if row is None:
        raise NotFound(
            "No such upload: it was never begun, was given up, or was forgotten after a day without progress."
        )
    plan = UploadPlan(row.parts, row.size, row.part_size)
    return Upload(row.id, row.path, plan, row.state, row.handle, row.created_at, row.updated_at, row.sha256)


def upload_parts(tx: Tx, upload_id: str) -> list[Part]:
    """The parts of an upload that came through the server, in order."""
    return store.parts_of(tx, upload_id)


def open_upload(tx: Tx, upload_id: str, number: int) -> Upload:
    """An upload that can take this part. Raises NotFound, InvalidInput, or Conflict."""
    return _takes(get_upload(tx, upload_id), number)


def note_part(tx: Tx, upload_id: str, part: Part) -> None:
    """Write down that the store has a part. Raises as `open_upload`."""
    _takes(upload_of(store.upload_to_change(tx, upload_id)), part.number)
    store.put_part(tx, upload_id, part)


def _takes(upload: Upload, number: int) -> Upload:
    if not 1 <= number <= upload.plan.parts:
        raise InvalidInput(f"The parts of this upload are numbered from 1 to {upload.plan.parts}.", "number")
    if upload.state != store.OPEN:
        raise Conflict("This upload takes no parts any more: it is being completed, or complete.")
    return upload


def part_link(blobs: BlobStore, upload: Upload, number: int) -> Link | None:
    """Where a part may be sent straight to the store; None where it has to come through the server."""
    return blobs.parts.link(upload.id, upload.handle, number, int(ABANDONED_AFTER_S))


def gives_part_links(blobs: BlobStore) -> bool:
    """Whether clients can send parts straight to the store."""
    return blobs.parts.link("0" * 32, "any", 1, 1) is not None


async def abort_upload(
    database: Database, caller: Caller, blobs: BlobStore, upload_id: str, path: str | None = None
) -> None:
    """Give an upload up. Raises NotFound, and Conflict if it is complete or just being completed."""
    upload = await database.write(caller, lambda tx: _drop(tx, upload_id, path))
    await in_thread(lambda: blobs.parts.abort(upload.id, upload.handle))


def _drop(tx: Tx, upload_id: str, path: str | None) -> Upload:
    upload = upload_of(store.upload_to_change(tx, upload_id))
    check_path(upload, path)
    if upload.state == store.DONE:
        raise Conflict("This upload is complete; remove the file instead.")
    if is_alive(upload, tx.now):
        raise Conflict("This upload is just being completed.")
    store.delete_upload(tx, upload_id)
    tx.emit(UploadAborted(upload.path))
    return upload


def is_alive(upload: Upload, now: int) -> bool:
    """Whether somebody is putting it together. Heard of in the future, it was before the clock was put back."""
    return upload.state == store.COMPLETING and abs(now - upload.updated_at) < LEASE_MS


def check_path(upload: Upload, path: str | None) -> None:
    """Refuse a path that is said again and is not the upload's. Raises InvalidInput."""
    if path is not None and path != upload.path:
        raise InvalidInput("This upload was begun for another path.", "path")


def check_sha256(sha256: str | None) -> None:
    """Refuse a digest that is none. Raises InvalidInput."""
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise InvalidInput("A SHA-256 is 64 lower-case hex digits.", "sha256")


def known_uploads(database: Database) -> Known:
    """Which uploads in parts are kept, in any state: the store is not to sweep what they are made of."""
    return lambda ids: database.read_now(SYSTEM, lambda tx: store.kept(tx, list(ids)))


def sweep_uploads(database: Database, blobs: BlobStore, older_than_s: float = ABANDONED_AFTER_S) -> int:
    """Forget uploads without progress for so long, and parts in the store that belong to none; how many."""
    swept = 0
    for row in database.read_now(SYSTEM, lambda tx: store.stale(tx, tx.now - int(older_than_s * 1000))):
        upload = upload_of(row)
        caller = Caller(SYSTEM.actor, row.workspace, "sweep")
        if database.write_now(caller, lambda tx, upload=upload: _forget(tx, upload)):  # type: ignore[misc]
            swept += 1
            if upload.state == store.OPEN:
                blobs.parts.abort(upload.id, upload.handle)
    return swept + _sweep_orphans(database, blobs, older_than_s)


def _forget(tx: Tx, seen: Upload) -> bool:
    """Delete what did not change since it was seen."""
    row = store.upload_to_change(tx, seen.id)
    if row is None or upload_of(row) != seen:
        return False
    store.delete_upload(tx, seen.id)
    if seen.state != store.DONE:
        tx.emit(UploadAborted(seen.path))
    return True


def _sweep_orphans(database: Database, blobs: BlobStore, older_than_s: float) -> int:
    old = [upload for upload, age in blobs.parts.uploads() if age >= older_than_s]
    needed = database.read_now(SYSTEM, lambda tx: store.unfinished(tx, old))
    for upload in (orphans := [upload for upload in old if upload not in needed]):
        blobs.parts.abort(upload, "")
    return len(orphans)
