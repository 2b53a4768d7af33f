"""The text of an API token: how it is made and recognised.

A token is `mk_<id>_<secret><check>`: 16 hex digits that name it, 43 characters of a 256-bit secret, and 6 hex digits
of a checksum that lets secret scanners tell a token from a look-alike. Only the SHA-256 of the whole is stored; a slow
hash would add nothing to 256 random bits.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

PREFIX = "mk_"
_SHAPE = re.compile(r"mk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})([0-9a-f]{6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made: the only moment at which its text is known."""

    id: str
    text: str
    secret_hash: bytes


def _check(body: str) -> str:
    return f"{zlib.crc32(body.encode()) & 0xFFFFFF:06x}"


def hash_of(text: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(text.encode()).digest()


def make_token() -> NewToken:
    """A fresh random token."""
    body = f"mk_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
    text = body + _check(body)
    return NewToken(text[3:19], text, hash_of(text))


def id_of(text: str) -> str | None:
    """The id that a token names, or None where the text is not a token."""
    shape = _SHAPE.fullmatch(text)
    if shape is None or not hmac.compare_digest(_check(text[:-6]), shape[3]):
        return None
    return shape[1]


def looks_like_token(text: str) -> bool:
    """Whether a text is meant to be a token, so that it is never taken for a password."""
    return text.startswith(PREFIX)


def matches(text: str, secret_hash: bytes) -> bool:
    """Whether this is the token whose hash is stored; takes the same time either way."""
    return hmac.compare_digest(hash_of(text), secret_hash)
