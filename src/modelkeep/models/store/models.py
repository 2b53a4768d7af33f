"""SQL of registered models: their rows, names and tags."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import insert_unless_taken, integer, one_of_texts, text, upsert, upsert_changed
from modelkeep.models.tables import model_tags, models, names, versions

_NAMED = (
    (models.c.workspace == bindparam("workspace"))
    & (models.c.name == bindparam("name"))
    & models.c.retired_at.is_(None)
)
_BY_ID = models.c.id == bindparam("model_id")

_INSERT = Prepared(insert_unless_taken(models))
_FIND = Prepared(select(models).where(_NAMED))
_LOCK = Prepared(select(models).where(_NAMED).with_for_update())
_LOCK_ANY = Prepared(select(models).where(_BY_ID, models.c.workspace == bindparam("workspace")).with_for_update())
_TOUCH = Prepared(update(models).where(_NAMED).values(updated_at=bindparam("now")).returning(models))
_NEXT = Prepared(
    update(models)
    .where(_NAMED)
    .values(updated_at=bindparam("now"), last_version=models.c.last_version + 1)
    .returning(models)
)
_DESCRIBE = Prepared(
    update(models).where(_BY_ID).values(description=bindparam("description", type_=text()), updated_at=bindparam("now"))
)
_SET_COUNTER = Prepared(update(models).where(_BY_ID).values(last_version=bindparam("last_version")))
_SET_KIND = Prepared(update(models).where(_BY_ID).values(kind=bindparam("kind")))
_SET_NAME = Prepared(
    update(models)
    .where(_BY_ID)
    .values(
        name=bindparam("name"),
        last_version=bindparam("last_version"),
        updated_at=bindparam("now"),
        retired_at=None,
        retired_by=None,
    )
)
_RETIRE = Prepared(
    update(models)
    .where(_BY_ID)
    .values(retired_at=bindparam("at"), retired_by=bindparam("by"), updated_at=bindparam("now"))
)
_DELETE = Prepared(delete(models).where(_BY_ID))
_FIND_RETIRED = Prepared(
    select(models)
    .where(
        models.c.workspace == bindparam("workspace"),
        models.c.retired_at.is_not(None),
        (models.c.id == bindparam("reference")) | (models.c.name == bindparam("reference")),
    )
    .order_by((models.c.id == bindparam("reference")).desc(), models.c.retired_at.desc())
    .limit(1)
    .with_for_update()
)

_IDS_NAMED = Prepared(
    select(models.c.id)
    .where(_NAMED)
    .union(
        select(names.c.model_id.label("id")).where(
            names.c.workspace == bindparam("workspace"), names.c.name == bindparam("name")
        )
    )
)
_NAMES_BY_ID = Prepared(select(models.c.id, models.c.name).where(one_of_texts(models.c.id, "ids")))

_KEEP_NAME = Prepared(upsert(names, ["workspace", "name", "model_id"], ["last_version"]))
_HIGHEST_UNDER_NAME = Prepared(
    select(func.max(names.c.last_version).label("highest")).where(
        names.c.workspace == bindparam("workspace"),
        names.c.name == bindparam("name"),
        names.c.model_id != bindparam("model_id"),
    )
)
_others = versions.alias("others")
_CLASH = Prepared(
    select(versions.c.version)
    .select_from(names)
    .join(_others, (_others.c.model_id == names.c.model_id) & (_others.c.version <= names.c.last_version))
    .join(versions, (versions.c.version == _others.c.version) & (versions.c.model_id == bindparam("model_id")))
    .where(
        names.c.workspace == bindparam("workspace"),
        names.c.name == bindparam("name"),
        names.c.model_id != bindparam("model_id"),
    )
    .limit(1)
)

_SET_TAG = Prepared(upsert_changed(model_tags, ["model_id", "key"], "value"))
_TAG_BY_KEY = (model_tags.c.model_id == bindparam("model_id")) & (model_tags.c.key == bindparam("key"))
_TAG = Prepared(select(model_tags.c.value).where(_TAG_BY_KEY))
_DELETE_TAG = Prepared(delete(model_tags).where(_TAG_BY_KEY).returning(model_tags.c.value))

_LAST_RETIREMENT = Prepared(
    select(func.max(versions.c.retired_at).label("at")).where(versions.c.model_id == bindparam("model_id"))
)
_RETIRE_VERSIONS = Prepared(
    update(versions)
    .where(versions.c.model_id == bindparam("model_id"), versions.c.retired_at.is_(None))
    .values(retired_at=bindparam("at"), retired_by=bindparam("by"))
)
_RESTORE_VERSIONS = Prepared(
    update(versions)
    .where(
        versions.c.model_id == bindparam("model_id"),
        versions.c.retired_at == bindparam("at", type_=integer()),
    )
    .values(retired_at=None, retired_by=None)
)
_RENAME_VERSIONS = Prepared(
    update(versions)
    .where(versions.c.model_id == bindparam("model_id"))
    .values(name=bindparam("name"), updated_at=bindparam("now"))
)


def find(tx: Tx, name: str) -> Any | None:
    """The row of the live model of that name."""
    return tx.row(_FIND, workspace=tx.workspace, name=name)


def lock(tx: Tx, name: str) -> Any | None:
    """The same, held against other writers until the end of the transaction."""
    return tx.row(_LOCK, workspace=tx.workspace, name=name)


def lock_any(tx: Tx, model_id: str) -> Any | None:
    """The row of a model by its id, retired or not, held."""
    return tx.row(_LOCK_ANY, workspace=tx.workspace, model_id=model_id)


def touch(tx: Tx, name: str) -> Any | None:
    """The same, held, with the time of its update set to now."""
    return tx.row(_TOUCH, workspace=tx.workspace, name=name, now=tx.now)


def take_number(tx: Tx, name: str) -> Any | None:
    """The same, held and touched, its counter raised by one: `last_version` is the number taken."""
    return tx.row(_NEXT, workspace=tx.workspace, name=name, now=tx.now)


def describe(tx: Tx, model_id: str, description: str) -> None:
    """Replace the description."""
    tx.run(_DESCRIBE, model_id=model_id, now=tx.now, description=description)


def insert(tx: Tx, model_id: str, name: str, kind: str, description: str | None) -> bool:
    """Make a model with counter 0; False if the name is taken."""
    made = tx.run(
        _INSERT,
        id=model_id,
        workspace=tx.workspace,
        name=name,
        kind=kind,
        description=description,
        created_at=tx.now,
        updated_at=tx.now,
        created_by=tx.actor.name,
        last_version=0,
        retired_at=None,
        retired_by=None,
    )
    return made == 1


def delete_placeholder(tx: Tx, model_id: str) -> None:
    """Undo an `insert` of the same transaction."""
    tx.run(_DELETE, model_id=model_id)


def set_counter(tx: Tx, model_id: str, last_version: int) -> None:
    """Go on counting after that number."""
    tx.run(_SET_COUNTER, model_id=model_id, last_version=last_version)


def set_kind(tx: Tx, model_id: str, kind: str) -> None:
    """Make it a `model` or a `prompt`."""
    tx.run(_SET_KIND, model_id=model_id, kind=kind)


def set_name(tx: Tx, model_id: str, name: str, last_version: int) -> None:
    """Put a model, live or retired, in use under this name, versions included."""
    tx.run(_SET_NAME, model_id=model_id, name=name, last_version=last_version, now=tx.now)
    tx.run(_RENAME_VERSIONS, model_id=model_id, name=name, now=tx.now)


def keep_name(tx: Tx, model_id: str, name: str, last_version: int) -> None:
    """Remember how far this model counted under a name that it leaves."""
    tx.run(_KEEP_NAME, workspace=tx.workspace, name=name, model_id=model_id, last_version=last_version)


def highest_under_name(tx: Tx, name: str, model_id: str) -> int:
    """The highest number that other models counted to under this name; 0 without any."""
    found = tx.row(_HIGHEST_UNDER_NAME, workspace=tx.workspace, name=name, model_id=model_id)
    return int(found.highest or 0) if found else 0


def clashing_number(tx: Tx, name: str, model_id: str) -> int | None:
    """A number of this model's versions that another model gave under the name."""
    found = tx.row(_CLASH, workspace=tx.workspace, name=name, model_id=model_id)
    return int(found.version) if found else None


