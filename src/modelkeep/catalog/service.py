"""Reading the registry: by name, number, alias, stage, and in pages. Nothing here changes anything."""

from collections.abc import Callable, Sequence
from typing import Any

from modelkeep.catalog import store
from modelkeep.catalog.views import ModelView, VersionView, model_view, version_view
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.models import can_be_version, check_model_name, version_not_found
from modelkeep.models import get_model as model_row
from modelkeep.promotion import LATEST, STAGES, canonical_stage, check_alias

_LARGEST = 2**63 - 1
_AT_ONCE = 1000


def get_model(tx: Tx, name: str) -> ModelView:
    """The model in use under this name. Raises InvalidInput for what is no name, NotFound."""
    check_model_name(name)
    row = store.model(tx, name)
    if row is None:
        raise NotFound(f"Registered Model with name={name} not found", "name")
    latest = store.latest_of_name(tx, name, STAGES) if row.last_version else []
    return model_view(row, [version_view(one) for one in latest])


def get_version(tx: Tx, name: str, number: int) -> VersionView:
    """A version in use. Raises InvalidInput for what is no name, NotFound."""
    check_model_name(name)
    row = store.version(tx, name, number) if can_be_version(number) else None
    if row is None:
        raise version_not_found(name, number)
    return version_view(row)


def get_any_version(tx: Tx, name: str, number: int) -> VersionView:
    """A version of a model in use; the version may be retired. Raises InvalidInput, NotFound."""
    model = model_row(tx, name)
    row = store.any_version(tx, model.id, number) if can_be_version(number) else None
    if row is None:
        raise version_not_found(name, number)
    return version_view(row)


def download_uri(tx: Tx, name: str, number: int) -> str:
    """Where a client fetches a version's files. Raises InvalidInput, NotFound."""
    check_model_name(name)
    found = store.download_uri(tx, name, number) if can_be_version(number) else None
    if found is None:
        raise version_not_found(name, number)
    return found


def get_version_by_alias(tx: Tx, name: str, alias: str) -> VersionView:
    """The version that an alias points at; `latest` is the newest version of the first stage that has any.

    Raises InvalidInput for a malformed or unknown alias, NotFound for an unknown model.
    """
    check_model_name(name)
    check_alias(alias)
    if alias.lower() == LATEST:
        return _newest(tx, name)
    row = store.version_by_alias(tx, name, alias)
    if row is None:
        model_row(tx, name)
        raise InvalidInput(f"Registered model alias {alias} not found.", "alias")
    return version_view(row)


def alias_target(tx: Tx, name: str, alias: str) -> int:
    """The number of the version that an alias points at. Raises InvalidInput, NotFound for both."""
    check_model_name(name)
    check_alias(alias)
    number = store.alias_target(tx, name, alias)
    if number is None:
        model_row(tx, name)
        raise NotFound(f"Registered model alias {alias} not found.", "alias")
    return number


def latest_versions(tx: Tx, name: str, stages: Sequence[str] = ()) -> list[VersionView]:
    """The newest version of each of these stages, of all without any. Raises InvalidInput, NotFound."""
    check_model_name(name)
    wanted = tuple(dict.fromkeys(canonical_stage(stage) for stage in stages)) or STAGES
    rows = store.latest_of_name(tx, name, wanted)
    if not rows:
        model_row(tx, name)
    return [version_view(row) for row in rows]


def models_by_ids(tx: Tx, ids: Sequence[str]) -> list[ModelView]:
    """Models in use in the order of these ids; ids of none are left out."""
    found: dict[str, ModelView] = {}
    for start in range(0, len(ids), _AT_ONCE):
        part = list(ids[start : start + _AT_ONCE])
        latest: dict[str, list[VersionView]] = {}
        for row in store.latest_of_ids(tx, part, STAGES):
            latest.setdefault(row.model_id, []).append(version_view(row))
        found |= {row.id: model_view(row, latest.get(row.id, [])) for row in store.models_by_ids(tx, part)}
    return [found[model_id] for model_id in ids if model_id in found]


def versions_by_keys(tx: Tx, keys: Sequence[tuple[str, int]]) -> list[VersionView]:
    """Versions in use in the order of these (model id, number); keys of none are left out."""
    found: list[VersionView] = []
    for start in range(0, len(keys), _AT_ONCE):
        rows = store.versions_by_keys(tx, list(keys[start : start + _AT_ONCE]))
        found += map(version_view, rows)
    return found


def list_models(tx: Tx, after: str, most: int) -> list[ModelView]:
    """Models in use by name, at most so many after that name; without their latest versions."""
    return [
        model_view(row, [])
        for row in _seen(tx, most, lambda row: store.list_models(tx, row.name if row else after, most))
    ]


def list_retired_models(tx: Tx, after: tuple[int, str] | None, most: int) -> list[ModelView]:
    """Retired models, the last retired first, at most so many after that (time, id)."""
    before, model_id = after or (_LARGEST, "")

    def after_row(row: Any) -> list[Any]:
        time, identity = (row.retired_at, row.id) if row else (before, model_id)
        return store.list_retired(tx, time, identity, most)

    return [model_view(row, []) for row in _seen(tx, most, after_row)]


def _seen(tx: Tx, most: int, after: Callable[[Any], list[Any]]) -> list[Any]:
    """The first rows of models that the caller may know of; `after` gives the rows after one, the first for None."""
    rows = after(None)
    if tx.caller.sight is None:
        return rows
    seen, found = tx.caller.sight.models, [row for row in rows if tx.caller.sight.models.shows(row.id, row.name)]
    while len(rows) == most and len(found) < most:
        rows = after(rows[-1])
        found += [row for row in rows if seen.shows(row.id, row.name)]
    return found[:most]


def list_versions(tx: Tx, name: str, before: int | None, most: int, *, with_retired: bool = False) -> list[VersionView]:
    """A model's versions, the newest first, at most so many below that number. Raises InvalidInput, NotFound."""
    model = model_row(tx, name)
    rows = store.list_versions(tx, model.id, _LARGEST if before is None else before, most, with_retired=with_retired)
    return [version_view(row) for row in rows]


def list_retired_versions(tx: Tx, model_id: str, before: int | None, most: int) -> list[VersionView]:
    """The versions of a retired model, named by its id, the newest first. Raises NotFound."""
    if store.retired_model(tx, model_id) is None:
        raise NotFound(f"No retired model has the id {model_id}", "model_id")
    rows = store.list_versions(tx, model_id, _LARGEST if before is None else before, most, with_retired=True)
    return [version_view(row) for row in rows]


def _newest(tx: Tx, name: str) -> VersionView:
    found = latest_versions(tx, name)
    if not found:
        raise NotFound(f"Latest version not found for model {name}.", "alias")
    return max(found, key=lambda version: version.version)
