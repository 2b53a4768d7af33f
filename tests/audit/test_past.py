"""What a thing was at a moment, read from the journal, is what was read of it at that moment."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from audit.journal import Journal
from modelkeep import audit, catalog, models, promotion, retention
from modelkeep.access import assignments, people, prepare_default_workspace, roles
from modelkeep.core.errors import DomainError, InvalidInput, NotFound
from modelkeep.core.types import SYSTEM
from modelkeep.db import Tx

NAMES = ("a", "b", "c")
ALIASES = ("champion", "next")
STAGES = ("None", "Staging", "Production", "Archived")
FAR = 4_000_000_000_000


class Walk:
    """Random changes, one each millisecond, and what was there after each."""

    def __init__(self, journal: Journal, seed: int) -> None:
        self.journal = journal
        self.random = random.Random(seed)
        self.now = 1_000_000
        self.seen: list[tuple[int, Any]] = []
        self.at(prepare_default_workspace)
        self.at(roles.prepare_roles)

    def at(self, work: Callable[[Tx], Any]) -> Any:
        """Run a change at the next moment."""
        self.now += 1

        def timed(tx: Tx) -> Any:
            tx.now = self.now
            return work(tx)

        return self.journal.database.write_now(SYSTEM, timed)

    def step(self) -> None:
        """One change, refused or not, and a look at everything."""
        try:
            self.at(self._change())
        except DomainError:
            self.now += 1
        self.seen.append((self.now, self.journal.see(state)))

    def _change(self) -> Callable[[Tx], Any]:
        pick = self.random.choice
        name, number, alias = pick("aaabbc"), self.random.randint(1, 3), pick(ALIASES)
        changes: list[Callable[[Tx], Any]] = [
            *[lambda tx: models.create_model(tx, name, [("t", alias)], "new")] * 2,
            *[lambda tx: models.create_version(tx, models.NewVersion(name, "s3://elsewhere/m"))] * 4,
            *[lambda tx: promotion.set_alias(tx, name, alias, number)] * 4,
            lambda tx: promotion.delete_alias(tx, name, alias),
            lambda tx: promotion.move(tx, name, number, pick(STAGES)),
            lambda tx: promotion.move(tx, name, number, "Production", archive_existing=True),
            lambda tx: models.rename_model(tx, name, pick(NAMES)),
            lambda tx: models.retire_model(tx, name),
            *[lambda tx: models.restore_model(tx, name, pick((None, *NAMES)))] * 2,
            lambda tx: models.retire_version(tx, name, number),
            *[lambda tx: models.restore_version(tx, name, number)] * 2,
            lambda tx: models.describe_model(tx, name, pick(("x", "y"))),
            lambda tx: models.set_model_tag(tx, name, "t", pick(("1", "2"))),
            lambda tx: models.delete_model_tag(tx, name, "t"),
            lambda tx: retention.set_model_rule(tx, name, retention.Rule(keep_last=number)),
            lambda tx: retention.delete_model_rule(tx, name),
        ]
        return pick(changes)


def state(tx: Tx) -> dict[str, Any]:
    """Every model in use as readers see it now."""
    return {name: shown for name in NAMES if (shown := model_now(tx, name)) is not None}


def model_now(tx: Tx, name: str) -> dict[str, Any] | None:
    """A model in use: description, tags, rule, aliases, and the stages of its versions in use."""
    try:
        view = catalog.get_model(tx, name)
    except NotFound:
        return None
    return {
        "id": f"registered-model/{view.id}",
        "description": view.description,
        "tags": dict(view.tags),
        "aliases": dict(view.aliases),
        "stages": {one.version: one.stage for one in catalog.list_versions(tx, name, None, 100)},
        "rule": rule_now(tx, name),
    }


def rule_now(tx: Tx, name: str) -> int | None:
    """How many versions a model's own rule keeps."""
    try:
        return retention.model_rule(tx, name)[0].keep_last
    except NotFound:
        return None


