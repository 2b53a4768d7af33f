"""Whatever happens to roles, groups, people and names, nobody may more than the plain rules say (AZ-14)."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelkeep.access import Kind, Target, Verb, people, rights_of, roles, tokens
from modelkeep.bootstrap import build
from modelkeep.config import Settings
from modelkeep.core.types import DEFAULT_WORKSPACE, SYSTEM, Caller
from modelkeep.db import Tx
from modelkeep.models import create_model, rename_model, retire_model
from modelkeep.runs import create_experiment, rename_experiment
from security.governed import Governed, Wire
from security.plain_rules import ADMINISTRATOR, ANY, SERVER, SOME_VERBS, Clause, Holding, Rules, Thing

USERS = ("ann", "bob", "cid", "dot")
GROUPS = ("team", "staff")
ROLES = ("own", "other")
BUILT_IN = ("viewer", "contributor", "manager", "auditor", "administrator")
WORKSPACES = (DEFAULT_WORKSPACE, "red")
NAMES = ("fox", "fox-old", "owl", "o")
PATTERNS = (ANY, "fox*", "fox-*", "o*")
VERBS = (["read"], ["read", "edit"], ["edit", "register"], ["read", "manage"], ["delete"])
EFFECTS = ("allow", "allow", "deny")
TAG = {"key": "k", "value": "v"}
# What is asked of a thing in each step: the verb that it takes, and the request.
Probe = Callable[[Thing], tuple[str, str, dict[str, Any] | None]]
PROBES: dict[str, list[tuple[Verb, Probe]]] = {
    "model": [
        (Verb.READ, lambda one: ("GET", f"/api/v1/models/{one.name}", None)),
        (Verb.EDIT, lambda one: ("POST", "registered-models/set-tag", {"name": one.name, **TAG})),
        (Verb.DELETE, lambda one: ("DELETE", "registered-models/delete", {"name": one.name})),
    ],
    "experiment": [
        (Verb.READ, lambda one: ("GET", f"experiments/get?experiment_id={one.id}", None)),
        (
            Verb.EDIT,
            lambda one: ("POST", "experiments/set-experiment-tag", {"experiment_id": one.id, "key": "k", "value": "v"}),
        ),
        (Verb.DELETE, lambda one: ("POST", "experiments/delete", {"experiment_id": one.id})),
    ],
}


class Walk:
    """A registry, the plain rules beside it, and steps that change both alike."""

    def __init__(self, registry: Governed, seed: int) -> None:
        self.registry = registry
        self.chance = random.Random(seed)
        self.rules = Rules()
        self.tokens: dict[str, str] = {}
        # Of models that were retired.
        self.names: dict[str, str] = {}
        self.refused = self.done = 0
        registry.native("POST", "workspaces", name="red")
        for name in USERS:
            self._make_user(name)
        for name in GROUPS:
            self._do(lambda tx, name=name: people.make_group(tx, name))
        # What is asked of things is answered and then undone; what is tried with roles and by administrators is kept.
        self.real = registry.app, registry.wire
        registry.wire = Wire(registry.app)
        registry.keep_nothing()
        self.asking = registry.wire
        registry.app, registry.wire = self.real

    def step(self) -> None:
        """One change or attempt, any."""
        steps = [self.give, self.give, self.give, self.take, self.make, self.rename, self.retire]
        steps += [self.join, self.leave, self.new_clause, self.drop_role, self.come_back, self.new_group]
        self.chance.choice(steps)()
        self.registry.app.forget_rights()

    def _do(self, work: Callable[[Tx], Any], workspace: str = DEFAULT_WORKSPACE) -> Any:
        return self.registry.app.database.write_now(Caller(SYSTEM.actor, workspace), work)

    def _make_user(self, name: str) -> None:
        def work(tx: Tx) -> str:
            return tokens.make_token_for(tx, people.make_user(tx, name), name="walk").text

        self.tokens[name] = self._do(work)

    def some_thing(self) -> Thing | None:
        """A model or experiment that is there."""
        return self.chance.choice(self.rules.things) if self.rules.things else None

    def give(self) -> None:
        """Somebody tries to give a role to somebody, on a thing or on what fits in a workspace."""
        by, thing = self.chance.choice([*USERS, ADMINISTRATOR, ADMINISTRATOR]), self.some_thing()
        principal = self.chance.choice([f"user/{name}" for name in USERS] + [f"group/{name}" for name in GROUPS])
        role, effect = (
            self.chance.choice([*BUILT_IN, *self.rules.roles]),
            self.chance.choice(EFFECTS),
        )
        fields: dict[str, Any] = {"principal": principal, "role": role, "effect": effect}
        if thing is not None and self.chance.random() < 0.5:
            held = Holding(principal, role, effect, thing.workspace, thing.kind, f"id:{thing.id}")
            target, workspace = thing, thing.workspace
            fields[thing.kind] = thing.name
        else:
            workspace = self.chance.choice([*WORKSPACES, *WORKSPACES, ANY])
            kind, pattern = self.chance.choice([ANY, "model", "experiment"]), self.chance.choice(PATTERNS)
            held = Holding(principal, role, effect, workspace, kind, pattern)
            target = SERVER if workspace == ANY else Thing("workspace", workspace, workspace, workspace)
            fields |= {"workspace": workspace, "kind": kind, "pattern": pattern}
        at = workspace if workspace in WORKSPACES else DEFAULT_WORKSPACE
        reply = self._as(by, "POST", "/api/v1/assignments", fields, at)
        self._decided(by, target, reply.status)
        if reply.status < 300:
            self.rules.holdings[reply.json["id"]] = held

    def take(self) -> None:
        """Somebody tries to take a role back."""
        if not self.rules.holdings:
            return
        by = self.chance.choice([*USERS, ADMINISTRATOR, ADMINISTRATOR])
        number, held = self.chance.choice(sorted(self.rules.holdings.items()))
        target = self._given_on(held)
        at = held.workspace if held.workspace in WORKSPACES else DEFAULT_WORKSPACE
        reply = self._as(by, "DELETE", f"/api/v1/assignments/{number}", None, at)
        self._decided(by, target, reply.status)
        if reply.status < 300:
            del self.rules.holdings[number]

    def _given_on(self, held: Holding) -> Thing:
        """What a role was given on: a thing, perhaps one that is no more, or all of a workspace or of the server."""
        if held.workspace == ANY:
            return SERVER
        if not held.pattern.startswith("id:") or held.kind == ANY:
            return Thing("workspace", held.workspace, held.workspace, held.workspace)
        identity = held.pattern.removeprefix("id:")
        known = {(one.kind, one.id, one.workspace): one for one in self.rules.things}
        gone = Thing(held.kind, identity, self.names.get(identity, ""), held.workspace)
        return known.get((held.kind, identity, held.workspace), gone)

    def _as(self, by: str, method: str, target: str, fields: Any, workspace: str) -> Any:
        token = self.registry.token if by == ADMINISTRATOR else self.tokens[by]
        return self.registry.send(method, target, fields, token=token, workspace=workspace)

    def _decided(self, by: str, target: Thing, status: int) -> None:
        allowed = self.rules.is_served(by, Verb.MANAGE, target)
        assert (status not in (403, 404)) == allowed, (by, target, status, self.rules.holdings)
        self.done, self.refused = self.done + allowed, self.refused + (not allowed)

    def make(self) -> None:
        """A new model or experiment, perhaps of a name that was another's before."""
        kind, name, workspace = (
            self.chance.choice(["model", "experiment"]),
            self.chance.choice(NAMES),
            self.chance.choice(WORKSPACES),
        )
        if not self._is_free(kind, name, workspace):
            return
        make = create_model if kind == "model" else create_experiment
        identity = str(self._do(lambda tx: make(tx, name), workspace))
        self.rules.things.append(Thing(kind, identity, name, workspace))

    def _is_free(self, kind: str, name: str, workspace: str) -> bool:
        return (kind, name, workspace) not in {(one.kind, one.name, one.workspace) for one in self.rules.things}

    def rename(self) -> None:
        """A thing gets another name."""
        one, name = self.some_thing(), self.chance.choice(NAMES)
        if one is None or not self._is_free(one.kind, name, one.workspace):
            return
        if one.kind == "model":
            self._do(lambda tx: rename_model(tx, one.name, name), one.workspace)
        else:
            self._do(lambda tx: rename_experiment(tx, one.id, name), one.workspace)
        self.rules.things[self.rules.things.index(one)] = Thing(one.kind, one.id, name, one.workspace)

    def retire(self) -> None:
        """A model is retired; what is made under its name later is another."""
        one = self.some_thing()
        if one is not None and one.kind == "model":
            self._do(lambda tx: retire_model(tx, one.name), one.workspace)
            self.rules.things.remove(one)
            self.names[one.id] = one.name

    def join(self) -> None:
        """Somebody comes into a group."""
        name, group = self.chance.choice(USERS), self.chance.choice(GROUPS)
        self._do(lambda tx: people.add_member(tx, group, people.get_user(tx, name)))
        self.rules.members.add((name, group))

    def leave(self) -> None:
        """Somebody leaves a group."""
        if self.rules.members:
            name, group = self.chance.choice(sorted(self.rules.members))
            self._do(lambda tx: people.remove_member(tx, group, people.get_user(tx, name)))
            self.rules.members.remove((name, group))

    def new_clause(self) -> None:
        """A role of the registry's own allows or denies something more; it is made if there is none of that name."""
        role, verbs = self.chance.choice(ROLES), self.chance.choice(VERBS)
        kind, pattern = self.chance.choice([ANY, "model"]), self.chance.choice(PATTERNS)
        effect = self.chance.choice(EFFECTS)
        if role not in self.rules.roles:
            self._do(lambda tx: roles.make_role(tx, role))
            self.rules.roles[role] = []
        new = roles.NewPermission(verbs, kind, pattern, effect)
        self._do(lambda tx: roles.add_permission(tx, roles.find_role(tx, role, ANY).id, new))
        self.rules.roles[role].append(Clause(effect, frozenset(map(Verb, verbs)), kind, pattern))

    def drop_role(self) -> None:
        """A role is forgotten, and with it whoever held it."""
        if self.rules.roles and self.chance.random() < 0.3:
            role = self.chance.choice(sorted(self.rules.roles))
            self._do(lambda tx: roles.delete_role(tx, roles.find_role(tx, role, ANY).id))
            self.rules.forget_role(role)

    def come_back(self) -> None:
        """Somebody is deleted, and another of the same name comes, who has nothing of theirs."""
        if self.chance.random() < 0.3:
            name = self.chance.choice(USERS)
            self._do(lambda tx: people.delete_user(tx, people.get_user(tx, name)))
            self._make_user(name)
            self.rules.forget_principal(f"user/{name}")
            self.rules.members = {one for one in self.rules.members if one[0] != name}

    def new_group(self) -> None:
        """A group is deleted, and another of the same name made."""
        if self.chance.random() < 0.3:
            group = self.chance.choice(GROUPS)
            self._do(lambda tx: people.delete_group(tx, group))
            self._do(lambda tx: people.make_group(tx, group))
            self.rules.forget_principal(f"group/{group}")
            self.rules.members = {one for one in self.rules.members if one[1] != group}

    def check_decisions(self) -> None:
        """Every caller, every thing, verbs of all sorts: decided as the plain rules do."""
        places = [Thing("workspace", name, name, name) for name in WORKSPACES]
        new = [Thing("model", "", name, workspace) for name in NAMES[:2] for workspace in WORKSPACES]

        def look(tx: Tx) -> None:
            for name in USERS:
                rights = rights_of(tx, people.get_user(tx, name).id)
                for thing in [*self.rules.things, *places, *new, SERVER]:
                    target = Target(Kind(thing.kind), thing.id, thing.name, thing.workspace)
                    for verb in SOME_VERBS:
                        found = rights.decide(verb, target).allowed
                        assert found == self.rules.may(name, verb, thing), (name, verb, thing, self.rules)

        self.registry.app.database.read_now(SYSTEM, look)

    def check_requests(self) -> None:
        """Some caller asks for something of some thing: it is let through, refused, or not there."""
        thing = self.some_thing()
        if thing is None:
            return
        who = self.chance.choice(USERS)
        verb, probe = self.chance.choice(PROBES[thing.kind])
        method, target, fields = probe(thing)
        self.registry.wire = self.asking
        address = target if target.startswith("/") else f"/api/2.0/mlflow/{target}"
        reply = self._as(who, method, address, fields, thing.workspace)
        self.registry.wire = self.real[1]
        served, seen = self.rules.is_served(who, verb, thing), self.rules.may(who, Verb.READ, thing)
        assert reply.status == (200 if served else 403 if seen else 404), (who, verb, thing, reply, self.rules)

    def check_sight(self) -> None:
        """Some caller searches for models: they find those that they may read."""
        who, workspace = self.chance.choice(USERS), self.chance.choice(WORKSPACES)
        reply = self._as(who, "GET", "/api/v1/models?limit=100", None, workspace)
        models = [one for one in self.rules.things if (one.kind, one.workspace) == ("model", workspace)]
        readable = sorted(one.name for one in models if self.rules.may(who, Verb.READ, one))
        found = sorted(one["name"] for one in reply.json["items"]) if reply.status == 200 else []
        assert found == readable, (who, workspace, reply, self.rules)


@pytest.fixture
def registry(database_url: str, tmp_path: Path) -> Iterator[Governed]:
    """An empty registry on each database."""
    app, token = build(Settings(data=tmp_path / "data", database=database_url, rate_limit=0))
    assert token is not None
    with Governed(app, Wire(app), token.text) as made:
        yield made


def walked(registry: Governed, seed: int, steps: int) -> Walk:
    """So many steps, each checked."""
    walk = Walk(registry, seed)
    for _ in range(steps):
        walk.step()
        walk.check_decisions()
        for _ in range(3):
            walk.check_requests()
        walk.check_sight()
    walk.asking.close()
    return walk


def test_AZ_14_on_a_random_walk_nobody_may_more_than_the_plain_rules(registry: Governed) -> None:
    """After each of 100 steps every decision, some requests and a search are as the plain rules have them."""
    walk = walked(registry, 14, 100)
    assert walk.done > 10
    assert walk.refused > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
def test_AZ_14_on_a_long_random_walk_nobody_may_more_than_the_plain_rules(registry: Governed, seed: int) -> None:
    """The same for ten thousand steps in all on both databases."""
    walk = walked(registry, 1_400 + seed, 1_250)
    assert walk.refused > 50
