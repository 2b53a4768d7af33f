"""API tokens: made for somebody, narrowed, listed and revoked.

A token speaks for its owner with what rights they have at the moment, less what it was narrowed by. It never makes
another that may do more or lasts longer than itself.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modelkeep.access.people import SERVICE
from modelkeep.access.rules import Verb
from modelkeep.access.signin import token_store as store
from modelkeep.access.signin.events import TokenMade, TokenRevoked, TokensRevoked
from modelkeep.access.signin.token_text import PREFIX, NewToken, make_token
from modelkeep.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from modelkeep.core.names import check_length
from modelkeep.core.types import Actor
from modelkeep.db import Tx

HINT = (
    "You are not authenticated. Set MLFLOW_TRACKING_TOKEN to an API token, or send it as the password of basic "
    "authentication; ask for a new one if it has expired or was revoked."
)
API, WORKLOAD = "api", "workload"
USUAL_DAYS, MOST_DAYS = 90, 365
_DAY_MS = 24 * 60 * 60 * 1000
_LONGEST_NAME = 100
_MOST_WORKSPACES = 100
_WORKSPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as it is listed. `state` is `good`, or why it is not: `expired`, `revoked`, and where its owner,
    or the person that answers for the service, is gone or cannot sign in: `owner_deleted`, `owner_disabled`.
    """

    id: str
    prefix: str
    name: str
    owner: str
    kind: str
    state: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    workspaces: list[str] | None
    verbs: list[str] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a new token. `days` None is the usual life; `never` is a life without end."""

    name: str
    days: int | None = None
    never: bool = False
    workspaces: Sequence[str] | None = None
    verbs: Sequence[str] | None = None


def make_token_for(
    tx: Tx,
    user: Any,
    *,
    name: str,
    kind: str = API,
    expires_at: int | None = None,
    workspaces: Iterable[str] | None = None,
    verbs: Iterable[str] | None = None,
) -> NewToken:
    """A token for somebody (a row), asked of nobody: for the server's own use cases. None as a limit means none."""
    new = make_token()
    limits = {"workspaces": _listed(workspaces), "verbs": _listed(verbs)}
    row = {"id": new.id, "actor": user.name, "name": name, "secret_hash": new.secret_hash, "created_at": tx.now}
    row |= {"expires_at": expires_at, "revoked_at": None, "user_id": user.id, "kind": kind, "last_used_at": None}
    row |= {key: None if given is None else json.dumps(given) for key, given in limits.items()}
    store.insert_token(tx, row | {"created_by": tx.actor.id})
    tx.emit(TokenMade(new.id, user.name, name, user.id, kind, expires_at, **limits))
    return new


def _listed(values: Iterable[str] | None) -> list[str] | None:
    return None if values is None else sorted({str(value) for value in values})


def create_token(tx: Tx, owner: Any, wanted: Wanted, *, may_never: bool = False) -> tuple[NewToken, TokenView]:
    """A token that somebody asks for, and what is told of it. Raises InvalidInput, Forbidden or Conflict.

    `may_never` lets it live without end, which administrators may ask for.
    """
    _check_wanted(wanted)
    if owner.disabled_at is not None:
        raise Conflict(f"'{owner.name}' is disabled; enable it first.")
    new = make_token_for(
        tx,
        owner,
        name=wanted.name,
        expires_at=_expiry(tx, wanted, may_never=may_never),
        workspaces=within("workspaces", wanted.workspaces, tx.actor.workspaces),
        verbs=within("verbs", wanted.verbs, tx.actor.verbs),
    )
    return new, get_token(tx, new.id)


def _check_wanted(wanted: Wanted) -> None:
    check_length("name", wanted.name, _LONGEST_NAME)
    if not wanted.name.strip():
        raise InvalidInput("A token has a name that says what it is for.", "name")
    for verb in wanted.verbs or ():
        if verb not in Verb.__members__.values():
            raise InvalidInput(f"'{verb[:40]}' is no verb; a token has some of {', '.join(Verb)}.", "verbs")
    for workspace in wanted.workspaces or ():
        if not _WORKSPACE.fullmatch(workspace):
            raise InvalidInput(f"{workspace[:80]!r} is no name of a workspace.", "workspaces")
    if len(wanted.workspaces or ()) > _MOST_WORKSPACES:
        raise InvalidInput(f"A token names at most {_MOST_WORKSPACES} workspaces.", "workspaces")
    for field in ("workspaces", "verbs"):
        if getattr(wanted, field) is not None and not getattr(wanted, field):
            raise InvalidInput(f"A token without any {field} could do nothing; leave the field out for all.", field)


