"""A registry without its server: an empty database, prepared as at the first start, and who works on it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import bindparam, select

from modelkeep import tables
from modelkeep.bootstrap import dispatch, open_database, prepare
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.db import Database, Prepared
from modelkeep.db.migrate import create_schema

FACTS = Prepared(
    select(tables.audit.journal.c.kind, tables.audit.journal.c.resource, tables.audit.journal.c.data)
    .where(tables.audit.journal.c.id > bindparam("after"))
    .order_by(tables.audit.journal.c.id)
)


@contextmanager
def prepared(url: str) -> Iterator[Database]:
    """The database behind a URL, with what every registry has."""
    create_schema(url)
    opened = open_database(url, (dispatch,))
    opened.write_now(SYSTEM, prepare)
    yield opened
    opened.close()


def caller(user: Any, token_id: str = "", **limits: Any) -> Caller:
    """Somebody (a row) who signed in with a token."""
    return Caller(Actor(user.name, "token", token_id, user.id, **limits))


def facts(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    """Kind, subject and data of all that the journal has, in order."""
    return [
        (row.kind, row.resource, json.loads(row.data))
        for row in database.read_now(SYSTEM, lambda tx: tx.rows(FACTS, after=0))
    ]


def kinds(database: Database) -> list[str]:
    """The kinds of what the journal has, in order."""
    return [kind for kind, _, _ in facts(database)]
