"""Tokens: what they look like, what is kept of them, and who they speak for."""

import asyncio
import base64
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, update

from modelkeep import access, tables
from modelkeep.access.signin import token_text
from modelkeep.access.signin.identity import credentials_in
from modelkeep.access.signin.tokens import HINT
from modelkeep.bootstrap import open_database, prepare
from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Prepared
from modelkeep.db.migrate import create_schema

SET = Prepared(update(tables.access.tokens).values(expires_at=bindparam("expires"), revoked_at=bindparam("revoked")))


@pytest.fixture(name="database")
def _database(database_url: str) -> Iterator[Database]:
    create_schema(database_url)
    opened = open_database(database_url, ())
    opened.write_now(SYSTEM, prepare)
    yield opened
    opened.close()


def identify(database: Database, header: str) -> str:
    return asyncio.run(access.HeaderIdentity(database).identify(header)).name


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def test_a_token_names_itself_and_is_kept_as_a_hash_only() -> None:
    """A new token carries its id, passes its own checksum, and its stored hash does not contain it."""
    new = token_text.make_token()

    assert token_text.id_of(new.text) == new.id
    assert token_text.matches(new.text, new.secret_hash)
    assert new.text.encode() not in new.secret_hash


@given(st.text())
def test_other_texts_are_no_tokens(text: str) -> None:
    """A text that is not a token has no id, whatever it is."""
    assert token_text.id_of(text) is None


def test_a_changed_token_is_no_token() -> None:
    """Changing any one character of a token breaks its shape or checksum."""
    text = token_text.make_token().text
    changed = [text[:at] + ("x" if text[at] != "x" else "y") + text[at + 1 :] for at in range(len(text))]

    assert [token_text.id_of(one) for one in changed] == [None] * len(text)


def test_the_first_token_is_made_once(database: Database) -> None:
    """A registry makes its administrator's token at its first start and never again by itself."""
    first = database.write_now(SYSTEM, access.make_first_token)
    second = database.write_now(SYSTEM, access.make_first_token)

    assert first is not None
    assert second is None


def test_a_token_works_as_bearer_and_as_password(database: Database) -> None:
    """The two ways in which MLflow's client can send a token lead to the same administrator."""
    token = database.write_now(SYSTEM, access.make_first_token)

    assert [identify(database, header) for header in (f"Bearer {token.text}", basic(token.text))] == ["admin", "admin"]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer x",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        basic(""),
        "Digest a",
        "Bearer " + token_text.make_token().text,
        "Bearer " + "x" * 1_000_000,
    ],
    ids=["none", "bare", "short", "no-base64", "no-text", "empty", "digest", "unknown", "huge"],
)
def test_a_wrong_credential_is_refused_alike(database: Database, header: str) -> None:
    """No credential, a broken one, an unknown token and a wrong password all get the same refusal."""
    database.write_now(SYSTEM, access.make_first_token)

    with pytest.raises(Unauthenticated, match="^" + re.escape(HINT) + "$"):
        identify(database, header)


@pytest.mark.parametrize(("expires", "revoked"), [(1, None), (None, 1)])
def test_an_expired_or_revoked_token_is_refused(database: Database, expires: int | None, revoked: int | None) -> None:
    """A token past its expiry, or revoked, no longer speaks for anybody."""
    token = database.write_now(SYSTEM, access.make_first_token)
    database.write_now(SYSTEM, lambda tx: tx.run(SET, expires=expires, revoked=revoked))

    with pytest.raises(Unauthenticated, match="^" + re.escape(HINT) + "$"):
        identify(database, f"Bearer {token.text}")


def test_recovery_makes_a_second_working_token(database: Database) -> None:
    """Who holds the database can make another administrator token; the first goes on working."""
    first = database.write_now(SYSTEM, access.make_first_token)
    second = database.write_now(SYSTEM, access.replace_administrator_token)

    assert [identify(database, f"Bearer {one.text}") for one in (first, second)] == ["admin", "admin"]


def test_basic_without_a_colon_has_no_token() -> None:
    """Credentials without a password part carry no secret."""
    assert credentials_in("Basic " + base64.b64encode(b"no-colon").decode()) == ("no-colon", "")


def test_recovery_can_make_all_other_tokens_worthless(database: Database) -> None:
    """With revoke_others only the token made now goes on working."""
    first = database.write_now(SYSTEM, access.make_first_token)
    second = database.write_now(SYSTEM, lambda tx: access.replace_administrator_token(tx, revoke_others=True))

    with pytest.raises(Unauthenticated, match="^" + re.escape(HINT) + "$"):
        identify(database, f"Bearer {first.text}")
    assert identify(database, f"Bearer {second.text}") == "admin"
