"""Somebody always administers the registry, whoever disables, deletes or takes out of a group, and however at once."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from access.registry import caller
from modelkeep.access import ANY, SERVER, Verb, assignments, people, rights_of
from modelkeep.access.administrator import administrator
from modelkeep.core.errors import Conflict, DomainError
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx

HOUR = 3_600_000


@pytest.fixture(autouse=True)
def admin(registry: Database) -> Any:
    """The first administrator."""
    return registry.write_now(SYSTEM, administrator)


def row(registry: Database, name: str) -> Any:
    return registry.read_now(SYSTEM, lambda tx: people.find_user(tx, name))


def give(registry: Database, principal: str, **more: Any) -> Any:
    new = assignments.NewAssignment(principal, "administrator", ANY, **more)
    return registry.write_now(SYSTEM, lambda tx: assignments.assign(tx, new))


def administers(registry: Database, name: str) -> bool:
    def look(tx: Tx) -> bool:
        user = people.find_user(tx, name)
        return people.is_enabled(tx, user) and rights_of(tx, user.id).decide(Verb.MANAGE, SERVER).allowed

    return registry.read_now(SYSTEM, look)


def test_a_service_cannot_lock_out_whom_it_depends_on(registry: Database, admin: Any) -> None:
    """A service that may do everything neither disables nor deletes the one administrator, who owns it."""
    registry.write_now(SYSTEM, lambda tx: people.make_user(tx, "robot", people.SERVICE, owner=admin))
    give(registry, "user/robot")
    robot = caller(row(registry, "robot"))

    for end in (people.disable_user, people.delete_user):
        with pytest.raises(Conflict, match="nobody who administers"):
            registry.write_now(robot, lambda tx, end=end: end(tx, admin))
    assert administers(registry, "admin")


def test_the_last_administrator_of_a_group_stays_in_it(registry: Database, admin: Any) -> None:
    """Who administers by a group alone is not taken out of it, nor is it deleted, while nobody else would be left."""

    def make(tx: Tx) -> None:
        people.make_group(tx, "owners")
        people.add_member(tx, "owners", people.make_user(tx, "ann"))

    registry.write_now(SYSTEM, make)
    give(registry, "group/owners")
    ann = caller(row(registry, "ann"))
    registry.write_now(ann, lambda tx: people.disable_user(tx, admin))

    ends: list[Callable[[Tx], None]] = [
        lambda tx: people.remove_member(tx, "owners", people.find_user(tx, "ann")),
        lambda tx: people.delete_group(tx, "owners"),
    ]
    for end in ends:
        with pytest.raises(Conflict, match="nobody who administers"):
            registry.write_now(ann, end)
    assert administers(registry, "ann")


def test_an_administrator_for_a_while_is_not_the_last(registry: Database, admin: Any) -> None:
    """Who administers until tomorrow does not count as one who is left: the day after there would be nobody."""
    registry.write_now(SYSTEM, lambda tx: people.make_user(tx, "ann"))
    soon = registry.read_now(SYSTEM, lambda tx: tx.now) + HOUR
    give(registry, "user/ann", expires_at=soon)
    ann = caller(row(registry, "ann"))

    with pytest.raises(Conflict, match="nobody who administers"):
        registry.write_now(ann, lambda tx: assignments.make_no_administrator(tx, admin.id))
    with pytest.raises(Conflict, match="nobody who administers"):
        registry.write_now(ann, lambda tx: people.disable_user(tx, admin))


def test_recovery_makes_an_administrator_for_good(registry: Database, admin: Any) -> None:
    """Who was an administrator for a while is made one without an end, however often it is asked for."""
    registry.write_now(SYSTEM, lambda tx: people.make_user(tx, "ann"))
    soon = registry.read_now(SYSTEM, lambda tx: tx.now) + HOUR
    give(registry, "user/ann", expires_at=soon)
    ann = row(registry, "ann")

    for _ in range(2):
        registry.write_now(SYSTEM, lambda tx: assignments.make_administrator(tx, ann.id))
        held = registry.read_now(SYSTEM, lambda tx: assignments.assignments_of(tx, f"user/{ann.id}"))
        assert [one.expires_at for one in held] == [None]


def test_two_administrators_do_not_end_each_other_at_once(registry: Database, admin: Any) -> None:
    """Of two administrators who disable each other at the same moment, one is left."""
    registry.write_now(SYSTEM, lambda tx: people.make_user(tx, "ann"))
    give(registry, "user/ann")
    both = [admin, row(registry, "ann")]
    for _ in range(8):
        start = threading.Barrier(2)

        def end(me: Any, other: Any, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                registry.write_now(caller(me), lambda tx: people.disable_user(tx, other))
            except DomainError:
                return

        threads = [threading.Thread(target=end, args=pair) for pair in (both, both[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(administers(registry, name) for name in ("admin", "ann")) == 1
        for one in both:
            registry.write_now(SYSTEM, lambda tx, one=one: people.enable_user(tx, one))
