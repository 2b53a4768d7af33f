"""SQL of who people are at identity providers."""

from typing import Any

from sqlalchemy import bindparam, delete, select

from modelkeep.access.tables import user_logins, users
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import upsert

_USER = Prepared(
    select(users)
    .join(user_logins, user_logins.c.user_id == users.c.id)
    .where(user_logins.c.issuer == bindparam("issuer"), user_logins.c.subject == bindparam("subject"))
)
_LINK = Prepared(upsert(user_logins, ["issuer", "subject"], []))
_UNLINK = Prepared(
    delete(user_logins).where(
        user_logins.c.issuer == bindparam("issuer"),
        user_logins.c.subject == bindparam("subject"),
        user_logins.c.user_id == bindparam("user_id"),
    )
)
_LOGINS = Prepared(
    select(user_logins).where(user_logins.c.user_id == bindparam("user_id")).order_by(*user_logins.primary_key)
)


def user_of(tx: Tx, issuer: str, subject: str) -> Any | None:
    """The user that this is, if any was linked."""
    return tx.row(_USER, issuer=issuer, subject=subject)


def link(tx: Tx, issuer: str, subject: str, user_id: str) -> bool:
    """Remember who this is; False if that is known already."""
    return tx.run(_LINK, issuer=issuer, subject=subject, user_id=user_id) == 1


def unlink(tx: Tx, issuer: str, subject: str, user_id: str) -> bool:
    """Forget that this is the user; False if it never was."""
    return tx.run(_UNLINK, issuer=issuer, subject=subject, user_id=user_id) == 1


def logins_of(tx: Tx, user_id: str) -> list[Any]:
    """Who a user is at which issuers."""
    return tx.rows(_LOGINS, user_id=user_id)
