"""The caller about themselves on the native API: who am I here, and my password."""

from typing import Any

from modelkeep.access import Permission, check_password, passwords, people, tokens
from modelkeep.core.errors import Conflict, Forbidden, Unauthenticated
from modelkeep.db import Tx
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Exchange, Mode, Operation


class WhoAmI(Request):
    """A question about oneself."""


class OwnPassword(Request):
    """One's new password, and the present one."""

    present: str
    new: str


class Me(Answer):
    """The caller. `signed_in_by` is `token`, `password`, `session`, `workload` or `none`.

    `workspaces` and `verbs` are what the token used is limited to, if it is.
    """

    name: str
    signed_in_by: str
    id: str | None = None
    kind: str | None = None
    display_name: str | None = None
    groups: list[str] | None = None
    has_password: bool | None = None
    token_id: str | None = None
    token_name: str | None = None
    token_expires_at: int | None = None
    workspaces: list[str] | None = None
    verbs: list[str] | None = None


def who_am_i(tx: Tx, _request: WhoAmI) -> Me:
    """Who the caller is, and what the token used is limited to."""
    actor = tx.actor
    me = Me(name=actor.name, signed_in_by=actor.method)
    row = people.user(tx, actor.id) if actor.id else None
    if row is not None:
        me.id, me.kind, me.display_name = row.id, row.kind, row.display_name
        me.groups = sorted({group.name for group in people.groups_of(tx, row.id)})
        me.has_password = row.password_hash is not None
    token = tokens.token_row(tx, actor.token_id) if actor.method in {"token", tokens.WORKLOAD} else None
    if token is not None:
        me.token_id, me.token_name, me.token_expires_at = token.id, token.name, token.expires_at
    me.workspaces, me.verbs = (None if limit is None else sorted(limit) for limit in (actor.workspaces, actor.verbs))
    return me


async def change_own_password(exchange: Exchange) -> None:
    """Give oneself another password, which takes knowing the present one: the first is given by an administrator."""
    actor, asked, app = exchange.caller.actor, exchange.request, exchange.app
    row = await app.read_quickly(exchange.caller, lambda tx: people.user(tx, actor.id))
    if row is None or row.password_hash is None:
        raise Conflict("You have no password to change; an administrator can give you the first one.")
    normal = passwords.checked(row.name, asked.new)
    await _check_present(exchange, row.name, asked.present)
    hashed = await passwords.hash_of(normal)
    await app.write(exchange.caller, lambda tx: _set(tx, row, hashed))


async def _check_present(exchange: Exchange, name: str, present: str) -> None:
    """Raises Forbidden: a 401 would make clients think that they are signed in no more."""
    caller = exchange.caller
    try:
        await check_password(exchange.app.database, name, present, caller.address, caller.request_id, by=caller.actor)
    except Unauthenticated as error:
        raise Forbidden("`present` is not your present password.", "present") from error


def _set(tx: Tx, row: Any, hashed: str) -> None:
    now = people.user(tx, row.id)
    if now is None or now.password_hash != row.password_hash:
        raise Conflict("Your password was changed meanwhile; try again.")
    people.set_password(tx, now, hashed)


OPERATIONS: list[Operation] = [
    Operation(
        "me.show",
        NATIVE,
        routes("GET", "me"),
        WhoAmI,
        who_am_i,
        Mode.READ,
        Permission.SELF,
        "Who the caller is, and how they signed in",
        Me,
    ),
    Operation(
        "me.set_password",
        NATIVE,
        routes("POST", "me/password"),
        OwnPassword,
        change_own_password,
        Mode.STEPS,
        Permission.SELF,
        "Change one's own password",
        status=204,
    ),
]