def retire(tx: Tx, model_id: str) -> None:
    """Take a model out of use, and with it the versions that are in use.

    Those carry the model's own time of retirement, which none of them can have had before: so a restore finds them.
    """
    last = tx.row(_LAST_RETIREMENT, model_id=model_id)
    at = max(tx.now, 1 + int((last and last.at) or 0))
    tx.run(_RETIRE, model_id=model_id, at=at, by=tx.actor.name, now=tx.now)
    tx.run(_RETIRE_VERSIONS, model_id=model_id, at=at, by=tx.actor.name)


def restore_versions(tx: Tx, model_id: str, at: int) -> None:
    """Bring back the versions that were retired with their model at that time."""
    tx.run(_RESTORE_VERSIONS, model_id=model_id, at=at)


def lock_retired(tx: Tx, reference: str) -> Any | None:
    """The row of a retired model by id, or the last retired of that name, held."""
    return tx.row(_FIND_RETIRED, workspace=tx.workspace, reference=reference)


def set_tags(tx: Tx, model_id: str, tags: dict[str, str]) -> None:
    """Set tags of a new model."""
    rows = [{"model_id": model_id, "key": k, "value": v, "workspace": tx.workspace} for k, v in tags.items()]
    tx.run_many(_SET_TAG, rows)


def set_tag(tx: Tx, model_id: str, key: str, value: str) -> bool:
    """Set a tag; False if it has that value already."""
    return tx.run(_SET_TAG, model_id=model_id, key=key, value=value, workspace=tx.workspace) == 1


def tag(tx: Tx, model_id: str, key: str) -> str | None:
    """The value of a tag; None if there is none."""
    found = tx.row(_TAG, model_id=model_id, key=key)
    return str(found.value) if found else None


def delete_tag(tx: Tx, model_id: str, key: str) -> str | None:
    """Delete a tag; the value that it had, None if there was none."""
    found = tx.row(_DELETE_TAG, model_id=model_id, key=key)
    return str(found.value) if found else None


def ids_named(tx: Tx, name: str) -> list[str]:
    """The ids of all models that have the name in use, or had it and left it."""
    return sorted(row.id for row in tx.rows(_IDS_NAMED, workspace=tx.workspace, name=name))


def names_by_id(tx: Tx, model_ids: Sequence[str]) -> dict[str, str]:
    """The names of models, retired ones too, in whichever workspace."""
    return {row.id: row.name for row in tx.rows(_NAMES_BY_ID, ids=json.dumps(model_ids))}
