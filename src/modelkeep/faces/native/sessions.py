"""The caller's own browser sessions: the present one with what its pages have to send along, all of them, their end."""

from modelkeep.access import (
    Permission,
    SessionView,
    csrf_token,
    end_all_sessions,
    end_session,
    list_own_sessions,
    view_session,
)
from modelkeep.core.errors import Conflict, NotFound
from modelkeep.db import Tx
from modelkeep.faces.browser import SESSION_COOKIE, drop_cookie, session_secret
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Exchange, Mode, NoInput, Operation, Reply


class SignOut(Request):
    """The end of the present session; with `everywhere`, of all that the caller has."""

    everywhere: bool = False


class SessionAnswer(Answer):
    """A session. `csrf_token` is what requests of the present one carry as X-CSRF-Token to change something."""

    handle: str
    signed_in_by: str
    address: str
    created_at: int
    last_seen_at: int
    expires_at: int
    is_present: bool
    csrf_token: str | None = None


class SessionList(Answer):
    """Sessions, the newest first."""

    items: list[SessionAnswer]


async def show_session(exchange: Exchange) -> SessionAnswer:
    """The session that this request came with."""
    if exchange.caller.actor.method != "session":
        raise NotFound("You did not sign in with a browser session.")
    secret = session_secret(exchange.headers)
    view = await exchange.app.read_quickly(exchange.caller, lambda tx: view_session(tx, secret))
    return _answer(view, csrf_token(secret))


def list_sessions(tx: Tx, _request: NoInput) -> SessionList:
    """The caller's sessions."""
    return SessionList(items=[_answer(view) for view in list_own_sessions(tx)])


async def sign_out(exchange: Exchange) -> Reply:
    """End the present session, or all of the caller's."""
    actor, secret = exchange.caller.actor, session_secret(exchange.headers)
    if exchange.request.everywhere:
        if not actor.id:
            raise Conflict("Nobody signed in, so there are no sessions to end.")
        await exchange.app.write(exchange.caller, lambda tx: end_all_sessions(tx, actor.id))
    elif actor.method != "session":
        raise Conflict("You did not sign in with a browser session; `everywhere` ends those that you have elsewhere.")
    else:
        await exchange.app.write(exchange.caller, lambda tx: end_session(tx, secret))
    return Reply(204, [drop_cookie(SESSION_COOKIE)])


def _answer(view: SessionView, token: str | None = None) -> SessionAnswer:
    return SessionAnswer(
        handle=view.handle,
        signed_in_by=view.signed_in_by,
        address=view.address,
        created_at=view.created_at,
        last_seen_at=view.last_seen_at,
        expires_at=view.expires_at,
        is_present=view.is_present,
        csrf_token=token,
    )


OPERATIONS: list[Operation] = [
    Operation(
        "sessions.show",
        NATIVE,
        routes("GET", "me/session"),
        NoInput,
        show_session,
        Mode.STREAM,
        Permission.SELF,
        "The browser session that this request came with",
        SessionAnswer,
    ),
    Operation(
        "sessions.list",
        NATIVE,
        routes("GET", "me/sessions"),
        NoInput,
        list_sessions,
        Mode.READ,
        Permission.SELF,
        "The caller's browser sessions",
        SessionList,
    ),
    Operation(
        "sessions.sign_out",
        NATIVE,
        routes("POST", "sign-out"),
        SignOut,
        sign_out,
        Mode.STEPS,
        Permission.SELF,
        "End the present browser session, or all of the caller's",
        status=204,
    ),
]
