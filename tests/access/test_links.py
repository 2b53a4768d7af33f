"""Signed links: good for what they were made for, and for nothing else."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.access.links import LinkClaims, read_link, write_link
from modelkeep.access.service import caller_of_link, make_links, prepare_link_key, replace_administrator_token
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import SYSTEM, Actor, Caller
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


def test_a_link_ends_with_the_token_of_its_maker(database_url: str) -> None:
    """When the token that its maker signed in with is revoked, the link is refused; the key stays when made again."""
    create_schema(database_url)
    database = open_database(database_url, ())
    database.write_now(SYSTEM, prepare_link_key)
    token = database.write_now(SYSTEM, replace_administrator_token)
    maker = Caller(Actor("admin", "token", token.id), "team")
    (link,) = database.read_now(maker, lambda tx: make_links(tx, "GET", ["/x"], 60))
    database.write_now(SYSTEM, prepare_link_key)
    assert database.read_now(SYSTEM, lambda tx: caller_of_link(tx, link, "GET", "/x")) == maker
    database.write_now(SYSTEM, lambda tx: replace_administrator_token(tx, revoke_others=True))
    with pytest.raises(Unauthenticated, match="revoked"):
        database.read_now(SYSTEM, lambda tx: caller_of_link(tx, link, "GET", "/x"))
    database.close()
