"""What a thing was at a moment, and who made it so, from the journal alone.

A change is of the moment at which its transaction began, which its entry has; changes of one model follow each other in
the order of their entries.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelkeep import models
from modelkeep.access import Kind, by_id, people
from modelkeep.audit import as_of_store as store
from modelkeep.audit.past import (
    ALIAS_KINDS,
    MODEL_KINDS,
    PastModel,
    PastVersion,
    Told,
    holdings,
    last_of,
    names,
    rule_in,
)
from modelkeep.audit.selection import check_text
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.db import Tx

_OF_MODEL = re.compile(r"(?P<name>.+?)(?:/(?P<part>alias|version)/(?P<key>[^/]+))?", re.DOTALL)
_NUMBER = re.compile("[1-9][0-9]{0,18}")
_WORKSPACE_SETTINGS: Mapping[str, tuple[str, str, Callable[[dict[str, Any]], Any]]] = {
    "retention_rule": ("retention_rule.set", "retention_rule.deleted", rule_in),
    "download_policy": (
        "download_policy.set",
        "",
        lambda data: {name: data[name] for name in ("refuse_unsafe", "refuse_unjudged")},
    ),
    "quota": ("quota.set", "quota.lifted", lambda data: data["size"]),
    "audited_downloads": ("workspace.downloads_audited", "", lambda data: data["audited"]),
}
_HOLDING = ("principal", "principal_name", "role", "effect", "workspace", "of_kind", "pattern", "expires_at")


class Fact(NamedTuple):
    """What something was (None: not there, or not set), and the entry that made it so; none where nobody ever did."""

    what: str
    key: str
    value: Any
    by: Any | None


@dataclass(frozen=True, slots=True)
class Past:
    """A thing as it was at a moment: what the journal calls it, whether it was there, and what is known of it."""

    resource: str
    exists: bool
    facts: list[Fact]


def as_of(tx: Tx, resource: str, at: int) -> Past:
    """What a thing was at that moment, in ms.

    `model/NAME`, `model/NAME/alias/NAME` and `model/NAME/version/NUMBER` go by the name that the model had then, and so
    do `user/NAME` and `group/NAME`, where nobody had it then by the present name; `workspace/NAME` is the other. Raises
    InvalidInput, NotFound.
    """
    check_text(resource, "resource")
    kind, _, rest = resource.partition("/")
    if kind == "model" and rest:
        return _model(tx, rest, at)
    if kind == "workspace" and rest:
        return _workspace(tx, rest, at)
    if kind in ("user", "group") and rest:
        return _principal(tx, kind, rest, at)
    raise InvalidInput(
        "A resource is model/NAME, model/NAME/alias/ALIAS, model/NAME/version/NUMBER, workspace/NAME, user/NAME or "
        "group/NAME.",
        "resource",
    )


def _model(tx: Tx, rest: str, at: int) -> Past:
    found = _OF_MODEL.fullmatch(rest)
    name, part, key = [text or "" for text in found.groups()] if found else [rest, "", ""]
    model = _model_named(tx, name, at, ALIAS_KINDS if part == "alias" else MODEL_KINDS)
    if part == "alias":
        facts, exists = [_alias(model, key)], _is_in_use(model) and _alias(model, key).value is not None
    elif part == "version":
        facts = _version(model, key)
        exists = bool(facts[0].value)
    else:
        facts, exists = [*_of_model(model), *_given(tx, at, _on_model(tx, model))], _is_in_use(model)
    return Past(f"registered-model/{model.id}", exists, facts)


def _model_named(tx: Tx, name: str, at: int, kinds: tuple[str, ...]) -> PastModel:
    """The model that had the name in use then, or else the one that was last retired under it. Raises NotFound."""
    known = [_past_model(tx, model_id, at, kinds) for model_id in models.ids_named(tx, name)]
    named = [model for model in known if model.name is not None and model.name.value == name]
    if not named:
        raise NotFound(f"At that time no model had the name {name}.", "resource")
    return max(named, key=lambda model: (_is_in_use(model), _entry(model.in_use)))


def _past_model(tx: Tx, model_id: str, at: int, kinds: tuple[str, ...]) -> PastModel:
    model = PastModel(model_id)
    for row in store.of_model(tx, model_id, at, kinds):
        model.take(row)
    return model


def _is_in_use(model: PastModel) -> bool:
    return model.in_use is not None and bool(model.in_use.value)


def _entry(told: Told | None) -> int:
    return int(told.by.id) if told else 0


def _fact(what: str, key: str, told: Told | None) -> Fact:
    return Fact(what, key, told.value if told else None, told.by if told else None)


def _of_model(model: PastModel) -> Iterator[Fact]:
    yield _fact("name", "", model.name)
    yield _fact("in_use", "", model.in_use)
    yield _fact("description", "", model.description)
    yield _fact("retention_rule", "", model.rule)
    yield from (_fact("tag", key, told) for key, told in sorted(model.tags.items()) if told.value is not None)
    if _is_in_use(model):
        yield from (_fact("alias", key, told) for key, told in sorted(model.aliases.items()) if told.value)
        for number, version in sorted(model.versions.items()):
            if version.in_use.value:
                yield _fact("stage", str(number), version.stage)


def _alias(model: PastModel, alias: str) -> Fact:
    """Where it pointed; nowhere while its model was not in use."""
    return _fact("alias", alias, model.aliases.get(alias)) if _is_in_use(model) else _gone("alias", alias, model)


def _gone(what: str, key: str, model: PastModel) -> Fact:
    return Fact(what, key, None, model.in_use.by if model.in_use else None)


def _version(model: PastModel, key: str) -> list[Fact]:
    version = model.versions.get(int(key)) if _NUMBER.fullmatch(key) else None
    if version is None:
        raise NotFound(f"At that time there was no version {key} of this model.", "resource")
    if not _is_in_use(model):
        in_use, stage, aliases = _fact("in_use", "", model.in_use), _gone("stage", "", model), []
    else:
        in_use, stage = _fact("in_use", "", version.in_use), _fact("stage", "", version.stage)
        aliases = [_fact("alias", one, told) for one, told in model.aliases.items() if told.value == int(key)]
    return [in_use, stage, *aliases, *_kept(version)]


def _kept(version: PastVersion) -> list[Fact]:
    hold, reclaimed = _fact("hold", "", version.hold), version.reclaimed
    kept = [_fact("files_reclaimed", "", reclaimed)] if reclaimed else []
    return [_fact("registered", "", version.registered), hold, *kept]


def _workspace(tx: Tx, name: str, at: int) -> Past:
    resource = f"workspace/{name}"
    rows = store.of_resource(tx, resource, at)
    facts = [_fact(what, "", last_of(rows, *told)) for what, told in _WORKSPACE_SETTINGS.items()]
    given = _given(tx, at, lambda held: held["workspace"] in (name, "*"))
    return Past(resource, True, [*facts, *given])


def _principal(tx: Tx, kind: str, name: str, at: int) -> Past:
    then = names(store.of_kinds(tx, [f"{kind}.{happened}" for happened in ("made", "renamed", "deleted")], at))
    principal = next((one for one, had in then.items() if had == name), None) or _present_principal(tx, kind, name)
    facts = _given(tx, at, lambda held: held["principal"] == principal)
    return Past(principal, principal in then, facts)


def _present_principal(tx: Tx, kind: str, name: str) -> str:
    found = people.find_user(tx, name) if kind == "user" else people.find_group(tx, name)
    if found is None:
        what = "person or service" if kind == "user" else "group"
        raise NotFound(f"No {what} has the name '{name[:80]}', or had it then.", "resource")
    return f"{kind}/{found.id}"


def _on_model(tx: Tx, model: PastModel) -> Callable[[dict[str, Any]], bool]:
    """Whether a role is held on this very model: by its id, or by a beginning of its name."""
    name = str(model.name.value) if model.name else ""

    def fits(held: dict[str, Any]) -> bool:
        if held["of_kind"] not in (Kind.MODEL, "*") or held["workspace"] not in (tx.workspace, "*"):
            return False
        pattern = held["pattern"]
        return pattern in (by_id(model.id), name) or (pattern.endswith("*") and name.startswith(pattern[:-1]))

    return fits


def _given(tx: Tx, at: int, fits: Callable[[dict[str, Any]], bool]) -> list[Fact]:
    held = holdings(store.of_roles(tx, at), at)
    return [
        Fact("role", str(key), {name: told.value[name] for name in _HOLDING}, told.by)
        for key, told in sorted(held.items())
        if fits(told.value)
    ]
