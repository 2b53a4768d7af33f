"""What can be allowed, on what, and by which roles: pure decisions.

A grant holds verbs on things of a kind whose name or lasting id fits a pattern. Of all grants that fit a target, one
that denies wins; without one that allows, nothing is allowed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from modelkeep.core.errors import InvalidInput
from modelkeep.core.sight import Seen, Sight

ANY = "*"
_BY_ID = "id:"
_WORKSPACE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class Verb(StrEnum):
    """What a role can let somebody do with a thing."""

    READ = "read"
    DOWNLOAD = "download"
    REGISTER = "register"
    EDIT = "edit"
    ALIAS = "alias"
    REQUEST = "request"
    APPROVE = "approve"
    DEPLOY = "deploy"
    DELETE = "delete"
    MANAGE = "manage"
    AUDIT = "audit"


class Kind(StrEnum):
    """What things can be allowed on. Runs and logged models belong to an experiment, versions to a model."""

    MODEL = "model"
    EXPERIMENT = "experiment"
    WORKSPACE = "workspace"
    SERVER = "server"


EVERY_VERB = frozenset(Verb)


@dataclass(frozen=True, slots=True)
class BuiltInRole:
    """A role that every registry has. Its id never changes."""

    id: int
    name: str
    verbs: frozenset[Verb]
    description: str


_READER = frozenset({Verb.READ, Verb.DOWNLOAD})
_CONTRIBUTOR = _READER | {Verb.REGISTER, Verb.EDIT, Verb.ALIAS, Verb.REQUEST}
BUILT_IN = (
    BuiltInRole(1, "viewer", _READER, "Sees everything and downloads files; changes nothing."),
    BuiltInRole(2, "contributor", _CONTRIBUTOR, "Logs runs, registers versions, sets aliases and asks for moves."),
    BuiltInRole(3, "reviewer", _READER | {Verb.APPROVE}, "Approves moves; changes nothing else."),
    BuiltInRole(
        4, "operator", _READER | {Verb.ALIAS, Verb.REQUEST, Verb.DEPLOY}, "Moves approved versions and deploys them."
    ),
    BuiltInRole(5, "auditor", _READER | {Verb.AUDIT}, "Reads everything, the log included; changes nothing."),
    BuiltInRole(
        6, "manager", EVERY_VERB - {Verb.AUDIT, Verb.APPROVE}, "Does everything with a thing, and says who else may."
    ),
    BuiltInRole(7, "administrator", EVERY_VERB, "Does everything."),
)
# Ids of roles that somebody makes come after these.
FIRST_OWN_ROLE = 100


class Effect(StrEnum):
    """What a grant does to what it fits."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Target:
    """What an operation is about. `alias` is the alias that would move; `id` is empty for what is yet to be made."""

    kind: Kind
    id: str
    name: str
    workspace: str
    alias: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.SERVER:
            return "the server"
        if self.kind is Kind.WORKSPACE:
            return f"workspace '{self.name}'"
        alias = f", alias '{self.alias}'" if self.alias else ""
        return f"{self.kind} '{self.name}'{alias} (workspace '{self.workspace}')"


SERVER = Target(Kind.SERVER, "", "", ANY)


def workspace_target(name: str) -> Target:
    """The workspace itself, as what its members, rules and log are governed on."""
    return Target(Kind.WORKSPACE, name, name, name)


