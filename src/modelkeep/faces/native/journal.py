"""The journal on the native API: who did what; searched, exported, and the past that it tells."""

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from modelkeep import audit
from modelkeep.access import Permission
from modelkeep.audit import Selection
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Exchange, Mode, Operation, Reply

_NEWEST = 2**63 - 1
# The last millisecond that has a date.
_LAST_MS = 253_402_300_799_999
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class ChosenEntries(Request):
    """Which entries: all that fit what is given. `kind` is the beginning of one; times are ms, RFC 3339, days (UTC) or
    `now`.
    """

    actor: str = ""
    actor_id: str = ""
    resource: str = ""
    kind: str = ""
    outcome: Literal["", "done", "refused"] = ""
    since: str = ""
    until: str = ""
    token_id: str = ""
    request_id: str = ""
    everywhere: bool = False


class ListEntries(ChosenEntries):
    """A page of the journal."""

    limit: PageSize = 100
    cursor: Cursor = ""


class ExportEntries(ChosenEntries):
    """All entries that fit, as lines of JSON or as CSV."""

    format: Literal["jsonl", "csv"] = "jsonl"


class AskPast(Request):
    """A thing, and the moment: `now`, ms, RFC 3339, or the beginning of a day (UTC)."""

    resource: str
    at: str


class JournalEntry(Answer):
    """A thing that was done, or refused: its kind, what it was about, by whom and how they signed in, from where, why.

    `at` is in milliseconds. `seq` is its place in the audit log, which it gets within a second.
    """

    id: int
    at: int
    kind: str
    outcome: str
    resource: str
    workspace: str
    actor: str
    signed_in_by: str
    token_id: str
    request_id: str
    data: dict[str, Any]
    actor_id: str = ""
    address: str = ""
    reason: str = ""
    seq: int | None = None


class JournalPage(Answer):
    """A page of the journal, newest first."""

    items: list[JournalEntry]
    next_cursor: str | None = None


class PastFact(Answer):
    """What something was (null: not there, or not set), and the entry that made it so, if anybody ever did."""

    what: str
    value: Any
    key: str = ""
    by: JournalEntry | None = None


class PastAnswer(Answer):
    """A thing as it was: by its lasting name, whether it was there, and what is known of it."""

    resource: str
    at: int
    exists: bool
    facts: list[PastFact]


def list_entries(tx: Tx, request: ListEntries) -> JournalPage:
    """Entries of the workspace, or of all, newest first."""
    before = read_cursor(request.cursor, int)[0] if request.cursor else _NEWEST
    found = audit.search(tx, _chosen(tx, request), before, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].id) if len(found) > len(page) else None
    return JournalPage(items=[_entry(row) for row in page], next_cursor=more)


async def export_entries(exchange: Exchange) -> Reply:
    """All of them, in their order, as they are read."""
    request: ExportEntries = exchange.request
    chosen, last = await exchange.app.read(exchange.caller, lambda tx: (_chosen(tx, request), audit.last_entry(tx)))
    content_type = audit.FORMATS[request.format][0]
    name = b'attachment; filename="journal.%b"' % request.format.encode()
    headers = [(b"content-type", content_type), (b"content-disposition", name)]
    return Reply(200, headers, Exported(exchange, chosen, last, request.format))


class Exported:
    """Entries as a file, some hundred at a time; how long it will be shows at its end."""

    def __init__(self, exchange: Exchange, chosen: Selection, last: int, form: str) -> None:
        self._exchange, self._chosen, self._last = exchange, chosen, last
        self._head, self._written = audit.FORMATS[form][1:]

    @property
    def size(self) -> None:
        """Not known before."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The file, in order."""
        if self._head:
            yield self._head
        after: int | None = -1
        while after is not None:
            batch = await self._next(after)
            if batch.rows:
                yield self._written(batch.rows)
            after = batch.next_after

    async def _next(self, after: int) -> audit.Batch:
        app, caller = self._exchange.app, self._exchange.caller
        return await app.read(caller, lambda tx: audit.batch_after(tx, self._chosen, after, self._last))

    def close(self) -> None:
        """Nothing is held."""


def show_past(tx: Tx, request: AskPast) -> PastAnswer:
    """What a thing was at a moment, and who made it so."""
    at = _moment(tx, request.at, "at")
    if at is None:
        raise _no_moment("at")
    past = audit.as_of(tx, request.resource, at)
    facts = [
        PastFact(what=one.what, key=one.key, value=one.value, by=_entry(one.by) if one.by else None)
        for one in past.facts
    ]
    return PastAnswer(resource=past.resource, at=at, exists=past.exists, facts=facts)


def _chosen(tx: Tx, request: ChosenEntries) -> Selection:
    return Selection(
        actor=request.actor,
        actor_id=request.actor_id,
        resources=audit.resources_of(tx, request.resource),
        kind=request.kind,
        outcome=request.outcome,
        since=_moment(tx, request.since, "since"),
        until=_moment(tx, request.until, "until"),
        token_id=request.token_id,
        request_id=request.request_id,
        everywhere=request.everywhere,
    )


def _moment(tx: Tx, text: str, field: str) -> int | None:
    """A moment in ms; None for an empty text. Raises InvalidInput."""
    if not text:
        return None
    if text == "now":
        return tx.now
    if text.isascii() and text.isdigit() and len(text) < len(str(_NEWEST)) and int(text) <= _LAST_MS:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and _DAY.fullmatch(text):
        moment = moment.replace(tzinfo=UTC)
    if moment is None or moment.tzinfo is None:
        raise _no_moment(field)
    return int(moment.timestamp() * 1000)


def _no_moment(field: str) -> InvalidInput:
    return InvalidInput(
        f"'{field}' is a moment: now, a day in UTC as 2026-01-31, a time with its zone as 2026-01-31T12:00:00Z, or ms "
        "since 1970.",
        field,
    )


def _entry(row: Any) -> JournalEntry:
    return JournalEntry(
        id=row.id,
        at=row.at,
        kind=row.kind,
        outcome=row.outcome,
        resource=row.resource,
        workspace=row.workspace,
        actor=row.actor,
        signed_in_by=row.actor_method,
        token_id=row.token_id,
        request_id=row.request_id,
        data=msgspec.json.decode(row.data),
        actor_id=row.actor_id,
        address=row.address,
        reason=row.reason,
        seq=row.seq,
    )


OPERATIONS: list[Operation] = [
    Operation(
        "journal.list",
        NATIVE,
        routes("GET", "journal"),
        ListEntries,
        list_entries,
        Mode.READ,
        Permission.JOURNAL_READ,
        "What was done and refused, by whom",
        JournalPage,
    ),
    Operation(
        "journal.export",
        NATIVE,
        routes("GET", "journal/export"),
        ExportEntries,
        export_entries,
        Mode.STREAM,
        Permission.JOURNAL_READ,
        "All entries that fit, as one file",
        bytes,
    ),
    Operation(
        "journal.as_of",
        NATIVE,
        routes("GET", "as-of"),
        AskPast,
        show_past,
        Mode.READ,
        Permission.JOURNAL_READ,
        "What a thing was at a moment, and who made it so",
        PastAnswer,
    ),
]
