"""Reclaiming on the native API: what may go and why, a page at a time, or all of it let go of."""

import time
from collections.abc import Callable
from functools import partial

from modelkeep import artifacts, retention
from modelkeep.access import Permission
from modelkeep.artifacts import Amount, Unnamed
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Exchange, Mode, Operation
from modelkeep.retention import (
    RESTORE_DAYS,
    START,
    TRASH_DAYS,
    Candidate,
    LeftBehind,
    Place,
    Reclaimed,
    Terms,
    check_days,
)

# Clients wait a minute for an answer; what takes longer is done in several calls.
_APPLY_FOR_S = 20.0
_LIST_FOR_S = 2.0


class Collect(Request):
    """What to reclaim: what was deleted or retired before so many days, and of the trash, what is so many days there.

    Without `apply` nothing happens: the answer lists what would. Either is done in as many calls as it takes: go on
    with the `cursor` that an answer gave.
    """

    apply: bool = False
    older_than_days: int = RESTORE_DAYS
    trash_days: int = TRASH_DAYS
    limit: PageSize = 1000
    cursor: Cursor = ""


class CollectItem(Answer):
    """Something that may go: a `version`, `run` or `logged_model` whose files are let go of, or a `blob` that nothing
    names (an `orphan` if the database does not even know it). `bytes` are its own, `frees` those of a version that
    nothing else names; bytes that only several candidates together name are in none of theirs.
    """

    kind: str
    bytes: int
    reason: str
    name: str | None = None
    id: str | None = None
    version: int | None = None
    sha256: str | None = None
    files: int | None = None
    frees: int | None = None
    trashed_at: int | None = None


class CollectedAmount(Answer):
    """How many, and their bytes together."""

    count: int
    bytes: int


class CollectAnswer(Answer):
    """What may go, or with `apply` what went: versions let go of, files of deleted runs and logged models removed, and
    blobs put into the trash and deleted from it. Where it is not `finished`, call again with the `next_cursor`.
    """

    applied: bool
    finished: bool
    items: list[CollectItem] | None = None
    next_cursor: str | None = None
    versions: CollectedAmount | None = None
    deleted_files: CollectedAmount | None = None
    trashed: CollectedAmount | None = None
    deleted: CollectedAmount | None = None


async def collect(exchange: Exchange) -> CollectAnswer:
    """List what may go, or let it go."""
    request: Collect = exchange.request
    check_days("older_than_days", request.older_than_days)
    check_days("trash_days", request.trash_days)
    return await exchange.app.at_length(lambda: (_apply if request.apply else _list)(exchange, request))


def _apply(exchange: Exchange, request: Collect) -> CollectAnswer:
    app, terms = exchange.app, Terms(request.older_than_days)
    place = Place(*read_cursor(request.cursor, int, str, int)) if request.cursor else START
    app.database.write_now(exchange.caller, lambda tx: retention.begin_reclaiming(tx, terms, request.trash_days, place))
    done = retention.reclaim(app.database, exchange.caller, app.blobs, terms, request.trash_days, _APPLY_FOR_S, place)
    return _done(done)


def _done(done: Reclaimed) -> CollectAnswer:
    return CollectAnswer(
        applied=True,
        finished=done.following is None,
        next_cursor=write_cursor(*done.following) if done.following else None,
        versions=_amount(done.versions),
        deleted_files=_amount(done.trees),
        trashed=_amount(done.trashed),
        deleted=_amount(done.deleted),
    )


def _amount(amount: Amount) -> CollectedAmount:
    return CollectedAmount(count=amount.count, bytes=amount.size)


# One step of the listing: the items behind a key, at most so many, and the key behind which there may be more.
Key = tuple[str, int]
Listed = tuple[list[CollectItem], Key | None]
Step = Callable[[str, int, int], Listed]


def _list(exchange: Exchange, request: Collect) -> CollectAnswer:
    steps = _steps(exchange, Terms(request.older_than_days))
    at, text, number = (0, "", 0)
    if request.cursor:
        at, text, number = read_cursor(request.cursor, int, str, int)
    items: list[CollectItem] = []
    while 0 <= at < len(steps):
        found, following = steps[at](text, number, request.limit - len(items))
        items += found
        if following is not None:
            return CollectAnswer(applied=False, finished=False, items=items, next_cursor=write_cursor(at, *following))
        at, text, number = at + 1, "", 0
    return CollectAnswer(applied=False, finished=True, items=items)


def _steps(exchange: Exchange, terms: Terms) -> list[Step]:
    return [
        partial(_versions, exchange, terms),
        partial(_deleted, exchange, terms),
        partial(_blobs, exchange),
        partial(_orphans, exchange),
    ]


def _versions(exchange: Exchange, terms: Terms, model_id: str, number: int, most: int) -> Listed:
    found = exchange.app.database.read_now(
        exchange.caller, lambda tx: retention.version_candidates(tx, terms, (model_id, number), most)
    )
    return [_version_item(one) for one in found], (found[-1].model_id, found[-1].version) if len(
        found
    ) == most else None


def _deleted(exchange: Exchange, terms: Terms, owner: str, _number: int, most: int) -> Listed:
    found = exchange.app.database.read_now(exchange.caller, lambda tx: retention.left_behind(tx, terms, owner, most))
    return [_tree_item(one) for one in found], (found[-1].owner, 0) if len(found) == most else None


def _blobs(exchange: Exchange, sha256: str, _number: int, most: int) -> Listed:
    found = exchange.app.database.read_now(exchange.caller, lambda tx: artifacts.unnamed_blobs(tx, sha256, most))
    items = [_blob_item(one, "blob", "nothing names it") for one in found]
    return items, (found[-1].sha256, 0) if len(found) == most else None


def _orphans(exchange: Exchange, sha256: str, _number: int, most: int) -> Listed:
    app, ends = exchange.app, time.monotonic() + _LIST_FOR_S
    listed = artifacts.orphans(app.database, exchange.caller, app.blobs, sha256, most, lambda: time.monotonic() < ends)
    items = [_blob_item(one, "orphan", "the database does not know it") for one in listed.found]
    return items, (listed.following, 0) if listed.following else None


def _version_item(one: Candidate) -> CollectItem:
    return CollectItem(
        kind="version",
        bytes=one.size,
        reason=one.reason,
        name=one.name,
        id=one.model_id,
        version=one.version,
        frees=one.frees,
    )


def _tree_item(one: LeftBehind) -> CollectItem:
    kind = "run" if one.owner.startswith("run/") else "logged_model"
    return CollectItem(kind=kind, bytes=one.size, reason=one.reason, name=one.name, id=one.id, files=one.files)


def _blob_item(one: Unnamed, kind: str, reason: str) -> CollectItem:
    return CollectItem(kind=kind, bytes=one.size, reason=reason, sha256=one.sha256, trashed_at=one.trashed_at)


OPERATIONS: list[Operation] = [
    Operation(
        "storage.collect",
        NATIVE,
        routes("POST", "gc"),
        Collect,
        collect,
        Mode.STEPS,
        Permission.STORAGE_MANAGE,
        "List what may be reclaimed and why, or reclaim it",
        CollectAnswer,
    ),
]