def check_workspace_name(name: str, field: str = "name") -> None:
    """Refuse what cannot be the name of a workspace. Raises InvalidInput."""
    if not _WORKSPACE_NAME.fullmatch(name):
        raise InvalidInput(
            f"Invalid workspace name {name[:80]!r}: 1 to 63 lower-case letters, digits and dashes, "
            "beginning and ending with a letter or digit.",
            field,
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Verbs allowed or denied on things of a kind (or `*`) in a workspace (or `*`) that fit a pattern.

    A pattern is `*`, `prefix*` of names, or `id:` and a lasting id. `aliases` is `*`, `prefix*` or the one alias that
    ALIAS is limited to. `because` says in words where the grant comes from, `assignment` by whose id it can be taken.
    """

    effect: Effect
    verbs: frozenset[Verb]
    workspace: str = ANY
    kind: str = ANY
    pattern: str = ANY
    aliases: str = ANY
    because: str = ""
    assignment: int = 0

    def fits(self, target: Target) -> bool:
        """Whether the pattern covers this name and id. Kind and workspace are the index's to compare."""
        return pattern_fits(self.pattern, target.id, target.name)


def by_id(identity: str) -> str:
    """The pattern of one thing, whatever it is called later."""
    return _BY_ID + identity


def id_in(pattern: str) -> str | None:
    """The id that a pattern names, if it names one."""
    return pattern.removeprefix(_BY_ID) if pattern.startswith(_BY_ID) else None


def pattern_fits(pattern: str, identity: str, name: str) -> bool:
    """Whether a thing's id or name fits a pattern."""
    if pattern.startswith(_BY_ID):
        return bool(identity) and pattern == _BY_ID + identity
    return pattern.endswith(ANY) and name.startswith(pattern[:-1])


def narrowed(pattern: str, by: str, *, denies: bool) -> str | None:
    """The pattern of what fits both; None where nothing can.

    An id and a beginning of names have no pattern in common that lasts: what allows then fits nothing, what denies
    fits the id.
    """
    if pattern in (ANY, by):
        return by
    if by == ANY:
        return pattern
    ids = [one for one in (pattern, by) if one.startswith(_BY_ID)]
    if len(ids) == 1 and denies:
        return ids[0]
    if not ids and pattern.endswith(ANY) and by.startswith(pattern[:-1]):
        return by
    if not ids and by.endswith(ANY) and pattern.startswith(by[:-1]):
        return pattern
    return None


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a token leaves of its owner's rights; None leaves all."""

    workspaces: frozenset[str] | None = None
    verbs: frozenset[Verb] | None = None

    def leaves(self, verb: Verb, workspace: str) -> bool:
        """Whether the token lets this through."""
        if self.verbs is not None and verb not in self.verbs:
            return False
        return self.workspaces is None or workspace in self.workspaces


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, and why: in words, and the grant that decided, or None where none allows it."""

    allowed: bool
    because: str
    grant: Grant | None = None


class _Shelf:
    """The grants of one effect on one kind in one workspace, by what they fit: ids, or beginnings of names."""

    __slots__ = ("all", "by_id", "by_name", "lengths")

    def __init__(self) -> None:
        self.all: list[Grant] = []
        self.by_id: dict[str, list[Grant]] = {}
        self.by_name: dict[str, list[Grant]] = {}
        self.lengths: set[int] = set()

    @property
    def grants(self) -> Iterable[Grant]:
        yield from self.all
        for grants in (*self.by_name.values(), *self.by_id.values()):
            yield from grants

    def add(self, grant: Grant) -> None:
        if grant.pattern == ANY:
            self.all.append(grant)
        elif (identity := id_in(grant.pattern)) is not None:
            self.by_id.setdefault(identity, []).append(grant)
        else:
            beginning = grant.pattern.removesuffix(ANY)
            self.by_name.setdefault(beginning, []).append(grant)
            self.lengths.add(len(beginning))

    def find(self, verb: Verb, target: Target) -> Grant | None:
        for grant in self.all:
            if verb in grant.verbs and _covers_alias(grant, target):
                return grant
        for grant in self.by_id.get(target.id, ()) if target.id else ():
            if verb in grant.verbs and _covers_alias(grant, target):
                return grant
        for length in self.lengths:
            for grant in self.by_name.get(target.name[:length], ()):
                if verb in grant.verbs and grant.fits(target) and _covers_alias(grant, target):
                    return grant
        return None


def _covers_alias(grant: Grant, target: Target) -> bool:
    if not target.alias or grant.aliases in (ANY, target.alias):
        return True
    return pattern_fits(grant.aliases, "", target.alias)


class Rights:
    """All that somebody may do: their grants, laid out so that a decision looks at few of them."""

    def __init__(self, grants: Iterable[Grant], narrowing: Narrowing = Narrowing()) -> None:
        self._narrowing = narrowing
        self._shelves: dict[tuple[Effect, str, str], _Shelf] = {}
        self._whole: dict[tuple[Verb, str], bool] = {}
        for grant in grants:
            self._shelves.setdefault((grant.effect, grant.workspace, grant.kind), _Shelf()).add(grant)

    def through(self, narrowing: Narrowing) -> "Rights":
        """The same, as far as a token lets it through."""
        rights = Rights((), narrowing)
        rights._shelves, rights._whole = self._shelves, self._whole
        return rights

    def decide(self, verb: Verb, target: Target) -> Decision:
        """Whether the verb is allowed on the target."""
        if not self._narrowing.leaves(verb, target.workspace):
            return Decision(False, "this token is not made for it")
        denied = self._find(Effect.DENY, verb, target)
        if denied is not None:
            return Decision(False, f"denied by {denied.because}", denied)
        allowed = self._find(Effect.ALLOW, verb, target)
        if allowed is None:
            return Decision(False, "no role allows it")
        return Decision(True, f"allowed by {allowed.because}", allowed)

    def allows_all(self, verb: Verb, workspace: str) -> bool:
        """Whether the verb is allowed on every model and experiment of a workspace, and on the workspace itself.

        False may also mean that it takes a look at each of them to tell.
        """
        if not self._narrowing.leaves(verb, workspace):
            return False
        known = self._whole.get((verb, workspace))
        if known is None:
            known = self._whole[verb, workspace] = self._holds_all(verb, workspace)
        return known

    def _holds_all(self, verb: Verb, workspace: str) -> bool:
        if self._limits(verb, workspace):
            return False
        shelves = (self._shelves.get((Effect.ALLOW, place, ANY)) for place in (workspace, ANY))
        return any(shelf and any(_is_plain(grant, verb) for grant in shelf.all) for shelf in shelves)

    def allows_any(self, verb: Verb, workspace: str) -> bool:
        """Whether the verb is allowed on anything in a workspace, as far as that can be told without looking."""
        return self._narrowing.leaves(verb, workspace) and any(
            effect is Effect.ALLOW and place in (workspace, ANY) and any(verb in grant.verbs for grant in shelf.grants)
            for (effect, place, _), shelf in self._shelves.items()
        )

    @property
    def grants(self) -> list[Grant]:
        """All that they are made of."""
        return [grant for shelf in self._shelves.values() for grant in shelf.grants]

    @property
    def workspaces(self) -> frozenset[str] | None:
        """The workspaces that anything is allowed in; None for all."""
        places = frozenset(place for effect, place, _ in self._shelves if effect is Effect.ALLOW)
        only = self._narrowing.workspaces
        if ANY in places:
            return only
        return places if only is None else places & only

    def sight(self, workspace: str) -> Sight | None:
        """What of a workspace may be known; None for all of it."""
        if self.allows_all(Verb.READ, workspace):
            return None
        if not self._narrowing.leaves(Verb.READ, workspace):
            return Sight()
        return Sight(self._seen(workspace, Kind.MODEL), self._seen(workspace, Kind.EXPERIMENT))

    def is_member(self, workspace: str) -> bool:
        """Whether anything at all is allowed there."""
        if self._narrowing.workspaces is not None and workspace not in self._narrowing.workspaces:
            return False
        return any(effect is Effect.ALLOW and place in (workspace, ANY) for effect, place, _ in self._shelves)

    def _find(self, effect: Effect, verb: Verb, target: Target) -> Grant | None:
        for place in (target.workspace, ANY) if target.workspace != ANY else (ANY,):
            for kind in (target.kind, ANY):
                shelf = self._shelves.get((effect, place, kind))
                found = shelf.find(verb, target) if shelf else None
                if found is not None:
                    return found
        return None

    def _limits(self, verb: Verb, workspace: str) -> bool:
        return any(
            effect is Effect.DENY and place in (workspace, ANY) and any(verb in grant.verbs for grant in shelf.grants)
            for (effect, place, _), shelf in self._shelves.items()
        )

    def _seen(self, workspace: str, kind: Kind) -> Seen:
        allowed = self._patterns(Effect.ALLOW, workspace, kind)
        denied = self._patterns(Effect.DENY, workspace, kind)
        if ANY in denied:
            return Seen()
        return Seen(ANY in allowed, _ids(allowed), _names(allowed), _ids(denied), _names(denied))

    def _patterns(self, effect: Effect, workspace: str, kind: Kind) -> set[str]:
        shelves = (self._shelves.get((effect, place, of)) for place in (workspace, ANY) for of in (kind, ANY))
        return {grant.pattern for shelf in shelves if shelf for grant in shelf.grants if Verb.READ in grant.verbs}


def _is_plain(grant: Grant, verb: Verb) -> bool:
    return verb in grant.verbs and (verb is not Verb.ALIAS or grant.aliases == ANY)


def _ids(patterns: Iterable[str]) -> frozenset[str]:
    return frozenset(identity for pattern in patterns if (identity := id_in(pattern)) is not None)


def _names(patterns: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(one.removesuffix(ANY) for one in patterns if id_in(one) is None and one != ANY))


OPEN = Rights([Grant(Effect.ALLOW, EVERY_VERB, because="nobody having to sign in (--auth none)")])
NOTHING = Rights([])
