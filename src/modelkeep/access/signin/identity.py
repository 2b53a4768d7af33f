"""Who is calling: from the Authorization header to an actor, by a token or by name and password.

What was good is remembered for a while, so that not every call asks the database or hashes a password; whether it still
stands is looked up every second.
"""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from modelkeep.access import people
from modelkeep.access.signin import token_store, token_text
from modelkeep.access.signin.password_check import check_password, has_password
from modelkeep.access.signin.tokens import HINT, actor_of, check_token
from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import SYSTEM, Actor
from modelkeep.db import Database, Tx

# What was good is taken as good for this long without asking the database, so what was revoked dies within it.
_TRUSTED_S = 1.0
# A password is hashed again after this long.
_PASSWORD_KNOWN_S = 60.0
_MOST_REMEMBERED = 10_000
_MOST_USED = 100_000


class Identity(Protocol):
    """A way to tell who is calling."""

    async def identify(self, authorization: str, address: str = "") -> Actor:
        """The actor behind this Authorization header (empty if there was none), who calls from this network address.

        Raises Unauthenticated, or TooManyAttempts.
        """

    def forget(self) -> None:
        """Look everybody up again at their next call: somebody's tokens, password or account were changed."""

    def note_uses(self, database: Database) -> None:
        """Write down when tokens were last used. Called now and then, away from requests."""


class OpenDoor:
    """`--auth none`: everybody is the same unnamed local caller."""

    _actor = Actor("local", "none")

    async def identify(self, authorization: str, address: str = "") -> Actor:  # noqa: ARG002 - the door is open
        """The local caller, whatever the header says."""
        return self._actor

    def forget(self) -> None:
        """Nothing is remembered."""

    def note_uses(self, database: Database) -> None:
        """No tokens are used."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Somebody who was let in, taken as such without a look until `until`; with a password, unhashed `until_hashed`."""

    actor: Actor
    until: float
    password_hash: str = ""
    until_hashed: float = 0.0


class HeaderIdentity:
    """API tokens, as Bearer or as the password of basic authentication; and people's own names and passwords."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: dict[bytes, _Remembered] = {}
        self._generation = 0
        self._key = secrets.token_bytes(32)
        self._checking: dict[bytes, asyncio.Future[Any]] = {}
        self._used: dict[str, int] = {}

    async def identify(self, authorization: str, address: str = "") -> Actor:
        """The owner of the token, or the person whose name and password these are."""
        name, secret = credentials_in(authorization)
        if name and secret and not token_text.looks_like_token(secret):
            return await self._person(name, secret, address)
        token_id = token_text.id_of(secret)
        if token_id is None:
            raise Unauthenticated(HINT)
        key = self._key_of(secret)
        known = self._remembered.get(key)
        if known is not None and known.until > time.monotonic():
            return known.actor
        generation = self._generation
        actor = await self._database.read_quickly(SYSTEM, lambda tx: self._owner(tx, token_id, secret))
        self._remember(key, _Remembered(actor, time.monotonic() + _TRUSTED_S), generation)
        return actor

    def forget(self) -> None:
        """Look everybody up again, and trust no look that began before now."""
        self._generation += 1
        # Passwords need no new hash: whether the one that was compared still is the user's is part of the look.
        self._remembered = {key: replace(known, until=0.0) for key, known in self._remembered.items()}

    def note_uses(self, database: Database) -> None:
        """Write down when tokens were last used."""
        used, self._used = self._used, {}
        if used:
            database.write_now(SYSTEM, lambda tx: token_store.note_used(tx, used))

    async def _person(self, name: str, password: str, address: str) -> Actor:
        key, generation = self._key_of(name, password, address), self._generation
        known = self._remembered.get(key)
        if known is not None and known.until > time.monotonic():
            return known.actor
        if known is None or not await self._still_stands(known):
            self._remembered.pop(key, None)
            user = await self._once(key, lambda: check_password(self._database, name, password, address))
            hashed_until = time.monotonic() + _PASSWORD_KNOWN_S
            known = _Remembered(Actor(user.name, "password", "", user.id), 0.0, user.password_hash, hashed_until)
        self._remember(key, replace(known, until=time.monotonic() + _TRUSTED_S), generation)
        return known.actor

    async def _still_stands(self, known: _Remembered) -> bool:
        """Whether the password was compared lately, and it, the name and the right to sign in are what they were."""
        if known.until_hashed <= time.monotonic():
            return False
        user = await self._database.read_quickly(SYSTEM, lambda tx: people.user(tx, known.actor.id))
        same = user is not None and (user.name, user.password_hash) == (known.actor.name, known.password_hash)
        return same and has_password(user)

    async def _once(self, key: bytes, check: Callable[[], Awaitable[Any]]) -> Any:
        """The outcome of a check; calls that come with the same meanwhile share it."""
        running = self._checking.get(key)
        if running is None:
            running = self._checking[key] = asyncio.ensure_future(check())
            running.add_done_callback(lambda done: self._checked(key, done))
        return await asyncio.shield(running)

    def _checked(self, key: bytes, done: "asyncio.Future[Any]") -> None:
        self._checking.pop(key, None)
        if not done.cancelled():
            done.exception()  # looked at, in case that nobody waits for it any more

    def _owner(self, tx: Tx, token_id: str, text: str) -> Actor:
        row = token_store.token(tx, token_id)
        if row is None or not token_text.matches(text, row.secret_hash):
            raise Unauthenticated(HINT)
        check_token(row, tx.now)
        if row.last_used_at is None or row.last_used_at < tx.now - 60_000:
            self._note_use(token_id, tx.now)
        return actor_of(row)

    def _note_use(self, token_id: str, now: int) -> None:
        if len(self._used) < _MOST_USED:
            self._used[token_id] = now

    def _remember(self, key: bytes, known: _Remembered, generation: int) -> None:
        if generation != self._generation:
            return
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = known

    def _key_of(self, *texts: str) -> bytes:
        """What is remembered in place of a secret: nothing that could be used elsewhere, or after a restart."""
        told = "\0".join(texts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(told, key=self._key, digest_size=32).digest()


def credentials_in(authorization: str) -> tuple[str, str]:
    """The user name (empty for Bearer) and the secret in an Authorization header; both empty where there is none."""
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return "", rest
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
    except ValueError:  # no base64, or of no text
        return "", ""
    return name, secret
