"""Links, workspaces, and what is asked of whoever signed in."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from modelkeep.access import people, store
from modelkeep.access.events import WorkspaceCreated, WorkspaceDescribed
from modelkeep.access.links import KEY_BYTES, LinkClaims, read_link, write_link
from modelkeep.access.rules import check_workspace_name
from modelkeep.access.signin.sessions import SESSION, check_session
from modelkeep.access.signin.tokens import HINT, WORKLOAD, actor_of, check_token, token_row
from modelkeep.core.errors import AlreadyExists, NotFound, Unauthenticated
from modelkeep.core.types import DEFAULT_WORKSPACE, Caller
from modelkeep.db import Tx


def prepare_link_key(tx: Tx) -> None:
    """Make the key of links where it is missing."""
    store.prepare_link_key(tx, secrets.token_bytes(KEY_BYTES))


def make_links(tx: Tx, method: str, paths: Sequence[str], seconds: int) -> list[str]:
    """Links by which anybody is this caller, for so long, each for the method and one of these decoded paths only."""
    key, actor, expires = store.link_key(tx), tx.actor, tx.now + seconds * 1000
    return [
        write_link(
            key, LinkClaims(method, path, actor.name, actor.method, actor.token_id, tx.workspace, expires, actor.id)
        )
        for path in paths
    ]


def caller_of_link(tx: Tx, link: str, method: str, path: str) -> Caller:
    """Who calls a place by a link. Raises Unauthenticated, also if its maker could no longer sign in as they did."""
    claims = read_link(store.link_key(tx), link, method, path, tx.now)
    caller = claims.caller(tx.caller.request_id)
    if claims.signed_in in ("token", WORKLOAD):
        row = token_row(tx, claims.token)
        check_token(row, tx.now)
        return replace(caller, actor=actor_of(row))
    if claims.signed_in == SESSION:
        check_session(tx, claims.user, claims.token)
    if claims.user:
        user = people.user(tx, claims.user)
        if user is None or not people.is_enabled(tx, user):
            raise Unauthenticated(HINT)
    return caller


def prepare_default_workspace(tx: Tx) -> None:
    """Make the `default` workspace where it is missing."""
    store.insert_workspace(tx, DEFAULT_WORKSPACE, None)


def workspace_exists(tx: Tx, name: str) -> bool:
    """Whether there is such a workspace."""
    return store.workspace(tx, name) is not None


def get_workspace(tx: Tx, name: str) -> Any:
    """The workspace, or `NotFound`."""
    known = tx.caller.workspaces
    found = store.workspace(tx, name) if known is None or name in known else None
    if found is None:
        raise NotFound(f"Workspace '{name}' not found")
    return found


def lock_workspace(tx: Tx, name: str) -> Any:
    """The workspace, or `NotFound`; its settings are changed by nobody else until the transaction ends."""
    get_workspace(tx, name)
    store.lock_workspace(tx, name)
    return get_workspace(tx, name)


def list_workspaces(tx: Tx) -> list[Any]:
    """The workspaces that the caller may know of, by name."""
    known = tx.caller.workspaces
    return [row for row in store.list_workspaces(tx) if known is None or row.name in known]


def create_workspace(tx: Tx, name: str, description: str | None) -> Any:
    """A new workspace; `AlreadyExists` if the name is taken."""
    check_workspace_name(name)
    if not store.insert_workspace(tx, name, description):
        raise AlreadyExists(f"Workspace '{name}' already exists.")
    tx.emit(WorkspaceCreated(name, description))
    return get_workspace(tx, name)


def describe_workspace(tx: Tx, name: str, description: str | None) -> Any:
    """Give a workspace another description. Raises NotFound."""
    found = lock_workspace(tx, name)
    if found.description != description:
        store.describe_workspace(tx, name, description)
        tx.emit(WorkspaceDescribed(name, description, found.description))
    return get_workspace(tx, name)


def set_audit_downloads(tx: Tx, name: str, *, audited: bool) -> None:
    """Say whether downloads in a workspace are written down; the audit log tells that it was said."""
    store.set_audit_downloads(tx, name, audited=audited)
