"""Signing in with name and password: counted, compared, and answered alike whatever was wrong."""

from typing import Any

from modelkeep.access import people
from modelkeep.access.signin import throttle
from modelkeep.access.signin.events import AddressKnown, SignInFailed
from modelkeep.access.signin.passwords import is_possible, matches
from modelkeep.access.signin.throttle import Attempt
from modelkeep.access.signin.tokens import HINT
from modelkeep.core.errors import Unauthenticated, Unavailable
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Database, Tx

NOBODY = Actor("", "public")
_LONGEST_NAME = 256


async def check_password(
    database: Database, name: str, password: str, address: str, request_id: str = "", *, by: Actor = NOBODY
) -> Any:
    """The row of the person whose name and password these are; `by` is who says so, if they signed in otherwise.

    Raises TooManyAttempts before any hashing, Unauthenticated alike for an unknown name, a wrong password, and somebody
    who has none or may not sign in, and Unavailable where too many wait to be hashed.
    """
    if not is_possible(password) or len(name) > _LONGEST_NAME:
        raise Unauthenticated(HINT)
    caller = Caller(by, request_id=request_id, address=address)
    attempt, user = await database.write(caller, lambda tx: _begun(tx, name, address))
    try:
        good = await matches(password, user.password_hash if user is not None else None)
    except Unavailable:
        await database.write(caller, lambda tx: throttle.not_tried(tx, attempt))
        raise
    if not good or user is None:
        await database.write(caller, lambda tx: _failed(tx, user, attempt))
        raise Unauthenticated(HINT)
    return await database.write(caller, lambda tx: _succeeded(tx, user, attempt, address))


def has_password(user: Any) -> bool:
    """Whether somebody can sign in with a password."""
    return user.disabled_at is None and user.deleted_at is None and user.password_hash is not None


def _begun(tx: Tx, name: str, address: str) -> tuple[Attempt, Any | None]:
    """The attempt, counted, and the row of who could sign in with a password under this name."""
    attempt = throttle.begin_attempt(tx, name, address)
    user = people.find_user(tx, name) if people.is_name(name) else None
    return attempt, user if user is not None and has_password(user) else None


def _failed(tx: Tx, user: Any | None, attempt: Attempt) -> None:
    tx.emit(SignInFailed("" if user is None else user.id, attempt.failures, attempt.wait_s))


def _succeeded(tx: Tx, user: Any, attempt: Attempt, address: str) -> Any:
    """The row as it is now. Raises Unauthenticated where it was disabled, or its password changed, meanwhile."""
    now = people.user(tx, user.id)
    if now is None or not has_password(now) or now.password_hash != user.password_hash:
        raise Unauthenticated(HINT)
    if throttle.succeeded(tx, attempt):
        tx.emit(AddressKnown(user.id, throttle.site_of(address)))
    return now
