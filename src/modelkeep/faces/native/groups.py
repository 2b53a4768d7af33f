"""Groups and who is in them on the native API."""

from typing import Any

from modelkeep.access import Permission, people
from modelkeep.core.errors import NotFound
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation


class ListGroups(Request):
    """A page of groups."""

    limit: PageSize = 100
    cursor: Cursor = ""


class NewGroup(Request):
    """A group to be made."""

    name: str
    description: str | None = None


class OneGroup(Request):
    """A group by name."""

    name: str


class GroupDescription(Request):
    """What a group is to be described as."""

    name: str
    description: str | None


class RenameGroup(Request):
    """Another name for a group."""

    name: str
    new_name: str


class ListMembers(Request):
    """A page of who is in a group."""

    name: str
    limit: PageSize = 100
    cursor: Cursor = ""


class OneMember(Request):
    """Somebody who is, or is to be, in a group."""

    name: str
    member: str


class GroupAnswer(Answer):
    """A group."""

    id: str
    name: str
    created_at: int
    description: str | None = None


class GroupPage(Answer):
    """A page of groups by name."""

    items: list[GroupAnswer]
    next_cursor: str | None = None


class MemberAnswer(Answer):
    """Somebody in a group; `sources` is who put them there: `local`, or the issuer that they sign in at."""

    id: str
    name: str
    kind: str
    sources: list[str]
    display_name: str | None = None


class MemberPage(Answer):
    """A page of who is in a group, by name."""

    items: list[MemberAnswer]
    next_cursor: str | None = None


def list_groups(tx: Tx, request: ListGroups) -> GroupPage:
    """Groups by name."""
    after = read_cursor(request.cursor, str)[0] if request.cursor else ""
    found = people.list_groups(tx, after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].name) if len(found) > len(page) else None
    return GroupPage(items=[_group(row) for row in page], next_cursor=more)


def make_group(tx: Tx, request: NewGroup) -> GroupAnswer:
    """Make a group."""
    return _group(people.make_group(tx, request.name, request.description))


def show_group(tx: Tx, request: OneGroup) -> GroupAnswer:
    """A group."""
    return _group(people.get_group(tx, request.name))


def describe_group(tx: Tx, request: GroupDescription) -> GroupAnswer:
    """Describe a group."""
    return _group(people.describe_group(tx, request.name, request.description))


def rename_group(tx: Tx, request: RenameGroup) -> GroupAnswer:
    """Give a group another name."""
    return _group(people.rename_group(tx, request.name, request.new_name))


def delete_group(tx: Tx, request: OneGroup) -> None:
    """Delete a group."""
    people.delete_group(tx, request.name)


def list_members(tx: Tx, request: ListMembers) -> MemberPage:
    """Who is in a group, by name."""
    after = read_cursor(request.cursor, str)[0] if request.cursor else ""
    found = people.members_of(tx, request.name, after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].name) if len(found) > len(page) else None
    return MemberPage(items=[_member(one) for one in page], next_cursor=more)


def add_member(tx: Tx, request: OneMember) -> None:
    """Put somebody into a group."""
    people.add_member(tx, request.name, _somebody(tx, request.member))


def remove_member(tx: Tx, request: OneMember) -> None:
    """Take somebody out of a group."""
    people.remove_member(tx, request.name, _somebody(tx, request.member))


def _somebody(tx: Tx, name: str) -> Any:
    found = people.find_user(tx, name)
    if found is None:
        raise NotFound(f"There is no person or service named '{name[:80]}'.")
    return found


def _group(row: Any) -> GroupAnswer:
    return GroupAnswer(id=row.id, name=row.name, created_at=row.created_at, description=row.description)


def _member(one: people.Member) -> MemberAnswer:
    return MemberAnswer(id=one.id, name=one.name, kind=one.kind, sources=one.sources, display_name=one.display_name)


def _operation(name: str, method: str, path: str, request: Any, run: Any, says: Any, **more: Any) -> Operation:
    reads = method == "GET"
    permission, mode = (Permission.USER_READ, Mode.READ) if reads else (Permission.GROUP_MANAGE, Mode.WRITE)
    return Operation(f"groups.{name}", NATIVE, routes(method, path), request, run, mode, permission, *says, **more)


OPERATIONS: list[Operation] = [
    _operation("list", "GET", "groups", ListGroups, list_groups, ("Groups by name", GroupPage)),
    _operation("create", "POST", "groups", NewGroup, make_group, ("Make a group", GroupAnswer), status=201),
    _operation("show", "GET", "groups/{name}", OneGroup, show_group, ("A group", GroupAnswer)),
    _operation(
        "describe", "PATCH", "groups/{name}", GroupDescription, describe_group, ("Describe a group", GroupAnswer)
    ),
    _operation(
        "rename",
        "POST",
        "groups/{name}/rename",
        RenameGroup,
        rename_group,
        ("Give a group another name", GroupAnswer),
    ),
    _operation("delete", "DELETE", "groups/{name}", OneGroup, delete_group, ("Delete a group",), status=204),
    _operation("members", "GET", "groups/{name}/members", ListMembers, list_members, ("Who is in a group", MemberPage)),
    _operation(
        "add_member",
        "PUT",
        "groups/{name}/members/{member}",
        OneMember,
        add_member,
        ("Put somebody into a group",),
        status=204,
    ),
    _operation(
        "remove_member",
        "DELETE",
        "groups/{name}/members/{member}",
        OneMember,
        remove_member,
        ("Take somebody out of a group",),
        status=204,
    ),
]
