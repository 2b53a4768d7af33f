"""Browser sessions: kept by the server, known to the browser by a secret of which only the hash is stored.

A session is made at each sign-in and never taken over from the browser. It ends when nobody uses it for half an hour,
twelve hours after its start at the latest, and with the account.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from modelkeep.access.signin import session_store as store
from modelkeep.access.signin.session_events import SessionEnded, SessionsEnded, SessionStarted
from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import SYSTEM, Actor
from modelkeep.db import Database, Tx

SESSION = "session"
IDLE_MS = 30 * 60 * 1000
LONGEST_MS = 12 * 60 * 60 * 1000
SECRET_CHARACTERS = 43
# How exactly it is known when a session was used last.
_SEEN_EACH_MS = 60 * 1000
_HANDLE = 16
_OVER = "Your session is over: sign in again."


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as its owner sees it. `handle` names it and is of no use to anybody else."""

    handle: str
    signed_in_by: str
    address: str
    created_at: int
    last_seen_at: int
    expires_at: int
    is_present: bool


def id_of_secret(secret: str) -> str:
    """What is stored of a session's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token(secret: str) -> str:
    """What a page of ours sends along to show that it knows the session, which pages of others cannot."""
    return hmac.new(secret.encode(), b"modelkeep csrf", hashlib.sha256).hexdigest()


def start_session(tx: Tx, user_id: str, signed_in_by: str, replaced: str = "") -> str:
    """A new session's secret, for somebody who has just proven who they are; the session `replaced` (a secret) ends."""
    if replaced:
        _drop(tx, id_of_secret(replaced))
    secret = secrets.token_urlsafe(32)
    session_id, times = id_of_secret(secret), {"created_at": tx.now, "last_seen_at": tx.now}
    row = {"id": session_id, "user_id": user_id, "signed_in_by": signed_in_by, "address": tx.caller.address}
    store.insert_session(tx, {**row, **times, "expires_at": tx.now + LONGEST_MS})
    tx.emit(SessionStarted(user_id, session_id[:_HANDLE], signed_in_by))
    return secret


def standing_session(tx: Tx, secret: str) -> Any:
    """The row of the session with this secret and its user. Raises Unauthenticated where it does not stand."""
    row = store.session(tx, id_of_secret(secret)) if len(secret) == SECRET_CHARACTERS else None
    if row is None or not _stands(row, tx.now) or row.disabled_at is not None or row.deleted_at is not None:
        raise Unauthenticated(_OVER)
    return row


def check_session(tx: Tx, user_id: str, handle: str) -> None:
    """Refuse what was begun in somebody's session that does not stand any more. Raises Unauthenticated."""
    rows = (row for row in store.sessions_of(tx, user_id) if row.id.startswith(handle))
    if not handle or not any(_stands(row, tx.now) for row in rows):
        raise Unauthenticated(_OVER)


def view_session(tx: Tx, secret: str) -> SessionView:
    """The session with this secret. Raises Unauthenticated."""
    return _view(standing_session(tx, secret), id_of_secret(secret)[:_HANDLE])


def end_session(tx: Tx, secret: str) -> None:
    """Sign out; no matter if that was done before."""
    _drop(tx, id_of_secret(secret))


def end_all_sessions(tx: Tx, user_id: str) -> None:
    """Sign a user out everywhere: from now on, none of their sessions stands."""
    tx.emit(SessionsEnded(user_id, store.delete_sessions_of(tx, user_id)))


def list_own_sessions(tx: Tx) -> list[SessionView]:
    """The caller's sessions that stand, the newest first."""
    return [_view(row, tx.actor.token_id) for row in store.sessions_of(tx, tx.actor.id) if _stands(row, tx.now)]


def forget_sessions(tx: Tx) -> None:
    """Forget the sessions that are over."""
    store.delete_over(tx, tx.now - IDLE_MS)


def _stands(row: Any, now: int) -> bool:
    """Whether neither the session's end nor its idle time has come, nor its user was signed out everywhere since."""
    idle = now - row.last_seen_at
    return bool(row.created_at >= row.sessions_after and now < row.expires_at and idle < IDLE_MS)


def _drop(tx: Tx, session_id: str) -> None:
    row = store.session(tx, session_id)
    if row is not None and store.delete_session(tx, session_id):
        tx.emit(SessionEnded(row.user_id, session_id[:_HANDLE]))


def _view(row: Any, present: str) -> SessionView:
    handle = row.id[:_HANDLE]
    return SessionView(
        handle, row.signed_in_by, row.address, row.created_at, row.last_seen_at, row.expires_at, handle == present
    )


class Sessions:
    """Who calls by a session's secret. It is looked up each time, so that what was ended is over at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def identify(self, secret: str) -> Actor:
        """The actor whose session this is. Raises Unauthenticated."""
        row, now = await self._database.read_quickly(SYSTEM, lambda tx: (standing_session(tx, secret), tx.now))
        if now - row.last_seen_at >= _SEEN_EACH_MS:
            await self._database.write(SYSTEM, lambda tx: store.note_seen(tx, row.id))
        return Actor(row.name, SESSION, row.id[:_HANDLE], row.user_id)
