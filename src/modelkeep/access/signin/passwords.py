"""Passwords: which are taken, how they are kept (argon2id), and hashing that leaves the machine to others as well.

A hash takes 19 MiB and some 50 ms on purpose. All are computed in a few threads of their own, and no more wait for
those than can be served soon.
"""

import asyncio
import base64
import importlib
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from modelkeep.access.signin.frequent_passwords import WHOLE, WORDS
from modelkeep.access.signin.token_text import PREFIX, looks_like_token
from modelkeep.core.errors import InvalidInput, Unavailable

T = TypeVar("T")

FEWEST_CHARACTERS, MOST_BYTES = 12, 1024
_FEWEST_DIFFERENT = 5
_MEMORY_KIB, _PASSES, _LANES = 19 * 1024, 2, 1
_HASH_BYTES, _SALT_BYTES = 32, 16
# One core stays free for those who have signed in.
_THREADS = max(1, min(4, (os.cpu_count() or 1) - 1))
_MOST_WAITING = 100

_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="password")
_room = threading.BoundedSemaphore(_THREADS + _MOST_WAITING)


def checked(name: str, password: str) -> str:
    """The password in the form that is hashed (NFKC). Raises InvalidInput for one that is too easy to guess."""
    if not is_possible(password):
        raise InvalidInput(f"A password has at most {MOST_BYTES} bytes and no control characters.", "password")
    normal = _normal(password)
    if looks_like_token(password):
        raise InvalidInput(f"A password does not begin with '{PREFIX}': that is how tokens begin.", "password")
    if len(normal) < FEWEST_CHARACTERS:
        raise InvalidInput(f"A password has at least {FEWEST_CHARACTERS} characters.", "password")
    if len(set(normal)) < _FEWEST_DIFFERENT:
        raise InvalidInput(f"A password has at least {_FEWEST_DIFFERENT} different characters.", "password")
    if _is_name(name, normal):
        raise InvalidInput("A password is more than the name of its user.", "password")
    if _is_frequent(normal):
        raise InvalidInput("This password is among those that are guessed first; choose another.", "password")
    return normal


def is_possible(password: str) -> bool:
    """Whether this could be anybody's password, by its length and characters alone."""
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        return False
    if not 0 < size <= MOST_BYTES or len(_normal(password).encode()) > MOST_BYTES:
        return False
    return not any(unicodedata.category(character) == "Cc" for character in password)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _is_name(name: str, password: str) -> bool:
    """Whether there is no letter besides the user's name, or the part of it before the @."""
    folded = password.casefold()
    return any(
        own in folded and not any(character.isalpha() for character in folded.replace(own, ""))
        for own in {name.casefold(), name.casefold().partition("@")[0]} - {""}
    )


def _is_frequent(password: str) -> bool:
    folded = "".join(character for character in password.casefold() if character.isalnum())
    return folded in WHOLE or folded.strip("0123456789") in WORDS


async def hash_of(password: str) -> str:
    """What is stored of a `checked` password. Raises Unavailable where too many wait already."""
    return await _in_thread(lambda: str(_argon2().hash(password)))


async def matches(password: str, stored: str | None) -> bool:
    """Whether this is the password whose hash is stored; as much work where none is. Raises Unavailable."""
    known = stored or nobodys_hash()
    return await _in_thread(lambda: _verified(known, _normal(password))) and stored is not None


def _verified(stored: str, password: str) -> bool:
    try:
        return bool(_argon2().verify(stored, password))
    except importlib.import_module("argon2.exceptions").VerificationError:
        return False


@cache
def nobodys_hash() -> str:
    """A hash that no password has, which costs as much to compare with as a real one."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${salt}${digest}"


@cache
def _argon2() -> Any:
    # It takes a tenth of a second to import: only who has a password waits for it.
    return importlib.import_module("argon2").PasswordHasher(
        time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES, hash_len=_HASH_BYTES, salt_len=_SALT_BYTES
    )


async def _in_thread(work: Callable[[], T]) -> T:
    if not _room.acquire(blocking=False):
        raise Unavailable("Too many are signing in at the moment; try again in a few seconds.")
    future = _threads.submit(work)
    future.add_done_callback(lambda _: _room.release())
    return await asyncio.wrap_future(future)
