"""What MLflow's calls about users, permissions and roles are about."""

from collections.abc import Callable, Mapping
from typing import Any

from modelkeep.access import ANY, SERVER, Asked, Kind, Target, Verb, roles, workspace_target
from modelkeep.catalog import targets
from modelkeep.core.errors import DomainError
from modelkeep.db import Tx
from modelkeep.faces.about_access import (
    in_vain,
    is_own,
    managed,
    managed_role,
    nobodys,
    reviewed_target,
    rights_of_user,
)

_KINDS = {"experiment": Kind.EXPERIMENT, "registered_model": Kind.MODEL, "prompt": Kind.MODEL}


def named_workspace(_tx: Tx, request: Any) -> list[Asked]:
    """The workspace that is named."""
    return [Asked(workspace_target(request.workspace_name))]


def managed_workspace(tx: Tx, request: Any) -> list[Asked]:
    """The workspace that is named, for a change of who may do what there."""
    return managed(tx, workspace_target(request.workspace_name))


def reviewed_workspace(tx: Tx, request: Any) -> list[Asked]:
    """The workspace that is named, for a look at who may do what there."""
    return reviewed_target(tx, workspace_target(request.workspace_name))


def user(tx: Tx, request: Any) -> list[Asked]:
    """Nothing for the caller, the server for others."""
    return [] if is_own(tx, request.username) else [Asked(SERVER)]


def roles_of_user(tx: Tx, request: Any) -> list[Asked]:
    """Nothing for the caller's own roles, the server for those of others."""
    return [] if is_own(tx, request.username) else reviewed_target(tx, SERVER)


def permissions_of_user(tx: Tx, request: Any) -> list[Asked]:
    """Nothing for the caller's own, the workspace at hand or the server for those of others."""
    return rights_of_user(tx, request.username)


def on_experiment(tx: Tx, request: Any) -> list[Asked]:
    """The experiment whose permissions these are."""
    return _on(tx, _thing(tx, "experiment", request.experiment_id))


def on_model(tx: Tx, request: Any) -> list[Asked]:
    """The registered model whose permissions these are."""
    return _on(tx, _thing(tx, "registered_model", request.name))


def on_resource(tx: Tx, request: Any) -> list[Asked]:
    """The resource whose permissions these are, or the workspace for all of a type."""
    return _on(tx, _resource(tx, request))


def own_or_on_resource(tx: Tx, request: Any) -> list[Asked]:
    """The resource: to be read for the caller's own permission on it, to be looked after for that of others."""
    target, own = _resource(tx, request), is_own(tx, request.username)
    if target is None:
        return [] if own else in_vain(reviewed_target(tx, nobodys(tx)))
    if own:
        return [] if target.kind is Kind.WORKSPACE else [Asked(target, Verb.READ)]
    return reviewed_target(tx, target)


def new_role(tx: Tx, request: Any) -> list[Asked]:
    """The workspace that is to have a role."""
    return managed(tx, workspace_target(request.workspace))


def listed_roles(tx: Tx, request: Any) -> list[Asked]:
    """The workspaces whose roles are listed, or the server for all."""
    if request.workspace is None:
        return reviewed_target(tx, SERVER)
    return [Asked(workspace_target(name)) for name in request.workspace]


def role_permission(tx: Tx, request: Any) -> list[Asked]:
    """Where the role of a permission is known."""
    try:
        row = roles.get_permission(tx, request.role_permission_id)
    except DomainError:
        return []
    return managed_role(tx, row.role_id, roles.no_permission(row.id))


def given_role(tx: Tx, request: Any) -> list[Asked]:
    """The workspace that a role is given in: its own, or the one at hand for a role known everywhere."""
    return _where_given(tx, request, managed)


def holders(tx: Tx, request: Any) -> list[Asked]:
    """The workspace whose holders of a role are listed."""
    return _where_given(tx, request, reviewed_target)


def _where_given(tx: Tx, request: Any, asked: Any) -> list[Asked]:
    try:
        role = roles.get_role(tx, request.role_id)
    except DomainError:
        return []
    return list(asked(tx, workspace_target(role.workspace or tx.workspace), roles.no_role(role.id)))


def _on(tx: Tx, target: Target | None) -> list[Asked]:
    return in_vain(managed(tx, nobodys(tx))) if target is None else managed(tx, target)


def _resource(tx: Tx, request: Any) -> Target | None:
    if request.resource_id == ANY:
        return workspace_target(tx.workspace)
    return _thing(tx, request.resource_type, request.resource_id)


def _thing(tx: Tx, resource_type: str, name: str) -> Target | None:
    kind = _KINDS.get(resource_type)
    if kind is None:
        return None
    found = targets.model(tx, name) if kind is Kind.MODEL else targets.experiment(tx, name)
    return next((one.target for one in found), None)


ABOUT: Mapping[str, Callable[[Tx, Any], list[Asked]]] = {
    "mlflow_workspaces.update": named_workspace,
    "mlflow_workspaces.delete": named_workspace,
    "mlflow_users.get": user,
    "mlflow_users.update_password": user,
    "mlflow_permissions.create_on_experiment": on_experiment,
    "mlflow_permissions.get_on_experiment": on_experiment,
    "mlflow_permissions.update_on_experiment": on_experiment,
    "mlflow_permissions.delete_on_experiment": on_experiment,
    "mlflow_permissions.create_on_model": on_model,
    "mlflow_permissions.get_on_model": on_model,
    "mlflow_permissions.update_on_model": on_model,
    "mlflow_permissions.delete_on_model": on_model,
    "mlflow_permissions.grant": on_resource,
    "mlflow_permissions.revoke": on_resource,
    "mlflow_permissions.get_effective": own_or_on_resource,
    "mlflow_permissions.list_of_user": permissions_of_user,
    "mlflow_workspace_permissions.list": reviewed_workspace,
    "mlflow_workspace_permissions.set": managed_workspace,
    "mlflow_workspace_permissions.delete": managed_workspace,
    "mlflow_workspace_permissions.of_user": roles_of_user,
    "mlflow_roles.create": new_role,
    "mlflow_roles.list": listed_roles,
    "mlflow_roles.update_permission": role_permission,
    "mlflow_roles.remove_permission": role_permission,
    "mlflow_roles.assign": given_role,
    "mlflow_roles.unassign": given_role,
    "mlflow_roles.list_of_user": roles_of_user,
    "mlflow_roles.list_users": holders,
}
