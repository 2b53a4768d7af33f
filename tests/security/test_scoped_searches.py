"""Searches by somebody who may know of some things find what a registry holds that has only those (AZ-07, AZ-15)."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from access.registry import prepared
from modelkeep.access import Effect, Grant, Rights, Verb, create_workspace
from modelkeep.catalog import list_models
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.db import Database, Tx
from modelkeep.models import NewVersion, create_model, create_version
from modelkeep.runs import create_experiment, create_logged_model, create_run
from modelkeep.search import (
    OrderField,
    Page,
    ViewType,
    search_experiments,
    search_logged_models,
    search_models,
    search_runs,
    search_versions,
)

WORDS = ["fox", "Fox", "team-a", "team-b", "team_a", "100%", "über", "z"]
NAMES = sorted({f"{word}{number}" for word in WORDS for number in ("", "1", "2", "_x", "%")})
READ = frozenset({Verb.READ})


class Tag(NamedTuple):
    """A tag of an experiment."""

    key: str
    value: str


@dataclass(frozen=True)
class Scope:
    """A caller of the whole workspace, and the workspace that holds only what they may know of."""

    caller: Caller
    only: Caller
    experiments: dict[str, str]


def some_rights(chance: random.Random, ids: dict[str, str], kind: str, workspace: str) -> list[Grant]:
    """Grants of every shape on things of a kind, so that some are seen and some are not."""
    by_name = chance.sample(["team-*", "team_*", "f*", "F*", "1*", "über*", "100%*", "fox1*"], 2)
    by_id = [f"id:{ids[name]}" for name in chance.sample(sorted(ids), 4)]
    denied = [f"id:{ids[name]}" for name in chance.sample(sorted(ids), 3)] + chance.sample(
        ["team-a*", "z*", "fox_*"], 1
    )
    allowed = ["*"] if chance.random() < 0.3 else [*by_name, *by_id]
    return [Grant(Effect.ALLOW, READ, workspace, kind, pattern) for pattern in allowed] + [
        Grant(Effect.DENY, READ, workspace, kind, pattern) for pattern in denied
    ]


def named(chance: random.Random) -> dict[str, Any]:
    """What a thing is made with."""
    return {"tags": [("k", chance.choice(["a", "b", "%"]))]} if chance.random() < 0.7 else {}


def fill(tx: Tx, models: Sequence[str], experiments: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Models with versions, and experiments with runs and logged models; their ids by name."""
    chance = random.Random(3)
    plan = {name: (named(chance), chance.randint(0, 3), named(chance), chance.randint(0, 3)) for name in NAMES}
    ids, numbers = {}, {}
    for name in NAMES:
        about_model, versions, about_experiment, runs = plan[name]
        if name in models:
            ids[name] = create_model(tx, name, description=None, **about_model)
            for number in range(versions):
                create_version(tx, NewVersion(name, f"s3://bucket/{number}", **about_model))
        if name in experiments:
            numbers[name] = str(
                create_experiment(tx, name, tags=[Tag(*tag) for tag in about_experiment.get("tags", ())])
            )
            for number in range(runs):
                create_run(tx, numbers[name], name=f"{name}/{number}", start_time=number, user_id="ann")
                create_logged_model(tx, numbers[name], name=f"l-{abs(hash(number)) % 3}")
    return ids, numbers


def make_scope(database: Database, seed: int, ids: tuple[dict[str, str], dict[str, str]]) -> Scope:
    """Somebody with rights of their own, and a workspace of what they may know of."""
    chance = random.Random(seed)
    # Every workspace has the experiment 0.
    default = Grant(Effect.ALLOW, READ, "all", "experiment", "id:0")
    given = [*some_rights(chance, ids[0], "model", "all"), *some_rights(chance, ids[1], "experiment", "all"), default]
    rights = Rights(given)
    sight = rights.sight("all")
    assert sight is not None
    only = Caller(Actor("tester", "none"), f"only-{seed}")
    seen = [
        [name for name in NAMES if kind.shows(known[name], name)]
        for kind, known in ((sight.models, ids[0]), (sight.experiments, ids[1]))
    ]
    database.write_now(SYSTEM, lambda tx: create_workspace(tx, only.workspace, None))
    numbers = database.write_now(only, lambda tx: fill(tx, *seen))[1]
    return Scope(Caller(Actor("tester", "none"), "all", sight=sight), only, numbers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, dict[str, str], list[Scope]]]:
    """A full workspace and callers who each see a part of it."""
    with prepared(f"sqlite:///{tmp_path_factory.mktemp('scoped') / 'modelkeep.db'}") as database:
        database.write_now(SYSTEM, lambda tx: create_workspace(tx, "all", None))
        everything = Caller(Actor("tester", "none"), "all")
        ids = database.write_now(everything, lambda tx: fill(tx, NAMES, NAMES))
        yield database, ids[1], [make_scope(database, seed, ids) for seed in range(6)]


