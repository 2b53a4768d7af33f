"""Users on MLflow's wire, for scripts that manage those of its own server."""

from typing import Any

from modelkeep.access import Permission, assignments, check_password, passwords, people
from modelkeep.core.errors import Forbidden, InvalidInput, Unauthenticated
from modelkeep.db import Tx
from modelkeep.faces.mlflow.given import GivenPermission, MlflowRole, given_roles, permissions_on
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Exchange, Mode, Operation

_PAGE = 500


class CreateMlflowUser(Message):
    """Make a user."""

    required = ("username", "password")
    username: str | None = None
    password: str | None = None


class OneMlflowUser(Message):
    """A call about a user."""

    required = ("username",)
    username: str | None = None


class ListMlflowUsers(Message):
    """All users."""


class CurrentMlflowUser(Message):
    """Who calls."""


class UpdateMlflowPassword(Message):
    """Another password of a user."""

    required = ("username", "password")
    username: str | None = None
    password: str | None = None
    current_password: str | None = None


class UpdateMlflowAdmin(Message):
    """Whether a user administers the registry."""

    required = ("username", "is_admin")
    username: str | None = None
    is_admin: bool | None = None


class MlflowUser(Message):
    """A user. Those of one experiment or model are as the clients of the 2.x line read them."""

    id: str | None = None
    username: str | None = None
    is_admin: bool | None = None
    experiment_permissions: list[GivenPermission] | None = None
    registered_model_permissions: list[GivenPermission] | None = None
    roles: list[MlflowRole] | None = None


class MlflowUserAnswer(Message):
    """One user."""

    user: MlflowUser | None = None


class CurrentMlflowUserAnswer(Message):
    """Who calls, and whether with a password."""

    user: MlflowUser | None = None
    is_basic_auth: bool | None = None


class MlflowUsersAnswer(Message):
    """All users."""

    users: list[MlflowUser] | None = None


async def create_user(exchange: Exchange) -> MlflowUserAnswer:
    """users/create."""
    name, password = exchange.request.username, exchange.request.password
    people.check_name(name, "username")
    hashed = await passwords.hash_of(passwords.checked(name, password))
    return await exchange.app.write(
        exchange.caller,
        lambda tx: MlflowUserAnswer(user=_described(tx, people.make_user(tx, name, password_hash=hashed))),
    )


def get_user(tx: Tx, request: OneMlflowUser) -> MlflowUserAnswer:
    """users/get."""
    return MlflowUserAnswer(user=_described(tx, find(tx, request.username)))


def list_users(tx: Tx, _request: ListMlflowUsers) -> MlflowUsersAnswer:
    """users/list."""
    administrators = assignments.administrators(tx)
    found, after = [], ""
    while page := people.list_users(tx, people.PERSON, after, _PAGE):
        found += page
        after = page[-1].name
    return MlflowUsersAnswer(
        users=[
            MlflowUser(id=row.id, username=row.name, is_admin=row.id in administrators, roles=given_roles(tx, row.id))
            for row in found
        ]
    )


def current_user(tx: Tx, _request: CurrentMlflowUser) -> CurrentMlflowUserAnswer:
    """users/current."""
    row = people.user(tx, tx.actor.id) if tx.actor.id else None
    user = MlflowUser(id="", username=tx.actor.name, is_admin=True) if row is None else _user(tx, row)
    return CurrentMlflowUserAnswer(user=user, is_basic_auth=tx.actor.method == "password")


async def update_password(exchange: Exchange) -> Empty:
    """users/update-password."""
    asked, app, actor = exchange.request, exchange.app, exchange.caller.actor
    if actor.is_narrowed:
        raise Forbidden("This token is limited, and who signs in with a password is not; use another.")
    row = await app.read_quickly(exchange.caller, lambda tx: people.get_user(tx, asked.username))
    normal = passwords.checked(row.name, asked.password)
    if row.id == actor.id and (actor.method != "password" or asked.current_password is not None):
        await _check_present(exchange, row.name, asked.current_password)
    hashed = await passwords.hash_of(normal)
    await app.write(exchange.caller, lambda tx: people.set_password(tx, people.get_user(tx, row.name), hashed))
    return Empty()


async def _check_present(exchange: Exchange, name: str, present: str | None) -> None:
    if not present:
        raise InvalidInput("'current_password' is needed to change your own password.", "current_password")
    caller = exchange.caller
    try:
        await check_password(exchange.app.database, name, present, caller.address, caller.request_id)
    except Unauthenticated as error:
        raise Forbidden("'current_password' is not your present password.", "current_password") from error


def update_admin(tx: Tx, request: UpdateMlflowAdmin) -> Empty:
    """users/update-admin."""
    user = find(tx, request.username)
    if request.is_admin:
        assignments.make_administrator(tx, user.id)
    else:
        assignments.make_no_administrator(tx, user.id)
    return Empty()


def delete_user(tx: Tx, request: OneMlflowUser) -> Empty:
    """users/delete."""
    people.delete_user(tx, find(tx, request.username))
    return Empty()


def find(tx: Tx, username: str | None) -> Any:
    """The person of this name. Raises NotFound."""
    return people.get_user(tx, username or "")


def _user(tx: Tx, row: Any) -> MlflowUser:
    return MlflowUser(id=row.id, username=row.name, is_admin=row.id in assignments.administrators(tx))


def _described(tx: Tx, row: Any) -> MlflowUser:
    user = _user(tx, row)
    user.experiment_permissions, user.registered_model_permissions = permissions_on(tx, row.id)
    return user


def _operation(
    name: str,
    method: str,
    path: str,
    request: Any,
    run: Any,
    says: Any,
    asks: Permission,
    mode: Mode = Mode.WRITE,
) -> Operation:
    where = routes(method, f"2.0/mlflow/users/{path}")
    return Operation(f"mlflow_users.{name}", MLFLOW, where, request, run, mode, asks, *says)


_READ, _MANAGE = Permission.USER_READ, Permission.USER_MANAGE

OPERATIONS: list[Operation] = [
    _operation(
        "create",
        "POST",
        "create",
        CreateMlflowUser,
        create_user,
        ("Make a person with a password", MlflowUserAnswer),
        _MANAGE,
        Mode.STEPS,
    ),
    _operation("get", "GET", "get", OneMlflowUser, get_user, ("A person", MlflowUserAnswer), _READ, Mode.READ),
    _operation("list", "GET", "list", ListMlflowUsers, list_users, ("All people", MlflowUsersAnswer), _READ, Mode.READ),
    _operation(
        "current",
        "GET",
        "current",
        CurrentMlflowUser,
        current_user,
        ("Who calls", CurrentMlflowUserAnswer),
        Permission.SELF,
        Mode.READ,
    ),
    _operation(
        "update_password",
        "PATCH",
        "update-password",
        UpdateMlflowPassword,
        update_password,
        ("Give a person another password", Empty),
        _MANAGE,
        Mode.STEPS,
    ),
    _operation(
        "update_admin",
        "PATCH",
        "update-admin",
        UpdateMlflowAdmin,
        update_admin,
        ("Say whether a person administers the registry", Empty),
        Permission.ROLE_MANAGE,
    ),
    _operation("delete", "DELETE", "delete", OneMlflowUser, delete_user, ("Delete a person", Empty), _MANAGE),
]
