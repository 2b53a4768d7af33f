"""Registered models: made, named, described, tagged, retired and restored."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from modelkeep.core.errors import AlreadyExists, Conflict, NotFound
from modelkeep.db import Tx
from modelkeep.models.events import (
    ModelCreated,
    ModelDescribed,
    ModelRenamed,
    ModelRestored,
    ModelRetired,
    ModelTagDeleted,
    ModelTagSet,
)
from modelkeep.models.rules import (
    IS_PROMPT,
    RESTORE_WITHIN_MS,
    check_model_name,
    check_tag,
    check_tag_key,
    check_text,
    is_prompt,
    name_taken,
    tags_of,
)
from modelkeep.models.store import models as store


def get_model(tx: Tx, name: str) -> Any:
    """The row of the model in use under this name. Raises InvalidInput for what is no name, NotFound."""
    check_model_name(name)
    return _found(store.find(tx, name), name)


def lock_model(tx: Tx, name: str) -> Any:
    """`get_model`, held against other writers until the end of the transaction."""
    check_model_name(name)
    return _found(store.lock(tx, name), name)


def lock_any_model(tx: Tx, model_id: str) -> Any | None:
    """The row of a model by its id, in use or retired, held against other writers; None if there is none."""
    return store.lock_any(tx, model_id)


def find_retired(tx: Tx, reference: str) -> Any | None:
    """The row of a retired model by its id, or the last retired of that name; None if there is none."""
    return store.lock_retired(tx, reference)


def ids_named(tx: Tx, name: str) -> list[str]:
    """The ids of all models that have or had this name, retired ones too."""
    return store.ids_named(tx, name)


def model_names(tx: Tx, model_ids: Sequence[str]) -> dict[str, str]:
    """The names of models by id, retired ones too, in whichever workspace they are."""
    return store.names_by_id(tx, model_ids)


def touch_model(tx: Tx, name: str) -> Any:
    """`lock_model`, and the model counts as updated now."""
    check_model_name(name)
    return _found(store.touch(tx, name), name)


def create_model(tx: Tx, name: str, tags: Iterable[tuple[str, str]] = (), description: str | None = None) -> str:
    """Make a registered model, or a prompt if the tags say so; its id.

    Where the name was used before, numbers go on after the highest ever given under it. Raises InvalidInput,
    AlreadyExists.
    """
    check_model_name(name)
    check_text("description", description)
    checked = tags_of(tags)
    kind = "prompt" if is_prompt(checked) else "model"
    model_id = secrets.token_hex(16)
    if not store.insert(tx, model_id, name, kind, description):
        raise AlreadyExists(name_taken(name, kind, _kind_of(tx, name)), "name")
    last_version = store.highest_under_name(tx, name, model_id)
    if last_version:
        store.set_counter(tx, model_id, last_version)
    store.set_tags(tx, model_id, checked)
    tx.emit(ModelCreated(model_id, name, kind, description, checked))
    return model_id


def rename_model(tx: Tx, name: str, new_name: str) -> None:
    """Give a model another name; versions, tags, aliases and stages follow.

    Raises InvalidInput, NotFound, and AlreadyExists where the new name is taken or its numbers meant other versions.
    """
    check_model_name(name)
    check_model_name(new_name, "new_name")
    model = lock_model(tx, name)
    if new_name == name:
        return
    store.keep_name(tx, model.id, name, model.last_version)
    _put_under_name(tx, model, new_name)
    tx.emit(ModelRenamed(model.id, new_name, name))


def describe_model(tx: Tx, name: str, description: str) -> None:
    """Replace the description. Raises InvalidInput, NotFound."""
    check_text("description", description)
    model = lock_model(tx, name)
    store.describe(tx, model.id, description)
    tx.emit(ModelDescribed(model.id, name, description, model.description))


def retire_model(tx: Tx, name: str) -> Any:
    """Take a model out of use with everything that belongs to it; nothing is erased. Its row as it was.

    It disappears from every read but the list of retired ones, and can be restored for 30 days. Raises NotFound.
    """
    model = lock_model(tx, name)
    store.keep_name(tx, model.id, name, model.last_version)
    store.retire(tx, model.id)
    tx.emit(ModelRetired(model.id, name))
    return model


def restore_model(tx: Tx, reference: str, new_name: str | None = None) -> str:
    """Bring a retired model back, as it was, under its own or a new name; that name.

    `reference` is its id or its name (then the last retired of that name). Raises NotFound, Conflict after 30 days,
    AlreadyExists where the name is taken or its numbers meant other versions.
    """
    check_model_name(reference)
    model = store.lock_retired(tx, reference)
    if model is None:
        raise NotFound(f"No retired model has the name or id {reference}.")
    if tx.now - model.retired_at > RESTORE_WITHIN_MS:
        raise Conflict(f"Registered Model (name={model.name}) was retired over 30 days ago and cannot be restored.")
    name = new_name or model.name
    check_model_name(name, "new_name" if new_name else "name")
    _put_under_name(tx, model, name, "Restore it under another name.")
    store.restore_versions(tx, model.id, model.retired_at)
    tx.emit(ModelRestored(model.id, name, model.name))
    return name


def set_model_tag(tx: Tx, name: str, key: str, value: str) -> None:
    """Set a tag. Raises InvalidInput, NotFound."""
    check_tag(key, value)
    model = lock_model(tx, name)
    before = store.tag(tx, model.id, key)
    if before != value:
        store.set_tag(tx, model.id, key, value)
        _follow_tag(tx, model.id, key, value)
        tx.emit(ModelTagSet(model.id, name, key, value, before))


def delete_model_tag(tx: Tx, name: str, key: str) -> None:
    """Delete a tag; an absent one is fine. Raises InvalidInput, NotFound."""
    check_tag_key(key)
    model = lock_model(tx, name)
    before = store.delete_tag(tx, model.id, key)
    if before is not None:
        _follow_tag(tx, model.id, key, "")
        tx.emit(ModelTagDeleted(model.id, name, key, before))


def _found(model: Any | None, name: str) -> Any:
    if model is None:
        raise NotFound(f"Registered Model with name={name} not found", "name")
    return model


def _kind_of(tx: Tx, name: str) -> str:
    found = store.find(tx, name)
    return str(found.kind) if found else "model"


def _follow_tag(tx: Tx, model_id: str, key: str, value: str) -> None:
    """Keep the kind in step with the tag that clients mark prompts with."""
    if key == IS_PROMPT:
        store.set_kind(tx, model_id, "prompt" if is_prompt({key: value}) else "model")


def _put_under_name(tx: Tx, model: Any, name: str, remedy: str = "Choose another name.") -> None:
    # An INSERT waits for whoever takes the name at the same moment and then says so, which an UPDATE does not.
    placeholder = secrets.token_hex(16)
    if not store.insert(tx, placeholder, name, model.kind, None):
        raise AlreadyExists(f"{name_taken(name, model.kind, model.kind)} {remedy}", "new_name")
    number = store.clashing_number(tx, name, model.id)
    if number is not None:
        raise AlreadyExists(
            f"Version {number} of '{name}' was another model's, and a number never comes to mean other files. {remedy}",
            "new_name",
        )
    last_version = max(model.last_version, store.highest_under_name(tx, name, model.id))
    store.delete_placeholder(tx, placeholder)
    store.set_name(tx, model.id, name, last_version)
