"""MLflow's permission levels as roles and verbs: what scripts that were written for its own server mean by them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from modelkeep import models, runs
from modelkeep.access import ANY, BUILT_IN, EVERY_VERB, Effect, Kind, Verb, assignments, by_id, id_in, user_principal
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx

DENY, NO_PERMISSIONS = "DENY", "NO_PERMISSIONS"
_ROLES = {
    "READ": ("viewer", Effect.ALLOW),
    "USE": ("viewer", Effect.ALLOW),
    "EDIT": ("contributor", Effect.ALLOW),
    "MANAGE": ("manager", Effect.ALLOW),
    NO_PERMISSIONS: ("administrator", Effect.DENY),
    DENY: ("administrator", Effect.DENY),
}
_LEVELS = {("viewer", "allow"): "READ", ("contributor", "allow"): "EDIT", ("manager", "allow"): "MANAGE"}
_LEVELS |= {("administrator", "deny"): DENY}
_VERBS_OF_ROLE = {role.name: role.verbs for role in BUILT_IN}
_TYPES = {Kind.EXPERIMENT: "experiment", Kind.MODEL: "registered_model"}
_KINDS = {"experiment": Kind.EXPERIMENT, "registered_model": Kind.MODEL, "prompt": Kind.MODEL}
_STRONGEST_FIRST = (("MANAGE", Verb.MANAGE), ("EDIT", Verb.EDIT), ("READ", Verb.READ))


def role_of(level: str) -> tuple[str, Effect]:
    """The role that a level is, and whether it is given or denied. Raises InvalidInput."""
    if level not in _ROLES:
        raise InvalidInput(f"Invalid permission '{level}'. Valid permissions are: {tuple(_ROLES)}", "permission")
    return _ROLES[level]


def verbs_of(level: str) -> tuple[list[str], Effect]:
    """The verbs that a level allows, or denies. Raises InvalidInput."""
    role, effect = role_of(level)
    return sorted(_VERBS_OF_ROLE[role]), effect


def level_of(verbs: Iterable[str], effect: str) -> str:
    """The strongest level that is in these verbs."""
    if effect == Effect.DENY:
        return DENY
    held = EVERY_VERB & {Verb(verb) for verb in verbs}
    return next((level for level, verb in _STRONGEST_FIRST if verb in held), NO_PERMISSIONS)


def level_of_assignment(row: Any) -> str | None:
    """The level that an assignment is; None for one that MLflow has no word for."""
    return _LEVELS.get((row.role, row.effect))


def weight(level: str) -> int:
    """What counts of several levels on the same: a denial, or else the strongest."""
    return ("READ", "USE", "EDIT", "MANAGE", NO_PERMISSIONS, DENY).index(level)


@contextmanager
def working_in(tx: Tx, workspace: str) -> Iterator[None]:
    """Look things up and give levels in a workspace, whichever the caller works in."""
    caller = tx.caller
    tx.caller = replace(caller, workspace=workspace)
    try:
        yield
    finally:
        tx.caller = caller


def standing(tx: Tx, user_id: str, kind: str, pattern: str) -> list[Any]:
    """The assignments by which somebody has a level on exactly this in the workspace at hand, denials first."""
    rows = [row for row in assignments.assignments_on(tx, kind, pattern) if row.principal == user_principal(user_id)]
    return sorted(
        (row for row in rows if level_of_assignment(row)), key=lambda row: (row.effect != Effect.DENY, -row.id)
    )


def give(tx: Tx, username: str, user_id: str, kind: str, pattern: str, level: str) -> None:
    """Let somebody have this level, and no other, on exactly this in the workspace at hand."""
    role, effect = role_of(level)
    for row in standing(tx, user_id, kind, pattern):
        if (row.role, row.effect, row.expires_at) != (role, effect, None):
            assignments.unassign(tx, row.id)
    new = assignments.NewAssignment(f"user/{username}", role, tx.workspace, kind, pattern, effect)
    assignments.assign(tx, new)


def take(tx: Tx, user_id: str, kind: str, pattern: str) -> bool:
    """Take whatever level somebody has on exactly this; False where there was none."""
    rows = standing(tx, user_id, kind, pattern)
    for row in rows:
        assignments.unassign(tx, row.id)
    return bool(rows)


def place(tx: Tx, resource_type: str, resource: str) -> tuple[str, str]:
    """The kind and pattern of a resource as MLflow names it. Raises InvalidInput, NotFound."""
    if resource_type == "workspace":
        if resource != ANY:
            raise InvalidInput("A permission on the workspace is for '*', all of it.", "resource_pattern")
        return ANY, ANY
    kind = kind_of(resource_type)
    if resource == ANY:
        if resource_type == "prompt":
            raise InvalidInput("All prompts are governed with all models: say 'registered_model'.", "resource_type")
        return kind, ANY
    if kind is Kind.EXPERIMENT:
        return kind, by_id(str(runs.get_experiment(tx, resource).id))
    return kind, by_id(models.get_model(tx, resource).id)


def kind_of(resource_type: str) -> Kind:
    """The kind of thing that MLflow calls so. Raises InvalidInput."""
    if resource_type not in _KINDS:
        raise InvalidInput(
            f"Invalid resource type '{resource_type[:80]}'. Permissions are on experiment, registered_model, prompt "
            "and workspace; runs and logged models go with their experiment, versions with their model.",
            "resource_type",
        )
    return _KINDS[resource_type]


def resource_of(tx: Tx, kind: str, pattern: str) -> tuple[str, str]:
    """The type and the name (of an experiment, the id) by which MLflow knows this kind and pattern."""
    identity = id_in(pattern)
    known = _TYPES.get(Kind(kind)) if kind != ANY else None
    if identity is None or kind != Kind.MODEL:
        return known or "workspace", pattern if identity is None else identity
    return known or "", models.model_names(tx, [identity]).get(identity, pattern)
