"""SQL of searches in the journal."""

from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from modelkeep.access.tables import workspaces
from modelkeep.audit.selection import Selection
from modelkeep.audit.tables import journal
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, text

_BEHIND_ALL = "\U0010ffff"
_EQUAL = ("actor", "actor_id", "outcome", "token_id", "request_id")
_LAST = Prepared(select(func.max(journal.c.id).label("last")))


def page(tx: Tx, chosen: Selection, before: int, most: int) -> list[Any]:
    """Chosen entries older than the one numbered `before`, the newest first."""
    statement = _statement(_used(chosen), len(chosen.resources or ()), newest_first=True)
    return tx.rows(statement, **_values(tx, chosen), above=-1, below=before, most=most)


def next_rows(tx: Tx, chosen: Selection, after: int, last: int, most: int) -> list[Any]:
    """Chosen entries behind the one numbered `after` up to `last`, the oldest first."""
    statement = _statement(_used(chosen), len(chosen.resources or ()), newest_first=False)
    return tx.rows(statement, **_values(tx, chosen), above=after, below=last + 1, most=most)


def last_number(tx: Tx) -> int:
    """The number of the newest entry; 0 without any."""
    found = tx.row(_LAST)
    return int(found.last or 0) if found else 0


def _used(chosen: Selection) -> frozenset[str]:
    names = {*_EQUAL, "kind", "everywhere"} & {name for name in chosen.__slots__ if getattr(chosen, name)}
    return frozenset(names | {name for name in ("since", "until", "resources") if getattr(chosen, name) is not None})


def _values(tx: Tx, chosen: Selection) -> dict[str, Any]:
    used = _used(chosen)
    values = {name: getattr(chosen, name) for name in (*_EQUAL, "since", "until") if name in used}
    if "everywhere" not in used:
        values["workspace"] = tx.workspace
    if "kind" in used:
        values |= {"kind": chosen.kind, "kind_end": chosen.kind + _BEHIND_ALL}
    for number, resource in enumerate(chosen.resources or ()):
        is_beginning = resource.endswith("/")
        values[f"from_{number}"] = resource
        values[f"to_{number}"] = resource + _BEHIND_ALL if is_beginning else resource
    return values


@cache
def _statement(used: frozenset[str], resources: int, *, newest_first: bool) -> Prepared:
    span = and_(journal.c.id > bindparam("above", type_=integer()), journal.c.id < bindparam("below", type_=integer()))
    conditions = [span, *_plain(used)]
    if "resources" in used:
        conditions.append(_about(used, resources))
    order = journal.c.id.desc() if newest_first else journal.c.id
    return Prepared(select(journal).where(*conditions).order_by(order).limit(bindparam("most")))


def _plain(used: frozenset[str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [journal.c[name] == bindparam(name) for name in _EQUAL if name in used]
    if used & {"actor", "kind"}:
        conditions.append(_where(used))
    elif "everywhere" not in used:
        # Not for an index: all entries of a workspace would be sorted, where the newest are read from the end.
        conditions.append(journal.c.workspace.op("||")("") == bindparam("workspace", type_=text()))
    if "kind" in used:
        conditions += [journal.c.kind >= bindparam("kind"), journal.c.kind < bindparam("kind_end", type_=text())]
    if "since" in used:
        conditions.append(journal.c.at >= bindparam("since"))
    if "until" in used:
        conditions.append(journal.c.at < bindparam("until"))
    return conditions


def _where(used: frozenset[str]) -> ColumnElement[bool]:
    if "everywhere" in used:
        return journal.c.workspace.in_(select(workspaces.c.name))
    return journal.c.workspace == bindparam("workspace")


def _about(used: frozenset[str], resources: int) -> ColumnElement[bool]:
    """One range of the index for each resource: never the whole journal, however few of its entries fit."""
    parts = [
        select(journal.c.id).where(
            _where(used), journal.c.resource >= bindparam(f"from_{n}"), journal.c.resource <= bindparam(f"to_{n}")
        )
        for n in range(resources)
    ]
    return journal.c.id.in_(union_all(*parts)) if parts else or_(False)
