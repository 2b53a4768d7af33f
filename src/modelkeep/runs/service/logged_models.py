"""Use cases of logged models: models as a run made them, before any of them is registered."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from modelkeep.artifacts import append_to_uri, open_tree
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.core.names import check_key, check_length, invalid_value
from modelkeep.db import Tx
from modelkeep.runs.logged_model_events import (
    LoggedModelCreated,
    LoggedModelDeleted,
    LoggedModelFinalized,
    LoggedModelParamsLogged,
    LoggedModelTagDeleted,
    LoggedModelTagsSet,
)
from modelkeep.runs.rules import Entry, listed_in, random_run_name, run_params
from modelkeep.runs.service.experiments import active_experiment
from modelkeep.runs.store import logged_models as store

MODEL_VERSIONS_TAG = "mlflow.modelVersions"
STATUSES = ("PENDING", "READY", "FAILED")

_FORBIDDEN_IN_NAMES = ["/", ":", ".", "%", '"', "'"]
_MAX_NAME_CHARS = 500
_MAX_TAG_CHARS = 100_000


class LoggedModelMetric(NamedTuple):
    """A metric point that was measured on a logged model. NaN has `is_nan` 1; without a dataset its texts are empty."""

    key: str
    value: float
    is_nan: int
    timestamp: int
    step: int
    run_id: str
    dataset_name: str
    dataset_digest: str


@dataclass(frozen=True, slots=True)
class LoggedModelView:
    """A logged model with its tags, parameters and metrics. `status` is one of STATUSES."""

    id: str
    experiment_id: int
    name: str
    status: str
    status_message: str | None
    model_type: str | None
    source_run_id: str | None
    artifact_uri: str
    created_by: str
    created_at: int
    updated_at: int
    deleted_at: int | None
    tags: list[tuple[str, str]]
    params: list[tuple[str, str]]
    metrics: list[LoggedModelMetric]


def create_logged_model(
    tx: Tx,
    experiment_id: str,
    name: str | None = None,
    model_type: str | None = None,
    source_run_id: str | None = None,
    params: Sequence[Entry] = (),
    tags: Sequence[Entry] = (),
) -> LoggedModelView:
    """A new logged model, pending, with a place for its files; without a name it gets one.

    Raises InvalidInput for a bad name, parameter or tag or a deleted experiment, NotFound for an unknown one.
    """
    _check_texts(name, model_type, source_run_id)
    checked_params, checked_tags = run_params(params), _checked_tags(tags)
    experiment = active_experiment(tx, experiment_id)
    model_id = f"m-{secrets.token_hex(16)}"
    uri = append_to_uri(experiment.artifact_location, "models", model_id, "artifacts")
    values = {"id": model_id, "experiment_id": experiment.id, "name": name or random_run_name(), "artifact_uri": uri}
    values |= {"model_type": model_type or None, "source_run_id": source_run_id or None, "status": STATUSES[0]}
    store.insert_model(tx, values)
    store.add_params(tx, model_id, checked_params)
    store.set_tags(tx, model_id, checked_tags)
    open_tree(tx, uri, f"logged-model/{model_id}")
    tx.emit(LoggedModelCreated(model_id, experiment.id, values["name"], values["source_run_id"]))
    return get_logged_model(tx, model_id)


def logged_model_head(tx: Tx, model_id: str) -> Any | None:
    """The logged model's own row, deleted or not; None if there is none."""
    return store.logged_model(tx, model_id) if "\x00" not in model_id else None


def get_logged_model(tx: Tx, model_id: str, *, allow_deleted: bool = False) -> LoggedModelView:
    """A logged model. Raises NotFound, also for a deleted one unless these are allowed."""
    found = load_logged_models(tx, [model_id]) if "\x00" not in model_id else []
    if not found or (found[0].deleted_at is not None and not allow_deleted):
        raise _no_model(model_id)
    return found[0]


def load_logged_models(tx: Tx, model_ids: Sequence[str]) -> list[LoggedModelView]:
    """These logged models in this order, deleted ones too; ids without a model are left out."""
    rows = {row.id: row for row in store.some_models(tx, model_ids)}
    points = groupby(store.metrics_of(tx, model_ids), key=lambda row: row.logged_model_id)
    metrics = {model_id: [_metric(row) for row in group] for model_id, group in points}
    return [_view(rows[one], metrics.get(one, [])) for one in model_ids if one in rows]


def finalize_logged_model(tx: Tx, model_id: str, status: str) -> LoggedModelView:
    """Say that the files are there, or that they failed to come. Raises InvalidInput for no status, NotFound."""
    if status not in STATUSES:
        raise invalid_value("status", status, f"It must be one of {', '.join(STATUSES)}.")
    row = _locked(tx, model_id)
    store.finalize(tx, model_id, status)
    if row.status != status:
        tx.emit(LoggedModelFinalized(model_id, status, row.status))
    return get_logged_model(tx, model_id, allow_deleted=True)


