"""What the operations around roles are about: who gives and takes rights, and who looks at those of others."""

from collections.abc import Callable, Mapping
from typing import Any

from modelkeep.access import (
    ANY,
    SERVER,
    Asked,
    Kind,
    Target,
    Verb,
    assignments,
    people,
    review,
    roles,
    workspace_target,
)
from modelkeep.catalog import targets
from modelkeep.core.errors import DomainError, Forbidden
from modelkeep.db import Tx


def journal(tx: Tx, request: Any) -> list[Asked]:
    """The workspace that the caller works in, or the server for the entries of all."""
    return [Asked(SERVER if request.everywhere else workspace_target(tx.workspace))]


def past(tx: Tx, request: Any) -> list[Asked]:
    """Where the log is kept that tells of the thing: its workspace, or the server for people and groups."""
    kind, _, name = request.resource.partition("/")
    if kind in ("user", "group"):
        return [Asked(SERVER)]
    return [Asked(workspace_target(name if kind == "workspace" and name else tx.workspace))]


def own(tx: Tx, _request: Any) -> list[Asked]:
    """What is the caller's own, to be changed. Raises Forbidden for who came with a token that is limited."""
    if tx.actor.is_narrowed:
        raise Forbidden(
            "This token is limited to some verbs or workspaces. It may look at what is its owner's, but change none "
            "of it, except to revoke itself. Sign in another way, or use a token without limits."
        )
    return []


def own_token(tx: Tx, request: Any) -> list[Asked]:
    """A token of the caller's own, to be revoked: whatever a token is limited to, it can end itself."""
    return [] if request.id == tx.actor.token_id else own(tx, request)


def new_role(tx: Tx, request: Any) -> list[Asked]:
    """Where a role is to be known: in the workspace at hand, or everywhere."""
    return managed(tx, SERVER if request.everywhere else workspace_target(tx.workspace))


def shown_role(tx: Tx, request: Any) -> list[Asked]:
    """The workspace of a role; those known everywhere are known to all."""
    found = _role(tx, request.role_id)
    if found is None or not found.workspace:
        return []
    return [Asked(workspace_target(found.workspace), missing=roles.no_role(found.id))]


def role(tx: Tx, request: Any) -> list[Asked]:
    """Where a role is known."""
    return managed_role(tx, request.role_id, roles.no_role(request.role_id))


def managed_role(tx: Tx, role_id: int, missing: DomainError) -> list[Asked]:
    """Where a role is known, for a change of it."""
    found = _role(tx, role_id)
    if found is None:
        return []
    return managed(tx, workspace_target(found.workspace) if found.workspace else SERVER, missing)


def new_assignment(tx: Tx, request: Any) -> list[Asked]:
    """What a role is to be given on."""
    workspace = request.workspace or tx.workspace
    if workspace == ANY:
        return managed(tx, SERVER)
    for kind, name in ((Kind.MODEL, request.model), (Kind.EXPERIMENT, request.experiment)):
        if name:
            return managed_thing(tx, kind, name)
    return managed(tx, workspace_target(workspace))


def managed_thing(tx: Tx, kind: str, name: str) -> list[Asked]:
    """A model or experiment, for a change of who may do what with it; nothing where it is not there."""
    try:
        target = targets.thing(tx, kind, name)
    except DomainError:
        return in_vain(managed(tx, nobodys(tx, kind)))
    return managed(tx, target)


def assignment(tx: Tx, request: Any) -> list[Asked]:
    """What a role was given on."""
    try:
        row = assignments.get_assignment(tx, request.id)
    except DomainError:
        return []
    target = targets.with_name(tx, assignments.target_of(row))
    return managed(tx, target, assignments.no_assignment(row.id))


def listed_assignments(tx: Tx, request: Any) -> list[Asked]:
    """The workspace whose assignments are listed, or the server; nothing where they are the caller's own."""
    if is_own(tx, request.principal.removeprefix("user/")) and request.principal.startswith("user/"):
        return []
    workspace = request.workspace or tx.workspace
    return reviewed_target(tx, SERVER if workspace == ANY else workspace_target(workspace))


def shared_model(tx: Tx, request: Any) -> list[Asked]:
    """The model that is shared, for a change of whom with."""
    return managed_thing(tx, Kind.MODEL, request.name)


def explained(tx: Tx, request: Any) -> list[Asked]:
    """Nothing for whoever asks about themselves, but of workspaces; to be managed or audited by who asks of others."""
    target, of_self = (
        explained_target(tx, request.resource, request.alias),
        not request.user or is_own(tx, request.user),
    )
    if target is None:
        return [] if of_self else in_vain(reviewed_target(tx, nobodys(tx)))
    if of_self:
        return [Asked(target, Verb.READ)] if target.kind is Kind.WORKSPACE and not _is_known(tx, target) else []
    return reviewed_target(tx, target)


