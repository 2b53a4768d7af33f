"""People and services on the native API."""

from typing import Any

from msgspec import UNSET, UnsetType

from modelkeep.access import Permission, passwords, people
from modelkeep.core.errors import Forbidden, InvalidInput
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Exchange, Mode, Operation


class ListPeople(Request):
    """A page of people, or of services."""

    limit: PageSize = 100
    cursor: Cursor = ""


class NewPerson(Request):
    """A person to be made; without a password they sign in otherwise, or not yet."""

    name: str
    display_name: str | None = None
    password: str | None = None


class NewService(Request):
    """A service to be made; the person that answers for it is the caller where `owner` names none."""

    name: str
    display_name: str | None = None
    owner: str | None = None


class OneUser(Request):
    """A person or service by name."""

    name: str


class PersonChange(Request):
    """What is to be different about a person; what is left out stays."""

    name: str
    display_name: str | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET


class ServiceChange(Request):
    """What is to be different about a service; what is left out stays."""

    name: str
    display_name: str | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    owner: str | UnsetType = UNSET


class RenameUser(Request):
    """Another name for a person or service."""

    name: str
    new_name: str


class NewPassword(Request):
    """The password that a person is to have."""

    name: str
    password: str


class PersonAnswer(Answer):
    """A person. `has_password` says whether they can sign in with one."""

    id: str
    name: str
    created_at: int
    disabled: bool
    has_password: bool
    display_name: str | None = None
    groups: list[str] | None = None


class ServiceAnswer(Answer):
    """A service; `works` is false while it, or the person that answers for it, is disabled or gone."""

    id: str
    name: str
    created_at: int
    disabled: bool
    works: bool
    owner: str
    display_name: str | None = None
    groups: list[str] | None = None


class PersonPage(Answer):
    """A page of people by name."""

    items: list[PersonAnswer]
    next_cursor: str | None = None


class ServicePage(Answer):
    """A page of services by name."""

    items: list[ServiceAnswer]
    next_cursor: str | None = None


def list_people(tx: Tx, request: ListPeople) -> PersonPage:
    """People by name."""
    page, more = _page(tx, people.PERSON, request)
    return PersonPage(items=[_person(row) for row in page], next_cursor=more)


def list_services(tx: Tx, request: ListPeople) -> ServicePage:
    """Services by name."""
    page, more = _page(tx, people.SERVICE, request)
    owners = people.names_of(tx, [row.owner_id for row in page])
    return ServicePage(items=[_service(tx, row, owners[row.owner_id]) for row in page], next_cursor=more)


def _page(tx: Tx, kind: str, request: ListPeople) -> tuple[list[Any], str | None]:
    after = read_cursor(request.cursor, str)[0] if request.cursor else ""
    found = people.list_users(tx, kind, after, request.limit + 1)
    page = found[: request.limit]
    return page, write_cursor(page[-1].name) if len(found) > len(page) else None


def show_person(tx: Tx, request: OneUser) -> PersonAnswer:
    """A person with their groups."""
    row = people.get_user(tx, request.name)
    return _person(row, _groups(tx, row.id))


def show_service(tx: Tx, request: OneUser) -> ServiceAnswer:
    """A service with its groups."""
    row = people.get_user(tx, request.name, people.SERVICE)
    return _shown_service(tx, row)


async def make_person(exchange: Exchange) -> PersonAnswer:
    """Make a person."""
    asked: NewPerson = exchange.request
    people.check_name(asked.name)
    hashed = None
    if asked.password is not None:
        hashed = await passwords.hash_of(passwords.checked(asked.name, asked.password))
    return await exchange.app.write(
        exchange.caller,
        lambda tx: _person(people.make_user(tx, asked.name, display_name=asked.display_name, password_hash=hashed), []),
    )


def make_service(tx: Tx, request: NewService) -> ServiceAnswer:
    """Make a service."""
    if request.owner is None and not tx.actor.id:
        raise InvalidInput("Nobody is signed in: name the person that answers for the service.", "owner")
    owner = people.get_user(tx, request.owner) if request.owner is not None else _self(tx)
    row = people.make_user(tx, request.name, people.SERVICE, display_name=request.display_name, owner=owner)
    return _shown_service(tx, row)


def _self(tx: Tx) -> Any:
    """The caller, or the person that answers for them if they are a service."""
    row = people.user(tx, tx.actor.id)
    return row if row is None or row.kind == people.PERSON else people.user(tx, row.owner_id)


def change_person(tx: Tx, request: PersonChange) -> PersonAnswer:
    """Change what is said of a person, or whether they can sign in."""
    row = people.get_user(tx, request.name)
    if request.display_name is not UNSET:
        people.change_user(tx, row, display_name=request.display_name)
    _set_disabled(tx, row, request.disabled)
    return show_person(tx, OneUser(name=request.name))


def change_service(tx: Tx, request: ServiceChange) -> ServiceAnswer:
    """Change what is said of a service, who answers for it, or whether it can sign in."""
    row = people.get_user(tx, request.name, people.SERVICE)
    display_name = row.display_name if request.display_name is UNSET else request.display_name
    owner = people.user(tx, row.owner_id) if request.owner is UNSET else people.get_user(tx, request.owner)
    people.change_user(tx, row, display_name=display_name, owner=owner)
    _set_disabled(tx, row, request.disabled)
    return show_service(tx, OneUser(name=request.name))


