"""Passwords: which are refused, what is kept of them, and what a comparison costs."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.access.signin import passwords
from modelkeep.core.errors import InvalidInput

GOOD = "plum-tractor-9-lake"


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "at most"),
        ("short-pw-11", "at least 12"),
        ("\u0301" * 3 + "eight-ch", "at least 12"),
        ("aaaaaaaaaaaaaaaa", "different"),
        ("abcabcabcabcabc", "different"),
        ("a b" + "\x00" + "cdefghijkl", "control"),
        ("abcdefgh\tijklmn", "control"),
        ("a1b2" * 257, "1024 bytes"),
        ("\ufdfa" * 100 + "abcdef", "1024 bytes"),
        ("x" * 1_000_000, "1024 bytes"),
        ("ann.smith@example.com", "name"),
        ("ANN.SMITH@example.COM", "name"),
        ("ann.smith123456", "name"),
        ("!!ann.smith!1!2!3", "name"),
        ("Password1234!", "guessed first"),
        ("1234-password-99", "guessed first"),
        ("qwertyuiop123", "guessed first"),
        ("Correct Horse Battery Staple", "guessed first"),
        ("\uff30assword12345", "guessed first"),
        ("mk_0123456789abcdef", "tokens begin"),
        ("lone \ud800 surrogate", "at most"),
    ],
    ids=[
        "empty", "eleven", "combining", "one-letter", "three-letters", "nul", "tab", "1028-bytes", "ligatures",
        "megabyte", "name", "name-in-capitals", "name-and-digits", "name-and-signs", "usual", "usual-word", "keyboard",
        "famous",
        "fullwidth", "token", "surrogate",
    ],
)  # fmt: skip
def test_what_is_guessed_first_is_no_password(password: str, why: str) -> None:
    """Too short, too long, too plain, too common passwords, and the user's own name, are refused with the reason."""
    with pytest.raises(InvalidInput, match=why) as refused:
        passwords.checked("ann.smith@example.com", password)
    assert refused.value.field == "password"


@pytest.mark.parametrize(
    "password", [GOOD, "пароль и ещё слова", "x1y2z " * 170, "annabel went to sea", "\u2126 ohm is a unit"]
)
def test_other_passwords_are_taken(password: str) -> None:
    """Twelve characters of any script up to 1024 bytes are a password, spaces and all."""
    assert passwords.checked("ann", password)


def test_one_password_typed_in_two_ways_is_one() -> None:
    """Characters that Unicode takes for the same make the same password (NFKC)."""

    async def same() -> bool:
        stored = await passwords.hash_of(passwords.checked("ann", "caf\u00e9 au lait \u2460"))
        return await passwords.matches("cafe\u0301 au lait 1", stored)

    assert asyncio.run(same())


def test_every_character_counts() -> None:
    """Passwords that differ only behind the 72nd byte are different: nothing is cut off."""

    async def matching() -> list[bool]:
        stored = await passwords.hash_of("long " * 100 + "a")
        return [await passwords.matches("long " * 100 + last, stored) for last in ("a", "b", "")]

    assert asyncio.run(matching()) == [True, False, False]


def test_a_hash_is_argon2id_of_enough_memory() -> None:
    """What is kept names argon2id with 19 MiB, two passes and one lane, has a salt of its own, and not the password."""

    async def two() -> list[str]:
        return [await passwords.hash_of(GOOD) for _ in range(2)]

    first, second = asyncio.run(two())
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}", first)
    assert first != second
    assert GOOD not in first
    shape = re.sub(r"[\w+/]{43}$|(?<=p=1\$)[\w+/]{22}", "", first)
    assert re.sub(r"[\w+/]{43}$|(?<=p=1\$)[\w+/]{22}", "", passwords.nobodys_hash()) == shape


def test_nobody_has_no_password() -> None:
    """Where none is stored no password matches, not even after the work of comparing with the hash of nobody."""
    assert asyncio.run(passwords.matches(GOOD, None)) is False
    assert asyncio.run(passwords.matches("", None)) is False


@given(st.text())
def test_any_text_is_a_password_or_is_refused(text: str) -> None:
    """Whatever the text, it is taken in its normal form or refused with a reason; nothing breaks."""
    try:
        assert len(passwords.checked("ann", text)) >= passwords.FEWEST_CHARACTERS
    except InvalidInput as refused:
        assert refused.message.endswith(".")
