"""What was, told entry by entry: the state that a model or the holding of roles had, made from the journal's rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_NO_STAGE = "None"


@dataclass(slots=True)
class Told:
    """A value, and the row of the entry that made it so."""

    value: Any
    by: Any


@dataclass(slots=True)
class PastVersion:
    """A version as it was; its stage is None while it was not in use."""

    registered: Told
    in_use: Told
    stage: Told
    hold: Told | None = None
    reclaimed: Told | None = None


@dataclass(slots=True)
class PastModel:
    """A model as it was; `in_use` is None before it was made."""

    id: str
    name: Told | None = None
    in_use: Told | None = None
    description: Told | None = None
    tags: dict[str, Told] = field(default_factory=dict)
    aliases: dict[str, Told] = field(default_factory=dict)
    rule: Told | None = None
    versions: dict[int, PastVersion] = field(default_factory=dict)

    def take(self, row: Any) -> None:
        """Let this happen."""
        change = _OF_MODEL.get(row.kind)
        if change is not None:
            change(self, row, _decode(row.data))


Change = Callable[[PastModel, Any, dict[str, Any]], None]


def _created(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.name, model.in_use = Told(data["name"], row), Told(True, row)
    model.description = Told(data.get("description"), row)
    model.tags = {key: Told(value, row) for key, value in data.get("tags", {}).items()}


def _renamed(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.name = Told(data["name"], row)


def _restored(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.in_use = Told(True, row)
    if model.name is None or model.name.value != data["name"]:
        model.name = Told(data["name"], row)


def _retired(model: PastModel, row: Any, _data: dict[str, Any]) -> None:
    model.in_use = Told(False, row)


def _described(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.description = Told(data["description"], row)


def _tag_set(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.tags[data["key"]] = Told(data["value"], row)


def _tag_deleted(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.tags[data["key"]] = Told(None, row)


def _alias_set(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.aliases[data["alias"]] = Told(data["version"], row)


def _alias_deleted(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.aliases[data["alias"]] = Told(None, row)


def _rule_set(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    model.rule = Told(rule_in(data), row)


def _rule_deleted(model: PastModel, row: Any, _data: dict[str, Any]) -> None:
    model.rule = Told(None, row)


def _registered(model: PastModel, row: Any, data: dict[str, Any]) -> None:
    made = Told({key: data.get(key) for key in ("source", "digest", "run_id")}, row)
    model.versions[data["version"]] = PastVersion(made, Told(True, row), Told(_NO_STAGE, row))


def _of_version(change: Callable[[PastVersion, Any, dict[str, Any]], None]) -> Change:
    def take(model: PastModel, row: Any, data: dict[str, Any]) -> None:
        version = model.versions.get(data["version"])
        if version is not None:
            change(version, row, data)

    return take


def _moved(version: PastVersion, row: Any, data: dict[str, Any]) -> None:
    version.stage = Told(data["stage"], row)


def _version_retired(version: PastVersion, row: Any, _data: dict[str, Any]) -> None:
    version.in_use, version.stage = Told(False, row), Told(None, row)


def _version_restored(version: PastVersion, row: Any, _data: dict[str, Any]) -> None:
    version.in_use, version.stage = Told(True, row), Told(_NO_STAGE, row)


def _held(version: PastVersion, row: Any, data: dict[str, Any]) -> None:
    version.hold = Told(data["reason"], row)


def _hold_lifted(version: PastVersion, row: Any, _data: dict[str, Any]) -> None:
    version.hold = Told(None, row)


def _reclaimed(version: PastVersion, row: Any, _data: dict[str, Any]) -> None:
    version.reclaimed = Told(True, row)


_OF_MODEL: Mapping[str, Change] = {
    "registered_model.created": _created,
    "registered_model.renamed": _renamed,
    "registered_model.described": _described,
    "registered_model.retired": _retired,
    "registered_model.restored": _restored,
    "registered_model_tag.set": _tag_set,
    "registered_model_tag.deleted": _tag_deleted,
    "retention_rule.set": _rule_set,
    "retention_rule.deleted": _rule_deleted,
    "model_version.registered": _registered,
    "model_version.moved": _of_version(_moved),
    "model_version.retired": _of_version(_version_retired),
    "model_version.restored": _of_version(_version_restored),
    "model_version.held": _of_version(_held),
    "model_version.hold_lifted": _of_version(_hold_lifted),
    "model_version.reclaimed": _of_version(_reclaimed),
    "model_version_alias.set": _alias_set,
    "model_version_alias.deleted": _alias_deleted,
}
MODEL_KINDS = tuple(_OF_MODEL)
ALIAS_KINDS = (
    *(kind for kind in _OF_MODEL if kind.startswith("registered_model.")),
    "model_version_alias.set",
    "model_version_alias.deleted",
)


def rule_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """The retention rule that an entry set."""
    return {name: data[name] for name in ("keep_last", "keep_days", "automatic")}


def holdings(rows: list[Any], at: int) -> dict[int, Told]:
    """Who held which role at that moment, by the assignment's number."""
    held: dict[int, Told] = {}
    for row in rows:
        data = _decode(row.data)
        if row.kind == "role.assigned":
            held[data["assignment_id"]] = Told(data, row)
        elif row.kind == "role.unassigned":
            held.pop(data["assignment_id"], None)
        elif row.kind == "role.deleted":
            held = {key: told for key, told in held.items() if told.value["role_id"] != data["role_id"]}
    return {key: told for key, told in held.items() if (told.value["expires_at"] or at + 1) > at}


def names(rows: list[Any]) -> dict[str, str]:
    """What people and services, or groups, that were there had as their names, by what the journal calls them."""
    held: dict[str, str] = {}
    for row in rows:
        if row.kind.endswith(".deleted"):
            held.pop(row.resource, None)
        else:
            held[row.resource] = _decode(row.data)["name"]
    return held


def last_of(rows: list[Any], set_kind: str, cleared_kind: str, value: Callable[[dict[str, Any]], Any]) -> Told | None:
    """What the last of these entries left of a setting; None where it never was set."""
    for row in reversed(rows):
        if row.kind == set_kind:
            return Told(value(_decode(row.data)), row)
        if row.kind == cleared_kind:
            return Told(None, row)
    return None
