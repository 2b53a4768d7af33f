"""SQL of what the journal says about one thing until a moment."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, or_, select
from sqlalchemy import text as written

from modelkeep.access.tables import workspaces
from modelkeep.audit.tables import OF_ROLES, journal
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts

_BEHIND_ALL = "\U0010ffff"
_UNTIL = (journal.c.at <= bindparam("at")) & (journal.c.outcome == "done")
_OF_MODEL = Prepared(
    select(journal)
    .where(
        journal.c.workspace == bindparam("workspace"),
        or_(
            journal.c.resource == bindparam("model"),
            (journal.c.resource >= bindparam("first")) & (journal.c.resource <= bindparam("last")),
        ),
        one_of_texts(journal.c.kind, "kinds"),
        _UNTIL,
    )
    .order_by(journal.c.id)
)
_OF_RESOURCE = Prepared(
    select(journal)
    .where(journal.c.workspace.in_(select(workspaces.c.name)), journal.c.resource == bindparam("resource"), _UNTIL)
    .order_by(journal.c.id)
)
_OF_KINDS = Prepared(
    select(journal)
    .where(journal.c.workspace.in_(select(workspaces.c.name)), one_of_texts(journal.c.kind, "kinds"), _UNTIL)
    .order_by(journal.c.id)
)
_OF_ROLES = Prepared(select(journal).where(written(OF_ROLES), _UNTIL).order_by(journal.c.id))


def of_model(tx: Tx, model_id: str, at: int, kinds: Sequence[str]) -> list[Any]:
    """What was said of a model and of its versions in entries of these kinds, the oldest first."""
    versions = f"model-version/{model_id}/"
    names = {"workspace": tx.workspace, "model": f"registered-model/{model_id}"}
    span = {"first": versions, "last": versions + _BEHIND_ALL}
    return tx.rows(_OF_MODEL, **names, **span, kinds=json.dumps(kinds), at=at)


def of_resource(tx: Tx, resource: str, at: int) -> list[Any]:
    """What was said of a thing, from whichever workspace, the oldest first."""
    return tx.rows(_OF_RESOURCE, resource=resource, at=at)


def of_kinds(tx: Tx, kinds: Sequence[str], at: int) -> list[Any]:
    """What was said in entries of these kinds, from whichever workspace, the oldest first."""
    return tx.rows(_OF_KINDS, kinds=json.dumps(kinds), at=at)


def of_roles(tx: Tx, at: int) -> list[Any]:
    """What was said of roles and of who holds them, the oldest first."""
    return tx.rows(_OF_ROLES, at=at)
