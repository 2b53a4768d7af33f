"""Signing in: with name and password, through an identity provider, or with the signed token of a trusted issuer.

The only operations besides the server's own probes that ask for no permission: who calls them is yet to be known.
"""

import html
import logging
from dataclasses import replace
from typing import Any

import msgspec

from modelkeep.access import check_password, oidc, person_of, start_session, workload
from modelkeep.app import App
from modelkeep.config import OidcSettings
from modelkeep.core.errors import InvalidInput, NotFound, Unauthenticated
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.faces.browser import (
    FLOW_COOKIE,
    SESSION_COOKIE,
    Header,
    check_origin,
    check_secure,
    cookie_in,
    drop_cookie,
    own_address,
    session_secret,
    set_cookie,
)
from modelkeep.faces.native.wire import NATIVE, Answer, Request
from modelkeep.faces.operations import PUBLIC, Exchange, Mode, Operation, Reply

_log = logging.getLogger("modelkeep.signin")

_SESSION_S = 12 * 60 * 60
_CALLBACK = "/oidc/callback"
_PROVIDER_SAYS = {
    "access_denied",
    "login_required",
    "interaction_required",
    "consent_required",
    "temporarily_unavailable",
}
# A page that goes on by itself. A redirect would be part of the way from the provider's site, and so be taken for
# a request that comes from there.
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Signed in</title>
<meta http-equiv="refresh" content="0;url={next}"><p>You are signed in. <a href="{next}">Continue</a></p></html>
"""
_PAGE_HEADERS: list[Header] = [
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]


class SignIn(Request):
    """What somebody signs in with: `name` and `password` for a browser session, or the `token` of a trusted issuer,
    for a short token; `trust` names which of that issuer's, where several would do.
    """

    name: str = ""
    password: str = ""
    token: str = ""
    trust: str = ""


class WorkloadToken(Answer):
    """A token that holds for a quarter of an hour: whose it is, and when it ends."""

    token: str
    service: str
    expires_at: int


class OidcStep(msgspec.Struct, kw_only=True):
    """A step of a sign-in through the provider: `start`, or `callback` with what the provider has added."""

    step: str
    next: str = "/"
    code: str = ""
    state: str = ""
    iss: str = ""
    error: str = ""


async def sign_in(exchange: Exchange) -> WorkloadToken | Reply:
    """Exchange a credential for a session or a token."""
    asked: SignIn = exchange.request
    if asked.token:
        if asked.name or asked.password:
            raise InvalidInput("Sign in with `name` and `password`, or with `token`; not with both.", "token")
        return await _with_token(exchange, asked)
    if not asked.name or not asked.password:
        missing = "password" if asked.name else "name"
        raise InvalidInput(f"`{missing}` is missing: sign in with `name` and `password`, or with `token`.", missing)
    return await _with_password(exchange, asked)


async def _with_password(exchange: Exchange, asked: SignIn) -> Reply:
    app, caller = exchange.app, exchange.caller
    check_origin(exchange.headers, app.settings)
    check_secure(exchange.headers, app.settings)
    if app.settings.auth == "none":
        raise NotFound("Nobody signs in at a server that runs with --auth none.")
    user = await check_password(app.database, asked.name, asked.password, caller.address, caller.request_id)
    return Reply(204, [await _session(exchange, user, "password")])


async def _session(exchange: Exchange, user: Any, signed_in_by: str) -> Header:
    """The cookie of a new session; the one that the browser had ends."""
    before = session_secret(exchange.headers)
    caller = replace(exchange.caller, actor=Actor(user.name, "session", "", user.id))
    secret = await exchange.app.write(caller, lambda tx: start_session(tx, user.id, signed_in_by, before))
    return set_cookie(SESSION_COOKIE, secret, _SESSION_S)


async def _with_token(exchange: Exchange, asked: SignIn) -> WorkloadToken:
    app, caller = exchange.app, exchange.caller
    issuer = workload.issuer_in(asked.token)
    trusts, now = await app.read_quickly(caller, lambda tx: (workload.trusts_of(tx, issuer), tx.now))
    judged = await app.providers.at_length(lambda: workload.judge(app.providers, trusts, asked.token, now, asked.trust))
    caller = replace(caller, actor=Actor(judged.service, "workload", "", judged.service_id))
    new, expires_at = await app.write(caller, lambda tx: workload.issue(tx, judged))
    return WorkloadToken(token=new.text, service=judged.service, expires_at=expires_at)


async def oidc_step(exchange: Exchange) -> Reply:
    """Send a browser to the provider, or welcome it back."""
    settings = exchange.app.settings.oidc
    run = _STEPS.get(exchange.request.step)
    if settings is None or run is None:
        raise NotFound("People sign in at this server itself: it has no --oidc-issuer." if run else "No such step.")
    check_secure(exchange.headers, exchange.app.settings)
    return await run(exchange, settings)


async def _start(exchange: Exchange, settings: OidcSettings) -> Reply:
    app, asked = exchange.app, exchange.request
    next_path = oidc.check_next(asked.next)
    back = own_address(exchange.headers, app.settings) + _CALLBACK
    provider = await app.providers.at_length(lambda: app.providers.provider(settings.issuer))
    begun = await app.write(exchange.caller, lambda tx: oidc.begin(tx, settings, provider, back, next_path))
    cookie = set_cookie(FLOW_COOKIE, begun.browser_secret, oidc.FLOW_S)
    return Reply(303, [(b"location", begun.address.encode()), cookie])


async def _callback(exchange: Exchange, settings: OidcSettings) -> Reply:
    app, asked = exchange.app, exchange.request
    browser = cookie_in(exchange.headers, FLOW_COOKIE)
    flow = await app.write(exchange.caller, lambda tx: (oidc.take_flow(tx, asked.state, browser), tx.now))
    if asked.error or not asked.code:
        said = asked.error if asked.error in _PROVIDER_SAYS else "no code"
        raise Unauthenticated(f"The identity provider did not sign you in ({said}).")
    back = own_address(exchange.headers, app.settings) + _CALLBACK
    arrival = oidc.Arrival(asked.code, asked.iss, back)
    person = await _person(app, exchange.caller, settings, flow, arrival)
    cookie = await _session(exchange, person, settings.issuer)
    page = _PAGE.format(next=html.escape(flow[0].next_path))
    return Reply(200, [*_PAGE_HEADERS, cookie, drop_cookie(FLOW_COOKIE)], page.encode())


async def _person(
    app: App, caller: Caller, settings: OidcSettings, flow: tuple[oidc.Flow, int], arrival: oidc.Arrival
) -> Any:
    """Who came back, by the provider's word. Until it is known who it is, the server itself is at work."""
    claims = await app.providers.at_length(lambda: oidc.claims_of(app.providers, settings, flow[0], arrival, flow[1]))
    person, kept = await app.write(replace(caller, actor=SYSTEM.actor), lambda tx: person_of(tx, settings, claims))
    app.forget_rights()
    if kept is not None:
        fields = {"user": kept.name, "issuer": kept.source, "groups": kept.groups, "refused": kept.refused}
        _log.warning("the last administrator's groups were kept against the provider", extra={"fields": fields})
    return person


_STEPS = {"start": _start, "callback": _callback}

OPERATIONS: list[Operation] = [
    Operation(
        "sign_in.exchange",
        NATIVE,
        (("POST", "/api/v1/sign-in"), ("POST", "/api/v1/workload-token")),
        SignIn,
        sign_in,
        Mode.STEPS,
        PUBLIC,
        "Sign in with name and password, or exchange the token of a trusted issuer",
        WorkloadToken,
        body_limit=64 * 1024,
        rationed=lambda asked: bool(asked.token),  # passwords are throttled by account and address
    ),
    Operation(
        "sign_in.oidc",
        NATIVE,
        (("GET", "/oidc/{step}"),),
        OidcStep,
        oidc_step,
        Mode.STREAM,
        PUBLIC,
        "Sign in through the identity provider: start, and come back",
        rationed=lambda asked: asked.step == "start",
    ),
]
