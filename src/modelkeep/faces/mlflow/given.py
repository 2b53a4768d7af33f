"""What users were given, as MLflow's wire writes it: levels on experiments and models, and roles."""

from typing import Any

from modelkeep.access import ANY, BUILT_IN, Effect, Kind, assignments, id_in, roles, user_principal
from modelkeep.db import Tx
from modelkeep.faces.mlflow.levels import DENY, NO_PERMISSIONS, level_of, level_of_assignment, resource_of
from modelkeep.faces.mlflow.wire import Message

_BUILT_IN = {role.id: role for role in BUILT_IN}


class GivenPermission(Message):
    """A user's level on an experiment (by id) or a registered model (by name)."""

    experiment_id: str | None = None
    workspace: str | None = None
    name: str | None = None
    user_id: str | None = None
    permission: str | None = None


class MlflowRolePermission(Message):
    """What a role allows. That of a built-in role has the id 0: it cannot be changed."""

    id: int | None = None
    role_id: int | None = None
    resource_type: str | None = None
    resource_pattern: str | None = None
    permission: str | None = None


class MlflowRole(Message):
    """A role; `workspace` is `*` where it is known everywhere."""

    id: int | None = None
    name: str | None = None
    workspace: str | None = None
    description: str | None = None
    permissions: list[MlflowRolePermission] | None = None


def given_permission(user_id: str, kind: str, thing: str, workspace: str, level: str) -> GivenPermission:
    """A level on one thing, by the words of the 2.x line, which has none for DENY."""
    word = NO_PERMISSIONS if level == DENY else level
    if kind == Kind.EXPERIMENT:
        return GivenPermission(experiment_id=thing, user_id=user_id, permission=word)
    return GivenPermission(workspace=workspace, name=thing, user_id=user_id, permission=word)


def permissions_on(tx: Tx, user_id: str) -> tuple[list[GivenPermission], list[GivenPermission]]:
    """The levels that somebody was given themselves on single experiments, and on single models."""
    found: dict[str, list[GivenPermission]] = {Kind.EXPERIMENT: [], Kind.MODEL: []}
    for row in _current(tx, user_id):
        level = level_of_assignment(row)
        if level and row.kind in found and id_in(row.pattern) is not None:
            thing = resource_of(tx, row.kind, row.pattern)[1]
            found[row.kind].append(given_permission(user_id, row.kind, thing, row.workspace, level))
    return found[Kind.EXPERIMENT], found[Kind.MODEL]


def given_roles(tx: Tx, user_id: str) -> list[MlflowRole]:
    """The roles that somebody was given themselves on a whole workspace, or on all."""
    rows = [row for row in _current(tx, user_id) if (row.kind, row.pattern, row.effect) == (ANY, ANY, Effect.ALLOW)]
    found = []
    for row in rows:
        role = role_message(tx, roles.get_role(tx, row.role_id))
        role.workspace = row.workspace
        found.append(role)
    return found


def role_message(tx: Tx, row: Any) -> MlflowRole:
    """A role with what it allows."""
    return MlflowRole(
        id=row.id,
        name=row.name,
        workspace=row.workspace or ANY,
        description=row.description,
        permissions=role_permissions(tx, row),
    )


def role_permissions(tx: Tx, row: Any) -> list[MlflowRolePermission]:
    """What a role allows."""
    if row.built_in:
        level = level_of(_BUILT_IN[row.id].verbs, Effect.ALLOW)
        everything = MlflowRolePermission(id=0, role_id=row.id, resource_type="workspace", resource_pattern=ANY)
        everything.permission = level
        return [everything]
    return [permission_message(tx, one) for one in roles.permissions_of_role(tx, row)]


def permission_message(tx: Tx, row: Any) -> MlflowRolePermission:
    """One permission of a role that somebody made."""
    resource_type, pattern = resource_of(tx, row.kind, row.pattern)
    level = level_of(roles.permission_fact(row)["verbs"], row.effect)
    return MlflowRolePermission(
        id=row.id, role_id=row.role_id, resource_type=resource_type, resource_pattern=pattern, permission=level
    )


def _current(tx: Tx, user_id: str) -> list[Any]:
    rows = assignments.assignments_of(tx, user_principal(user_id))
    return [row for row in rows if row.expires_at is None or row.expires_at > tx.now]
