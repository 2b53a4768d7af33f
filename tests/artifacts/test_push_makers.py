"""Whose a push is, on either database: the lasting id of who opened it, whatever they are called."""

from collections.abc import Iterator

import pytest
from sqlalchemy import bindparam, update

from access.registry import caller, prepared
from modelkeep import artifacts, tables
from modelkeep.access import people
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.db import Database, Prepared, Tx

OF_OLD = Prepared(
    update(tables.artifacts.pushes).values(created_by_id="").where(tables.artifacts.pushes.c.id == bindparam("push"))
)


@pytest.fixture
def registry(database_url: str) -> Iterator[Database]:
    """A prepared database."""
    with prepared(database_url) as database:
        yield database


def person(registry: Database, name: str) -> Caller:
    """Somebody new, who calls."""
    return caller(registry.write_now(SYSTEM, lambda tx: people.make_user(tx, name)))


def maker(registry: Database, push_id: str) -> str | None:
    """Whose a push is."""
    return registry.read_now(SYSTEM, lambda tx: artifacts.push_maker(tx, push_id))


def test_a_push_is_of_a_lasting_id(registry: Database) -> None:
    """What somebody opened stays theirs alone when they are deleted and somebody else gets their name."""
    first = person(registry, "ann")
    push = registry.write_now(first, artifacts.open_push)
    registry.write_now(SYSTEM, lambda tx: people.delete_user(tx, people.get_user(tx, "ann")))
    second = person(registry, "ann")
    assert maker(registry, push.id) == first.actor.id != second.actor.id


def test_a_push_of_nobody_signed_in_is_of_no_id(registry: Database) -> None:
    """What is opened while nobody has to sign in is of the empty id; a push that never was is nobody's."""
    push = registry.write_now(Caller(Actor("local", "none")), artifacts.open_push)
    assert (maker(registry, push.id), maker(registry, "0" * 32)) == ("", None)


def test_pushes_from_before_lasting_ids_are_adopted_by_name(registry: Database) -> None:
    """A push that has a name only is given to who has the id of that name; those with an id stay whose they are."""
    ann = person(registry, "ann")
    old, new = (registry.write_now(ann, artifacts.open_push) for _ in range(2))

    def adopt(tx: Tx) -> None:
        tx.run(OF_OLD, push=old.id)
        artifacts.adopt_pushes(tx, {"ann": "u-other", "ben": "u-ben"})

    registry.write_now(SYSTEM, adopt)
    assert (maker(registry, old.id), maker(registry, new.id)) == ("u-other", ann.actor.id)