def explained_target(tx: Tx, resource: str, alias: str) -> Target | None:
    """What an explanation is about: the thing, if the caller may know of it; otherwise one of that name that nobody has
    made yet, whether it is there or not. None for a workspace that is not there. Raises InvalidInput.
    """
    found = targets.resource(tx, resource, alias)
    kind, _, name = resource.partition("/")
    if kind not in (Kind.MODEL, Kind.EXPERIMENT):
        return found
    unmade = Target(Kind(kind), "", name, tx.workspace, alias)
    return found if _may_know(tx, found or unmade) and found else unmade


def reviewed(tx: Tx, request: Any) -> list[Asked]:
    """The thing whose rights are looked at."""
    target = targets.resource(tx, request.resource)
    return in_vain(reviewed_target(tx, nobodys(tx))) if target is None else reviewed_target(tx, target)


def somebodys_rights(tx: Tx, request: Any) -> list[Asked]:
    """Nothing for the caller's own rights; the workspace at hand for those of others, or the server."""
    return rights_of_user(tx, request.user)


def rights_of_user(tx: Tx, name: str) -> list[Asked]:
    """Nothing for the caller's own rights (or no name); the server or the workspace at hand for those of others."""
    if not name or is_own(tx, name):
        return []
    verb = review.verb_to_review(tx, SERVER)
    if review.may(tx, verb, SERVER):
        return [Asked(SERVER, verb)]
    return reviewed_target(tx, workspace_target(tx.workspace))


def is_own(tx: Tx, name: str) -> bool:
    """Whether this is the caller's own name."""
    user = people.find_user(tx, name) if name and tx.actor.id else None
    return user is not None and user.id == tx.actor.id


def _may_know(tx: Tx, target: Target) -> bool:
    return review.may(tx, Verb.READ, target) or review.may(tx, review.verb_to_review(tx, target), target)


def _is_known(tx: Tx, target: Target) -> bool:
    """Whether the caller knows of this whatever they may do with it: the server, and the workspaces of theirs."""
    known = tx.caller.workspaces
    return target == SERVER or (target.kind is Kind.WORKSPACE and (known is None or target.name in known))


def _role(tx: Tx, role_id: int | None) -> Any | None:
    try:
        return roles.get_role(tx, role_id or 0)
    except DomainError:
        return None


def managed(tx: Tx, target: Target, missing: DomainError | None = None) -> list[Asked]:
    """A thing for a change of who may do what with it; `missing` refuses whoever may not know of it."""
    return [Asked(review.place_to_manage(tx, target), Verb.MANAGE, missing=missing)]


def reviewed_target(tx: Tx, target: Target, missing: DomainError | None = None) -> list[Asked]:
    """A thing for a look at who may do what with it."""
    return [Asked(target, review.verb_to_review(tx, target), missing=missing)]


def nobodys(tx: Tx, kind: str = Kind.MODEL) -> Target:
    """What stands for a thing that is not there."""
    return Target(Kind(kind), "", "", tx.workspace)


def in_vain(_asked: list[Asked]) -> list[Asked]:
    """Nothing, where the same was looked up as for something: or the time would tell what is hidden from what is not.

    What was looked up is asked of `nobodys` thing.
    """
    return []


ABOUT: Mapping[str, Callable[[Tx, Any], list[Asked]]] = {
    "me.set_password": own,
    "me.create_token": own,
    "me.revoke_token": own_token,
    "sessions.sign_out": own,
    "journal.list": journal,
    "journal.export": journal,
    "journal.as_of": past,
    "mlflow_roles.get": shown_role,
    "mlflow_roles.update": role,
    "mlflow_roles.delete": role,
    "mlflow_roles.add_permission": role,
    "mlflow_roles.list_permissions": shown_role,
    "roles.create": new_role,
    "roles.show": shown_role,
    "roles.change": role,
    "roles.delete": role,
    "roles.add_permission": role,
    "roles.change_permission": role,
    "roles.remove_permission": role,
    "assignments.list": listed_assignments,
    "assignments.create": new_assignment,
    "assignments.show": assignment,
    "assignments.delete": assignment,
    "shares.create": shared_model,
    "shares.list": shared_model,
    "shares.delete": shared_model,
    "access.explain": explained,
    "access.effective": somebodys_rights,
    "access.review": reviewed,
}
