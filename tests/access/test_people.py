"""People, services and groups: who there is, under which names, and what ends when somebody goes."""

from collections.abc import Callable
from typing import Any

import pytest

from access.registry import caller, facts, kinds
from modelkeep.access import people
from modelkeep.core.errors import AlreadyExists, Conflict, DomainError, InvalidInput, NotFound
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx


def do(registry: Database, work: Callable[[Tx], Any]) -> Any:
    """A use case of the server's own."""
    return registry.write_now(SYSTEM, work)


def made(registry: Database, name: str, **more: Any) -> Any:
    """A new person or service."""
    return do(registry, lambda tx: people.make_user(tx, name, **more))


@pytest.mark.parametrize("name", ["a", "0", "ann", "ann.smith@example.com", "build_bot-2", "a" * 64])
def test_a_name_may_be_an_email_address(registry: Database, name: str) -> None:
    """Lower-case ASCII letters, digits and . _ @ - make a name."""
    assert made(registry, name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "", "A", "Ann", "a" * 65, ".a", "-a", "@a", "_a", "a b", "a/b", "a\\b", "a\n", "a\x00", "ann\u0430", "\u0430nn",
        "ann\u200b", "\uff41nn", "a:b", "a,b", "a'b", "a*b", "modelkeep", "local",
    ],
)  # fmt: skip
def test_what_could_be_taken_for_another_is_no_name(registry: Database, name: str) -> None:
    """Names that look like another, that mean something in an address, or that are the server's own, are refused."""
    with pytest.raises(InvalidInput) as refused:
        made(registry, name)
    assert refused.value.field == "name"
    with pytest.raises(InvalidInput):
        do(registry, lambda tx: people.make_group(tx, name))


def test_a_name_is_given_once_until_it_is_free_again(registry: Database) -> None:
    """Two cannot have a name at once; after a deletion it is free, for somebody else with another id."""
    first = made(registry, "ann")
    with pytest.raises(AlreadyExists):
        made(registry, "ann")
    do(registry, lambda tx: people.delete_user(tx, first))
    second = made(registry, "ann")

    assert second.id != first.id
    assert do(registry, lambda tx: people.user(tx, first.id)).deleted_at is not None
    assert do(registry, lambda tx: people.find_user(tx, "ann")).id == second.id


def test_a_deletion_leaves_nothing_to_sign_in_by(registry: Database) -> None:
    """Who is deleted has no password and no groups, and every session is void."""
    ann = made(registry, "ann", password_hash="a hash")
    do(registry, lambda tx: people.make_group(tx, "team"))
    do(registry, lambda tx: people.add_member(tx, "team", ann))
    do(registry, lambda tx: people.delete_user(tx, ann))
    gone = do(registry, lambda tx: people.user(tx, ann.id))

    assert (gone.password_hash, gone.sessions_after > gone.created_at) == (None, True)
    assert do(registry, lambda tx: people.members_of(tx, "team", "", 10)) == []
    assert do(registry, lambda tx: people.is_enabled(tx, gone)) is False


@pytest.mark.parametrize("end", [people.disable_user, people.delete_user], ids=["disabled", "deleted"])
def test_a_service_stops_with_who_answers_for_it(registry: Database, end: Callable[[Tx, Any], None]) -> None:
    """A service whose owner is disabled or deleted may not sign in, until somebody else answers for it."""
    ann, ben = made(registry, "ann"), made(registry, "ben")
    bot = made(registry, "bot", kind=people.SERVICE, owner=ann)
    do(registry, lambda tx: end(tx, ann))
    assert do(registry, lambda tx: people.is_enabled(tx, bot)) is False

    bot = do(registry, lambda tx: people.change_user(tx, bot, display_name=None, owner=ben))
    assert do(registry, lambda tx: people.is_enabled(tx, bot)) is True


def test_only_people_answer_for_services(registry: Database) -> None:
    """A service needs an owner, who is a person; a person has none; and `admin` is the name of a person."""
    ann = made(registry, "ann")
    bot = made(registry, "bot", kind=people.SERVICE, owner=ann)
    for name, kind, owner in [
        ("x", people.SERVICE, None),
        ("x", people.SERVICE, bot),
        ("x", people.PERSON, ann),
        ("admin", people.SERVICE, ann),
    ]:
        with pytest.raises(InvalidInput):
            made(registry, name, kind=kind, owner=owner)
    with pytest.raises(Conflict):
        do(registry, lambda tx: people.set_password(tx, bot, "a hash"))


def test_nobody_locks_themselves_out(registry: Database) -> None:
    """One cannot disable or delete oneself."""
    ann = made(registry, "ann")
    for end in (people.disable_user, people.delete_user):
        with pytest.raises(Conflict):
            registry.write_now(caller(ann), lambda tx, end=end: end(tx, ann))


def test_every_change_is_told_once(registry: Database) -> None:
    """What changed is in the journal, with what was before; what did not change is not, and no password ever is."""
    ann = made(registry, "ann", display_name="Ann")
    for name in ("Ann S.", "Ann S."):
        do(registry, lambda tx, name=name: people.change_user(tx, people.user(tx, ann.id), display_name=name))
    for _ in range(2):
        do(registry, lambda tx: people.disable_user(tx, ann))
    for _ in range(2):
        do(registry, lambda tx: people.enable_user(tx, ann))
    do(registry, lambda tx: people.set_password(tx, ann, "canary-hash"))

    told = [fact for fact in facts(registry) if fact[1] == f"user/{ann.id}"]
    assert [kind for kind, _, _ in told] == [
        "user.made", "user.changed", "user.disabled", "user.enabled", "user.password_changed",
    ]  # fmt: skip
    assert told[1][2]["changed"] == {"display_name": "Ann S."}
    assert told[1][2]["before"] == {"display_name": "Ann"}
    assert "canary-hash" not in str(facts(registry))