def texts(chance: random.Random) -> str:
    """A word or pattern of the language."""
    return chance.choice([*NAMES, "%", "f%", "%1", "team_a%", "TEAM%", "%\\%", "_", ""]).replace("'", "''")


def a_filter(chance: random.Random, keys: Sequence[str]) -> str | None:
    """A random filter."""
    if chance.random() < 0.3:
        return None
    terms = [
        f"{chance.choice(keys)} {chance.choice(['=', '!=', 'LIKE', 'ILIKE'])} '{texts(chance)}'"
        for _ in range(chance.randint(1, 3))
    ]
    joined = f" {chance.choice(['AND', 'OR'])} ".join(terms)
    return f"NOT ({joined})" if chance.random() < 0.3 else joined


def an_order(chance: random.Random, keys: Sequence[str]) -> list[str]:
    """A random order."""
    return [
        f"{key} {chance.choice(['ASC', 'DESC'])}" for key in chance.sample(list(keys), chance.randint(0, len(keys)))
    ]


Ask = Callable[[Tx, list[str], str | None], Page[Any]]


def a_search(chance: random.Random) -> tuple[Ask, Callable[[Any], str]]:
    """A random search, as a function of the experiments and the page token; and what of a row tells which it is."""
    most = chance.choice([1, 2, 3, 7, 50])
    which = chance.randrange(5)
    if which == 0:
        text, order = a_filter(chance, ["name", "tags.k"]), an_order(chance, ["name"])
        return lambda tx, _, token: search_models(tx, text, most, order, token), lambda row: row.name
    if which == 1:
        text = a_filter(chance, ["name"])
        order = [f"name {chance.choice(['ASC', 'DESC'])}", "version_number DESC"]
        return lambda tx, _, token: search_versions(
            tx, text, most, order, token
        ), lambda row: f"{row.name}/{row.version}"
    if which == 2:
        text, order = a_filter(chance, ["name", "tags.k"]), [f"name {chance.choice(['ASC', 'DESC'])}"]
        view = ViewType.ACTIVE_ONLY
        return lambda tx, _, token: search_experiments(tx, text, view, most, order, token), lambda row: row.name
    if which == 3:
        text = a_filter(chance, ["attributes.run_name", "attributes.user_id"])
        order = [f"attributes.run_name {chance.choice(['ASC', 'DESC'])}"]
        view = ViewType.ACTIVE_ONLY
        return lambda tx, ids, token: search_runs(tx, ids, text, view, most, order, token), lambda row: row.name
    text = a_filter(chance, ["name"])
    by_name = [OrderField("name", True)]
    return lambda tx, ids, token: search_logged_models(tx, ids, text, (), most, by_name, token), lambda row: row.name


def answers(
    database: Database, caller: Caller, ask: Ask, ids: list[str], tell: Callable[[Any], str]
) -> list[list[str]]:
    """All pages of a search; what a page holds is what its rows are called."""
    pages, token = [], None
    while True:
        page = database.read_now(caller, lambda tx, token=token: ask(tx, ids, token))
        pages.append([tell(row) for row in page.items])
        token = page.next_page_token
        if not token:
            return pages


def check(world: tuple[Database, dict[str, str], list[Scope]], seed: int) -> int:
    """One random search by one of the callers, beside the same in the registry that holds only what they may see; how
    many pages were asked for.
    """
    database, all_experiments, scopes = world
    chance = random.Random(seed)
    scope = chance.choice(scopes)
    ask, tell = a_search(chance)
    names = chance.sample(NAMES, chance.randint(1, len(NAMES)))
    everywhere = [all_experiments[name] for name in names]
    here = [scope.experiments[name] for name in names if name in scope.experiments] or ["987654321"]
    found = answers(database, scope.caller, ask, everywhere, tell)
    assert found == answers(database, scope.only, ask, here, tell), seed
    return len(found)


