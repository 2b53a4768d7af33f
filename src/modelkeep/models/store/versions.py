"""SQL of model versions: their rows and tags."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_integers, text, upsert_changed
from modelkeep.models.tables import version_tags, versions

_BY_KEY = (versions.c.model_id == bindparam("model_id")) & (versions.c.version == bindparam("number"))
_NAMED = (
    (versions.c.workspace == bindparam("workspace"))
    & (versions.c.name == bindparam("name"))
    & (versions.c.version == bindparam("number"))
)
_LIVE = versions.c.retired_at.is_(None)

_INSERT = Prepared(insert(versions))
_FIND = Prepared(select(versions).where(_NAMED, _LIVE))
_LOCK = Prepared(select(versions).where(_NAMED, _LIVE).with_for_update())
_FIND_ANY = Prepared(select(versions).where(_BY_KEY))
_DESCRIBE = Prepared(
    update(versions)
    .where(_BY_KEY)
    .values(description=bindparam("description", type_=text()), updated_at=bindparam("now"))
)
_TOUCH = Prepared(update(versions).where(_BY_KEY).values(updated_at=bindparam("now")))
_TOUCH_MANY = Prepared(
    update(versions)
    .where(versions.c.model_id == bindparam("model_id"), one_of_integers(versions.c.version, "numbers"))
    .values(updated_at=bindparam("now"))
)
_RETIRE = Prepared(
    update(versions)
    .where(_BY_KEY, _LIVE)
    .values(retired_at=bindparam("now"), retired_by=bindparam("by"), updated_at=bindparam("now"))
)
_RESTORE = Prepared(
    update(versions)
    .where(_BY_KEY, versions.c.retired_at.is_not(None))
    .values(retired_at=None, retired_by=None, updated_at=bindparam("now"))
)
_RECLAIM = Prepared(
    update(versions)
    .where(_BY_KEY, versions.c.digest.is_not(None), versions.c.reclaimed_at.is_(None))
    .values(reclaimed_at=bindparam("now"), updated_at=bindparam("now"))
)
_SET_TAG = Prepared(upsert_changed(version_tags, ["model_id", "version", "key"], "value"))
_TAG_BY_KEY = (
    (version_tags.c.model_id == bindparam("model_id"))
    & (version_tags.c.version == bindparam("number"))
    & (version_tags.c.key == bindparam("key"))
)
_TAG = Prepared(select(version_tags.c.value).where(_TAG_BY_KEY))
_DELETE_TAG = Prepared(delete(version_tags).where(_TAG_BY_KEY).returning(version_tags.c.value))


def insert_version(tx: Tx, row: Mapping[str, Any]) -> None:
    """Make a version; `row` has what is not the same for all new ones."""
    fixed = {
        "workspace": tx.workspace,
        "status": "READY",
        "status_message": None,
        "created_by": tx.actor.name,
        "created_at": tx.now,
        "updated_at": tx.now,
        "retired_at": None,
        "retired_by": None,
        "reclaimed_at": None,
    }
    tx.run(_INSERT, **row, **fixed)


def find(tx: Tx, name: str, number: int) -> Any | None:
    """The row of a version in use."""
    return tx.row(_FIND, workspace=tx.workspace, name=name, number=number)


def find_any(tx: Tx, model_id: str, number: int) -> Any | None:
    """The row of a version, retired ones too."""
    return tx.row(_FIND_ANY, model_id=model_id, number=number)


def lock(tx: Tx, name: str, number: int) -> Any | None:
    """The same, held against other writers until the end of the transaction."""
    return tx.row(_LOCK, workspace=tx.workspace, name=name, number=number)


def describe(tx: Tx, model_id: str, number: int, description: str | None) -> None:
    """Replace the description."""
    tx.run(_DESCRIBE, model_id=model_id, number=number, description=description, now=tx.now)


def touch(tx: Tx, model_id: str, numbers: Sequence[int]) -> None:
    """Set the time of these versions' update to now."""
    if len(numbers) == 1:
        tx.run(_TOUCH, model_id=model_id, number=numbers[0], now=tx.now)
    else:
        tx.run(_TOUCH_MANY, model_id=model_id, numbers=msgspec.json.encode(numbers).decode(), now=tx.now)


def retire(tx: Tx, model_id: str, number: int) -> bool:
    """Take a version out of use; False if none such is in use."""
    return tx.run(_RETIRE, model_id=model_id, number=number, now=tx.now, by=tx.actor.name) == 1


def restore(tx: Tx, model_id: str, number: int) -> bool:
    """Bring a version back; False if it is not retired."""
    return tx.run(_RESTORE, model_id=model_id, number=number, now=tx.now) == 1


def reclaim(tx: Tx, model_id: str, number: int) -> bool:
    """The bytes of a version are no longer kept; False if they were not anyhow."""
    return tx.run(_RECLAIM, model_id=model_id, number=number, now=tx.now) == 1


def set_tags(tx: Tx, model_id: str, number: int, tags: Mapping[str, str]) -> None:
    """Set tags of a new version."""
    same = {"model_id": model_id, "version": number, "workspace": tx.workspace}
    tx.run_many(_SET_TAG, [{**same, "key": key, "value": value} for key, value in tags.items()])


def set_tag(tx: Tx, model_id: str, number: int, key: str, value: str) -> bool:
    """Set a tag; False if it has that value already."""
    return tx.run(_SET_TAG, model_id=model_id, version=number, key=key, value=value, workspace=tx.workspace) == 1


def tag(tx: Tx, model_id: str, number: int, key: str) -> str | None:
    """The value of a tag; None if there is none."""
    found = tx.row(_TAG, model_id=model_id, number=number, key=key)
    return str(found.value) if found else None


def delete_tag(tx: Tx, model_id: str, number: int, key: str) -> str | None:
    """Delete a tag; the value that it had, None if there was none."""
    found = tx.row(_DELETE_TAG, model_id=model_id, number=number, key=key)
    return str(found.value) if found else None
