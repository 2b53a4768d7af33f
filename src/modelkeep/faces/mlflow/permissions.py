"""Users' permissions on MLflow's wire: by experiment and by model as the 2.x line has them, and for any resource."""

from typing import Any

from modelkeep.access import (
    Kind,
    Permission,
    Rights,
    Target,
    Verb,
    assignments,
    id_in,
    review,
    rights_of,
)
from modelkeep.catalog import targets
from modelkeep.core.errors import AlreadyExists, NotFound
from modelkeep.db import Tx
from modelkeep.faces.mlflow import levels
from modelkeep.faces.mlflow.given import GivenPermission, given_permission
from modelkeep.faces.mlflow.users import find
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation


class SetExperimentPermission(Message):
    """A user's level on an experiment."""

    required = ("experiment_id", "username", "permission")
    experiment_id: str | None = None
    username: str | None = None
    permission: str | None = None


class OneExperimentPermission(Message):
    """A call about a user's level on an experiment."""

    required = ("experiment_id", "username")
    experiment_id: str | None = None
    username: str | None = None


class SetModelPermission(Message):
    """A user's level on a registered model."""

    required = ("name", "username", "permission")
    name: str | None = None
    username: str | None = None
    permission: str | None = None


class OneModelPermission(Message):
    """A call about a user's level on a registered model."""

    required = ("name", "username")
    name: str | None = None
    username: str | None = None


class GrantUserPermission(Message):
    """A user's level on a resource, or on all of its type (`*`)."""

    required = ("username", "resource_type", "resource_id", "permission")
    username: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    permission: str | None = None


class OneUserPermission(Message):
    """A call about a user's level on a resource."""

    required = ("username", "resource_type", "resource_id")
    username: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None


class ListUserPermissions(Message):
    """A call about all that a user was given."""

    required = ("username",)
    username: str | None = None


class ListOwnPermissions(Message):
    """All that the caller was given."""


class ExperimentPermissionAnswer(Message):
    """A user's level on an experiment."""

    experiment_permission: GivenPermission | None = None


class ModelPermissionAnswer(Message):
    """A user's level on a registered model."""

    registered_model_permission: GivenPermission | None = None


class EffectivePermission(Message):
    """The level that a user has in effect; `allowed` says whether they may download and so use it."""

    allowed: bool | None = None
    permission: str | None = None


class HeldPermission(Message):
    """Something that a user was given, and by which role."""

    role_id: int | None = None
    role_name: str | None = None
    workspace: str | None = None
    resource_type: str | None = None
    resource_pattern: str | None = None
    permission: str | None = None


class HeldPermissions(Message):
    """All that a user was given, themselves, through groups or by sharing."""

    is_admin: bool | None = None
    permissions: list[HeldPermission] | None = None


def create_on_experiment(tx: Tx, request: SetExperimentPermission) -> ExperimentPermissionAnswer:
    """experiments/permissions/create."""
    return ExperimentPermissionAnswer(experiment_permission=_create(tx, *_of_experiment(request), request))


def get_on_experiment(tx: Tx, request: OneExperimentPermission) -> ExperimentPermissionAnswer:
    """experiments/permissions/get."""
    return ExperimentPermissionAnswer(experiment_permission=_get(tx, *_of_experiment(request), request))


def update_on_experiment(tx: Tx, request: SetExperimentPermission) -> Empty:
    """experiments/permissions/update."""
    return _update(tx, *_of_experiment(request), request)


def delete_on_experiment(tx: Tx, request: OneExperimentPermission) -> Empty:
    """experiments/permissions/delete."""
    return _delete(tx, *_of_experiment(request), request)


def create_on_model(tx: Tx, request: SetModelPermission) -> ModelPermissionAnswer:
    """registered-models/permissions/create."""
    return ModelPermissionAnswer(registered_model_permission=_create(tx, *_of_model(request), request))


def get_on_model(tx: Tx, request: OneModelPermission) -> ModelPermissionAnswer:
    """registered-models/permissions/get."""
    return ModelPermissionAnswer(registered_model_permission=_get(tx, *_of_model(request), request))


