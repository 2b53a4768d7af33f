"""SQL of API tokens."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, func, insert, or_, select, update

from modelkeep.access.tables import tokens, users
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer

_COLUMNS = ("id", "name", "created_at", "expires_at", "revoked_at", "kind", "workspaces", "verbs", "last_used_at")
_owner = users.alias("owner")
_WITH_USER = tokens.outerjoin(users, users.c.id == tokens.c.user_id).outerjoin(_owner, _owner.c.id == users.c.owner_id)
# Who it speaks for, and whether they may sign in: a service may while the person that answers for it may.
_STANDING = (
    users.c.name.label("user"),
    users.c.id.label("user_id"),
    users.c.kind.label("user_kind"),
    users.c.disabled_at,
    users.c.deleted_at,
    _owner.c.id.label("owner_id"),
    _owner.c.disabled_at.label("owner_disabled_at"),
    _owner.c.deleted_at.label("owner_deleted_at"),
)
_SHOWN = select(*(tokens.c[name] for name in _COLUMNS), tokens.c.created_by, *_STANDING).select_from(_WITH_USER)

_TOKEN = Prepared(
    select(*(tokens.c[name] for name in _COLUMNS), tokens.c.secret_hash, *_STANDING)
    .select_from(_WITH_USER)
    .where(tokens.c.id == bindparam("id"))
)
_COUNT = Prepared(select(func.count().label("count")).select_from(tokens))
_INSERT = Prepared(insert(tokens))
_MINE = (tokens.c.user_id == bindparam("user")) | (users.c.owner_id == bindparam("user"))
_PAGE = Prepared(
    _SHOWN.where(tokens.c.id > bindparam("after")).order_by(tokens.c.id).limit(bindparam("limit", type_=integer()))
)
_PAGE_OF = Prepared(
    _SHOWN.where(tokens.c.id > bindparam("after"), _MINE)
    .order_by(tokens.c.id)
    .limit(bindparam("limit", type_=integer()))
)
_GOOD = tokens.c.revoked_at.is_(None)
_REVOKE = Prepared(
    update(tokens).where(tokens.c.id == bindparam("token"), _GOOD).values(revoked_at=bindparam("now", type_=integer()))
)
_REVOKE_SINCE = Prepared(
    update(tokens)
    .where(tokens.c.created_at >= bindparam("since", type_=integer()), tokens.c.id != bindparam("kept"), _GOOD)
    .values(revoked_at=bindparam("now", type_=integer()))
)
_USED = Prepared(
    update(tokens)
    .where(
        tokens.c.id == bindparam("token"),
        or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < bindparam("at", type_=integer())),
    )
    .values(last_used_at=bindparam("at", type_=integer()))
)
_NAMES_WITHOUT_USER = Prepared(select(tokens.c.actor).distinct().where(tokens.c.user_id == "").order_by(tokens.c.actor))
_ADOPT = Prepared(
    update(tokens).where(tokens.c.user_id == "", tokens.c.actor == bindparam("name")).values(user_id=bindparam("user"))
)


def token(tx: Tx, token_id: str) -> Any | None:
    """The token's row, and of whom it speaks for what says whether they may sign in."""
    return tx.row(_TOKEN, id=token_id)


def count_tokens(tx: Tx) -> int:
    """How many tokens were ever made."""
    found = tx.row(_COUNT)
    return int(found.count) if found else 0


def insert_token(tx: Tx, values: dict[str, Any]) -> None:
    """Keep a new token."""
    tx.run(_INSERT, **values)


def page(tx: Tx, after: str, limit: int) -> list[Any]:
    """All tokens, by id, behind this one."""
    return tx.rows(_PAGE, after=after, limit=limit)


def page_of(tx: Tx, user_id: str, after: str, limit: int) -> list[Any]:
    """The tokens of somebody and of their services, by id, behind this one."""
    return tx.rows(_PAGE_OF, user=user_id, after=after, limit=limit)


def revoke(tx: Tx, token_id: str) -> bool:
    """Revoke a token; False if it was revoked before or never made."""
    return tx.run(_REVOKE, token=token_id, now=tx.now) == 1


def revoke_since(tx: Tx, since: int, kept: str) -> int:
    """Revoke every token that was made since a moment, but this one; how many were good."""
    return tx.run(_REVOKE_SINCE, since=since, kept=kept, now=tx.now)


def note_used(tx: Tx, used: Mapping[str, int]) -> None:
    """Write down when these tokens were last used, in an order that keeps two servers from waiting for each other."""
    tx.run_many(_USED, [{"token": token_id, "at": at} for token_id, at in sorted(used.items())])


def names_without_user(tx: Tx) -> list[str]:
    """Whom tokens of older registries were made for, who are no users yet."""
    return [row.actor for row in tx.rows(_NAMES_WITHOUT_USER)]


def adopt(tx: Tx, name: str, user_id: str) -> None:
    """Give the tokens that were made for a name to the user who bears it."""
    tx.run(_ADOPT, name=name, user=user_id)