def test_AZ_07_two_thousand_scoped_searches_find_what_a_registry_of_only_the_visible_does(
    world: tuple[Database, dict[str, str], list[Scope]],
) -> None:
    """Rows, order, page sizes and the number of pages are those of a registry that holds nothing else."""
    seed, asked = 0, 0
    while asked < 2_000:
        asked += check(world, seed)
        seed += 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_AZ_07_a_hundred_thousand_scoped_searches(world: tuple[Database, dict[str, str], list[Scope]]) -> None:
    """The same for fifty times as many."""
    seed, asked = 10_000, 0
    while asked < 100_000:
        asked += check(world, seed)
        seed += 1


def test_AZ_07_lists_show_what_a_registry_of_only_the_visible_does(
    world: tuple[Database, dict[str, str], list[Scope]],
) -> None:
    """The list of models has full pages of visible models only."""
    database, _, scopes = world
    for scope in scopes:
        for most in (1, 3, 100):
            found = database.read_now(
                scope.caller, lambda tx, most=most: [one.name for one in list_models(tx, "", most)]
            )
            only = database.read_now(scope.only, lambda tx, most=most: [one.name for one in list_models(tx, "", most)])
            assert found == only


def test_AZ_07_experiments_of_other_workspaces_with_the_same_numbers_are_not_found(database_url: str) -> None:
    """An experiment is found once by its name, however many workspaces have experiments of that number and name."""
    with prepared(database_url) as database:
        for workspace in ("blue", "green", "red"):
            caller = Caller(Actor("tester", "none"), workspace)
            database.write_now(SYSTEM, lambda tx, name=workspace: create_workspace(tx, name, None))
            database.write_now(caller, lambda tx: create_experiment(tx, "same", tags=[Tag("k", "v")]))
        blue = Caller(Actor("tester", "none"), "blue")
        for text in (
            "name = 'same'",
            "name LIKE 's%'",
            "tags.k = 'v'",
            "name IN ('same', 'x')",
            "name = 'same' OR name = 'x'",
        ):
            for order in ([], ["name DESC"], ["creation_time ASC"]):
                page = database.read_now(
                    blue,
                    lambda tx, text=text, order=order: search_experiments(tx, text, ViewType.ACTIVE_ONLY, 9, order),
                )
                assert [one.name for one in page.items] == ["same"], (text, order)


@pytest.mark.parametrize("objects", [pytest.param(4_000), pytest.param(100_000, marks=pytest.mark.slow)])
def test_AZ_15_thousands_of_grants_are_no_limit_of_a_search(database_url: str, objects: int) -> None:
    """With 3,400 grants of every shape a search of many models answers with those seen, and with no error of SQL."""
    tester = Actor("tester", "none")
    with prepared(database_url) as database:
        known = database.write_now(
            Caller(tester), lambda tx: {f"m{at:06}": create_model(tx, f"m{at:06}") for at in range(objects)}
        )
        names = sorted(known)
        patterns = [f"id:{known[name]}" for name in names[:2_000]] + [f"m{at:06}*" for at in range(2_000, 3_000)]
        denied = [f"id:{known[name]}" for name in names[:200]] + [f"m{at:06}*" for at in range(200, 400)]
        grants = [Grant(Effect.ALLOW, READ, "default", "model", pattern) for pattern in patterns]
        grants += [Grant(Effect.DENY, READ, "default", "model", pattern) for pattern in denied]
        assert len(grants) == 3_400
        caller = Caller(tester, sight=Rights(grants).sight("default"))
        found = database.read_now(caller, lambda tx: search_models(tx, None, 1_000))
        assert [one.name for one in found.items] == names[400:1_400]
        last = database.read_now(caller, lambda tx: search_models(tx, "name LIKE 'm00%'", 1_000, ["name DESC"]))
        assert [one.name for one in last.items] == names[2_000:3_000][::-1]
