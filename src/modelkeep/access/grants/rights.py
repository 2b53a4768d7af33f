"""What somebody may do now: their assignments, those of their groups, and what is shared with their workspaces."""

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from modelkeep.access.grants import store
from modelkeep.access.rules import ANY, BUILT_IN, OPEN, Effect, Grant, Narrowing, Rights, Target, Verb, narrowed
from modelkeep.core.types import Actor
from modelkeep.db import Tx

_BUILT_IN = {role.id: role for role in BUILT_IN}
_ALL = sys.maxsize


def user_principal(user_id: str) -> str:
    """How an assignment names a person or service."""
    return f"user/{user_id}"


def group_principal(group_id: str) -> str:
    """How an assignment names a group."""
    return f"group/{group_id}"


def workspace_principal(name: str) -> str:
    """How an assignment names all who may read in a workspace: what is shared with it."""
    return f"workspace/{name}"


def rights_of(tx: Tx, user_id: str) -> Rights:
    """All that a person or service may do at this moment."""
    names = {user_principal(user_id): ""}
    for group in store.groups_of(tx, user_id):
        names[group_principal(group.id)] = f" of group '{group.name}'"
    grants = _grants(tx, names)
    homes = {grant.workspace for grant in grants if grant.effect is Effect.ALLOW and grant.workspace != ANY}
    if not homes:
        return Rights(grants)
    return Rights([*grants, *_grants(tx, {workspace_principal(home): f" shared with '{home}'" for home in homes})])


def as_narrowed(rights: Rights, actor: Actor) -> Rights:
    """What the token that somebody uses leaves of their rights."""
    if not actor.is_narrowed:
        return rights
    verbs = None if actor.verbs is None else frozenset(Verb(verb) for verb in actor.verbs)
    return rights.through(Narrowing(actor.workspaces, verbs))


def rights_of_caller(tx: Tx) -> Rights:
    """All that the caller may do, for a use case that has to ask about more than its request is about."""
    return OPEN if tx.actor.is_anonymous else as_narrowed(rights_of(tx, tx.actor.id), tx.actor)


def who_may(tx: Tx, verb: Verb, target: Target, most: int = _ALL) -> list[str]:
    """The names of those who may do this to the target, so many at most. Only who holds a role with the verb is asked:
    each refusal names them, and a workspace may have thousands of others.
    """
    built_in = json.dumps([role.id for role in BUILT_IN if verb in role.verbs])
    holders = store.holders_of_verb(tx, json.dumps([target.workspace, ANY]), verb, built_in)
    able = (holder.name for holder in holders if rights_of(tx, holder.id).decide(verb, target).allowed)
    return list(islice(able, most))


def _grants(tx: Tx, names: dict[str, str]) -> list[Grant]:
    rows = store.held_by(tx, json.dumps(list(names)))
    return [grant for row in rows for grant in _of_row(row, names[row.principal])]


def _of_row(row: Any, whose: str) -> Iterable[Grant]:
    because = f"role '{row.role}'{whose}"
    if row.built_in:
        verbs = _BUILT_IN[row.role_id].verbs
        return [Grant(Effect(row.effect), verbs, row.workspace, row.kind, row.pattern, ANY, because, row.assignment)]
    if row.verbs is None or row.role_workspace not in ("", row.workspace, ANY):
        return []
    return _of_own_role(row, because)


def _of_own_role(row: Any, because: str) -> Sequence[Grant]:
    """A role's permission on what it was given for; given as a denial, a role denies what it would allow."""
    effect = Effect.DENY if Effect.DENY in (row.effect, row.own_effect) else Effect.ALLOW
    kind = narrowed(row.kind, row.own_kind, denies=False)
    pattern = narrowed(row.pattern, row.own_pattern, denies=effect is Effect.DENY)
    if kind is None or pattern is None:
        return []
    verbs = frozenset(Verb(verb) for verb in json.loads(row.verbs))
    return [Grant(effect, verbs, row.workspace, kind, pattern, row.aliases, because, row.assignment)]
