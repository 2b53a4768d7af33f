"""Signing in by header: with whose rights, for how long it is remembered, and what ends it."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, update

from access.registry import caller, facts, kinds, prepared
from modelkeep import tables
from modelkeep.access import HeaderIdentity, passwords, people, tokens
from modelkeep.access.administrator import administrator, adopt_token_owners
from modelkeep.access.signin import identity as signin_identity
from modelkeep.access.signin.token_text import NewToken, make_token
from modelkeep.access.signin.tokens import Wanted
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import Conflict, Forbidden, InvalidInput, NotFound, TooManyAttempts, Unauthenticated
from modelkeep.core.types import SYSTEM, Actor
from modelkeep.db import Database, Prepared, Tx

PASSWORD = "plum-tractor-9-lake"
DAY = 24 * 60 * 60 * 1000
EXPIRE = Prepared(
    update(tables.access.tokens)
    .where(tables.access.tokens.c.id == bindparam("of"))
    .values(expires_at=bindparam("at", type_=tables.access.tokens.c.expires_at.type))
)
# As if what somebody waits for at an account were so much longer: no machine is too slow to come within it.
LONGER = Prepared(
    update(tables.access.sign_in_failures)
    .where(tables.access.sign_in_failures.c.key.like("account/%"))
    .values(
        wait_until=tables.access.sign_in_failures.c.wait_until
        + bindparam("by", type_=tables.access.sign_in_failures.c.wait_until.type)
    )
)


def do(registry: Database, work: Callable[[Tx], Any]) -> Any:
    """A use case of the server's own."""
    return registry.write_now(SYSTEM, work)


@pytest.fixture(name="ann")
def _ann(registry: Database) -> Any:
    hashed = asyncio.run(passwords.hash_of(PASSWORD))
    return do(registry, lambda tx: people.make_user(tx, "ann", password_hash=hashed))


@pytest.fixture(name="bot")
def _bot(registry: Database, ann: Any) -> Any:
    return do(registry, lambda tx: people.make_user(tx, "bot", people.SERVICE, owner=ann))


def token_of(registry: Database, user: Any, **limits: Any) -> NewToken:
    """A new token of somebody."""
    made: NewToken = do(registry, lambda tx: tokens.make_token_for(tx, user, name="test", **limits))
    return made


def bearer(identity: HeaderIdentity, token: NewToken) -> Actor:
    """Who calls with a token."""
    return asyncio.run(identity.identify(f"Bearer {token.text}"))


def basic(identity: HeaderIdentity, name: str, password: str, address: str = "192.0.2.1") -> Actor:
    """Who calls with a name and password."""
    header = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    return asyncio.run(identity.identify(header, address))


def test_a_token_says_whose_it_is_and_what_it_is_limited_to(registry: Database, ann: Any, bot: Any) -> None:
    """An actor has the lasting id of the token's owner, and the token's limits; without limits, none."""
    identity = HeaderIdentity(registry)
    whole, limited = token_of(registry, ann), token_of(registry, bot, workspaces=["a", "b"], verbs=["read"])

    assert bearer(identity, whole) == Actor("ann", "token", whole.id, ann.id)
    assert bearer(identity, limited) == Actor(
        "bot", "token", limited.id, bot.id, frozenset({"a", "b"}), frozenset({"read"})
    )
    assert bearer(identity, token_of(registry, bot, kind="workload")).method == "workload"


