"""Access decisions and the life of tokens and workspaces."""

import re
import secrets
from collections.abc import Sequence
from typing import Any

from modelkeep.access import store
from modelkeep.access.events import TokenMade, TokensRevoked, WorkspaceCreated
from modelkeep.access.identity import check_token
from modelkeep.access.links import KEY_BYTES, LinkClaims, read_link, write_link
from modelkeep.access.rules import Permission, permissions_of
from modelkeep.access.tokens import NewToken, make_token
from modelkeep.core.errors import AlreadyExists, Forbidden, InvalidInput, NotFound
from modelkeep.core.types import DEFAULT_WORKSPACE, Actor, Caller
from modelkeep.db import Tx

FIRST_ADMINISTRATOR = "admin"
_WORKSPACE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def require(actor: Actor, permission: Permission) -> None:
    """`Forbidden` unless the actor has the permission."""
    if permission not in permissions_of(actor):
        raise Forbidden(f"{actor.name} lacks the permission {permission}; an administrator can grant it.")


def may(actor: Actor, permission: Permission) -> bool:
    """Whether the actor has the permission, where an answer says more to those who do."""
    return permission in permissions_of(actor)


def make_first_token(tx: Tx) -> NewToken | None:
    """The administrator's token of a new registry; None if any token was ever made.

    The default workspace must be there: its lock makes servers that start at the same moment count one after the other.
    """
    store.lock_workspace(tx, DEFAULT_WORKSPACE)
    if store.count_tokens(tx):
        return None
    return _make_token(tx, FIRST_ADMINISTRATOR, "first start")


def replace_administrator_token(tx: Tx, *, revoke_others: bool = False) -> NewToken:
    """A further administrator token, for somebody with access to the database who lost the first or saw it leak."""
    if revoke_others and (revoked := store.revoke_tokens(tx)):
        tx.emit(TokensRevoked(revoked))
    return _make_token(tx, FIRST_ADMINISTRATOR, "recovery")


def _make_token(tx: Tx, actor: str, name: str) -> NewToken:
    new = make_token()
    row = {"id": new.id, "actor": actor, "name": name, "secret_hash": new.secret_hash, "created_at": tx.now}
    store.insert_token(tx, row | {"expires_at": None, "revoked_at": None})
    tx.emit(TokenMade(new.id, actor, name))
    return new


def prepare_link_key(tx: Tx) -> None:
    """Make the key of links where it is missing."""
    store.prepare_link_key(tx, secrets.token_bytes(KEY_BYTES))


def make_links(tx: Tx, method: str, paths: Sequence[str], seconds: int) -> list[str]:
    """Links by which anybody is this caller, for so long, each for the method and one of these decoded paths only."""
    key, actor, expires = store.link_key(tx), tx.actor, tx.now + seconds * 1000
    return [
        write_link(key, LinkClaims(method, path, actor.name, actor.method, actor.token_id, tx.workspace, expires))
        for path in paths
    ]


def caller_of_link(tx: Tx, link: str, method: str, path: str) -> Caller:
    """Who calls a place by a link. Raises Unauthenticated, also if the token of its maker was revoked meanwhile."""
    claims = read_link(store.link_key(tx), link, method, path, tx.now)
    if claims.token:
        check_token(store.token(tx, claims.token), tx.now)
    return claims.caller(tx.caller.request_id)


def prepare_default_workspace(tx: Tx) -> None:
    """Make the `default` workspace where it is missing."""
    store.insert_workspace(tx, DEFAULT_WORKSPACE, None)


def workspace_exists(tx: Tx, name: str) -> bool:
    """Whether there is such a workspace."""
    return store.workspace(tx, name) is not None


def get_workspace(tx: Tx, name: str) -> Any:
    """The workspace, or `NotFound`."""
    found = store.workspace(tx, name)
    if found is None:
        raise NotFound(f"Workspace '{name}' not found")
    return found


def list_workspaces(tx: Tx) -> list[Any]:
    """All workspaces by name."""
    return store.list_workspaces(tx)


def create_workspace(tx: Tx, name: str, description: str | None) -> Any:
    """A new workspace; `AlreadyExists` if the name is taken."""
    if not _WORKSPACE_NAME.fullmatch(name):
        raise InvalidInput(
            f"Invalid workspace name {name!r}: 1 to 63 lower-case letters, digits and dashes, "
            "beginning and ending with a letter or digit.",
            "name",
        )
    if not store.insert_workspace(tx, name, description):
        raise AlreadyExists(f"Workspace '{name}' already exists.")
    tx.emit(WorkspaceCreated(name, description))
    return get_workspace(tx, name)
