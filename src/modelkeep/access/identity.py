"""Who is calling: from the Authorization header to an actor."""

import base64
import binascii
import time
from typing import Any, Protocol

from modelkeep.access import store, tokens
from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import SYSTEM, Actor
from modelkeep.db import Database, Tx

# A token that was good is taken as good for this long without asking the database, so a revoked one dies within it.
_TRUSTED_S = 1.0
_MOST_REMEMBERED = 10_000

HINT = (
    "You are not authenticated. Set MLFLOW_TRACKING_TOKEN to an API token, "
    "or send it as the password of basic authentication."
)


class Identity(Protocol):
    """A way to tell who is calling."""

    async def identify(self, authorization: str) -> Actor:
        """The actor behind this Authorization header (empty if there was none), or `Unauthenticated`."""


class OpenDoor:
    """`--auth none`: everybody is the same unnamed local caller."""

    _actor = Actor("local", "none")

    async def identify(self, authorization: str) -> Actor:  # noqa: ARG002 - the door is open whatever it says
        """The local caller, whatever the header says."""
        return self._actor


class TokenIdentity:
    """API tokens, as Bearer or as the password of basic authentication (the user name is then not looked at)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._trusted: dict[str, tuple[Actor, float]] = {}

    async def identify(self, authorization: str) -> Actor:
        """The owner of the token."""
        text = token_in(authorization)
        token_id = tokens.id_of(text)
        if token_id is None:
            raise Unauthenticated(HINT)
        known = self._trusted.get(text)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        actor = await self._database.read_quickly(SYSTEM, lambda tx: _owner(tx, token_id, text))
        if len(self._trusted) >= _MOST_REMEMBERED:
            self._trusted.clear()
        self._trusted[text] = (actor, time.monotonic() + _TRUSTED_S)
        return actor


def _owner(tx: Tx, token_id: str, text: str) -> Actor:
    row = store.token(tx, token_id)
    if row is None or not tokens.matches(text, row.secret_hash):
        raise Unauthenticated(HINT)
    check_token(row, tx.now)
    return Actor(row.actor, "token", token_id)


def check_token(row: Any | None, now: int) -> None:
    """Refuse the row of a token that does not stand any more. Raises Unauthenticated."""
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise Unauthenticated("This token has expired or was revoked; ask an administrator for a new one.")


def token_in(authorization: str) -> str:
    """The token in an Authorization header; empty where there is none."""
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
