"""Making a version: the source is resolved, its files frozen, a number taken, and the record written."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelkeep import artifacts, runs
from modelkeep.artifacts import Manifest
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.models.events import VersionRegistered
from modelkeep.models.rules import (
    DIGEST_TAG,
    MAX_ID,
    MAX_LINK,
    check_model_name,
    check_run_id,
    check_text,
    is_prompt,
    tags_of,
)
from modelkeep.models.sources import Resolved, resolve
from modelkeep.models.store import models as model_store
from modelkeep.models.store import versions as store


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a caller says of a version to be made."""

    name: str
    source: str
    run_id: str | None = None
    logged_model_id: str | None = None
    run_link: str | None = None
    description: str | None = None
    tags: Iterable[tuple[str, str]] = ()


def create_version(tx: Tx, new: NewVersion) -> int:
    """Register a version; its number, the next of its model.

    Where the store holds the source's files, they are frozen: what the version serves can no longer change. Any other
    source is recorded and never opened. A push ends when it is registered as a whole. Raises InvalidInput, NotFound
    (model, logged model, run, or source version).
    """
    _check(new)
    tags, claimed = _checked_tags(new)
    push_id = artifacts.hold_push(tx, new.source)
    resolved = resolve(tx, new.source, prompt=is_prompt(tags), logged_model_id=new.logged_model_id)
    run_id = new.run_id or resolved.run_id or _run_of(tx, new.logged_model_id)
    model = model_store.take_number(tx, new.name)
    if model is None:
        raise NotFound(f"Registered Model with name={new.name} not found", "name")
    number = int(model.last_version)
    _write(tx, new, resolved, model.id, number, run_id)
    tags |= _digest_tag(resolved, claimed)
    store.set_tags(tx, model.id, number, tags)
    digest = resolved.manifest.digest if resolved.manifest else None
    said = (new.source, _origin(resolved), digest, run_id, new.description, tags)
    tx.emit(VersionRegistered(model.id, new.name, number, *said))
    if push_id is not None:
        _close_push(tx, push_id, resolved)
    if new.logged_model_id:
        runs.note_registration(tx, new.logged_model_id, new.name, number)
    return number


def _check(new: NewVersion) -> None:
    check_model_name(new.name)
    check_run_id(new.run_id)
    check_text("model_id", new.logged_model_id, MAX_ID)
    check_text("run_link", new.run_link, MAX_LINK)
    check_text("description", new.description)


def _checked_tags(new: NewVersion) -> tuple[dict[str, str], str | None]:
    """The caller's tags, and apart from them the digest that a copy brings along from its original."""
    given = dict(new.tags)
    claimed = given.pop(DIGEST_TAG, None)
    return tags_of(given.items()), claimed


def _digest_tag(resolved: Resolved, claimed: str | None) -> dict[str, str]:
    digest = resolved.manifest.digest if resolved.manifest else None
    if claimed is not None and claimed != digest:
        held = digest or "not held here"
        raise InvalidInput(f"Tag '{DIGEST_TAG}' is kept by the registry; the files of this source are {held}.", "tags")
    return {DIGEST_TAG: digest} if digest else {}


def _run_of(tx: Tx, logged_model_id: str | None) -> str | None:
    if not logged_model_id:
        return None
    head = runs.logged_model_head(tx, logged_model_id)
    if head is None or head.deleted_at is not None:
        raise NotFound(f"Logged model with ID '{logged_model_id}' not found.", "model_id")
    return str(head.source_run_id) if head.source_run_id else None


def _close_push(tx: Tx, push_id: str, resolved: Resolved) -> None:
    """The version has the files now; the place that they came to is not needed any more."""
    if resolved.manifest is None:
        raise InvalidInput("No file has arrived in this push; upload its files first.", "source")
    artifacts.close_push(tx, push_id)


def _origin(resolved: Resolved) -> str:
    return "stored" if resolved.manifest else "external"


def _write(tx: Tx, new: NewVersion, resolved: Resolved, model_id: str, number: int, run_id: str | None) -> None:
    manifest: Manifest | None = resolved.manifest
    uri = artifacts.publish(tx, model_id, number, manifest.digest) if manifest else resolved.uri
    row = {
        "model_id": model_id,
        "version": number,
        "name": new.name,
        "source": new.source,
        "download_uri": uri,
        "origin": _origin(resolved),
        "digest": manifest.digest if manifest else None,
        "files": manifest.files if manifest else None,
        "size": manifest.size if manifest else None,
        "run_id": run_id or None,
        "logged_model_id": new.logged_model_id or None,
        "run_link": new.run_link,
        "description": new.description,
    }
    store.insert_version(tx, row)
