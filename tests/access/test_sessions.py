"""Browser sessions, on both databases: when they stand, when they end, and what is kept of them (AU-06)."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from modelkeep.access import (
    Sessions,
    csrf_token,
    end_all_sessions,
    end_session,
    forget_sessions,
    list_own_sessions,
    people,
    start_session,
)
from modelkeep.access.signin.sessions import IDLE_MS, LONGEST_MS, id_of_secret, standing_session
from modelkeep.access.tables import sessions
from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import Actor, Caller
from models.registry import Registry, opened


@pytest.fixture
def registry(database_url: str) -> Iterator[Registry]:
    """A registry on an empty database, once on SQLite and once on PostgreSQL."""
    yield from opened(database_url)


@pytest.fixture
def user(registry: Registry) -> str:
    """The id of a person."""
    return str(registry.do(people.make_user, "alice").id)


def identify(registry: Registry, secret: str) -> Actor:
    """Who a request with this secret comes from."""

    async def asked() -> Actor:
        return await Sessions(registry.database).identify(secret)

    return asyncio.run(asked())


def shift(registry: Registry, secret: str, **columns: int) -> None:
    """Move times of a session by so many milliseconds."""
    change = {name: sessions.c[name] + by for name, by in columns.items()}
    registry.do(lambda tx: tx.run(update(sessions).where(sessions.c.id == id_of_secret(secret)).values(change)))


def kinds(registry: Registry) -> list[str]:
    """What happened to sessions so far."""
    return [event.kind for event in registry.events if event.kind.startswith("session")]


def test_AU_06_a_session_is_its_user(registry: Registry, user: str) -> None:
    """Who brings the secret of a session is the user who signed in, and the session has a handle of its own."""
    secret = registry.do(start_session, user, "password")
    actor = identify(registry, secret)
    assert (actor.name, actor.method, actor.id, actor.is_narrowed) == ("alice", "session", user, False)
    assert actor.token_id == id_of_secret(secret)[:16]
    assert kinds(registry) == ["session.started"]


def test_AU_06_only_a_hash_is_stored(registry: Registry, user: str) -> None:
    """Neither the secret nor what its pages send along is in the database or in an event."""
    secret = registry.do(start_session, user, "password")
    told = str(registry.see(lambda tx: tx.rows(select(sessions)))) + str(registry.events)
    assert id_of_secret(secret) in told
    assert secret not in told
    assert csrf_token(secret) not in told


def test_AU_06_every_session_has_another_secret(registry: Registry, user: str) -> None:
    """Secrets have 256 random bits, and so do the tokens of their pages."""
    secrets = {registry.do(start_session, user, "password") for _ in range(20)}
    assert len(secrets) == len({csrf_token(secret) for secret in secrets}) == 20
    assert {len(secret) for secret in secrets} == {43}


def test_AU_06_a_new_sign_in_ends_the_session_before(registry: Registry, user: str) -> None:
    """Signing in again makes a new secret, and the one that the browser had before is worth nothing."""
    first = registry.do(start_session, user, "password")
    second = registry.do(start_session, user, "password", first)
    assert identify(registry, second).id == user
    with pytest.raises(Unauthenticated):
        identify(registry, first)


@pytest.mark.parametrize("planted", ["", "x" * 43, "x", "é" * 43, "'" * 43, "0" * 64])
def test_AU_06_no_secret_of_the_browsers_choice_becomes_a_session(registry: Registry, user: str, planted: str) -> None:
    """A secret that a browser brings to the sign-in is not taken over, and signs nobody in."""
    secret = registry.do(start_session, user, "password", planted)
    assert secret != planted
    with pytest.raises(Unauthenticated):
        identify(registry, planted)


def test_AU_06_a_session_ends_when_it_is_idle(registry: Registry, user: str) -> None:
    """Half an hour without a request ends a session; a request before that starts the half hour anew."""
    secret = registry.do(start_session, user, "password")
    shift(registry, secret, last_seen_at=-(IDLE_MS - 20_000))
    identify(registry, secret)
    shift(registry, secret, last_seen_at=-(IDLE_MS - 20_000))
    identify(registry, secret)
    shift(registry, secret, last_seen_at=-IDLE_MS)
    with pytest.raises(Unauthenticated):
        identify(registry, secret)


def test_AU_06_a_session_ends_after_twelve_hours(registry: Registry, user: str) -> None:
    """However much it is used, a session ends twelve hours after its start."""
    secret = registry.do(start_session, user, "password")
    shift(registry, secret, expires_at=-(LONGEST_MS - 20_000))
    identify(registry, secret)
    shift(registry, secret, expires_at=-20_000)
    with pytest.raises(Unauthenticated):
        identify(registry, secret)


def test_AU_06_sign_out_ends_the_session_and_no_other(registry: Registry, user: str) -> None:
    """Signing out ends one session at once; doing it again changes nothing and is not recorded."""
    one, two = (registry.do(start_session, user, "password") for _ in range(2))
    registry.do(end_session, one)
    registry.do(end_session, one)
    with pytest.raises(Unauthenticated):
        identify(registry, one)
    assert identify(registry, two).id == user
    assert kinds(registry) == ["session.started", "session.started", "session.ended"]


def test_AU_06_sign_out_everywhere_ends_all_of_them(registry: Registry, user: str) -> None:
    """Signing out everywhere ends all sessions of the user, none of others, and later ones stand again."""
    bob = registry.do(people.make_user, "bob").id
    mine = [registry.do(start_session, user, "password") for _ in range(3)]
    of_bob = registry.do(start_session, bob, "password")
    registry.do(end_all_sessions, user)
    for secret in mine:
        with pytest.raises(Unauthenticated):
            identify(registry, secret)
    assert identify(registry, of_bob).id == bob
    later = registry.do(start_session, user, "password")
    shift(registry, later, created_at=2)
    assert identify(registry, later).id == user


def test_AU_06_a_sign_in_that_was_under_way_does_not_outlive_sign_out_everywhere(registry: Registry, user: str) -> None:
    """A session that began before the user was signed out everywhere is void, though it was not there to be dropped."""
    registry.do(end_all_sessions, user)
    secret = registry.do(start_session, user, "password")
    shift(registry, secret, created_at=-1000)
    with pytest.raises(Unauthenticated):
        identify(registry, secret)


@pytest.mark.parametrize("end", [people.disable_user, people.delete_user], ids=["disabled", "deleted"])
def test_AZ_10_the_end_of_an_account_ends_its_sessions(registry: Registry, user: str, end: object) -> None:
    """The sessions of somebody disabled or deleted are over at the next request, and stay over."""
    secret = registry.do(start_session, user, "password")
    row = registry.see(people.user, user)
    registry.do(end, row)  # type: ignore[arg-type]
    with pytest.raises(Unauthenticated):
        identify(registry, secret)
    if end is people.disable_user:
        registry.do(people.enable_user, row)
        with pytest.raises(Unauthenticated):
            identify(registry, secret)


def test_a_new_password_ends_all_sessions(registry: Registry, user: str) -> None:
    """After a change of the password, whoever was signed in has to sign in again."""
    secret = registry.do(start_session, user, "password")
    registry.do(people.set_password, registry.see(people.user, user), "hash")
    with pytest.raises(Unauthenticated):
        identify(registry, secret)


def test_own_sessions_are_listed(registry: Registry, user: str) -> None:
    """A user sees the sessions that stand, which of them is the present one, and none of others'."""
    registry.do(start_session, registry.do(people.make_user, "bob").id, "password")
    registry.caller = Caller(Actor("alice", "password", "", user), address="192.0.2.7")
    old, present = (registry.do(start_session, user, by) for by in ("password", "https://idp.example"))
    over = registry.do(start_session, user, "password")
    shift(registry, over, expires_at=-LONGEST_MS)
    registry.caller = Caller(identify(registry, present))
    seen = {view.handle: view for view in registry.see(list_own_sessions)}
    assert seen.keys() == {id_of_secret(old)[:16], id_of_secret(present)[:16]}
    assert [handle for handle, view in seen.items() if view.is_present] == [id_of_secret(present)[:16]]
    view = seen[id_of_secret(present)[:16]]
    assert (view.signed_in_by, view.address) == ("https://idp.example", "192.0.2.7")


def test_what_is_over_is_forgotten(registry: Registry, user: str) -> None:
    """The sessions that are over leave the database, and those that stand stay."""
    idle, expired, good = (registry.do(start_session, user, "password") for _ in range(3))
    shift(registry, idle, last_seen_at=-IDLE_MS)
    shift(registry, expired, expires_at=-LONGEST_MS)
    registry.do(forget_sessions)
    assert [row.id for row in registry.see(lambda tx: tx.rows(select(sessions)))] == [id_of_secret(good)]
    assert registry.see(standing_session, good).user_id == user