def model_then(tx: Tx, name: str, at: int) -> dict[str, Any] | None:
    """The same, as the journal tells it of a moment."""
    try:
        past = audit.as_of(tx, f"model/{name}", at)
    except NotFound:
        return None
    if not past.exists:
        return None
    told = {(fact.what, fact.key): fact.value for fact in past.facts}
    rule = told["retention_rule", ""]
    return {
        "id": past.resource,
        "description": told["description", ""],
        "tags": {key: value for (what, key), value in told.items() if what == "tag"},
        "aliases": {key: value for (what, key), value in told.items() if what == "alias"},
        "stages": {int(key): value for (what, key), value in told.items() if what == "stage"},
        "rule": rule and rule["keep_last"],
    }


@pytest.mark.parametrize("seed", range(4))
def test_what_was_then_is_what_was_read_then(journal: Journal, seed: int) -> None:
    """After 150 random changes, each moment's models, aliases, stages, tags and rules are those read then."""
    walk = Walk(journal, seed)
    for _ in range(150):
        walk.step()
    assert len({str(seen) for _, seen in walk.seen}) > 20
    for at, seen in walk.seen:
        then = journal.see(lambda tx, at=at: {n: m for n in NAMES if (m := model_then(tx, n, at)) is not None})
        assert then == seen, at


@pytest.mark.parametrize("seed", range(2))
def test_an_alias_and_a_version_alone_say_the_same(journal: Journal, seed: int) -> None:
    """Asked for an alias or a version only, the journal tells of it what it tells of the whole model."""
    walk = Walk(journal, seed + 100)
    for _ in range(80):
        walk.step()
    for at, seen in walk.seen[::4]:
        for name, shown in seen.items():
            for alias in ALIASES:
                past = journal.see(audit.as_of, f"model/{name}/alias/{alias}", at)
                assert (past.exists, past.facts[0].value) == (alias in shown["aliases"], shown["aliases"].get(alias))
            for number, stage in shown["stages"].items():
                past = journal.see(audit.as_of, f"model/{name}/version/{number}", at)
                told = {(fact.what, fact.key): fact.value for fact in past.facts}
                assert (past.exists, told["stage", ""]) == (True, stage)
                pointing = {key for what, key in told if what == "alias"}
                assert pointing == {alias for alias, to in shown["aliases"].items() if to == number}


def test_the_entry_that_made_it_so_is_named(journal: Journal) -> None:
    """An alias's entry is that of its last change: by whom, in which request; its deletion is told too."""
    walk = Walk(journal, 0)
    walk.at(lambda tx: models.create_model(tx, "a"))
    walk.at(lambda tx: models.create_version(tx, models.NewVersion("a", "s3://elsewhere/m")))
    before = walk.now
    walk.at(lambda tx: promotion.set_alias(tx, "a", "champion", 1))
    walk.at(lambda tx: promotion.delete_alias(tx, "a", "champion"))
    fact = journal.see(audit.as_of, "model/a/alias/champion", walk.now - 1).facts[0]
    assert (fact.value, fact.by.kind, fact.by.actor, fact.by.at) == (
        1,
        "model_version_alias.set",
        "modelkeep",
        walk.now - 1,
    )
    gone = journal.see(audit.as_of, "model/a/alias/champion", walk.now).facts[0]
    assert (gone.value, gone.by.kind) == (None, "model_version_alias.deleted")
    never = journal.see(audit.as_of, "model/a/alias/champion", before).facts[0]
    assert (never.value, never.by) == (None, None)


def test_who_might_do_what_is_told_until_it_was_taken_back(journal: Journal) -> None:
    """A role is held from when it was given to when it was taken back, or ended."""
    walk = Walk(journal, 0)
    walk.at(lambda tx: people.make_user(tx, "ann"))
    walk.at(lambda tx: models.create_model(tx, "a"))
    wanted = assignments.NewAssignment("user/ann", "viewer", "default", "model", "a*", expires_at=FAR)
    given = walk.at(lambda tx: assignments.assign(tx, wanted))
    start = walk.now
    walk.at(lambda tx: assignments.unassign(tx, given.id))

    def held_on(resource: str, at: int) -> list[str]:
        past = journal.see(audit.as_of, resource, at)
        return [fact.value["role"] for fact in past.facts if fact.what == "role"]

    for resource in ("user/ann", "model/a", "workspace/default"):
        held = [held_on(resource, at) for at in (start - 1, start, walk.now)]
        assert held == [[], ["viewer"], []], resource