def update_on_model(tx: Tx, request: SetModelPermission) -> Empty:
    """registered-models/permissions/update."""
    return _update(tx, *_of_model(request), request)


def delete_on_model(tx: Tx, request: OneModelPermission) -> Empty:
    """registered-models/permissions/delete."""
    return _delete(tx, *_of_model(request), request)


def grant(tx: Tx, request: GrantUserPermission) -> Empty:
    """users/permissions/grant."""
    user, (kind, pattern) = find(tx, request.username), _place(tx, request)
    levels.give(tx, user.name, user.id, kind, pattern, request.permission or "")
    return Empty()


def revoke(tx: Tx, request: OneUserPermission) -> Empty:
    """users/permissions/revoke."""
    user, (kind, pattern) = find(tx, request.username), _place(tx, request)
    if not levels.take(tx, user.id, kind, pattern):
        raise NotFound(f"{user.name} was given no permission on this.")
    return Empty()


def get_effective(tx: Tx, request: OneUserPermission) -> EffectivePermission:
    """users/permissions/get; nothing is allowed on what is not there."""
    rights = rights_of(tx, find(tx, request.username).id)
    try:
        kind, pattern = _place(tx, request)
    except NotFound:
        return EffectivePermission(allowed=False, permission=levels.NO_PERMISSIONS)
    identity = id_in(pattern)
    if identity is None:
        return _on_all(rights, tx.workspace)
    return _on_one(rights, targets.with_name(tx, Target(Kind(kind), identity, "", tx.workspace)))


def list_of_user(tx: Tx, request: ListUserPermissions) -> HeldPermissions:
    """users/permissions/list."""
    return _held(tx, find(tx, request.username).id)


def list_own(tx: Tx, _request: ListOwnPermissions) -> HeldPermissions:
    """users/current/permissions."""
    return _held(tx, tx.actor.id) if tx.actor.id else HeldPermissions(is_admin=True, permissions=[])


def _of_experiment(request: Any) -> tuple[str, str]:
    return "experiment", request.experiment_id


def _of_model(request: Any) -> tuple[str, str]:
    return "registered_model", request.name


def _create(tx: Tx, kind: str, thing: str, request: Any) -> GivenPermission:
    user, (kind, pattern) = find(tx, request.username), levels.place(tx, kind, thing)
    if levels.standing(tx, user.id, kind, pattern):
        raise AlreadyExists(f"{user.name} was given a permission on this already; update that.")
    levels.give(tx, user.name, user.id, kind, pattern, request.permission)
    return given_permission(user.id, kind, thing, tx.workspace, request.permission)


def _get(tx: Tx, kind: str, thing: str, request: Any) -> GivenPermission:
    user, (kind, pattern) = find(tx, request.username), levels.place(tx, kind, thing)
    row = _standing(tx, user, kind, pattern)
    return given_permission(user.id, kind, thing, tx.workspace, levels.level_of_assignment(row) or "")


def _update(tx: Tx, kind: str, thing: str, request: Any) -> Empty:
    user, (kind, pattern) = find(tx, request.username), levels.place(tx, kind, thing)
    _standing(tx, user, kind, pattern)
    levels.give(tx, user.name, user.id, kind, pattern, request.permission)
    return Empty()


def _delete(tx: Tx, kind: str, thing: str, request: Any) -> Empty:
    user, (kind, pattern) = find(tx, request.username), levels.place(tx, kind, thing)
    _standing(tx, user, kind, pattern)
    levels.take(tx, user.id, kind, pattern)
    return Empty()


def _standing(tx: Tx, user: Any, kind: str, pattern: str) -> Any:
    rows = levels.standing(tx, user.id, kind, pattern)
    if not rows:
        raise NotFound(f"{user.name} was given no permission on this.")
    return rows[0]


def _place(tx: Tx, request: Any) -> tuple[str, str]:
    return levels.place(tx, request.resource_type, request.resource_id)


