"""Sign-in of people through an OpenID Connect provider: authorization code with PKCE, bound to the browser.

The browser goes to the provider with a `state` that only one sign-in has, and comes back with it and a code. The code
is exchanged for an ID token, whose signature, audience, times and nonce decide.
"""

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from modelkeep.access.signin import session_store as store
from modelkeep.access.signin.outbound import RefusedThere, json_object
from modelkeep.access.signin.providers import Provider, Providers
from modelkeep.access.signin.signed_tokens import BadToken, audiences, check_times, verified_claims
from modelkeep.config import OidcSettings
from modelkeep.core.errors import InvalidInput, Unauthenticated, Unavailable
from modelkeep.db import Tx

FLOW_S = 600
_LONGEST_PATH = 2000
_LONGEST_SUBJECT = 255
_LONGEST_ID_TOKEN_S = 24 * 60 * 60
_AGAIN = "This sign-in does not stand: it is too old, was used, or began in another browser. Begin again."
_REFUSED = "The identity provider's answer is not accepted; the server's log says why."

_log = logging.getLogger("modelkeep.signin")


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: where the browser has to go, and what it has to bring back."""

    address: str
    browser_secret: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What a sign-in that came back has to fit."""

    nonce: str
    verifier: str
    next_path: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the browser brought from the provider, and by which address of ours."""

    code: str
    issuer: str
    redirect_uri: str


def check_next(path: str) -> str:
    """Where to go after signing in, if that is a path of ours. Raises InvalidInput."""
    plain = path.isascii() and path.isprintable() and not set(' \\"<>') & set(path)
    if not path.startswith("/") or path.startswith("//") or not plain or len(path) > _LONGEST_PATH:
        raise InvalidInput("`next` is a path of this server, beginning with one slash.", "next")
    return path


def begin(tx: Tx, settings: OidcSettings, provider: Provider, redirect_uri: str, next_path: str) -> Begun:
    """Send a browser to the provider."""
    state, browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(4))
    store.delete_flows(tx, tx.now - FLOW_S * 1000)
    row = {"state": _hash(state), "browser_hash": _hash(browser), "nonce": nonce, "verifier": verifier}
    store.insert_flow(tx, {**row, "next_path": check_next(next_path), "created_at": tx.now})
    asked = {"response_type": "code", "client_id": settings.client_id, "redirect_uri": redirect_uri}
    asked |= {"scope": settings.scope, "state": state, "nonce": nonce}
    asked |= {"code_challenge": _challenge(verifier), "code_challenge_method": "S256"}
    joint = "&" if "?" in provider.authorization else "?"
    return Begun(f"{provider.authorization}{joint}{urlencode(asked)}", browser)


def take_flow(tx: Tx, state: str, browser_secret: str) -> Flow:
    """The sign-in that came back, which nobody can bring back again. Raises Unauthenticated."""
    row = store.take_flow(tx, _hash(state))
    known = row is not None and hmac.compare_digest(row.browser_hash, _hash(browser_secret))
    if row is None or not known or tx.now - row.created_at >= FLOW_S * 1000:
        raise Unauthenticated(_AGAIN)
    return Flow(row.nonce, row.verifier, row.next_path)


def claims_of(
    providers: Providers, settings: OidcSettings, flow: Flow, arrival: Arrival, now: int
) -> Mapping[str, Any]:
    """Who it is, by the provider's word. Calls the provider. Raises Unauthenticated, Unavailable."""
    provider = providers.provider(settings.issuer)
    try:
        _check_sender(provider, arrival)
        text = _exchanged(providers, provider, settings, flow, arrival)
        claims = providers.verify(provider.issuer, lambda ring: verified_claims(text, ring))
        check_claims(claims, settings, flow.nonce, now)
    except (BadToken, RefusedThere) as error:
        _log.warning("sign-in refused", extra={"fields": {"issuer": settings.issuer, "problem": str(error)}})
        raise Unauthenticated(_REFUSED) from error
    return claims


def check_claims(claims: Mapping[str, Any], settings: OidcSettings, nonce: str, now: int) -> None:
    """Refuse an ID token that is not for us, for this sign-in and for now. Raises BadToken."""
    if claims.get("iss") != settings.issuer:
        raise BadToken("the token is of another issuer")
    heard = audiences(claims)
    if settings.client_id not in heard:
        raise BadToken("the token is for another audience")
    if claims.get("azp", settings.client_id) != settings.client_id or (len(heard) > 1 and "azp" not in claims):
        raise BadToken("the token was given to another client (azp)")
    check_times(claims, now, _LONGEST_ID_TOKEN_S)
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise BadToken("the token is of another sign-in (nonce)")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\x00" in subject:
        raise BadToken("the token names nobody (sub)")


def _check_sender(provider: Provider, arrival: Arrival) -> None:
    """Refuse a code that says it is of another provider (RFC 9207)."""
    if arrival.issuer != provider.issuer and (arrival.issuer or provider.names_itself):
        raise BadToken("the code is of another provider")


def _exchanged(providers: Providers, provider: Provider, settings: OidcSettings, flow: Flow, arrival: Arrival) -> str:
    """The ID token for the code."""
    if provider.token is None:
        raise Unavailable("The identity provider's document names no token_endpoint.")
    fields = {"grant_type": "authorization_code", "code": arrival.code, "redirect_uri": arrival.redirect_uri}
    fields |= {"code_verifier": flow.verifier}
    headers: dict[str, str] = {}
    if not settings.client_secret:
        fields["client_id"] = settings.client_id
    elif "client_secret_basic" in provider.token_methods or not provider.token_methods:
        headers["authorization"] = f"Basic {_basic(settings.client_id, settings.client_secret)}"
    else:
        fields |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
    answer = json_object(providers.outbound.post(provider.token, fields, headers))
    text = answer.get("id_token")
    if not isinstance(text, str):
        raise BadToken("the provider gave no ID token")
    return text


def _basic(client_id: str, secret: str) -> str:
    return base64.b64encode(f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()).decode()


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
