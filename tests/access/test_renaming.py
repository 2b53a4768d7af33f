"""People, services and groups under other names: what stays with the id, and what ends with the old name."""

import asyncio
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest

from access.registry import facts, kinds
from access.test_identity import PASSWORD, basic, bearer, token_of
from modelkeep.access import HeaderIdentity, assignments, passwords, people, rights_of, roles
from modelkeep.core.errors import AlreadyExists, InvalidInput, NotFound, Unauthenticated
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx


def do(registry: Database, work: Callable[[Tx], Any]) -> Any:
    """A use case of the server's own."""
    return registry.write_now(SYSTEM, work)


@pytest.fixture(name="ann")
def _ann(registry: Database) -> Any:
    hashed = asyncio.run(passwords.hash_of(PASSWORD))
    return do(registry, lambda tx: people.make_user(tx, "ann", display_name="Ann", password_hash=hashed))


def give(tx: Tx, principal: str) -> None:
    """Give somebody a role."""
    roles.prepare_roles(tx)
    assignments.assign(tx, assignments.NewAssignment(principal, "viewer", "default"))


def test_all_that_somebody_has_stays_with_them(registry: Database, ann: Any) -> None:
    """Id, groups, roles, services, password and display name are the same under the new name; the old one is free."""
    do(registry, lambda tx: people.make_group(tx, "team"))
    do(registry, lambda tx: people.add_member(tx, "team", ann))
    do(registry, lambda tx: people.make_user(tx, "bot", people.SERVICE, owner=ann))
    do(registry, lambda tx: give(tx, "user/ann"))
    before = do(registry, lambda tx: rights_of(tx, ann.id).grants)

    renamed = do(registry, lambda tx: people.rename_user(tx, ann, "ann.smith"))
    assert renamed._asdict() == ann._asdict() | {"name": "ann.smith"}
    assert do(registry, lambda tx: rights_of(tx, ann.id).grants) == before
    assert [row.name for row in do(registry, lambda tx: people.groups_of(tx, ann.id))] == ["team"]
    assert [row.name for row in do(registry, lambda tx: people.services_of(tx, ann.id))] == ["bot"]
    assert do(registry, lambda tx: people.find_user(tx, "ann")) is None
    assert do(registry, lambda tx: people.make_user(tx, "ann")).id != ann.id


def test_a_group_keeps_its_members_and_roles(registry: Database, ann: Any) -> None:
    """Who is in a group and what it may do is the same under its new name; the old one is free."""
    group = do(registry, lambda tx: people.make_group(tx, "team", "All of us"))
    do(registry, lambda tx: people.add_member(tx, "team", ann))
    do(registry, lambda tx: give(tx, "group/team"))

    renamed = do(registry, lambda tx: people.rename_group(tx, "team", "crew"))
    assert renamed._asdict() == group._asdict() | {"name": "crew"}
    assert [one.name for one in do(registry, lambda tx: people.members_of(tx, "crew", "", 10))] == ["ann"]
    (grant,) = do(registry, lambda tx: rights_of(tx, ann.id).grants)
    assert grant.because == "role 'viewer' of group 'crew'"
    assert do(registry, lambda tx: people.make_group(tx, "team")).id != group.id


def test_a_new_name_is_told_once_with_the_old_one(registry: Database, ann: Any) -> None:
    """The journal has both names under the lasting id; the name that somebody has already changes nothing."""
    do(registry, lambda tx: people.make_group(tx, "team"))
    for _ in range(2):
        do(registry, lambda tx: people.rename_user(tx, people.user(tx, ann.id), "ann.smith"))
    do(registry, lambda tx: people.rename_group(tx, "team", "crew"))
    do(registry, lambda tx: people.rename_group(tx, "crew", "crew"))

    told = [(resource, data) for kind, resource, data in facts(registry) if kind == "user.renamed"]
    assert told == [(f"user/{ann.id}", {"user_id": ann.id, "name": "ann.smith", "old_name": "ann"})]
    (group,) = [data for kind, _, data in facts(registry) if kind == "group.renamed"]
    assert (group["name"], group["old_name"]) == ("crew", "team")


def test_what_cannot_be_a_name_is_refused(registry: Database, ann: Any) -> None:
    """A name that is taken, is none, or is kept for others is refused with the field, and nothing changes."""
    bot = do(registry, lambda tx: people.make_user(tx, "bot", people.SERVICE, owner=ann))
    for name in ("team", "crew"):
        do(registry, lambda tx, name=name: people.make_group(tx, name))
    for work, error in (
        (lambda tx: people.rename_user(tx, ann, "bot"), AlreadyExists),
        (lambda tx: people.rename_user(tx, ann, "Ann"), InvalidInput),
        (lambda tx: people.rename_user(tx, ann, "modelkeep"), InvalidInput),
        (lambda tx: people.rename_user(tx, bot, "admin"), InvalidInput),
        (lambda tx: people.rename_group(tx, "team", "crew"), AlreadyExists),
        (lambda tx: people.rename_group(tx, "team", ""), InvalidInput),
    ):
        with pytest.raises(error) as refused:
            do(registry, work)
        assert refused.value.field == "new_name"
    with pytest.raises(NotFound):
        do(registry, lambda tx: people.rename_group(tx, "nothing", "something"))
    assert "renamed" not in str(kinds(registry))


def test_who_was_deleted_gets_no_name(registry: Database, ann: Any) -> None:
    """Somebody who was deleted meanwhile is not there to be renamed."""
    do(registry, lambda tx: people.delete_user(tx, ann))
    with pytest.raises(NotFound):
        do(registry, lambda tx: people.rename_user(tx, ann, "ann.smith"))


def test_the_old_name_signs_nobody_in(registry: Database, ann: Any) -> None:
    """Once renamed, name and password are the new name's alone, also where the old ones were good a moment ago; a token
    speaks under the new name.
    """
    identity, token = HeaderIdentity(registry), token_of(registry, ann)
    assert (basic(identity, "ann", PASSWORD).name, bearer(identity, token).name) == ("ann", "ann")
    do(registry, lambda tx: people.rename_user(tx, ann, "ann.smith"))
    identity.forget()

    with pytest.raises(Unauthenticated):
        basic(identity, "ann", PASSWORD)
    renamed = basic(identity, "ann.smith", PASSWORD)
    assert (renamed.name, renamed.id) == ("ann.smith", ann.id)
    assert bearer(identity, token).name == "ann.smith"


@pytest.mark.parametrize("what", ["users", "groups"])
def test_one_of_many_gets_a_name(registry: Database, what: str) -> None:
    """Where eight are to be called the same at once, one is, and the others are refused as for a name that is taken."""
    for number in range(8):
        name = f"n{number}"
        do(registry, lambda tx, name=name: people.make_user(tx, name))
        do(registry, lambda tx, name=name: people.make_group(tx, name))
    together, outcomes = Barrier(8), []

    def rename(name: str) -> None:
        def work(tx: Tx) -> Any:
            if what == "groups":
                return people.rename_group(tx, name, "one")
            return people.rename_user(tx, people.get_user(tx, name), "one")

        together.wait()
        try:
            outcomes.append(do(registry, work).name)
        except AlreadyExists:
            outcomes.append("taken")

    threads = [Thread(target=rename, args=(f"n{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["one", *["taken"] * 7]
