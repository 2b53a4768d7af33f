"""Reclaiming done: files are let go of, what nothing names comes into the trash, and what lies there long is deleted.

Every step is a transaction of its own that looks again at what it decides on, so it may race anything and be broken off
anywhere; the next run goes on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import NamedTuple

from modelkeep import artifacts, models, runs
from modelkeep.artifacts import Amount, BlobStore
from modelkeep.core.errors import InvalidInput
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db import Database, Tx
from modelkeep.retention import store
from modelkeep.retention.candidates import LeftBehind, Terms, left_behind, still_candidates, version_candidates
from modelkeep.retention.events import CollectionBegun, TreeReclaimed, VersionReclaimed
from modelkeep.retention.rules import DAY_MS

Going = Callable[[], bool]
# Behind which model and version, or owner, or blob a step goes on.
Key = tuple[str, int]
# What a step did, and behind which key it stopped: None if it is through.
Stopped = tuple[Amount, Key | None]

NOTHING = Amount()
BEGINNING: Key = ("", 0)
_BATCH = 500


class Step(IntEnum):
    """What a run does, in this order."""

    VERSIONS = 0
    TREES = 1
    TRASHED = 2
    DELETED = 3
    ADOPTED = 4


class Place(NamedTuple):
    """How far a run has come: the step, and its key."""

    step: int = Step.VERSIONS
    text: str = ""
    number: int = 0


START = Place()


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What a call did, and from where the next one goes on: None where all is done."""

    versions: Amount = NOTHING
    trees: Amount = NOTHING
    trashed: Amount = NOTHING
    deleted: Amount = NOTHING
    following: Place | None = None


def begin_reclaiming(tx: Tx, terms: Terms, trash_days: int, place: Place = START) -> None:
    """Write down that the caller has all this reclaimed, before anything goes. Raises InvalidInput for a bad place."""
    _check_place(place)
    tx.emit(CollectionBegun(terms.restore_days, trash_days, place != START))


def _check_place(place: Place) -> None:
    if place.step not in list(Step):
        raise InvalidInput("This is no cursor of such a run; take `next_cursor` from an answer.", "cursor")


def reclaim(
    database: Database,
    caller: Caller,
    blobs: BlobStore,
    terms: Terms,
    trash_days: int,
    most_seconds: float,
    place: Place = START,
) -> Reclaimed:
    """Let go of all that the caller's workspace need not keep, and empty the trash of the whole registry.

    Ends after some time, and goes on from the place that it then names; every call comes further. Raises InvalidInput
    for a place that is none, Conflict while somebody else empties the trash, Unavailable if the store does not answer.
    """
    _check_place(place)
    going = _until(time.monotonic() + most_seconds)
    steps: dict[int, Callable[[Key], Stopped]] = {
        Step.VERSIONS: lambda after: _release_all(database, caller, terms, after, going),
        Step.TREES: lambda after: _clear_all(database, caller, terms, after, going),
        Step.TRASHED: lambda after: _through(artifacts.trash_unnamed(database, caller, after[0], going)),
        Step.DELETED: lambda _: _emptied(
            artifacts.empty_trash(database, caller, blobs, trash_days * DAY_MS, going), going
        ),
        # Last, as it walks over the whole store: what it puts into the trash lies there for a while anyhow.
        Step.ADOPTED: lambda after: _through(artifacts.adopt_orphans(database, caller, blobs, after[0], going)),
    }
    return _walk(steps, place, going)


def _walk(steps: Mapping[int, Callable[[Key], Stopped]], place: Place, going: Going) -> Reclaimed:
    done = dict.fromkeys(Step, NOTHING)
    step, after = place.step, (place.text, place.number)
    while step in steps:
        amount, following = steps[step](after)
        done[Step(step)] += amount
        step, after = (step, following) if following else (step + 1, BEGINNING)
        if not going():
            break
    return Reclaimed(
        versions=done[Step.VERSIONS],
        trees=done[Step.TREES],
        trashed=done[Step.TRASHED] + done[Step.ADOPTED],
        deleted=done[Step.DELETED],
        following=Place(step, *after) if step in steps else None,
    )


def _until(end: float) -> Going:
    return lambda: time.monotonic() < end


def _through(progress: artifacts.Progress) -> Stopped:
    return progress.amount, (progress.following, 0) if progress.following else None


def _emptied(deleted: Amount, going: Going) -> Stopped:
    return deleted, BEGINNING if deleted.count and not going() else None


def apply_automatic_rules(database: Database, going: Going = lambda: True) -> None:
    """Let go of the versions that automatic rules no longer keep, in every workspace that has such rules."""
    for workspace in database.read_now(SYSTEM, store.workspaces_with_automatic_rules):
        caller = Caller(SYSTEM.actor, workspace, "chore-retention")
        if going():
            _release_all(database, caller, Terms(restore_days=None, automatic_only=True), BEGINNING, going)


def release_versions(tx: Tx, terms: Terms, model_id: str, numbers: Sequence[int]) -> list[int]:
    """Let go of the files of these versions of a model, of those that may go now; the sizes of what did.

    The model's row is held, as promotion and holds do: what is placed or held before this keeps its files, and what
    went cannot be placed afterwards.
    """
    if models.lock_any_model(tx, model_id) is None:
        return []
    sizes = []
    for one in still_candidates(tx, terms, model_id, numbers):
        if models.reclaim_version(tx, model_id, one.version):
            trashed = artifacts.release_version(tx, model_id, one.version)
            event = VersionReclaimed(model_id, one.name, one.version, one.digest, one.size, trashed.size, one.reason)
            tx.emit(event)
            sizes.append(one.size)
    return sizes


def clear_tree(tx: Tx, tree: LeftBehind, terms: Terms) -> Amount:
    """Remove the files of a run or logged model that was deleted long ago, unless it was restored meanwhile."""
    kind, _, identity = tree.owner.partition("/")
    row = runs.deleted_run(tx, identity) if kind == "run" else runs.deleted_logged_model(tx, identity)
    if row is None or terms.restore_days is None or row.deleted_at > tx.now - terms.restore_days * DAY_MS:
        return NOTHING
    amount = artifacts.clear_tree(tx, tree.owner)
    if amount.count:
        tx.emit(TreeReclaimed(tree.owner, amount.count, amount.size, tree.reason))
    return amount


def _release_all(database: Database, caller: Caller, terms: Terms, after: Key, going: Going) -> Stopped:
    total = NOTHING
    while True:
        page = database.read_now(caller, lambda tx, after=after: version_candidates(tx, terms, after, _BATCH))  # type: ignore[misc]
        if not page:
            return total, None
        for model_id, group in groupby(page, lambda one: one.model_id):
            numbers = [one.version for one in group]
            total = total.plus(
                database.write_now(
                    caller,
                    lambda tx, of=model_id, numbers=numbers: release_versions(tx, terms, of, numbers),  # type: ignore[misc]
                )
            )
        after = page[-1].model_id, page[-1].version
        if not going():
            return total, after


def _clear_all(database: Database, caller: Caller, terms: Terms, after: Key, going: Going) -> Stopped:
    total = NOTHING
    while True:
        page = database.read_now(caller, lambda tx, after=after: left_behind(tx, terms, after[0], _BATCH))  # type: ignore[misc]
        if not page:
            return total, None
        for tree in page:
            total += database.write_now(caller, lambda tx, tree=tree: clear_tree(tx, tree, terms))  # type: ignore[misc]
        after = page[-1].owner, 0
        if not going():
            return total, after
