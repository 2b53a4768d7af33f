"""Signed links: good for what they were made for, and for nothing else."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.access import people, replace_administrator_token, tokens
from modelkeep.access.links import LinkClaims, read_link, write_link
from modelkeep.access.service import caller_of_link, make_links, prepare_link_key
from modelkeep.access.signin.sessions import end_all_sessions, end_session, id_of_secret, start_session
from modelkeep.bootstrap import open_database, prepare
from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.db import Database, Tx
from modelkeep.db.migrate import create_schema

KEY = bytes(range(32))
CLAIMS = LinkClaims("PUT", "/a/b c", "alice", "token", "0123", "team", 1_000)


def test_a_link_says_who_made_it_where() -> None:
    """A link read at its place gives back its maker, in the workspace that it was made in."""
    claims = read_link(KEY, write_link(KEY, CLAIMS), "PUT", "/a/b c", now=999)
    assert claims.caller("r1") == Caller(Actor("alice", "token", "0123"), "team", "r1")


@pytest.mark.parametrize(
    ("method", "path", "now"),
    [("GET", "/a/b c", 0), ("PUT", "/a/b", 0), ("PUT", "/a/b c/", 0), ("PUT", "/a/b c", 1_000)],
)
def test_a_link_is_good_for_one_place_and_a_while(method: str, path: str, now: int) -> None:
    """Another method, another path, or a later moment is refused."""
    with pytest.raises(Unauthenticated):
        read_link(KEY, write_link(KEY, CLAIMS), method, path, now)


def test_a_link_of_another_key_is_refused() -> None:
    """What another registry signed is not taken."""
    with pytest.raises(Unauthenticated):
        read_link(bytes(32), write_link(KEY, CLAIMS), "PUT", "/a/b c", 0)


@given(at=st.integers(min_value=0, max_value=400), to=st.characters())
def test_every_changed_character_is_noticed(at: int, to: str) -> None:
    """A link with any one character exchanged is refused, whatever it is exchanged for."""
    link = write_link(KEY, CLAIMS)
    at %= len(link)
    changed = link[:at] + to + link[at + 1 :]
    if changed != link:
        with pytest.raises(Unauthenticated):
            read_link(KEY, changed, "PUT", "/a/b c", 0)


@pytest.mark.parametrize("link", ["", ".", "x.y", "\ud800", "é.é", "A" * 100_000])
def test_what_is_no_link_is_refused(link: str) -> None:
    """Any text is refused in the same way, not answered with an error of ours."""
    with pytest.raises(Unauthenticated):
        read_link(KEY, link, "PUT", "/a/b c", 0)


@pytest.mark.parametrize("fields", [{}, {"expires": "never"}, {"admin": True}, []])
def test_signed_nonsense_is_refused(fields: Any) -> None:
    """Even with a right signature, what does not say all that a link says is refused."""
    said = fields if not isinstance(fields, dict) else {"method": "PUT"} | fields
    text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    signature = write_link(KEY, CLAIMS).partition(".")[2]
    with pytest.raises(Unauthenticated):
        read_link(KEY, f"{text}.{signature}", "PUT", "/a/b c", 0)


@pytest.fixture(name="database")
def _database(database_url: str) -> Iterator[Database]:
    create_schema(database_url)
    opened = open_database(database_url, ())
    opened.write_now(SYSTEM, prepare)
    yield opened
    opened.close()


def followed(database: Database, maker: Caller, *, then: Callable[[Tx], object]) -> Caller:
    """Who calls by a link that `maker` made, after something was done."""
    (link,) = database.read_now(maker, lambda tx: make_links(tx, "GET", ["/x"], 60))
    database.write_now(SYSTEM, then)
    return database.read_now(SYSTEM, lambda tx: caller_of_link(tx, link, "GET", "/x"))


def test_a_link_ends_with_the_token_of_its_maker(database: Database) -> None:
    """When the token that its maker signed in with is revoked, the link is refused; the key stays when made again."""
    token = database.write_now(SYSTEM, replace_administrator_token)
    admin = database.read_now(SYSTEM, lambda tx: people.find_user(tx, "admin"))
    maker = Caller(Actor("admin", "token", token.id, admin.id), "team")

    assert followed(database, maker, then=prepare_link_key) == maker
    with pytest.raises(Unauthenticated, match="revoked"):
        followed(database, maker, then=lambda tx: replace_administrator_token(tx, revoke_others=True))


def test_a_link_may_do_no_more_than_the_token_it_was_made_with(database: Database) -> None:
    """Who follows a link is limited as the token is."""
    admin = database.write_now(SYSTEM, lambda tx: people.make_user(tx, "ann"))
    token = database.write_now(
        SYSTEM, lambda tx: tokens.make_token_for(tx, admin, name="ci", workspaces=["team"], verbs=["read"])
    )
    maker = Caller(Actor("ann", "token", token.id, admin.id), "team")
    caller = followed(database, maker, then=prepare_link_key)
    assert (caller.actor.workspaces, caller.actor.verbs) == ({"team"}, {"read"})


@pytest.mark.parametrize("method", ["password", "session"])
def test_a_link_ends_with_the_account_of_its_maker(database: Database, method: str) -> None:
    """When its maker is disabled, a link is refused, however they had signed in."""
    ann = database.write_now(SYSTEM, lambda tx: people.make_user(tx, "ann"))
    secret = database.write_now(SYSTEM, lambda tx: start_session(tx, ann.id, "password"))
    maker = Caller(Actor("ann", method, id_of_secret(secret)[:16] if method == "session" else "", ann.id))

    assert followed(database, maker, then=prepare_link_key) == maker
    with pytest.raises(Unauthenticated):
        followed(database, maker, then=lambda tx: people.disable_user(tx, ann))


def test_a_link_ends_with_the_session_that_made_it(database: Database) -> None:
    """What somebody made a link for in a browser is over once they signed out there, or everywhere."""

    def made(tx: Tx) -> tuple[str, str]:
        user = people.find_user(tx, "ann") or people.make_user(tx, "ann")
        secret = start_session(tx, user.id, "password")
        tx.caller = Caller(Actor("ann", "session", id_of_secret(secret)[:16], user.id), "default")
        return secret, make_links(tx, "GET", ["/a"], 60)[0]

    def follow(tx: Tx, link: str) -> Caller:
        return caller_of_link(tx, link, "GET", "/a")

    ends: list[Callable[[Tx, str], None]] = [
        end_session,
        lambda tx, _secret: end_all_sessions(tx, people.find_user(tx, "ann").id),
    ]
    for end in ends:
        secret, link = database.write_now(SYSTEM, made)
        assert database.read_now(SYSTEM, lambda tx, link=link: follow(tx, link)).actor.name == "ann"
        database.write_now(SYSTEM, lambda tx, end=end, secret=secret: end(tx, secret))
        with pytest.raises(Unauthenticated):
            database.read_now(SYSTEM, lambda tx, link=link: follow(tx, link))
