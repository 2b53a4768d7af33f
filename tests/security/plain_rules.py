"""The rules of access as a person would state them: lists of facts, and a decision that reads all of them."""

from dataclasses import dataclass, field

from modelkeep.access import BUILT_IN, EVERY_VERB, Verb

ANY = "*"
ADMINISTRATOR = "admin"


@dataclass(frozen=True)
class Thing:
    """What somebody may want to do something with."""

    kind: str
    id: str
    name: str
    workspace: str


SERVER = Thing("server", "", "", ANY)


@dataclass(frozen=True)
class Holding:
    """A role given to `user/NAME` or `group/NAME` on what fits."""

    principal: str
    role: str
    effect: str
    workspace: str
    kind: str
    pattern: str


@dataclass(frozen=True)
class Clause:
    """What a role that somebody made allows or denies."""

    effect: str
    verbs: frozenset[Verb]
    kind: str
    pattern: str


def fits(pattern: str, thing: Thing) -> bool:
    """Whether a pattern covers a thing."""
    if pattern.startswith("id:"):
        return thing.id != "" and pattern == f"id:{thing.id}"
    return thing.name.startswith(pattern.removesuffix("*"))


def both_fit(one: str, other: str, thing: Thing, *, denies: bool) -> bool:
    """Whether what was given and what the role is about both cover a thing.

    An id and the beginning of a name together allow nothing, and deny the id.
    """
    ids = [pattern for pattern in (one, other) if pattern.startswith("id:")]
    if len(ids) == 1 and ANY not in (one, other):
        return denies and fits(ids[0], thing)
    return fits(one, thing) and fits(other, thing)


@dataclass
class Rules:
    """All that counts: who is in which group, what roles say, who holds them, and what there is."""

    members: set[tuple[str, str]] = field(default_factory=set)
    roles: dict[str, list[Clause]] = field(default_factory=dict)
    holdings: dict[int, Holding] = field(default_factory=dict)
    things: list[Thing] = field(default_factory=list)

    def effects(self, user: str, verb: Verb, thing: Thing) -> set[str]:
        """What all that covers the thing says about the verb: allow, deny, both, nothing."""
        if user == ADMINISTRATOR:
            return {"allow"}
        groups = {f"group/{group}" for name, group in self.members if name == user}
        mine = [one for one in self.holdings.values() if one.principal in groups | {f"user/{user}"}]
        found = set()
        for one in mine:
            if one.workspace in (ANY, thing.workspace) and one.kind in (ANY, thing.kind):
                found |= self._said(one, verb, thing)
        return found

    def _said(self, one: Holding, verb: Verb, thing: Thing) -> set[str]:
        built_in = next((role for role in BUILT_IN if role.name == one.role), None)
        if built_in is not None:
            return {one.effect} if verb in built_in.verbs and fits(one.pattern, thing) else set()
        said = set()
        for clause in self.roles[one.role]:
            effect = "deny" if "deny" in (one.effect, clause.effect) else "allow"
            covers = both_fit(one.pattern, clause.pattern, thing, denies=effect == "deny")
            if verb in clause.verbs and clause.kind in (ANY, thing.kind) and covers:
                said.add(effect)
        return said

    def may(self, user: str, verb: Verb, thing: Thing) -> bool:
        """Whether somebody may: something allows it, and nothing denies it."""
        return self.effects(user, verb, thing) == {"allow"}

    def is_served(self, user: str, verb: Verb, thing: Thing) -> bool:
        """Whether a request goes through: also not to what somebody is denied to read."""
        if verb is Verb.MANAGE and self.may(user, verb, SERVER):
            return True
        return self.may(user, verb, thing) and "deny" not in self.effects(user, Verb.READ, thing)

    def forget_principal(self, principal: str) -> None:
        """Somebody or a group is no more."""
        self.holdings = {number: one for number, one in self.holdings.items() if one.principal != principal}

    def forget_role(self, role: str) -> None:
        """A role is no more."""
        del self.roles[role]
        self.holdings = {number: one for number, one in self.holdings.items() if one.role != role}


SOME_VERBS = (Verb.READ, Verb.EDIT, Verb.DELETE, Verb.REGISTER, Verb.MANAGE)
assert set(SOME_VERBS) <= EVERY_VERB
