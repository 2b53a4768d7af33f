"""Blobs that the store does not give back as they were stored: noted, listed with what holds them, and healed.

A damaged blob is not served until its bytes are uploaded again, or were found to be right after all.
"""

from typing import NamedTuple

from modelkeep.artifacts.events import BlobDamaged, BlobHealed
from modelkeep.artifacts.integrity import store
from modelkeep.core.errors import Corrupt
from modelkeep.db import Tx

MOST_HOLDERS = 100


class Damaged(Corrupt):
    """The store does not give back the bytes of this blob. `seen` tells which they were, where that is known."""

    def __init__(self, message: str, sha256: str, seen: int | None = None) -> None:
        super().__init__(message)
        self.sha256 = sha256
        self.seen = seen


class Holder(NamedTuple):
    """A file that is a blob: its path in the tree of `owner`.

    That is `run/<id>`, `logged-model/<id>`, or `version/<model id>/<number>`.
    """

    workspace: str
    owner: str
    path: str


class DamagedBlob(NamedTuple):
    """A damaged blob, since when that is known (in ms), and what holds it (at most `MOST_HOLDERS`)."""

    sha256: str
    size: int
    since: int
    holders: list[Holder]


def known_damage(name: str, sha256: str) -> Damaged:
    """What a reader of a damaged blob is told."""
    return Damaged(f"The stored blob {sha256} of '{name}' is damaged; upload these bytes again to heal it", sha256)


def check_sound(tx: Tx, name: str, sha256: str) -> int | None:
    """What tells a blob's bytes from those before and after them. Raises Damaged if they are known to be damaged."""
    row = store.soundness(tx, sha256)
    if row is None:
        return None
    if row.corrupt_at is not None:
        raise known_damage(name, sha256)
    return int(row.sound_at)


def note_damage(tx: Tx, sha256: str, seen: int | None = None) -> bool:
    """Mark a blob as damaged; False if it was marked already, or nothing can name it any more.

    Nor is it marked if it was healed since it was `seen` (`StoredFile.seen`): then these are other bytes.
    """
    marked = store.mark(tx, sha256, seen)
    if marked:
        tx.emit(BlobDamaged(sha256))
    return marked


def note_healed(tx: Tx, sha256: str) -> bool:
    """The store gives back a blob as it was stored; False if nobody thought otherwise."""
    healed = store.heal(tx, sha256)
    if healed:
        tx.emit(BlobHealed(sha256))
    return healed


def note_replaced(tx: Tx, sha256: str) -> None:
    """The bytes of a blob were replaced by right ones: what was seen before says nothing of these."""
    if not note_healed(tx, sha256):
        store.renew(tx, sha256)


def holders_of(tx: Tx, sha256: str) -> list[Holder]:
    """What holds a blob, in all workspaces: for the operator, not for a caller. At most `MOST_HOLDERS`."""
    return [Holder(row.workspace, row.owner, row.path) for row in store.holders(tx, sha256, MOST_HOLDERS)]


def holders_here(tx: Tx, sha256: str) -> list[Holder]:
    """What holds a blob in the caller's workspace. At most `MOST_HOLDERS`."""
    return [Holder(row.workspace, row.owner, row.path) for row in store.holders_here(tx, sha256, MOST_HOLDERS)]


def damaged_blobs(tx: Tx, after: str, most: int) -> list[DamagedBlob]:
    """The damaged blobs that something in the caller's workspace holds, by digest from behind `after`."""
    return [
        DamagedBlob(row.sha256, row.size, row.corrupt_at, holders_here(tx, row.sha256))
        for row in store.damaged_here(tx, after, most)
    ]


def count_damaged(tx: Tx) -> int:
    """How many blobs are damaged, in all workspaces."""
    return store.count(tx)
