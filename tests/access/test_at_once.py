"""Two changes of people, groups and roles at once: each is done or refused, none is half done or told twice."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Select, literal, select, union_all

from access.registry import caller, facts
from modelkeep import tables
from modelkeep.access import assignments, link_login, people, person_of, roles
from modelkeep.access.administrator import administrator
from modelkeep.config import OidcSettings
from modelkeep.core.errors import Corrupt, DomainError, Unavailable
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Prepared, Tx

PROVIDER = OidcSettings("https://issuer", "client")
# How long the first change stays open while the second is under way, or waits for it to end.
HELD_S = 0.1

_users, _groups, _members = tables.access.users, tables.access.groups, tables.access.group_members
_roles, _given, _allowed = tables.access.roles, tables.access.assignments, tables.access.role_permissions
_HERE = select(_users.c.id).where(_users.c.deleted_at.is_(None))
_PRINCIPALS = union_all(
    select(("user/" + _users.c.id).label("id")).where(_users.c.deleted_at.is_(None)),
    select("group/" + _groups.c.id),
).subquery()


def _orphans(what: str, key: Any, known: Select[Any]) -> Select[Any]:
    return select(literal(what).label("what"), key.label("key")).where(key.not_in(known))


# What refers to something that is not there.
ORPHANS = Prepared(
    union_all(
        _orphans("member", _members.c.user_id, _HERE),
        _orphans("membership", _members.c.group_id, select(_groups.c.id)),
        _orphans("login", tables.access.user_logins.c.user_id, _HERE),
        _orphans("holder", _given.c.principal, select(_PRINCIPALS.c.id)),
    )
)
ORPHANS_OF_ROLES = Prepared(
    union_all(
        _orphans("assignment", _given.c.role_id, select(_roles.c.id)),
        _orphans("permission", _allowed.c.role_id, select(_roles.c.id)),
    )
)


class World(NamedTuple):
    """Somebody with a service, a group, two roles, and what they were given; names of its own in the registry."""

    mark: str
    ann: str
    role: int
    other: int
    permission: int
    assignment: int

    def name(self, text: str) -> str:
        """A name in this world."""
        return f"{text}-{self.mark}"


def make_world(tx: Tx, mark: str) -> World:
    """A new one."""
    ann = people.make_user(tx, f"ann-{mark}")
    people.make_user(tx, f"bot-{mark}", people.SERVICE, owner=ann)
    for name in (f"team-{mark}", f"crew-{mark}"):
        people.make_group(tx, name)
    people.add_member(tx, f"team-{mark}", ann)
    link_login(tx, ann, PROVIDER.issuer, f"ann-{mark}")
    role, other = (roles.make_role(tx, f"{name}-{mark}") for name in ("tester", "checker"))
    permission = roles.add_permission(tx, role.id, roles.NewPermission(["read"]))
    assignment = assignments.assign(tx, _new(f"user/ann-{mark}", role.name))
    assignments.assign(tx, _new(f"group/team-{mark}", role.name))
    return World(mark, ann.id, role.id, other.id, permission.id, assignment.id)


def _new(principal: str, role: str, pattern: str = "*") -> assignments.NewAssignment:
    return assignments.NewAssignment(principal, role, "default", pattern=pattern)


def _sign_in(tx: Tx, world: World, *names: str) -> Any:
    claims = {"sub": world.name("ann"), "groups": [world.name(name) for name in names]}
    return person_of(tx, PROVIDER, claims)


def _bot(tx: Tx, world: World) -> Any:
    return people.get_user(tx, world.name("bot"), people.SERVICE)


Act = Callable[[Tx, World], Any]
ACTS: dict[str, Act] = {
    "make user": lambda tx, w: people.make_user(tx, w.name("zed")),
    "rename user": lambda tx, w: people.rename_user(tx, people.user(tx, w.ann), w.name("zed")),
    "rename service": lambda tx, w: people.rename_user(tx, _bot(tx, w), w.name("zed")),
    "change user": lambda tx, w: people.change_user(tx, people.user(tx, w.ann), display_name="Ann"),
    "disable user": lambda tx, w: people.disable_user(tx, people.user(tx, w.ann)),
    "enable user": lambda tx, w: people.enable_user(tx, people.user(tx, w.ann)),
    "delete user": lambda tx, w: people.delete_user(tx, people.get_user(tx, w.name("ann"))),
    "set password": lambda tx, w: people.set_password(tx, people.user(tx, w.ann), "$argon2id$"),
    "link": lambda tx, w: link_login(tx, people.get_user(tx, w.name("ann")), PROVIDER.issuer, w.name("second")),
    "sign in": lambda tx, w: _sign_in(tx, w, "team", "crew"),
    "sign in for less": lambda tx, w: _sign_in(tx, w, "crew"),
    "make group": lambda tx, w: people.make_group(tx, w.name("zed")),
    "rename group": lambda tx, w: people.rename_group(tx, w.name("team"), w.name("zed")),
    "rename other group": lambda tx, w: people.rename_group(tx, w.name("crew"), w.name("zed")),
    "describe group": lambda tx, w: people.describe_group(tx, w.name("team"), "All"),
    "delete group": lambda tx, w: people.delete_group(tx, w.name("team")),
    "add member": lambda tx, w: people.add_member(tx, w.name("team"), _bot(tx, w)),
    "join": lambda tx, w: people.add_member(tx, w.name("crew"), people.user(tx, w.ann)),
    "leave": lambda tx, w: people.remove_member(tx, w.name("team"), people.user(tx, w.ann)),
    "make role": lambda tx, w: roles.make_role(tx, w.name("zed")),
    "rename role": lambda tx, w: roles.change_role(tx, w.role, name=w.name("zed")),
    "rename other role": lambda tx, w: roles.change_role(tx, w.other, name=w.name("zed")),
    "describe role": lambda tx, w: roles.change_role(tx, w.role, description="Tests"),
    "delete role": lambda tx, w: roles.delete_role(tx, w.role),
    "allow": lambda tx, w: roles.add_permission(tx, w.role, roles.NewPermission(["edit"])),
    "change permission": lambda tx, w: roles.change_permission(tx, w.permission, ["read", "edit"]),
    "remove permission": lambda tx, w: roles.remove_permission(tx, w.permission),
    "give user": lambda tx, w: assignments.assign(tx, _new(f"user/{w.name('ann')}", w.name("tester"), "a*")),
    "give group": lambda tx, w: assignments.assign(tx, _new(f"group/{w.name('team')}", w.name("checker"))),
    "take": lambda tx, w: assignments.unassign(tx, w.assignment),
    "make administrator": lambda tx, w: assignments.make_administrator(tx, w.ann),
    "make no administrator": lambda tx, w: assignments.make_no_administrator(tx, w.ann),
}
# What is told of one thing at most once, in either order.
ONCE = ("role.unassigned", "role.permission_removed", "role.deleted", "user.deleted", "group.deleted", "user.disabled")


class Overlapped:
    """A registry in which two changes overlap: the second begins when the first was made and is not yet committed."""

    def __init__(self, registry: Database) -> None:
        self.registry = registry
        self.admin = caller(registry.write_now(SYSTEM, administrator))
        # The one writer of SQLite takes the second when the first is over; to hold that open would only cost time.
        self.held_s = HELD_S if registry.name == "postgresql" else 0.0

    def run(self, mark: str, first: str, second: str) -> list[str]:
        """How both ended: `done`, or the kind of refusal. Whatever is no refusal is raised."""
        world = self.registry.write_now(SYSTEM, lambda tx: make_world(tx, mark))
        begun, over = threading.Event(), threading.Event()
        ends: dict[str, str | Exception] = {}

        def hold(tx: Tx) -> None:
            ACTS[first](tx, world)
            begun.set()
            over.wait(self.held_s)

        def one() -> None:
            ends["first"] = self._end(hold)
            begun.set()

        def other() -> None:
            begun.wait()
            ends["second"] = self._end(lambda tx: ACTS[second](tx, world))
            over.set()

        threads = [threading.Thread(target=one), threading.Thread(target=other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [self._told(ends[which]) for which in ("first", "second")]

    def _end(self, work: Callable[[Tx], Any]) -> str | Exception:
        try:
            self.registry.write_now(self.admin, work)
        except Exception as error:
            return error
        return "done"

    def _told(self, end: str | Exception) -> str:
        if isinstance(end, str):
            return end
        if not isinstance(end, DomainError) or isinstance(end, Corrupt | Unavailable):
            raise end
        return type(end).__name__

    def left_behind(self) -> list[tuple[str, str]]:
        """What refers to something that is not there."""

        def look(tx: Tx) -> list[Any]:
            return [*tx.tuples(ORPHANS), *tx.tuples(ORPHANS_OF_ROLES)]

        return [(what, str(key)) for what, key in self.registry.read_now(SYSTEM, look)]

    def told_twice(self) -> list[tuple[str, str]]:
        """What the journal says that happened more often than it can have."""
        told: Counter[tuple[str, str]] = Counter()
        for kind, resource, data in facts(self.registry):
            if kind in ONCE:
                told[kind, str(data.get("assignment_id") or data.get("permission") or resource)] += 1
        return [key for key, count in told.items() if count > 1]


@pytest.fixture
def overlapped(registry: Database) -> Overlapped:
    """The registry of a test, with its administrator."""
    return Overlapped(registry)


# Those that were more than once half done, done twice, or no refusal but a fault of the database.
TOGETHER = (
    ("make role", "rename role"),
    ("rename role", "rename other role"),
    ("remove permission", "change permission"),
    ("remove permission", "remove permission"),
    ("take", "take"),
    ("take", "delete user"),
    ("take", "make no administrator"),
    ("delete role", "give user"),
    ("delete user", "give user"),
    ("give user", "delete user"),
    ("delete user", "make administrator"),
    ("make administrator", "delete user"),
    ("delete user", "link"),
    ("link", "delete user"),
    ("delete user", "sign in"),
    ("delete user", "change user"),
    ("sign in", "delete group"),
    ("delete group", "sign in"),
    ("delete group", "give group"),
    ("give group", "delete group"),
    ("rename group", "rename other group"),
    ("rename group", "delete group"),
)


def check(overlapped: Overlapped, pairs: Iterable[tuple[str, str]]) -> None:
    """Run them, and look at what all of them left."""
    for number, (first, second) in enumerate(pairs):
        overlapped.run(str(number), first, second)
        assert overlapped.left_behind() == [], (first, second)
        assert overlapped.told_twice() == [], (first, second)


def test_two_changes_at_once(overlapped: Overlapped) -> None:
    """Of two changes that touch the same person, group or role each is done or refused: nothing refers to what is gone,
    and the journal tells nothing twice.
    """
    check(overlapped, TOGETHER)


@pytest.mark.parametrize("second", ["rename other role", "make role"])
def test_of_two_who_take_a_role_s_name_one_is_refused(overlapped: Overlapped, second: str) -> None:
    """A name that another role is getting at this moment is taken, as it is a moment later."""
    assert overlapped.run("0", "rename role", second) == ["done", "AlreadyExists"]


@pytest.mark.slow
@pytest.mark.parametrize("first", ACTS)
def test_any_two_changes_at_once(overlapped: Overlapped, first: str) -> None:
    """The same of each change with every other."""
    check(overlapped, ((first, second) for second in ACTS))
