"""Who may do what on a thing and why: what explains a decision, and what an access review looks at."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from modelkeep.access.grants import store
from modelkeep.access.grants.rights import rights_of, rights_of_caller, who_may, workspace_principal
from modelkeep.access.rules import ANY, SERVER, Decision, Grant, Target, Verb, by_id
from modelkeep.db import Tx


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and who can change it where it is a refusal."""

    decision: Decision
    who_can_grant: list[str]


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who may do something on a thing: the verbs, and by what each is allowed."""

    id: str
    name: str
    kind: str
    verbs: Mapping[Verb, str]


def explain(tx: Tx, user_id: str, verb: Verb, target: Target) -> Explanation:
    """Whether somebody may do this, why, and who could let them."""
    decision = rights_of(tx, user_id).decide(verb, target)
    return Explanation(decision, [] if decision.allowed else who_may(tx, Verb.MANAGE, target))


def grants_of(tx: Tx, user_id: str) -> list[Grant]:
    """All that somebody was given that counts now, themselves, through groups or by sharing; as far as the caller may
    know: who does not look after the server is told of others only what counts in the workspace at hand.
    """
    grants = sorted(rights_of(tx, user_id).grants, key=lambda one: (one.workspace, one.assignment, one.kind))
    if user_id == tx.actor.id or may(tx, verb_to_review(tx, SERVER), SERVER):
        return grants
    return [grant for grant in grants if grant.workspace in (tx.workspace, ANY)]


def review(tx: Tx, target: Target, after: str, most: int) -> list[Holder]:
    """Those who may do anything on a thing, by name, behind this one."""
    found: list[Holder] = []
    for row in store.holders_in(tx, json.dumps([target.workspace, ANY, *_shared_with(tx, target)])):
        if row.name > after and len(found) < most:
            rights = rights_of(tx, row.id)
            decisions = {verb: rights.decide(verb, target) for verb in Verb}
            verbs = {verb: one.because for verb, one in decisions.items() if one.allowed}
            if verbs:
                found.append(Holder(row.id, row.name, row.kind, verbs))
    return found


def verb_to_review(tx: Tx, target: Target) -> Verb:
    """What a look at the rights of others on a thing asks for: MANAGE of whoever has it, otherwise AUDIT."""
    return Verb.MANAGE if may(tx, Verb.MANAGE, target) else Verb.AUDIT


def place_to_manage(tx: Tx, target: Target) -> Target:
    """Where giving and taking rights on a thing is decided: on the thing itself, or on the server for who manages that,
    so that nobody can be locked out of a workspace by those who manage it.
    """
    return SERVER if may(tx, Verb.MANAGE, SERVER) else target


def may(tx: Tx, verb: Verb, target: Target) -> bool:
    """Whether the caller may do this, for a use case that has to ask about more than its request is about."""
    return rights_of_caller(tx).decide(verb, target).allowed


def _shared_with(tx: Tx, target: Target) -> list[str]:
    prefix = workspace_principal("")
    rows = store.assignments_on(tx, target.workspace, target.kind, by_id(target.id)) if target.id else []
    return [str(row.principal).removeprefix(prefix) for row in rows if row.principal.startswith(prefix)]
