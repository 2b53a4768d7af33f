"""Signed tokens (JWT) of others: whether the keys that we hold of their issuer signed them, and whether they hold now.

What a token says of itself decides nothing: the algorithm must be one of ours and fit the key, and the key is looked
up among the issuer's by its id alone. A token that brings its own key, or the address of one, is refused.
"""

import base64
import binascii
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

LONGEST_TOKEN = 16 * 1024
# How far the clock of an issuer may be ahead of ours.
CLOCKS_DIFFER_S = 60
_MOST_KEYS = 100
_KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
_PUBLIC_PARTS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES = {"EC": "P-256", "OKP": "Ed25519"}
_OWN_KEYS = frozenset({"jwk", "jku", "x5u", "x5c", "crit"})
_LATEST = 1 << 40


class BadToken(Exception):
    """A token that is not taken; the text says why, and nothing of what is in it."""


class UnknownKey(BadToken):
    """No key of the issuer's that we hold has the token's key id."""


def _jose() -> Any:
    # The library takes a tenth of a second to import: only who meets a signed token waits for it.
    return importlib.import_module("modelkeep.access.signin.jose")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of an issuer; `algorithm` is empty where it may be used with any that fits."""

    kid: str
    kind: str
    algorithm: str
    public: Any


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of an issuer that can be used here."""

    keys: tuple[Key, ...]

    def fitting(self, kid: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed. Without an id there must be no choice. Raises UnknownKey."""
        kind = _KINDS[algorithm]
        found = [key for key in self.keys if key.kind == kind and key.algorithm in {"", algorithm}]
        found = [key for key in found if kid is None or key.kid == kid]
        if not found or (kid is None and len(found) > 1):
            raise UnknownKey("no key of the issuer has the token's key id")
        return found


def read_keys(document: Mapping[str, Any]) -> KeyRing:
    """The usable keys in a JWK set; others are passed over."""
    listed = document.get("keys")
    given: Sequence[Any] = listed[:_MOST_KEYS] if isinstance(listed, list) else ()
    return KeyRing(tuple(key for key in map(_key, given) if key is not None))


def _key(given: Any) -> Key | None:
    """One key of a set, of its public parts only; None where it is of no use here."""
    if not isinstance(given, dict) or given.get("use", "sig") != "sig":
        return None
    kind, kid, algorithm = given.get("kty"), given.get("kid", ""), given.get("alg", "")
    if not all(isinstance(text, str) for text in (kind, kid, algorithm)) or kind not in _PUBLIC_PARTS:
        return None
    parts = {name: given[name] for name in _PUBLIC_PARTS[kind] if isinstance(given.get(name), str)}
    if len(parts) != len(_PUBLIC_PARTS[kind]) or parts.get("crv") != _CURVES.get(kind):
        return None
    public = _jose().public_key({"kty": kind, **parts})
    return None if public is None else Key(kid, kind, algorithm, public)


def said_issuer(text: str) -> str:
    """Who the token says it comes from, which nothing has proven yet. Raises BadToken."""
    issuer = _object(_part(_parts(text)[1])).get("iss")
    if not isinstance(issuer, str):
        raise BadToken("it names no issuer")
    return issuer


def verified_claims(text: str, ring: KeyRing) -> dict[str, Any]:
    """What the token says, if a key of the ring signed it. Raises BadToken, UnknownKey."""
    header = _object(_part(_parts(text)[0]))
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KINDS:
        raise BadToken("its algorithm is not one of " + ", ".join(_KINDS))
    if own := sorted(_OWN_KEYS & header.keys()):
        raise BadToken(f"its header has {own[0]}")
    if kid is not None and not isinstance(kid, str):
        raise BadToken("its key id is no text")
    for key in ring.fitting(kid, algorithm):
        payload = _jose().signed_payload(text, key.public)
        if payload is not None:
            return _object(payload)
    raise BadToken("its signature is wrong")


def check_times(claims: Mapping[str, Any], now_ms: int, longest_s: int) -> None:
    """Refuse a token that does not hold now, or that holds for longer than `longest_s`. Raises BadToken."""
    now = now_ms / 1000
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if expires <= now:
        raise BadToken("it has expired")
    if issued > now + CLOCKS_DIFFER_S:
        raise BadToken("it was issued in the future")
    if "nbf" in claims and _time(claims, "nbf") > now + CLOCKS_DIFFER_S:
        raise BadToken("it does not hold yet")
    if expires - issued > longest_s:
        raise BadToken(f"it holds for longer than {longest_s // 60} minutes")


def audiences(claims: Mapping[str, Any]) -> list[str]:
    """Whom the token is for."""
    given = claims.get("aud")
    listed = given if isinstance(given, list) else [given]
    return [one for one in listed if isinstance(one, str)]


def _time(claims: Mapping[str, Any], name: str) -> float:
    given = claims.get(name)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < _LATEST:
        raise BadToken(f"its {name} is missing or no time")
    return given


def _parts(text: str) -> list[str]:
    parts = text.split(".")
    if len(text) > LONGEST_TOKEN or len(parts) != 3 or not text.isascii():
        raise BadToken("it is no signed token")
    return parts


def _part(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise BadToken("it is no signed token") from error


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadToken("it is no signed token") from error
    if not isinstance(found, dict):
        raise BadToken("it is no signed token")
    return found