ENDS: dict[str, tuple[str, Callable[[Tx, Any, str], object]]] = {
    "revoked": ("revoked", lambda tx, _user, token: tokens.revoke_token(tx, token)),
    "all-revoked": ("revoked", lambda tx, _user, _token: tokens.revoke_tokens_since(tx, 0, keep_own=False)),
    "expired": ("expired", lambda tx, _user, token: tx.run(EXPIRE, of=token, at=tx.now)),
    "disabled": ("owner_disabled", lambda tx, user, _token: people.disable_user(tx, user)),
    "deleted": ("owner_deleted", lambda tx, user, _token: people.delete_user(tx, user)),
    "owner-disabled": (
        "owner_disabled",
        lambda tx, user, _token: people.disable_user(tx, people.user(tx, user.owner_id or user.id)),
    ),
    "owner-deleted": (
        "owner_deleted",
        lambda tx, user, _token: people.delete_user(tx, people.user(tx, user.owner_id or user.id)),
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
@pytest.mark.parametrize("kind", ["person", "service"])
def test_a_token_that_ended_is_refused_in_the_same_words(
    registry: Database, ann: Any, bot: Any, kind: str, end: tuple[str, Callable[[Tx, Any, str], object]]
) -> None:
    """Whatever ended a token, its refusal does not say so; the list does, to its owner."""
    state, work = end
    user = bot if kind == "service" else ann
    token = token_of(registry, user)
    do(registry, lambda tx: work(tx, user, token.id))

    with pytest.raises(Unauthenticated) as refused:
        bearer(HeaderIdentity(registry), token)
    assert refused.value.message == tokens.HINT
    assert do(registry, lambda tx: tokens.get_token(tx, token.id)).state == state


def test_what_this_server_ended_ends_at_once_and_what_others_did_a_little_later(
    registry: Database, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look is believed for a while, unless the server was told to look again."""
    monkeypatch.setattr(signin_identity, "_TRUSTED_S", 60.0)  # a slow machine may need more than a second
    identity, token = HeaderIdentity(registry), token_of(registry, ann)
    bearer(identity, token)
    do(registry, lambda tx: tokens.revoke_token(tx, token.id))
    assert bearer(identity, token).name == "ann"
    identity.forget()
    with pytest.raises(Unauthenticated):
        bearer(identity, token)


def test_a_look_that_began_before_a_change_is_not_believed_after_it(registry: Database, ann: Any) -> None:
    """An answer of the database that was under way when something was revoked is used once and not remembered."""
    identity, token = HeaderIdentity(registry), token_of(registry, ann)
    read = registry.read_quickly

    class Slow:
        """The database, whose answers arrive after the token was revoked."""

        async def read_quickly(self, *arguments: Any) -> Any:
            """The answer from before."""
            answer = await read(*arguments)
            await registry.write(SYSTEM, lambda tx: tokens.revoke_token(tx, token.id))
            identity.forget()
            return answer

    identity._database = Slow()  # type: ignore[assignment]
    assert bearer(identity, token).name == "ann"
    identity._database = registry
    with pytest.raises(Unauthenticated):
        bearer(identity, token)


def test_a_password_signs_in_who_it_belongs_to(registry: Database, ann: Any) -> None:
    """Name and password are their owner's; a wrong one, an unknown name, and who has none, get the same refusal."""
    identity = HeaderIdentity(registry)
    do(registry, lambda tx: people.make_user(tx, "ben"))
    assert basic(identity, "ann", PASSWORD) == Actor("ann", "password", "", ann.id)
    for name, password in [("ann", PASSWORD + "x"), ("ben", PASSWORD), ("cid", PASSWORD), ("ann", "x" * 2000)]:
        with pytest.raises(Unauthenticated) as refused:
            basic(identity, name, password)
        assert refused.value.message == tokens.HINT


@pytest.mark.parametrize("name", ["a\x00b", "\u0430nn", "ANN", "a" * 300, "' OR 1=1 --", " "], ids=repr)
def test_what_cannot_be_a_name_is_refused_as_any_other(registry: Database, name: str) -> None:
    """A name that nobody can have, on a database that may not even hold it, gets the usual refusal."""
    with pytest.raises(Unauthenticated) as refused:
        basic(HeaderIdentity(registry), name, PASSWORD)
    assert refused.value.message == tokens.HINT


def test_a_password_is_hashed_once_a_minute(registry: Database, ann: Any) -> None:
    """Calls that follow are let in without counting an attempt, as long as nothing has changed."""
    identity = HeaderIdentity(registry)
    for _ in range(50):
        assert basic(identity, "ann", PASSWORD).name == "ann"
        identity.forget()
    assert kinds(registry).count("sign_in.address_known") == 1
    assert len(identity._remembered) == 1
    assert PASSWORD not in str(identity._remembered)


@pytest.mark.parametrize(
    "end",
    [
        lambda tx, user: people.disable_user(tx, user),
        lambda tx, user: people.delete_user(tx, user),
        lambda tx, user: people.set_password(tx, user, passwords.nobodys_hash()),
    ],
    ids=["disabled", "deleted", "changed"],
)
def test_a_remembered_password_ends_with_what_it_stands_for(
    registry: Database, ann: Any, end: Callable[[Tx, Any], None]
) -> None:
    """A changed password, or a disabled or deleted person, is noticed at the next look, within a second."""
    identity = HeaderIdentity(registry)
    basic(identity, "ann", PASSWORD)
    do(registry, lambda tx: end(tx, ann))
    identity.forget()
    with pytest.raises(Unauthenticated):
        basic(identity, "ann", PASSWORD)


def test_calls_at_once_are_one_attempt(registry: Database, ann: Any) -> None:
    """Fifty first calls of a client at the same moment cost one comparison; fifty with a wrong password count once."""
    identity = HeaderIdentity(registry)

    async def crowd(password: str) -> list[Any]:
        header = "Basic " + base64.b64encode(f"ann:{password}".encode()).decode()
        calls = (identity.identify(header, "192.0.2.9") for _ in range(50))
        return await asyncio.gather(*calls, return_exceptions=True)

    assert {actor.name for actor in asyncio.run(crowd(PASSWORD))} == {"ann"}
    assert {type(refused) for refused in asyncio.run(crowd("wrong-" + PASSWORD))} == {Unauthenticated}
    assert kinds(registry).count("sign_in.failed") == 1


def test_after_five_wrong_passwords_the_right_one_waits_too(registry: Database, ann: Any) -> None:
    """Nothing is compared during a wait; each failure is told, without what was typed."""
    identity = HeaderIdentity(registry)
    for number in range(5):
        with pytest.raises(Unauthenticated):
            basic(identity, "ann", f"canary-password-{number}")
    do(registry, lambda tx: tx.run(LONGER, by=60_000))
    with pytest.raises(TooManyAttempts):
        basic(identity, "ann", PASSWORD)
    assert basic(identity, "ann", PASSWORD, "192.0.2.2").name == "ann"

    failed = [(resource, data) for kind, resource, data in facts(registry) if kind == "sign_in.failed"]
    assert [data["failures"] for _, data in failed] == [1, 2, 3, 4, 5]
    assert {resource for resource, _ in failed} == {f"user/{ann.id}"}
    assert "canary" not in str(facts(registry))


def test_a_token_is_never_taken_for_a_password(registry: Database, ann: Any) -> None:
    """What begins as a token begins is looked up as one, so that a revoked token slows nobody down."""
    identity = HeaderIdentity(registry)
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            basic(identity, "ann", make_token().text)
    assert basic(identity, "ann", PASSWORD).name == "ann"


def test_the_last_use_is_written_now_and_then(registry: Database, ann: Any) -> None:
    """Using a token writes nothing by itself; a chore writes when it was used, and not twice within a minute."""
    identity, token = HeaderIdentity(registry), token_of(registry, ann)
    bearer(identity, token)
    assert do(registry, lambda tx: tokens.get_token(tx, token.id)).last_used_at is None
    identity.note_uses(registry)
    used = do(registry, lambda tx: tokens.get_token(tx, token.id)).last_used_at
    assert used is not None

    identity.forget()
    bearer(identity, token)
    identity.note_uses(registry)
    assert do(registry, lambda tx: tokens.get_token(tx, token.id)).last_used_at == used


def create(registry: Database, by: Any, owner: Any, may_never: bool = False, **wanted: Any) -> tokens.TokenView:
    """A token that somebody asks for."""
    asked = Wanted(**({"name": "ci"} | wanted))
    return registry.write_now(by, lambda tx: tokens.create_token(tx, owner, asked, may_never=may_never))[1]


def test_a_token_lives_for_ninety_days_unless_said(registry: Database, ann: Any) -> None:
    """Ninety days, or as many as asked up to a year; without end only where an administrator makes it."""
    by = caller(ann)
    lives = [create(registry, by, ann, days=days) for days in (None, 1, 365)]
    assert [round((view.expires_at or 0) - view.created_at) // DAY for view in lives] == [90, 1, 365]
    assert create(registry, by, ann, never=True, may_never=True).expires_at is None
    with pytest.raises(Forbidden):
        create(registry, by, ann, never=True)


@pytest.mark.parametrize(
    "wanted",
    [
        {"days": 0}, {"days": 366}, {"days": -1}, {"days": 5, "never": True}, {"name": ""}, {"name": " "},
        {"name": "x" * 101}, {"name": "a\x00"}, {"verbs": ["fly"]}, {"verbs": []}, {"workspaces": []},
        {"workspaces": ["A b"]}, {"workspaces": ["x"] * 101},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_that_cannot_be_is_refused(registry: Database, ann: Any, wanted: dict[str, Any]) -> None:
    """A senseless life, name or limit is refused with the name of the field."""
    with pytest.raises(InvalidInput) as refused:
        create(registry, caller(ann), ann, may_never=True, **wanted)
    assert refused.value.field in {"days", "name", "verbs", "workspaces"}


def test_a_token_makes_none_that_is_wider_or_lives_longer(registry: Database, ann: Any) -> None:
    """What a limited token makes has its limits or narrower ones, and ends no later."""
    limited = token_of(registry, ann, workspaces=["a"], verbs=["read", "edit"])
    do(registry, lambda tx: tx.run(EXPIRE, of=limited.id, at=tx.now + 10 * DAY))
    ends = do(registry, lambda tx: tokens.get_token(tx, limited.id)).expires_at
    by = caller(ann, limited.id, workspaces=frozenset({"a"}), verbs=frozenset({"read", "edit"}))

    made = create(registry, by, ann)
    assert (made.workspaces, made.verbs, made.expires_at) == (["a"], ["edit", "read"], ends)
    assert create(registry, by, ann, verbs=["read"], days=9).verbs == ["read"]
    for wider in ({"workspaces": ["a", "b"]}, {"verbs": ["delete"]}, {"days": 11}, {"never": True}):
        with pytest.raises(Forbidden):
            create(registry, by, ann, may_never=True, **wider)


def test_one_sees_and_revokes_what_is_ones_own(registry: Database, ann: Any, bot: Any) -> None:
    """Own tokens are those of oneself and of one's services; those of others are not found."""
    ben = do(registry, lambda tx: people.make_user(tx, "ben"))
    mine, its, other = (token_of(registry, user) for user in (ann, bot, ben))

    listed = do(registry, lambda tx: tokens.list_tokens_of(tx, ann.id, "", 10))
    assert {view.id for view in listed} == {mine.id, its.id}
    assert {view.prefix for view in listed} == {f"mk_{mine.id}", f"mk_{its.id}"}
    registry.write_now(caller(ann), lambda tx: tokens.revoke_own_token(tx, its.id))
    registry.write_now(caller(ann), lambda tx: tokens.revoke_own_token(tx, its.id))
    assert kinds(registry).count("token.revoked") == 1
    for token_id in (other.id, "0" * 16):
        with pytest.raises(NotFound):
            registry.write_now(caller(ann), lambda tx, token_id=token_id: tokens.revoke_own_token(tx, token_id))


def test_in_an_emergency_all_tokens_since_a_moment_go(registry: Database, ann: Any) -> None:
    """Those made since go, but the one that is used for it; older ones and their owner stay."""
    old, new, used = (token_of(registry, ann) for _ in range(3))
    age = Prepared(
        update(tables.access.tokens).where(tables.access.tokens.c.id == bindparam("of")).values(created_at=1_000)
    )
    do(registry, lambda tx: tx.run(age, of=old.id))
    by = caller(ann, used.id)
    assert registry.write_now(by, lambda tx: tokens.revoke_tokens_since(tx, 1_001, keep_own=True)) == 1
    states = {one: do(registry, lambda tx, one=one: tokens.get_token(tx, one.id)).state for one in (old, new, used)}
    assert [states[one] for one in (old, new, used)] == ["good", "revoked", "good"]
    assert registry.write_now(by, lambda tx: tokens.revoke_tokens_since(tx, 0, keep_own=False)) == 2


def test_a_disabled_account_gets_no_new_token(registry: Database, ann: Any, bot: Any) -> None:
    """A token for somebody who may not sign in is refused."""
    do(registry, lambda tx: people.disable_user(tx, bot))
    with pytest.raises(Conflict):
        create(registry, caller(ann), do(registry, lambda tx: people.find_user(tx, "bot")))


def test_tokens_of_an_older_registry_get_users(registry: Database) -> None:
    """Those whom tokens were made for before there were users become users, once, and their tokens go on working."""
    old = {name: make_token() for name in ("admin", "ci-runner")}
    put = Prepared(insert(tables.access.tokens))
    for name, token in old.items():
        row = {"id": token.id, "actor": name, "name": "x", "secret_hash": token.secret_hash, "created_at": 1}
        row |= {"expires_at": None, "revoked_at": None, "user_id": "", "kind": "api", "workspaces": None}
        row |= {"verbs": None, "created_by": "", "last_used_at": None}
        do(registry, lambda tx, row=row: tx.run(put, **row))
    for _ in range(2):
        do(registry, adopt_token_owners)
    identity = HeaderIdentity(registry)
    ids = {name: do(registry, lambda tx, name=name: people.find_user(tx, name)).id for name in old}

    assert {name: bearer(identity, token).id for name, token in old.items()} == ids
    assert kinds(registry).count("user.made") == 2


def test_the_administrator_comes_back(registry: Database) -> None:
    """Who holds the database gets the administrator back, whether disabled or deleted."""
    first = do(registry, administrator)
    do(registry, lambda tx: people.disable_user(tx, first))
    assert do(registry, administrator).disabled_at is None
    do(registry, lambda tx: people.delete_user(tx, first))
    assert do(registry, administrator).id != first.id


@pytest.fixture(name="two_servers")
def _two_servers(fresh_postgres: Callable[[], str]) -> Iterator[tuple[Database, Database]]:
    url = fresh_postgres()
    with prepared(url) as first:
        second = open_database(url)
        yield first, second
        second.close()


def test_two_servers_start_with_one_administrator(two_servers: tuple[Database, Database]) -> None:
    """Two servers that make the administrator at the same moment end with one, and one of them may fail and repeat."""

    async def both() -> list[Any]:
        return await asyncio.gather(*(one.write(SYSTEM, administrator) for one in two_servers), return_exceptions=True)

    made = [one for one in asyncio.run(both()) if not isinstance(one, Exception)]
    assert {one.id for one in made} == {do(two_servers[0], lambda tx: people.find_user(tx, "admin")).id}
