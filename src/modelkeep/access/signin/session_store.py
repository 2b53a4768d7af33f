"""SQL of browser sessions and of sign-ins that are on their way through an identity provider."""

from typing import Any

from sqlalchemy import bindparam, delete, insert, or_, select, update

from modelkeep.access.tables import sessions, sign_in_flows, users
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer

_USER = (users.c.name, users.c.kind, users.c.disabled_at, users.c.deleted_at, users.c.sessions_after)
_SESSION = Prepared(
    select(sessions, *_USER).join(users, users.c.id == sessions.c.user_id).where(sessions.c.id == bindparam("id"))
)
_INSERT_SESSION = Prepared(insert(sessions))
_SEEN = Prepared(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.last_seen_at < bindparam("now"))
    .values(last_seen_at=bindparam("now", type_=integer()))
)
_OF_USER = Prepared(
    select(sessions, users.c.sessions_after)
    .join(users, users.c.id == sessions.c.user_id)
    .where(sessions.c.user_id == bindparam("user_id"))
    .order_by(sessions.c.created_at.desc(), sessions.c.id)
)
_DELETE = Prepared(delete(sessions).where(sessions.c.id == bindparam("id")))
_DELETE_OF_USER = Prepared(delete(sessions).where(sessions.c.user_id == bindparam("user_id")))
_VOID_BEFORE = Prepared(
    update(users).where(users.c.id == bindparam("user_id")).values(sessions_after=bindparam("after", type_=integer()))
)
_DELETE_OVER = Prepared(
    delete(sessions).where(
        or_(sessions.c.expires_at <= bindparam("now"), sessions.c.last_seen_at <= bindparam("idle_since"))
    )
)

_INSERT_FLOW = Prepared(insert(sign_in_flows))
_FLOW = Prepared(select(sign_in_flows).where(sign_in_flows.c.state == bindparam("state")))
_DELETE_FLOW = Prepared(delete(sign_in_flows).where(sign_in_flows.c.state == bindparam("state")))
_DELETE_OLD_FLOWS = Prepared(delete(sign_in_flows).where(sign_in_flows.c.created_at <= bindparam("before")))


def session(tx: Tx, session_id: str) -> Any | None:
    """The session's row with the name and state of its user."""
    return tx.row(_SESSION, id=session_id)


def insert_session(tx: Tx, values: dict[str, Any]) -> None:
    """Keep a new session."""
    tx.run(_INSERT_SESSION, **values)


def note_seen(tx: Tx, session_id: str) -> None:
    """The session is used now."""
    tx.run(_SEEN, session_id=session_id, now=tx.now)


def sessions_of(tx: Tx, user_id: str) -> list[Any]:
    """A user's sessions, the newest first."""
    return tx.rows(_OF_USER, user_id=user_id)


def delete_session(tx: Tx, session_id: str) -> bool:
    """Drop a session; whether it was there."""
    return tx.run(_DELETE, id=session_id) == 1


def delete_sessions_of(tx: Tx, user_id: str) -> int:
    """Drop all sessions of a user, and void those that are being made; how many were dropped."""
    tx.run(_VOID_BEFORE, user_id=user_id, after=tx.now + 1)
    return tx.run(_DELETE_OF_USER, user_id=user_id)


def delete_over(tx: Tx, idle_since: int) -> None:
    """Drop the sessions that are over, by their end or because nobody used them."""
    tx.run(_DELETE_OVER, now=tx.now, idle_since=idle_since)


def insert_flow(tx: Tx, values: dict[str, Any]) -> None:
    """Keep what a sign-in has to come back with."""
    tx.run(_INSERT_FLOW, **values)


def take_flow(tx: Tx, state: str) -> Any | None:
    """What this sign-in has to come back with, for the one that asks first."""
    found = tx.row(_FLOW, state=state)
    return found if found is not None and tx.run(_DELETE_FLOW, state=state) == 1 else None


def delete_flows(tx: Tx, before: int) -> None:
    """Drop the sign-ins that never came back."""
    tx.run(_DELETE_OLD_FLOWS, before=before)