def _expiry(tx: Tx, wanted: Wanted, *, may_never: bool) -> int | None:
    """When it ends: never after the token that it is made with."""
    if wanted.never and wanted.days is not None:
        raise InvalidInput("A token has so many days, or never ends; not both.", "days")
    if wanted.never and not may_never:
        raise Forbidden(f"Only an administrator makes tokens without an end; ask for at most {MOST_DAYS} days.")
    if wanted.days is not None and not 1 <= wanted.days <= MOST_DAYS:
        raise InvalidInput(f"A token lives for 1 to {MOST_DAYS} days.", "days")
    asked = None if wanted.never else tx.now + (wanted.days or USUAL_DAYS) * _DAY_MS
    last = _end_of_present(tx)
    if last is None or (asked is not None and asked <= last):
        return asked
    if wanted.never or wanted.days is not None:
        raise Forbidden("A token cannot make one that lasts longer than itself; ask for fewer days.")
    return last


def _end_of_present(tx: Tx) -> int | None:
    """When the token ends that the caller came with; None where they came otherwise, or it has no end."""
    row = store.token(tx, tx.actor.token_id) if tx.actor.method in {"token", "workload"} else None
    return None if row is None else row.expires_at


def within(field: str, asked: Sequence[str] | None, limit: frozenset[str] | None) -> Sequence[str] | None:
    """What a new token is narrowed to: what was asked, which must lie within what its maker was narrowed to.

    Raises Forbidden.
    """
    if limit is None:
        return asked
    if asked is None:
        return sorted(limit)
    if beyond := sorted(set(asked) - limit):
        raise Forbidden(f"A token cannot make one that may do more than itself: not {', '.join(beyond)} ({field}).")
    return asked


def check_token(row: Any | None, now: int) -> None:
    """Refuse the row of a token that does not stand any more. Raises Unauthenticated."""
    if row is None or state_of(row, now) != "good":
        raise Unauthenticated(HINT)


def state_of(row: Any, now: int) -> str:
    """`good`, or why a token is not: `expired`, `revoked`, `owner_disabled`, `owner_deleted`."""
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is not None and row.expires_at <= now:
        return "expired"
    ours = row.user_kind == SERVICE
    if row.user_id is None or row.deleted_at is not None or (ours and row.owner_deleted_at is not None):
        return "owner_deleted"
    if row.disabled_at is not None or (ours and row.owner_disabled_at is not None):
        return "owner_disabled"
    return "good" if row.owner_id is not None or not ours else "owner_deleted"


def actor_of(row: Any) -> Actor:
    """Who calls with the token of this row."""
    method = WORKLOAD if row.kind == WORKLOAD else "token"
    return Actor(row.user, method, row.id, row.user_id, _limit(row.workspaces), _limit(row.verbs))


def _limit(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))


def token_row(tx: Tx, token_id: str) -> Any | None:
    """The row of a token."""
    return store.token(tx, token_id)


def get_token(tx: Tx, token_id: str) -> TokenView:
    """A token as it is listed. Raises NotFound."""
    return _view(_found(tx, token_id), tx.now)


def list_tokens(tx: Tx, after: str, limit: int) -> list[TokenView]:
    """All tokens, by id, behind this one."""
    return [_view(row, tx.now) for row in store.page(tx, after, limit)]


def list_tokens_of(tx: Tx, user_id: str, after: str, limit: int) -> list[TokenView]:
    """The tokens of somebody and of the services that they own, by id, behind this one."""
    return [_view(row, tx.now) for row in store.page_of(tx, user_id, after, limit)]


def revoke_token(tx: Tx, token_id: str) -> None:
    """Revoke a token; no matter if that was done before. Raises NotFound."""
    row = _found(tx, token_id)
    if store.revoke(tx, token_id):
        tx.emit(TokenRevoked(token_id, row.user_id or "", row.name))


def revoke_own_token(tx: Tx, token_id: str) -> None:
    """The same for a token of the caller or of a service that they own. Raises NotFound for those of others."""
    row = _found(tx, token_id)
    if not tx.actor.id or tx.actor.id not in {row.user_id, row.owner_id}:
        raise _missing(token_id)
    revoke_token(tx, token_id)


def revoke_tokens_since(tx: Tx, since: int, *, keep_own: bool) -> int:
    """Revoke all tokens that were made since a moment, but perhaps the caller's; how many were good."""
    kept = tx.actor.token_id if keep_own else ""
    count = store.revoke_since(tx, since, kept)
    if count:
        tx.emit(TokensRevoked(count, since, kept))
    return count


def _view(row: Any, now: int) -> TokenView:
    return TokenView(
        row.id,
        PREFIX + row.id,
        row.name,
        row.user or "",
        row.kind,
        state_of(row, now),
        row.created_at,
        row.expires_at,
        row.last_used_at,
        None if row.workspaces is None else json.loads(row.workspaces),
        None if row.verbs is None else json.loads(row.verbs),
    )


def _found(tx: Tx, token_id: str) -> Any:
    row = store.token(tx, token_id)
    if row is None:
        raise _missing(token_id)
    return row


def _missing(token_id: str) -> NotFound:
    return NotFound(f"There is no token '{token_id[:40]}'; a token's id is what stands between its first two '_'.")
