"""Signed tokens of others: taken only if a key of the issuer's signed them by an algorithm of our list, and in time."""

from typing import Any

import pytest
from joserfc.jwk import RSAKey

from issuer import KEYS, OTHER_KEYS, key_set, mac_signed, sign, unsigned
from modelkeep.access.signin.signed_tokens import (
    BadToken,
    KeyRing,
    UnknownKey,
    audiences,
    check_times,
    read_keys,
    said_issuer,
    verified_claims,
)

CLAIMS = {"iss": "https://issuer.example", "sub": "somebody"}
RING = read_keys(key_set(KEYS))
PUBLIC_PEM = KEYS["rsa"].as_pem(private=False)
OWN_KEY = OTHER_KEYS["rsa"].as_dict(private=False)
NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("alg", "kid"), [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed"), ("Ed25519", "ed")]
)
def test_AU_07_the_algorithms_of_the_list_are_taken(alg: str, kid: str) -> None:
    """A token signed by an algorithm of the list, with a key that fits, says what it was signed to say."""
    token = sign(CLAIMS, KEYS[kid], {"alg": alg, "kid": kid})
    assert verified_claims(token, RING) == CLAIMS
    assert said_issuer(token) == CLAIMS["iss"]


HOSTILE = {
    "alg none": unsigned({"alg": "none"}, CLAIMS),
    "alg None": unsigned({"alg": "None", "kid": "rsa"}, CLAIMS),
    "alg none with kid": unsigned({"alg": "none", "kid": "rsa"}, CLAIMS),
    "no alg": unsigned({"kid": "rsa"}, CLAIMS, b"x" * 256),
    "alg a list": unsigned({"alg": ["RS256"], "kid": "rsa"}, CLAIMS, b"x" * 256),
    "alg a number": unsigned({"alg": 1, "kid": "rsa"}, CLAIMS, b"x" * 256),
    "kid a number": unsigned({"alg": "RS256", "kid": 1}, CLAIMS, b"x" * 256),
    "signature left out": unsigned({"alg": "RS256", "kid": "rsa"}, CLAIMS),
    "HS256 with the public key as PEM": mac_signed({"alg": "HS256", "kid": "rsa"}, CLAIMS, PUBLIC_PEM),
    "HS256 with the modulus": mac_signed({"alg": "HS256", "kid": "rsa"}, CLAIMS, str(OWN_KEY["n"]).encode()),
    "HS256 called RS256": mac_signed({"alg": "RS256", "kid": "rsa"}, CLAIMS, PUBLIC_PEM),
    "own jwk": sign(CLAIMS, OTHER_KEYS["rsa"], {"alg": "RS256", "jwk": OWN_KEY}),
    "own jwk and a known kid": sign(CLAIMS, OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "jwk": OWN_KEY}),
    "jku": sign(CLAIMS, OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "jku": "https://evil.example/keys"}),
    "x5u": sign(CLAIMS, OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "x5u": "https://evil.example/cert"}),
    "jku by the right key": sign(CLAIMS, KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "jku": "https://evil.example"}),
    "another's key under a known kid": sign(CLAIMS, OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa"}),
    "another's EC key": sign(CLAIMS, OTHER_KEYS["ec"], {"alg": "ES256", "kid": "ec"}),
    "RS256 with the kid of the EC key": sign(CLAIMS, KEYS["rsa"], {"alg": "RS256", "kid": "ec"}),
    "unknown kid": sign(CLAIMS, KEYS["rsa"], {"alg": "RS256", "kid": "of-another"}),
    "a kid that is a path": sign(CLAIMS, KEYS["rsa"], {"alg": "RS256", "kid": "../../dev/null"}),
    "empty": "",
    "two parts": "e30.e30",
    "five parts, as if encrypted": "e30.e30.e30.e30.e30",
    "no base64": "!!!.e30.e30",
    "no JSON": "eHg.e30.e30",
    "a list for a header": "W10.e30.e30",
    "not ASCII": "é.é.é",
    "too long": sign({**CLAIMS, "x": "x" * 20_000}, KEYS["rsa"], {"alg": "RS256", "kid": "rsa"}),
    "very deep": f"{'A' * 100}.{unsigned({}, {'x': 1}).split('.')[1]}.e30",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_AU_07_hostile_tokens_are_refused(name: str) -> None:
    """No token that the issuer's own key did not sign by an algorithm of the list is taken, whatever it says."""
    with pytest.raises(BadToken):
        verified_claims(HOSTILE[name], RING)


def test_AU_07_a_changed_token_is_refused() -> None:
    """A token of which any character of the claims or the signature was changed is refused."""
    token = sign(CLAIMS, KEYS["ec"], {"alg": "ES256", "kid": "ec"})
    head, _, _ = token.partition(".")
    for place in range(len(head) + 1, len(token) - 1):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(BadToken):
            verified_claims(token[:place] + other + token[place + 1 :], RING)


def test_an_unknown_key_is_told_apart() -> None:
    """A key id that the ring does not have is told apart, so that the issuer can be asked for new keys."""
    with pytest.raises(UnknownKey):
        verified_claims(HOSTILE["unknown kid"], RING)


def test_a_token_without_a_key_id_is_taken_only_where_there_is_no_choice() -> None:
    """With one key that fits, the token needs no key id; with two it does."""
    token = sign(CLAIMS, KEYS["rsa"], {"alg": "RS256"})
    assert verified_claims(token, RING) == CLAIMS
    with pytest.raises(UnknownKey):
        verified_claims(token, read_keys(key_set({**KEYS, "other": OTHER_KEYS["rsa"]})))


def rsa(**changed: Any) -> dict[str, Any]:
    """The RSA key of the set, with some of its members changed."""
    return {**KEYS["rsa"].as_dict(private=False), "kid": "rsa", **changed}


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"},
        rsa(use="enc"),
        rsa(alg="PS256"),
        rsa(alg="RS512"),
        rsa(n="AQAB"),
        rsa(n=1),
        rsa(kid=1),
        rsa(kty="EC"),
        rsa(kty=["RSA"]),
        {**RSAKey.generate_key(1024, auto_kid=False).as_dict(private=False), "kid": "rsa"},
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": "rsa"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "rsa"},
        "rsa",
        None,
    ],
    ids=range(14),
)
def test_keys_that_do_not_fit_are_no_keys(key: Any) -> None:
    """Keys for other uses and algorithms, short ones, secrets, and what is no key, verify nothing."""
    with pytest.raises(BadToken):
        verified_claims(sign(CLAIMS, KEYS["rsa"], {"alg": "RS256", "kid": "rsa"}), read_keys({"keys": [key]}))


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "rsa"}, {"keys": []}], ids=range(5))
def test_what_is_no_key_set_has_no_keys(document: dict[str, Any]) -> None:
    """A document without a list of keys is a ring without keys."""
    assert read_keys(document) == KeyRing(())


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"exp": NOW / 1000}, "expired"),
        ({"exp": NOW / 1000 - 1}, "expired"),
        ({"exp": None}, "exp is missing"),
        ({"exp": "never"}, "exp is missing"),
        ({"exp": True}, "exp is missing"),
        ({"exp": -1}, "exp is missing"),
        ({"exp": 1e300}, "exp is missing"),
        ({"iat": None}, "iat is missing"),
        ({"iat": NOW / 1000 + 61}, "in the future"),
        ({"nbf": NOW / 1000 + 61}, "not hold yet"),
        ({"nbf": "now"}, "nbf is missing"),
        ({"iat": NOW / 1000 - 3000, "exp": NOW / 1000 + 700}, "for longer than 60 minutes"),
    ],
    ids=range(12),
)
def test_AU_07_times_are_checked(changed: dict[str, Any], why: str) -> None:
    """A token that has expired, comes from the future, holds for too long or has no times is refused."""
    usual = {"iat": NOW / 1000, "exp": NOW / 1000 + 300}
    check_times(usual, NOW, 3600)
    claims = {name: value for name, value in {**usual, **changed}.items() if value is not None}
    with pytest.raises(BadToken, match=why):
        check_times(claims, NOW, 3600)


def test_an_issuer_may_be_a_minute_ahead() -> None:
    """A token from a clock that is up to a minute ahead of ours is taken."""
    check_times({"iat": NOW / 1000 + 60, "exp": NOW / 1000 + 300, "nbf": NOW / 1000 + 60}, NOW, 3600)


@pytest.mark.parametrize(
    ("given", "heard"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), (None, []), (1, []), ([1, "a", None], ["a"]), ({"a": 1}, [])],
    ids=range(6),
)
def test_audiences_are_texts(given: Any, heard: list[str]) -> None:
    """Whom a token is for is one text or several, and nothing else."""
    assert audiences({"aud": given}) == heard


def test_no_issuer_is_said_by_what_names_none() -> None:
    """A token without an issuer, or with one that is no text, says none."""
    for claims in ({}, {"iss": 1}, {"iss": ["https://issuer.example"]}):
        with pytest.raises(BadToken):
            said_issuer(unsigned({"alg": "RS256"}, claims))