def _set_disabled(tx: Tx, row: Any, disabled: bool | UnsetType) -> None:
    if disabled is True:
        people.disable_user(tx, row)
    elif disabled is False:
        people.enable_user(tx, row)


def rename_person(tx: Tx, request: RenameUser) -> PersonAnswer:
    """Give a person another name; what they have and may do stays theirs."""
    row = people.rename_user(tx, people.get_user(tx, request.name), request.new_name)
    return _person(row, _groups(tx, row.id))


def rename_service(tx: Tx, request: RenameUser) -> ServiceAnswer:
    """Give a service another name; what it has and may do stays its own."""
    row = people.get_user(tx, request.name, people.SERVICE)
    return _shown_service(tx, people.rename_user(tx, row, request.new_name))


def delete_person(tx: Tx, request: OneUser) -> None:
    """Delete a person: nothing that they signed in by works any more, nor do the services that they answer for."""
    people.delete_user(tx, people.get_user(tx, request.name))


def delete_service(tx: Tx, request: OneUser) -> None:
    """Delete a service: its tokens no longer work."""
    people.delete_user(tx, people.get_user(tx, request.name, people.SERVICE))


async def set_password(exchange: Exchange) -> None:
    """Give a person a password; their sessions end."""
    asked: NewPassword = exchange.request
    if exchange.caller.actor.is_narrowed:
        raise Forbidden("This token is limited, and who signs in with a password is not; use another.")
    hashed = await passwords.hash_of(passwords.checked(asked.name, asked.password))
    await exchange.app.write(
        exchange.caller, lambda tx: people.set_password(tx, people.get_user(tx, asked.name), hashed)
    )


def _groups(tx: Tx, user_id: str) -> list[str]:
    return sorted({group.name for group in people.groups_of(tx, user_id)})


def _person(row: Any, groups: list[str] | None = None) -> PersonAnswer:
    return PersonAnswer(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        disabled=row.disabled_at is not None,
        has_password=row.password_hash is not None,
        display_name=row.display_name,
        groups=groups,
    )


def _shown_service(tx: Tx, row: Any) -> ServiceAnswer:
    return _service(tx, row, people.names_of(tx, [row.owner_id])[row.owner_id], _groups(tx, row.id))


def _service(tx: Tx, row: Any, owner: str, groups: list[str] | None = None) -> ServiceAnswer:
    return ServiceAnswer(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        disabled=row.disabled_at is not None,
        works=people.is_enabled(tx, row),
        owner=owner,
        display_name=row.display_name,
        groups=groups,
    )


_READ, _MANAGE = Permission.USER_READ, Permission.USER_MANAGE


def _operation(
    name: str, method: str, path: str, request: Any, run: Any, mode: Mode, says: Any, **more: Any
) -> Operation:
    permission = _READ if method == "GET" else _MANAGE
    summary, answer = says
    return Operation(name, NATIVE, routes(method, path), request, run, mode, permission, summary, answer, **more)


OPERATIONS: list[Operation] = [
    _operation("users.list", "GET", "users", ListPeople, list_people, Mode.READ, ("People by name", PersonPage)),
    _operation(
        "users.create", "POST", "users", NewPerson, make_person, Mode.STEPS, ("Make a person", PersonAnswer), status=201
    ),
    _operation("users.show", "GET", "users/{name}", OneUser, show_person, Mode.READ, ("A person", PersonAnswer)),
    _operation(
        "users.change",
        "PATCH",
        "users/{name}",
        PersonChange,
        change_person,
        Mode.WRITE,
        ("Change a person's description, or whether they can sign in", PersonAnswer),
    ),
    _operation(
        "users.rename",
        "POST",
        "users/{name}/rename",
        RenameUser,
        rename_person,
        Mode.WRITE,
        ("Give a person another name", PersonAnswer),
    ),
    _operation(
        "users.delete",
        "DELETE",
        "users/{name}",
        OneUser,
        delete_person,
        Mode.WRITE,
        ("Delete a person", None),
        status=204,
    ),
    _operation(
        "users.set_password",
        "PUT",
        "users/{name}/password",
        NewPassword,
        set_password,
        Mode.STEPS,
        ("Give a person a password", None),
        status=204,
    ),
    _operation(
        "services.list", "GET", "services", ListPeople, list_services, Mode.READ, ("Services by name", ServicePage)
    ),
    _operation(
        "services.create",
        "POST",
        "services",
        NewService,
        make_service,
        Mode.WRITE,
        ("Make a service", ServiceAnswer),
        status=201,
    ),
    _operation(
        "services.show", "GET", "services/{name}", OneUser, show_service, Mode.READ, ("A service", ServiceAnswer)
    ),
    _operation(
        "services.change",
        "PATCH",
        "services/{name}",
        ServiceChange,
        change_service,
        Mode.WRITE,
        ("Change a service's description or owner, or whether it can sign in", ServiceAnswer),
    ),
    _operation(
        "services.rename",
        "POST",
        "services/{name}/rename",
        RenameUser,
        rename_service,
        Mode.WRITE,
        ("Give a service another name", ServiceAnswer),
    ),
    _operation(
        "services.delete",
        "DELETE",
        "services/{name}",
        OneUser,
        delete_service,
        Mode.WRITE,
        ("Delete a service", None),
        status=204,
    ),
]
