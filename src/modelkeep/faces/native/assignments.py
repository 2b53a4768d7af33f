"""Who holds which role, and what is shared with other workspaces, on the native API."""

from typing import Annotated, Any

from msgspec import Meta

from modelkeep.access import ANY, Effect, Kind, Permission, assignments, sharing
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.roles import RowId, what
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation
from modelkeep.models import get_model

Moment = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Reason = Annotated[str, Meta(max_length=500)]


class NewRoleAssignment(Request):
    """A role to be given to `user/NAME` or `group/NAME`: on all that fits `kind` and `pattern`, or on one thing.

    `workspace` is the one at hand unless named, or `*` for all. `effect` deny denies what the role would allow.
    """

    principal: str
    role: str
    workspace: str = ""
    kind: str = ANY
    pattern: str = ANY
    model: str = ""
    experiment: str = ""
    effect: str = str(Effect.ALLOW)
    expires_at: Moment | None = None
    reason: Reason = ""


class ListAssignments(Request):
    """A page of who holds what in the workspace at hand or another (`*`: in all), of one principal, or of one role."""

    principal: str = ""
    role_id: RowId | None = None
    workspace: str = ""
    limit: PageSize = 100
    cursor: Cursor = ""


class OneAssignment(Request):
    """An assignment by its id."""

    id: RowId


class NewShare(Request):
    """A workspace whose readers may read a model, and until when."""

    name: str
    workspace: str
    expires_at: Moment
    reason: Reason = ""


class ListShares(Request):
    """The shares of a model."""

    name: str


class OneShare(Request):
    """A share of a model."""

    name: str
    id: RowId


class AssignmentAnswer(Answer):
    """Who holds which role where, on what, and until when."""

    id: int
    principal: str
    principal_id: str
    role: str
    role_id: int
    effect: str
    workspace: str
    kind: str
    pattern: str
    created_by: str
    created_at: int
    expires_at: int | None = None
    expired: bool = False
    reason: str = ""


class AssignmentPage(Answer):
    """A page of assignments, oldest first."""

    items: list[AssignmentAnswer]
    next_cursor: str | None = None


class ShareAnswer(Answer):
    """A workspace whose readers may read a model until then."""

    id: int
    workspace: str
    created_by: str
    created_at: int
    expires_at: int
    expired: bool = False
    reason: str = ""


class ShareList(Answer):
    """The shares of a model, oldest first."""

    items: list[ShareAnswer]


def assign(tx: Tx, request: NewRoleAssignment) -> AssignmentAnswer:
    """Give a role."""
    workspace = request.workspace or tx.workspace
    if request.principal.startswith("workspace/"):
        raise InvalidInput("Share a model with a workspace at models/{name}/shares.", "principal")
    kind, pattern = what(tx, request, workspace)
    given = (request.effect, request.expires_at, request.reason)
    new = assignments.NewAssignment(request.principal, request.role, workspace, kind, pattern, *given)
    return _answer(tx, assignments.assign(tx, new))


def list_assignments(tx: Tx, request: ListAssignments) -> AssignmentPage:
    """Who holds what; of the caller themselves, everywhere."""
    after = read_cursor(request.cursor, int)[0] if request.cursor else 0
    principal = assignments.principal_named(tx, request.principal) if request.principal else ""
    own = bool(tx.actor.id) and principal == f"user/{tx.actor.id}"
    workspace = request.workspace or (ANY if own else tx.workspace)
    asked = (workspace, principal, request.role_id or 0, after, request.limit + 1)
    found = assignments.page_of_assignments(tx, *asked)
    page = found[: request.limit]
    more = write_cursor(page[-1].id) if len(found) > len(page) else None
    return AssignmentPage(items=[_answer(tx, row) for row in page], next_cursor=more)


def show_assignment(tx: Tx, request: OneAssignment) -> AssignmentAnswer:
    """An assignment."""
    return _answer(tx, assignments.get_assignment(tx, request.id))


def unassign(tx: Tx, request: OneAssignment) -> None:
    """Take a role back."""
    assignments.unassign(tx, request.id)


def share(tx: Tx, request: NewShare) -> ShareAnswer:
    """Share a model with a workspace."""
    model = get_model(tx, request.name)
    given = (request.workspace, request.expires_at, request.reason)
    return _share(tx, sharing.share(tx, Kind.MODEL, model.id, *given))


def list_shares(tx: Tx, request: ListShares) -> ShareList:
    """The shares of a model, those that ended too."""
    rows = sharing.shares_of(tx, Kind.MODEL, get_model(tx, request.name).id)
    return ShareList(items=[_share(tx, row) for row in rows])


def end_share(tx: Tx, request: OneShare) -> None:
    """Share a model with a workspace no more."""
    sharing.end_share(tx, Kind.MODEL, get_model(tx, request.name).id, request.id)


def _answer(tx: Tx, row: Any) -> AssignmentAnswer:
    return AssignmentAnswer(
        id=row.id,
        principal=assignments.name_of_principal(tx, row.principal),
        principal_id=row.principal.partition("/")[2],
        role=row.role,
        role_id=row.role_id,
        effect=row.effect,
        workspace=row.workspace,
        kind=row.kind,
        pattern=row.pattern,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        expired=_has_ended(tx, row),
        reason=row.reason,
    )


def _share(tx: Tx, row: Any) -> ShareAnswer:
    return ShareAnswer(
        id=row.id,
        workspace=sharing.consumer_of(row),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        expired=_has_ended(tx, row),
        reason=row.reason,
    )


def _has_ended(tx: Tx, row: Any) -> bool:
    return row.expires_at is not None and row.expires_at <= tx.now


def _operation(
    name: str, method: str, path: str, request: Any, run: Any, says: Any, permission: Permission, **more: Any
) -> Operation:
    mode = Mode.READ if method == "GET" else Mode.WRITE
    return Operation(name, NATIVE, routes(method, path), request, run, mode, permission, *says, **more)


_MANAGE = Permission.ROLE_MANAGE

OPERATIONS: list[Operation] = [
    _operation(
        "assignments.list",
        "GET",
        "assignments",
        ListAssignments,
        list_assignments,
        ("Who holds which role", AssignmentPage),
        Permission.ROLE_READ,
    ),
    _operation(
        "assignments.create",
        "POST",
        "assignments",
        NewRoleAssignment,
        assign,
        ("Give a role", AssignmentAnswer),
        _MANAGE,
        status=201,
    ),
    _operation(
        "assignments.show",
        "GET",
        "assignments/{id}",
        OneAssignment,
        show_assignment,
        ("An assignment of a role", AssignmentAnswer),
        Permission.ROLE_READ,
    ),
    _operation(
        "assignments.delete",
        "DELETE",
        "assignments/{id}",
        OneAssignment,
        unassign,
        ("Take a role back",),
        _MANAGE,
        status=204,
    ),
    _operation(
        "shares.create",
        "POST",
        "models/{name}/shares",
        NewShare,
        share,
        ("Share a model with another workspace, to be read", ShareAnswer),
        _MANAGE,
        status=201,
    ),
    _operation(
        "shares.list",
        "GET",
        "models/{name}/shares",
        ListShares,
        list_shares,
        ("What workspaces a model is shared with", ShareList),
        Permission.ROLE_READ,
    ),
    _operation(
        "shares.delete",
        "DELETE",
        "models/{name}/shares/{id}",
        OneShare,
        end_share,
        ("Share a model no more",),
        _MANAGE,
        status=204,
    ),
]
