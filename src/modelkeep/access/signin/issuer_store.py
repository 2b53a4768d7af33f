"""SQL of the issuers whose signed tokens are exchanged for ours."""

from typing import Any

from sqlalchemy import bindparam, delete, select

from modelkeep.access.tables import trusted_issuers, users
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import insert_unless_taken

_ALL = select(trusted_issuers, users.c.name.label("service")).join(
    users, users.c.id == trusted_issuers.c.user_id, isouter=True
)
_BY_NAME = Prepared(_ALL.where(trusted_issuers.c.name == bindparam("name")))
_BY_ID = Prepared(_ALL.where(trusted_issuers.c.id == bindparam("id")))
_OF_ISSUER = Prepared(_ALL.where(trusted_issuers.c.issuer == bindparam("issuer")).order_by(trusted_issuers.c.name))
_PAGE = Prepared(
    _ALL.where(trusted_issuers.c.name > bindparam("after")).order_by(trusted_issuers.c.name).limit(bindparam("limit"))
)
_INSERT = Prepared(insert_unless_taken(trusted_issuers))
_DELETE = Prepared(delete(trusted_issuers).where(trusted_issuers.c.id == bindparam("id")))


def named(tx: Tx, name: str) -> Any | None:
    """The row of this name, with the name of the service."""
    return tx.row(_BY_NAME, name=name)


def by_id(tx: Tx, trust_id: str) -> Any | None:
    """The row with this id."""
    return tx.row(_BY_ID, id=trust_id)


def of_issuer(tx: Tx, issuer: str) -> list[Any]:
    """All rows of an issuer, by name."""
    return tx.rows(_OF_ISSUER, issuer=issuer)


def page(tx: Tx, after: str, limit: int) -> list[Any]:
    """Rows by name, behind this one."""
    return tx.rows(_PAGE, after=after, limit=limit)


def insert(tx: Tx, values: dict[str, Any]) -> bool:
    """Keep a new row; False if the name is taken."""
    return tx.run(_INSERT, **values) == 1


def remove(tx: Tx, trust_id: str) -> bool:
    """Drop a row; whether it was there."""
    return tx.run(_DELETE, id=trust_id) == 1
