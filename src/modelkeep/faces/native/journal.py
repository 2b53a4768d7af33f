"""The journal on the native API: what was done in a workspace, by whom, in which request."""

from typing import Any

import msgspec

from modelkeep import audit
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation

_NEWEST = 2**63 - 1


class ListEntries(Request):
    """A page of the journal."""

    limit: PageSize = 100
    cursor: Cursor = ""


class JournalEntry(Answer):
    """A thing that was done: its kind, what it was done to, by whom and how they signed in. `at` is in milliseconds."""

    id: int
    at: int
    kind: str
    resource: str
    actor: str
    signed_in_by: str
    token_id: str
    request_id: str
    data: dict[str, Any]


class JournalPage(Answer):
    """A page of the journal, newest first."""

    items: list[JournalEntry]
    next_cursor: str | None = None


def list_entries(tx: Tx, request: ListEntries) -> JournalPage:
    """What was done in the workspace, newest first."""
    before = read_cursor(request.cursor, int)[0] if request.cursor else _NEWEST
    found = audit.entries(tx, before, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].id) if len(found) > len(page) else None
    return JournalPage(items=[_entry(row) for row in page], next_cursor=more)


def _entry(row: Any) -> JournalEntry:
    return JournalEntry(
        id=row.id,
        at=row.at,
        kind=row.kind,
        resource=row.resource,
        actor=row.actor,
        signed_in_by=row.actor_method,
        token_id=row.token_id,
        request_id=row.request_id,
        data=msgspec.json.decode(row.data),
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
        "What was done, by whom",
        JournalPage,
    ),
]