def _on_one(rights: Rights, target: Target) -> EffectivePermission:
    held = {verb for verb in Verb if rights.decide(verb, target).allowed}
    level = levels.level_of(held, "allow")
    denied = rights.decide(Verb.READ, target)
    if not denied.allowed and denied.grant is not None:
        level = levels.DENY
    return EffectivePermission(allowed=Verb.DOWNLOAD in held, permission=level)


def _on_all(rights: Rights, workspace: str) -> EffectivePermission:
    held = {verb for verb in Verb if rights.allows_all(verb, workspace)}
    return EffectivePermission(allowed=Verb.DOWNLOAD in held, permission=levels.level_of(held, "allow"))


def _held(tx: Tx, user_id: str) -> HeldPermissions:
    found = []
    for one in review.grants_of(tx, user_id):
        row = assignments.get_assignment(tx, one.assignment)
        resource_type, pattern = levels.resource_of(tx, one.kind, one.pattern)
        found.append(
            HeldPermission(
                role_id=row.role_id,
                role_name=row.role,
                workspace=one.workspace,
                resource_type=resource_type,
                resource_pattern=pattern,
                permission=levels.level_of(one.verbs, one.effect),
            )
        )
    return HeldPermissions(is_admin=user_id in assignments.administrators(tx), permissions=found)


_READ, _MANAGE = Permission.ROLE_READ, Permission.ROLE_MANAGE
_EXPERIMENTS, _MODELS = "2.0/mlflow/experiments/permissions", "2.0/mlflow/registered-models/permissions"
_USERS = "3.0/mlflow/users"


def _operation(name: str, method: str, path: str, request: Any, run: Any, answer: Any, summary: str) -> Operation:
    mode, permission = (Mode.READ, _READ) if method == "GET" else (Mode.WRITE, _MANAGE)
    if request is ListOwnPermissions:
        permission = Permission.SELF
    where = routes(method, path)
    return Operation(f"mlflow_permissions.{name}", MLFLOW, where, request, run, mode, permission, summary, answer)


def _four(of: str, path: str, requests: Any, runs: Any, answer: Any) -> list[Operation]:
    """create, get, update and delete of the levels on one kind of thing."""
    put, one = requests
    named = (("create", "POST", put), ("get", "GET", one), ("update", "PATCH", put), ("delete", "DELETE", one))
    return [
        _operation(
            f"{verb}_on_{of}",
            method,
            f"{path}/{verb}",
            request,
            run,
            answer if verb in {"create", "get"} else Empty,
            f"{verb.capitalize()} a person's level on one {of}",
        )
        for (verb, method, request), run in zip(named, runs, strict=True)
    ]


OPERATIONS: list[Operation] = [
    *_four(
        "experiment",
        _EXPERIMENTS,
        (SetExperimentPermission, OneExperimentPermission),
        (create_on_experiment, get_on_experiment, update_on_experiment, delete_on_experiment),
        ExperimentPermissionAnswer,
    ),
    *_four(
        "model",
        _MODELS,
        (SetModelPermission, OneModelPermission),
        (create_on_model, get_on_model, update_on_model, delete_on_model),
        ModelPermissionAnswer,
    ),
    _operation("grant", "POST", f"{_USERS}/permissions/grant", GrantUserPermission, grant, Empty, "Give a level"),
    _operation("revoke", "POST", f"{_USERS}/permissions/revoke", OneUserPermission, revoke, Empty, "Take a level"),
    _operation(
        "get_effective",
        "GET",
        f"{_USERS}/permissions/get",
        OneUserPermission,
        get_effective,
        EffectivePermission,
        "The level in effect",
    ),
    _operation(
        "list_of_user",
        "GET",
        f"{_USERS}/permissions/list",
        ListUserPermissions,
        list_of_user,
        HeldPermissions,
        "All that a person was given",
    ),
    _operation(
        "list_own",
        "GET",
        f"{_USERS}/current/permissions",
        ListOwnPermissions,
        list_own,
        HeldPermissions,
        "All that the caller was given",
    ),
]