def delete_logged_model(tx: Tx, model_id: str) -> None:
    """Hide a logged model from everybody who does not ask for deleted ones; all of it is kept. Raises NotFound."""
    _locked(tx, model_id)
    if store.mark_deleted(tx, model_id):
        tx.emit(LoggedModelDeleted(model_id))


def deleted_logged_model(tx: Tx, model_id: str) -> Any | None:
    """The row of a deleted logged model, held against other writers; None if it is not deleted."""
    row = store.locked_model(tx, model_id)
    return row if row is not None and row.deleted_at is not None else None


def set_logged_model_tags(tx: Tx, model_id: str, tags: Sequence[Entry]) -> None:
    """Set tags, all or none; the last of a repeated key counts. Raises InvalidInput, NotFound."""
    checked = _checked_tags(tags)
    _locked(tx, model_id)
    _set_tags(tx, model_id, checked)


def delete_logged_model_tag(tx: Tx, model_id: str, key: str) -> None:
    """Delete a tag. Raises NotFound, also if there is no such tag."""
    _locked(tx, model_id)
    before = None if "\x00" in key else store.delete_tag(tx, model_id, key)
    if before is None:
        raise NotFound(f"No tag with key {key!r} found for model with ID {model_id!r}.", "tag_key")
    tx.emit(LoggedModelTagDeleted(model_id, key, before))


def log_logged_model_params(tx: Tx, model_id: str, params: Sequence[Entry]) -> None:
    """Add parameters, all or none. One that is there with the same value is fine; another value is InvalidInput."""
    checked = run_params(params)
    _locked(tx, model_id)
    known = store.params_named(tx, model_id, list(checked))
    for key, value in known.items():
        if checked[key] != value:
            raise InvalidInput(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{value}' "
                f"for model ID='{model_id}'. Attempted logging new value '{checked[key]}'.",
                "params",
            )
    fresh = {key: value for key, value in checked.items() if key not in known}
    if fresh:
        store.add_params(tx, model_id, fresh)
        tx.emit(LoggedModelParamsLogged(model_id, len(fresh)))


def note_registration(tx: Tx, model_id: str, name: str, version: int) -> None:
    """Note in the logged model's tag `mlflow.modelVersions` that it became this version. Raises NotFound."""
    _locked(tx, model_id)
    noted = listed_in(store.tags_named(tx, model_id, [MODEL_VERSIONS_TAG]).get(MODEL_VERSIONS_TAG, "[]"))
    _set_tags(tx, model_id, {MODEL_VERSIONS_TAG: json.dumps([*noted, {"name": name, "version": str(version)}])})


def _set_tags(tx: Tx, model_id: str, tags: dict[str, str]) -> None:
    known = store.tags_named(tx, model_id, list(tags))
    changed = {key: value for key, value in tags.items() if known.get(key) != value}
    if changed:
        store.set_tags(tx, model_id, changed)
        tx.emit(LoggedModelTagsSet(model_id, changed, {key: known.get(key) for key in changed}))


def _locked(tx: Tx, model_id: str) -> Any:
    row = store.locked_model(tx, model_id) if "\x00" not in model_id else None
    if row is None:
        raise _no_model(model_id)
    return row


def _no_model(model_id: str) -> NotFound:
    return NotFound(f"Logged model with ID '{model_id}' not found.", "model_id")


def _check_texts(name: str | None, model_type: str | None, source_run_id: str | None) -> None:
    if name and any(character in name for character in _FORBIDDEN_IN_NAMES):
        raise InvalidInput(
            f"Invalid model name ({name!r}) provided. Model name must be a non-empty string and cannot contain the "
            f"following characters: {_FORBIDDEN_IN_NAMES}",
            "name",
        )
    for label, text in (("name", name), ("model_type", model_type), ("source_run_id", source_run_id)):
        check_length(label, text or "", _MAX_NAME_CHARS)


def _checked_tags(tags: Sequence[Entry]) -> dict[str, str]:
    checked = {}
    for index, tag in enumerate(tags):
        check_key(tag.key, f"tags[{index}].key")
        check_length("value", tag.value or "", _MAX_TAG_CHARS)
        checked[tag.key or ""] = tag.value or ""
    return checked


def _metric(row: Any) -> LoggedModelMetric:
    return LoggedModelMetric(*(getattr(row, name) for name in LoggedModelMetric._fields))


def _view(row: Any, metrics: list[LoggedModelMetric]) -> LoggedModelView:
    return LoggedModelView(
        id=row.id,
        experiment_id=row.experiment_id,
        name=row.name,
        status=row.status,
        status_message=row.status_message,
        model_type=row.model_type,
        source_run_id=row.source_run_id,
        artifact_uri=row.artifact_uri,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        tags=_sorted_pairs(row.tags),
        params=_sorted_pairs(row.params),
        metrics=metrics,
    )


def _sorted_pairs(text: str) -> list[tuple[str, str]]:
    return sorted((key, value) for key, value in json.loads(text))
