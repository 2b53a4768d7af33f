"""People and services: who there is, and who can sign in."""

import json
import secrets
from collections.abc import Iterable
from typing import Any

from modelkeep.access.people import store
from modelkeep.access.people.events import (
    PasswordChanged,
    UserChanged,
    UserDeleted,
    UserDisabled,
    UserEnabled,
    UserMade,
    UserRenamed,
)
from modelkeep.access.people.rules import FIRST_ADMINISTRATOR, PERSON, SERVICE, check_name, check_text
from modelkeep.core.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from modelkeep.db import Tx


def user(tx: Tx, user_id: str) -> Any | None:
    """The person or service with this lasting id, deleted ones too; None where there never was one."""
    return store.user(tx, user_id)


def find_user(tx: Tx, name: str) -> Any | None:
    """The person or service that has this name now."""
    return store.user_named(tx, name)


def get_user(tx: Tx, name: str, kind: str = PERSON) -> Any:
    """The person (or service) of this name. Raises NotFound."""
    found = store.user_named(tx, name)
    if found is None or found.kind != kind:
        raise NotFound(f"There is no {kind} named '{name[:80]}'.")
    return found


def list_users(tx: Tx, kind: str, after: str, limit: int) -> list[Any]:
    """People, or services, by name, behind this one."""
    return store.page(tx, kind, after, limit)


def services_of(tx: Tx, owner_id: str) -> list[Any]:
    """The services that a person answers for."""
    return store.services_of(tx, owner_id)


def names_of(tx: Tx, ids: Iterable[str]) -> dict[str, str]:
    """The names by these ids; somebody deleted has the name that they had."""
    return {row.id: row.name for row in store.users_among(tx, json.dumps(sorted(set(ids))))}


def is_enabled(tx: Tx, row: Any) -> bool:
    """Whether somebody may sign in: not deleted or disabled, and for a service, neither is its owner."""
    if row.deleted_at is not None or row.disabled_at is not None:
        return False
    if row.kind != SERVICE:
        return True
    owner = store.user(tx, row.owner_id or "")
    return owner is not None and owner.deleted_at is None and owner.disabled_at is None


def make_user(
    tx: Tx,
    name: str,
    kind: str = PERSON,
    *,
    display_name: str | None = None,
    owner: Any | None = None,
    password_hash: str | None = None,
) -> Any:
    """A new person, or a service that a person (`owner`, a row) answers for. Raises AlreadyExists, InvalidInput."""
    check_name(name)
    check_text("display_name", display_name)
    _check_service_name(name, kind, "name")
    _check_owner(kind, owner)
    row: dict[str, Any] = {"id": f"u-{secrets.token_hex(8)}", "name": name, "kind": kind, "display_name": display_name}
    row |= {"owner_id": owner.id if owner else None, "password_hash": password_hash, "created_at": tx.now}
    if not store.insert_user(tx, row | {"disabled_at": None, "deleted_at": None, "sessions_after": 0}):
        raise AlreadyExists(f"The name '{name}' is taken.", "name")
    tx.emit(UserMade(row["id"], name, kind, owner.name if owner else None, display_name))
    return store.user(tx, row["id"])


def _check_service_name(name: str, kind: str, field: str) -> None:
    if kind == SERVICE and name == FIRST_ADMINISTRATOR:
        raise InvalidInput(f"'{name}' is the name of the registry's first administrator, a person.", field)


def _check_owner(kind: str, owner: Any | None) -> None:
    if (kind == SERVICE) != (owner is not None):
        raise InvalidInput("A service has a person as its owner, and a person has none.", "owner")
    if owner is not None and owner.kind != PERSON:
        raise InvalidInput(f"'{owner.name}' is a service; the owner of a service is a person.", "owner")


def change_user(tx: Tx, row: Any, *, display_name: str | None, owner: Any | None = None) -> Any:
    """Say something else of somebody; `owner` is who answers for a service from now on. Raises NotFound."""
    check_text("display_name", display_name)
    _check_owner(row.kind, owner)
    found = lock_user(tx, row)
    new = {"display_name": display_name, "owner_id": owner.id if owner else None}
    before = {key: getattr(found, key) for key in new if getattr(found, key) != new[key]}
    if before:
        store.describe(tx, found.id, **new)
        tx.emit(UserChanged(found.id, found.name, {key: new[key] for key in before}, before))
    return store.user(tx, row.id)


def rename_user(tx: Tx, row: Any, new_name: str) -> Any:
    """Give somebody another name. All that they have and may do hangs on their id, and stays; what they did is told
    under the name that they had. Raises InvalidInput, AlreadyExists, NotFound.
    """
    check_name(new_name, "new_name")
    _check_service_name(new_name, row.kind, "new_name")
    found = lock_user(tx, row)
    if found.name == new_name:
        return found
    if not store.rename(tx, found, new_name):
        raise AlreadyExists(f"The name '{new_name}' is taken.", "new_name")
    tx.emit(UserRenamed(found.id, new_name, found.name))
    return store.user(tx, found.id)


def disable_user(tx: Tx, row: Any) -> None:
    """Let somebody not sign in any more, nor the services that they own. Raises Conflict for the caller's own self."""
    _refuse_self(tx, row, "disable")
    found = lock_user(tx, row)
    if found.disabled_at is None:
        store.disable(tx, found.id)
        tx.emit(UserDisabled(found.id, found.name))


def enable_user(tx: Tx, row: Any) -> None:
    """Let somebody sign in again, with all that they had to sign in by."""
    found = lock_user(tx, row)
    if found.disabled_at is not None:
        store.enable(tx, found.id)
        tx.emit(UserEnabled(found.id, found.name))


def delete_user(tx: Tx, row: Any) -> None:
    """Take somebody away for good; the name is free again. Raises Conflict for the caller's own self."""
    _refuse_self(tx, row, "delete")
    found = lock_user(tx, row)
    store.delete_user(tx, found.id)
    tx.emit(UserDeleted(found.id, found.name))


def set_password(tx: Tx, row: Any, password_hash: str) -> None:
    """Give a person another password; their sessions end. Raises Conflict for a service, NotFound if gone meanwhile."""
    if row.kind != PERSON:
        raise Conflict(f"'{row.name}' is a service: it signs in with tokens and has no password.")
    if not store.set_password(tx, row.id, password_hash):
        raise NotFound(f"There is no person named '{row.name}'.")
    tx.emit(PasswordChanged(row.id, row.name))


def _refuse_self(tx: Tx, row: Any, verb: str) -> None:
    if row.id == tx.actor.id:
        raise Conflict(f"Nobody can {verb} themselves; another administrator can.")


def lock_user(tx: Tx, row: Any) -> Any:
    """The row of somebody as it is now, which nobody else changes until the end. Raises NotFound."""
    found = store.lock_user(tx, row.id)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"There is no {row.kind} named '{row.name}'.")
    return found