def test_a_role_ends_when_it_was_to_end(journal: Journal) -> None:
    """At the moment of its expiry a role is held no more, without any entry that says so."""
    walk = Walk(journal, 0)
    walk.at(lambda tx: people.make_user(tx, "ann"))
    wanted = assignments.NewAssignment("user/ann", "viewer", "default", expires_at=FAR)
    walk.at(lambda tx: assignments.assign(tx, wanted))
    assert [len(journal.see(audit.as_of, "user/ann", at).facts) for at in (FAR - 1, FAR)] == [1, 0]


@pytest.mark.parametrize("kind", ["user", "group"])
def test_people_and_groups_go_by_the_name_that_they_had(journal: Journal, kind: str) -> None:
    """A person or group is found by the name held at that moment, also once it is another's or its holder is gone; by
    the present name where nobody held it then, and then it is told whether they were there.
    """
    make, rename, delete = {
        "user": (people.make_user, _rename_user, lambda tx, name: people.delete_user(tx, people.get_user(tx, name))),
        "group": (people.make_group, people.rename_group, people.delete_group),
    }[kind]
    walk = Walk(journal, 0)
    before = walk.now
    walk.at(lambda tx: make(tx, "ann"))
    given = walk.at(lambda tx: assignments.assign(tx, assignments.NewAssignment(f"{kind}/ann", "viewer", "default")))
    first = walk.now
    walk.at(lambda tx: rename(tx, "ann", "anna"))
    walk.at(lambda tx: make(tx, "ann"))
    second = walk.now

    def past(name: str, at: int) -> tuple[str, bool, list[str]]:
        found = journal.see(audit.as_of, f"{kind}/{name}", at)
        return found.resource, found.exists, [fact.value["role"] for fact in found.facts]

    other = past("ann", second)[0]
    assert other != given.principal
    assert past("ann", second) == (other, True, [])
    for name, at in (("ann", first), ("anna", first), ("anna", second)):
        assert past(name, at) == (given.principal, True, ["viewer"]), (name, at)
    assert past("ann", before) == (other, False, [])
    walk.at(lambda tx: delete(tx, "anna"))
    assert past("anna", second) == (given.principal, True, ["viewer"])
    with pytest.raises(NotFound):
        past("anna", walk.now)


def _rename_user(tx: Tx, name: str, new_name: str) -> None:
    people.rename_user(tx, people.get_user(tx, name), new_name)


def test_settings_of_a_workspace_are_told(journal: Journal) -> None:
    """A workspace's rule and whether its downloads are entries, before and after each change."""
    walk = Walk(journal, 0)
    before = walk.now
    walk.at(lambda tx: retention.set_workspace_rule(tx, "default", retention.Rule(keep_days=30)))
    walk.at(lambda tx: audit.set_audits_downloads(tx, "default", audited=True))

    def told(at: int) -> tuple[Any, Any]:
        facts = {fact.what: fact.value for fact in journal.see(audit.as_of, "workspace/default", at).facts}
        return facts["retention_rule"], facts["audited_downloads"]

    rule = {"keep_last": None, "keep_days": 30, "automatic": False}
    assert [told(at) for at in (before, walk.now - 1, walk.now)] == [(None, None), (rule, None), (rule, True)]


def test_what_is_no_thing_is_refused(journal: Journal) -> None:
    """Resources of no kind are refused by name; names that nothing had then are not found."""
    walk = Walk(journal, 0)
    walk.at(lambda tx: models.create_model(tx, "a"))
    for bad in ("", "model", "model/", "thing/x", "a\x00b"):
        with pytest.raises(InvalidInput):
            journal.see(audit.as_of, bad, walk.now)
    for absent in ("model/b", "model/a/version/1", "model/a/version/x", "user/nobody", "group/none"):
        with pytest.raises(NotFound):
            journal.see(audit.as_of, absent, walk.now)
    with pytest.raises(NotFound):
        journal.see(audit.as_of, "model/a", walk.now - 1)