def test_people_and_services_are_listed_by_name(registry: Database) -> None:
    """A page begins behind a name, holds one kind, and leaves out who was deleted."""
    for name in ("cid", "ann", "ben", "dan"):
        made(registry, name)
    made(registry, "bot", kind=people.SERVICE, owner=do(registry, lambda tx: people.find_user(tx, "ann")))
    do(registry, lambda tx: people.delete_user(tx, people.find_user(tx, "cid")))

    def names(kind: str, after: str, limit: int) -> list[str]:
        return [row.name for row in do(registry, lambda tx: people.list_users(tx, kind, after, limit))]

    assert names(people.PERSON, "", 2) == ["ann", "ben"]
    assert names(people.PERSON, "ben", 2) == ["dan"]
    assert names(people.SERVICE, "", 2) == ["bot"]


def test_groups_hold_people_and_services(registry: Database) -> None:
    """Somebody is put into a group once and taken out once, both told; a group knows its members by name."""
    ann = made(registry, "ann")
    bot = made(registry, "bot", kind=people.SERVICE, owner=ann)
    do(registry, lambda tx: people.make_group(tx, "team", "All of us"))
    for one in (bot, ann, ann):
        do(registry, lambda tx, one=one: people.add_member(tx, "team", one))
    assert [(m.name, m.kind, m.sources) for m in do(registry, lambda tx: people.members_of(tx, "team", "", 10))] == [
        ("ann", "person", ["local"]),
        ("bot", "service", ["local"]),
    ]
    assert [m.name for m in do(registry, lambda tx: people.members_of(tx, "team", "ann", 10))] == ["bot"]
    for _ in range(2):
        do(registry, lambda tx: people.remove_member(tx, "team", ann))
    assert kinds(registry).count("group.member_added") == 2
    assert kinds(registry).count("group.member_removed") == 1


def test_a_group_made_again_is_another(registry: Database) -> None:
    """A deleted group's members are not in a later one of its name, which has another id."""
    ann = made(registry, "ann")
    first = do(registry, lambda tx: people.make_group(tx, "team"))
    do(registry, lambda tx: people.add_member(tx, "team", ann))
    do(registry, lambda tx: people.delete_group(tx, "team"))
    second = do(registry, lambda tx: people.make_group(tx, "team"))

    assert second.id != first.id
    assert do(registry, lambda tx: people.groups_of(tx, ann.id)) == []
    assert do(registry, lambda tx: people.group(tx, first.id)) is None


def test_an_issuer_replaces_what_it_said_and_nothing_else(registry: Database) -> None:
    """Groups said by an issuer are those of the last sign-in; local ones and those of other issuers stay."""
    ann = made(registry, "ann")
    for name in ("a", "b", "c"):
        do(registry, lambda tx, name=name: people.make_group(tx, name))
    do(registry, lambda tx: people.add_member(tx, "a", ann))
    do(registry, lambda tx: people.set_groups_of(tx, ann.id, "https://one", ["a", "b", "unknown"]))
    do(registry, lambda tx: people.set_groups_of(tx, ann.id, "https://two", ["b"]))
    do(registry, lambda tx: people.set_groups_of(tx, ann.id, "https://one", ["c", "c"]))
    do(registry, lambda tx: people.set_groups_of(tx, ann.id, "https://one", ["c"]))

    said = [(row.name, row.source) for row in do(registry, lambda tx: people.groups_of(tx, ann.id))]
    assert said == [("a", "local"), ("b", "https://two"), ("c", "https://one")]
    assert kinds(registry).count("user.groups_replaced") == 3
    with pytest.raises(Conflict, match="https://one"):
        do(registry, lambda tx: people.remove_member(tx, "c", ann))


@pytest.mark.parametrize(
    "work",
    [
        lambda tx: people.get_user(tx, "nobody"),
        lambda tx: people.get_group(tx, "nothing"),
        lambda tx: people.describe_group(tx, "nothing", "x"),
        lambda tx: people.delete_group(tx, "nothing"),
        lambda tx: people.members_of(tx, "nothing", "", 1),
        lambda tx: people.set_groups_of(tx, "u-0", "x", []),
    ],
    ids=["user", "group", "describe", "delete", "members", "groups-of"],
)
def test_what_is_not_there_is_not_found(registry: Database, work: Callable[[Tx], Any]) -> None:
    """Every use case says so where there is no such person or group."""
    with pytest.raises(NotFound):
        do(registry, work)


@pytest.mark.parametrize("text", ["x" * 501, "a\x00b"])
def test_descriptions_are_short_texts(registry: Database, text: str) -> None:
    """What is said of people and groups has a limit and can be stored."""
    for work in (lambda tx: people.make_user(tx, "x", display_name=text), lambda tx: people.make_group(tx, "x", text)):
        with pytest.raises(DomainError):
            do(registry, work)
