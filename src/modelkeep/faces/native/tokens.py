"""API tokens on the native API: one's own, and for administrators everybody's."""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta

from modelkeep.access import Permission, people, tokens
from modelkeep.core.errors import Conflict, NotFound
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation

Milliseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class ListTokens(Request):
    """A page of tokens; with `owner`, those of one person and their services, or of one service."""

    owner: str | None = None
    limit: PageSize = 100
    cursor: Cursor = ""


class ListOwnTokens(Request):
    """A page of the caller's tokens and those of the services that they answer for."""

    limit: PageSize = 100
    cursor: Cursor = ""


class NewTokenFor(Request):
    """A token to be made for anybody. `days` are 90 unless said, at most 365; `never` is a life without end."""

    owner: str
    name: str
    days: int | None = None
    never: bool = False
    workspaces: list[str] | None = None
    verbs: list[str] | None = None


class NewOwnToken(Request):
    """A token to be made for the caller, or a service that they answer for. `days` are 90 unless said, at most 365."""

    name: str
    service: str | None = None
    days: int | None = None
    workspaces: list[str] | None = None
    verbs: list[str] | None = None


class OneToken(Request):
    """A token by its id."""

    id: str


class RevokeTokens(Request):
    """All tokens made since a moment (0: all there are) are to be revoked, but the caller's own unless said."""

    since: Milliseconds
    keep_own: bool = True


class TokenAnswer(Answer):
    """A token, by the beginning of its text. `state` is `good`, or why it is not.

    `workspaces` and `verbs` are what it is limited to, if it is.
    """

    id: str
    prefix: str
    name: str
    owner: str
    kind: str
    state: str
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None
    workspaces: list[str] | None = None
    verbs: list[str] | None = None


class MadeToken(TokenAnswer):
    """A token just made: `token` is its text, which is shown this once."""

    token: str = ""


class TokenPage(Answer):
    """A page of tokens."""

    items: list[TokenAnswer]
    next_cursor: str | None = None


class RevokedTokens(Answer):
    """How many tokens were good until now."""

    revoked: int


def list_tokens(tx: Tx, request: ListTokens) -> TokenPage:
    """Everybody's tokens, or those of one owner."""
    if request.owner is None:
        return _page(request, lambda after, limit: tokens.list_tokens(tx, after, limit))
    owner = _owner(tx, request.owner)
    return _page(request, lambda after, limit: tokens.list_tokens_of(tx, owner.id, after, limit))


def list_own_tokens(tx: Tx, request: ListOwnTokens) -> TokenPage:
    """The caller's tokens."""
    _require_account(tx)
    return _page(request, lambda after, limit: tokens.list_tokens_of(tx, tx.actor.id, after, limit))


def make_token(tx: Tx, request: NewTokenFor) -> MadeToken:
    """Make a token for anybody."""
    wanted = tokens.Wanted(request.name, request.days, request.never, request.workspaces, request.verbs)
    return _made(*tokens.create_token(tx, _owner(tx, request.owner), wanted, may_never=True))


def make_own_token(tx: Tx, request: NewOwnToken) -> MadeToken:
    """Make a token for the caller or their service."""
    _require_account(tx)
    owner = people.user(tx, tx.actor.id)
    if request.service is not None:
        owner = people.find_user(tx, request.service)
        if owner is None or owner.owner_id != tx.actor.id:
            raise NotFound(
                f"You answer for no service named '{request.service[:80]}'. Who does makes its tokens, or an "
                "administrator, with 'owner'.",
                "service",
            )
    wanted = tokens.Wanted(request.name, request.days, False, request.workspaces, request.verbs)
    return _made(*tokens.create_token(tx, owner, wanted))


def revoke_token(tx: Tx, request: OneToken) -> None:
    """Revoke anybody's token."""
    tokens.revoke_token(tx, request.id)


def revoke_own_token(tx: Tx, request: OneToken) -> None:
    """Revoke a token of the caller or of a service that they answer for."""
    tokens.revoke_own_token(tx, request.id)


def revoke_tokens(tx: Tx, request: RevokeTokens) -> RevokedTokens:
    """Revoke all tokens made since a moment."""
    return RevokedTokens(revoked=tokens.revoke_tokens_since(tx, request.since, keep_own=request.keep_own))


def _require_account(tx: Tx) -> None:
    if not tx.actor.id:
        raise Conflict("Nobody is signed in here (--auth none), so there are no tokens of one's own.")


def _owner(tx: Tx, name: str) -> Any:
    found = people.find_user(tx, name)
    if found is None:
        raise NotFound(f"There is no person or service named '{name[:80]}'.")
    return found


def _page(request: Any, listed: Callable[[str, int], list[tokens.TokenView]]) -> TokenPage:
    found = listed(read_cursor(request.cursor, str)[0] if request.cursor else "", request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].id) if len(found) > len(page) else None
    return TokenPage(items=[TokenAnswer(**_fields(view)) for view in page], next_cursor=more)


def _made(new: Any, view: tokens.TokenView) -> MadeToken:
    return MadeToken(token=new.text, **_fields(view))


def _fields(view: tokens.TokenView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in TokenAnswer.__struct_fields__}


_ALL, _OWN = Permission.TOKEN_MANAGE, Permission.SELF


OPERATIONS: list[Operation] = [
    Operation(
        "tokens.list", NATIVE, routes("GET", "tokens"), ListTokens, list_tokens, Mode.READ, _ALL, "Tokens", TokenPage
    ),
    Operation(
        "tokens.create",
        NATIVE,
        routes("POST", "tokens"),
        NewTokenFor,
        make_token,
        Mode.WRITE,
        _ALL,
        "Make a token for anybody",
        MadeToken,
        status=201,
    ),
    Operation(
        "tokens.revoke",
        NATIVE,
        routes("DELETE", "tokens/{id}"),
        OneToken,
        revoke_token,
        Mode.WRITE,
        _ALL,
        "Revoke anybody's token",
        status=204,
    ),
    Operation(
        "tokens.revoke_since",
        NATIVE,
        routes("POST", "token-revocations"),
        RevokeTokens,
        revoke_tokens,
        Mode.WRITE,
        _ALL,
        "Revoke all tokens made since a moment",
        RevokedTokens,
    ),
    Operation(
        "me.tokens",
        NATIVE,
        routes("GET", "me/tokens"),
        ListOwnTokens,
        list_own_tokens,
        Mode.READ,
        _OWN,
        "One's own tokens, and those of one's services",
        TokenPage,
    ),
    Operation(
        "me.create_token",
        NATIVE,
        routes("POST", "me/tokens"),
        NewOwnToken,
        make_own_token,
        Mode.WRITE,
        _OWN,
        "Make a token of one's own, or for one's service",
        MadeToken,
        status=201,
    ),
    Operation(
        "me.revoke_token",
        NATIVE,
        routes("DELETE", "me/tokens/{id}"),
        OneToken,
        revoke_own_token,
        Mode.WRITE,
        _OWN,
        "Revoke a token of one's own, or of one's service",
        status=204,
    ),
]
