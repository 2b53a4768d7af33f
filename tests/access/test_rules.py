"""Decisions: what grants allow, deny and show, whatever they are and in whichever order they come."""

from hypothesis import given
from hypothesis import strategies as st

from modelkeep.access.rules import (
    ANY,
    BUILT_IN,
    EVERY_VERB,
    NOTHING,
    OPEN,
    SERVER,
    Effect,
    Grant,
    Kind,
    Narrowing,
    Rights,
    Target,
    Verb,
    by_id,
    narrowed,
    pattern_fits,
    workspace_target,
)

ALLOW, DENY = Effect.ALLOW, Effect.DENY
READ = frozenset({Verb.READ})
CLF = Target(Kind.MODEL, "m1", "clf", "team")
BUILT_IN_VERBS = {role.name: role.verbs for role in BUILT_IN}

IDS, NAMES, PLACES = ("1", "2", "3"), ("clf", "clf-old", "fraud", ""), ("team", "other")
PATTERNS = st.sampled_from([ANY, "clf*", "clf-*", "f*", *map(by_id, IDS)])
VERBS = st.sampled_from([READ, frozenset({Verb.READ, Verb.EDIT}), frozenset({Verb.ALIAS}), EVERY_VERB])
GRANTS = st.builds(
    Grant,
    st.sampled_from(Effect),
    VERBS,
    st.sampled_from([ANY, *PLACES]),
    st.sampled_from([ANY, Kind.MODEL, Kind.EXPERIMENT, Kind.WORKSPACE]),
    PATTERNS,
    st.sampled_from([ANY, "champion", "dev-*"]),
)
SEVERAL = st.lists(GRANTS, max_size=6)
THINGS = st.builds(
    Target,
    st.sampled_from([Kind.MODEL, Kind.EXPERIMENT]),
    st.sampled_from(IDS),
    st.sampled_from(NAMES[:3]),
    st.sampled_from(PLACES),
    st.sampled_from(["", "champion", "dev-1"]),
)


def allow(verbs: frozenset[Verb] = READ, workspace: str = "team", **more: str) -> Grant:
    return Grant(ALLOW, verbs, workspace, **more)


def deny(verbs: frozenset[Verb] = READ, workspace: str = "team", **more: str) -> Grant:
    return Grant(DENY, verbs, workspace, **more)


def may(rights: Rights, verb: Verb, target: Target) -> bool:
    return rights.decide(verb, target).allowed


def plainly(grants: list[Grant], verb: Verb, target: Target) -> bool:
    """The decision, as somebody would make it who reads all grants one after the other."""

    def covers(grant: Grant) -> bool:
        return (
            verb in grant.verbs
            and grant.workspace in (ANY, target.workspace)
            and grant.kind in (ANY, target.kind)
            and pattern_fits(grant.pattern, target.id, target.name)
            and (not target.alias or grant.aliases == target.alias or pattern_fits(grant.aliases, "", target.alias))
        )

    effects = {grant.effect for grant in grants if covers(grant)}
    return effects == {ALLOW}


def test_without_a_grant_nothing_is_allowed() -> None:
    """Who was given nothing may do nothing, and the decision says that no role allows it."""
    decision = NOTHING.decide(Verb.READ, CLF)

    assert not decision.allowed
    assert decision.because == "no role allows it"
    assert decision.grant is None


def test_a_decision_names_the_grant_that_made_it() -> None:
    """What is allowed or denied is so by a grant, in words and as itself."""
    granted = allow(because="role 'viewer'", pattern="clf*")
    denied = deny(because="role 'x'", pattern=by_id("m1"))

    assert Rights([granted]).decide(Verb.READ, CLF).grant is granted
    assert Rights([granted]).decide(Verb.READ, CLF).because == "allowed by role 'viewer'"
    assert Rights([granted, denied]).decide(Verb.READ, CLF).grant is denied
    assert Rights([granted, denied]).decide(Verb.READ, CLF).because == "denied by role 'x'"


def test_a_denial_wins_wherever_it_comes_from() -> None:
    """One grant that denies beats any that allow: wider or narrower, earlier or later, for all workspaces or one."""
    wide = [allow(EVERY_VERB, ANY), allow(EVERY_VERB), allow(EVERY_VERB, pattern=by_id("m1"))]
    for denial in (deny(), deny(workspace=ANY), deny(pattern=by_id("m1")), deny(kind=Kind.MODEL, pattern="c*")):
        assert not may(Rights([*wide, denial]), Verb.READ, CLF)
        assert not may(Rights([denial, *wide]), Verb.READ, CLF)
        assert may(Rights([*wide, denial]), Verb.EDIT, CLF)


def test_workspaces_and_kinds_are_apart() -> None:
    """What is allowed in one workspace, or on one kind of thing, is allowed nowhere else and on nothing else."""
    rights = Rights([allow(kind=Kind.MODEL)])

    assert may(rights, Verb.READ, CLF)
    assert not may(rights, Verb.READ, Target(Kind.MODEL, "m1", "clf", "other"))
    assert not may(rights, Verb.READ, Target(Kind.EXPERIMENT, "m1", "clf", "team"))
    assert not may(rights, Verb.READ, workspace_target("team"))
    assert not may(rights, Verb.READ, SERVER)
    assert not may(Rights([allow(EVERY_VERB)]), Verb.MANAGE, SERVER)


def test_a_pattern_of_ids_outlasts_names() -> None:
    """What is given by id stays with the thing under any name, and goes to no other thing that takes the name."""
    rights = Rights([allow(pattern=by_id("m1"))])

    assert may(rights, Verb.READ, Target(Kind.MODEL, "m1", "renamed", "team"))
    assert not may(rights, Verb.READ, Target(Kind.MODEL, "m2", "clf", "team"))
    assert not may(rights, Verb.READ, Target(Kind.MODEL, "", "id:m1", "team"))


def test_what_does_not_exist_yet_is_met_by_names_only() -> None:
    """To make a thing somebody needs a grant on all, or on its name: no grant by id can mean it."""
    new = Target(Kind.MODEL, "", "clf-2", "team")

    assert may(Rights([allow(pattern="clf*")]), Verb.READ, new)
    assert not may(Rights([allow(pattern="id:")]), Verb.READ, new)
    assert not may(Rights([allow(pattern="clf")]), Verb.READ, new)


def test_aliases_are_limited_by_pattern() -> None:
    """A grant of ALIAS for some aliases moves those; without an alias in question, it is a grant like any other."""
    rights = Rights([allow(frozenset({Verb.ALIAS}), aliases="dev-*"), allow(frozenset({Verb.ALIAS}), aliases="blue")])

    def moves(alias: str) -> bool:
        return may(rights, Verb.ALIAS, Target(Kind.MODEL, "m1", "clf", "team", alias))

    assert moves("dev-1")
    assert moves("blue")
    assert not moves("champion")
    assert not moves("blue-2")
    assert not rights.allows_all(Verb.ALIAS, "team")
    assert rights.allows_any(Verb.ALIAS, "team")


def test_a_denied_alias_stays_where_it_is() -> None:
    """Who may move all aliases but is denied one moves every other."""
    rights = Rights([allow(frozenset({Verb.ALIAS})), deny(frozenset({Verb.ALIAS}), aliases="champion")])

    assert may(rights, Verb.ALIAS, Target(Kind.MODEL, "m1", "clf", "team", "dev"))
    assert not may(rights, Verb.ALIAS, Target(Kind.MODEL, "m1", "clf", "team", "champion"))


def test_a_token_leaves_less() -> None:
    """Through a token that is limited to workspaces and verbs, only those of its owner's rights are there."""
    owner = Rights([allow(EVERY_VERB, ANY)])
    reader = owner.through(Narrowing(frozenset({"team"}), READ))

    assert may(reader, Verb.READ, CLF)
    assert not may(reader, Verb.EDIT, CLF)
    assert not may(reader, Verb.READ, Target(Kind.MODEL, "m1", "clf", "other"))
    assert not may(reader, Verb.READ, SERVER)
    assert reader.workspaces == {"team"}
    assert reader.is_member("team")
    assert not reader.is_member("other")
    assert may(owner, Verb.EDIT, CLF)
    assert owner.workspaces is None


def test_a_token_adds_nothing() -> None:
    """A token made for more than its owner may do lets through no more than that."""
    rights = Rights([allow()]).through(Narrowing(frozenset({"team", "other"}), EVERY_VERB))

    assert not may(rights, Verb.EDIT, CLF)
    assert not rights.is_member("other")
    assert rights.workspaces == {"team"}


def test_the_built_in_roles_hold_what_they_say() -> None:
    """Viewers and auditors change nothing, only auditors and administrators read the log, managers do not approve."""
    changing = EVERY_VERB - {Verb.READ, Verb.DOWNLOAD, Verb.AUDIT}

    assert not BUILT_IN_VERBS["viewer"] & changing
    assert not BUILT_IN_VERBS["auditor"] & changing
    assert {name for name, verbs in BUILT_IN_VERBS.items() if Verb.AUDIT in verbs} == {"auditor", "administrator"}
    assert {name for name, verbs in BUILT_IN_VERBS.items() if Verb.APPROVE in verbs} == {"reviewer", "administrator"}
    assert {name for name, verbs in BUILT_IN_VERBS.items() if Verb.DEPLOY in verbs} == {
        "operator",
        "manager",
        "administrator",
    }
    assert {name for name, verbs in BUILT_IN_VERBS.items() if Verb.MANAGE in verbs} == {"manager", "administrator"}
    assert [role.id for role in BUILT_IN] == [1, 2, 3, 4, 5, 6, 7]
    assert all(Verb.READ in verbs for verbs in BUILT_IN_VERBS.values())


def test_the_open_door_allows_everything() -> None:
    """Where nobody has to sign in, everything is allowed everywhere, the server included."""
    assert all(may(OPEN, verb, target) for verb in Verb for target in (CLF, SERVER, workspace_target("x")))
    assert OPEN.sight("team") is None
    assert OPEN.workspaces is None


@given(SEVERAL, st.sampled_from(Verb), THINGS)
def test_decisions_are_those_of_the_plain_rule(grants: list[Grant], verb: Verb, target: Target) -> None:
    """However grants are laid out, a decision is the one that reading all of them gives."""
    assert may(Rights(grants), verb, target) == plainly(grants, verb, target)


@given(SEVERAL, THINGS)
def test_what_is_seen_is_what_may_be_read(grants: list[Grant], target: Target) -> None:
    """A search shows a model or experiment exactly if a request for it is let through."""
    rights = Rights(grants)
    sight = rights.sight(target.workspace)
    seen = sight and (sight.models if target.kind is Kind.MODEL else sight.experiments)
    plain = Target(target.kind, target.id, target.name, target.workspace)

    assert (seen is None or seen.shows(target.id, target.name)) == may(rights, Verb.READ, plain)


@given(SEVERAL, THINGS, st.none() | st.frozensets(st.sampled_from(PLACES)), st.none() | st.frozensets(VERBS))
def test_a_limited_token_sees_what_it_may_read(
    grants: list[Grant],
    target: Target,
    places: frozenset[str] | None,
    verbs: frozenset[frozenset[Verb]] | None,
) -> None:
    """Through a token as well, a search shows what a request would be let through to, and no more than its owner's."""
    left = None if verbs is None else frozenset[Verb]().union(*verbs)
    owner = Rights(grants)
    rights = owner.through(Narrowing(places, left))
    sight = rights.sight(target.workspace)
    seen = sight and (sight.models if target.kind is Kind.MODEL else sight.experiments)
    plain = Target(target.kind, target.id, target.name, target.workspace)

    assert (seen is None or seen.shows(target.id, target.name)) == may(rights, Verb.READ, plain)
    assert may(owner, Verb.READ, plain) or not may(rights, Verb.READ, plain)


@given(SEVERAL, st.sampled_from(Verb), st.sampled_from(PLACES), THINGS)
def test_what_is_allowed_on_all_is_allowed_on_each(
    grants: list[Grant], verb: Verb, workspace: str, thing: Target
) -> None:
    """Where all is said to be allowed in a workspace, no request there is refused, nor for the workspace itself."""
    rights = Rights(grants)
    target = Target(thing.kind, thing.id, thing.name, workspace, thing.alias)

    if rights.allows_all(verb, workspace):
        assert may(rights, verb, target)
        assert may(rights, verb, workspace_target(workspace))
        assert rights.allows_any(verb, workspace)


@given(SEVERAL, st.sampled_from(Verb), THINGS)
def test_what_is_allowed_on_something_is_allowed_on_any(grants: list[Grant], verb: Verb, target: Target) -> None:
    """Where nothing is said to be allowed in a workspace, every request there is refused, and nobody is a member."""
    rights = Rights(grants)

    if may(rights, verb, target):
        assert rights.allows_any(verb, target.workspace)
        assert rights.is_member(target.workspace)
        assert rights.workspaces is None or target.workspace in rights.workspaces


@given(SEVERAL, GRANTS, st.sampled_from(Verb), THINGS)
def test_a_denial_never_allows(grants: list[Grant], further: Grant, verb: Verb, target: Target) -> None:
    """With one more denial nothing is allowed that was not, and with one more permission nothing is refused by it."""
    before = may(Rights(grants), verb, target)
    after = may(Rights([*grants, further]), verb, target)

    assert before or not after if further.effect is DENY else after or not before


@given(PATTERNS, PATTERNS, st.booleans(), st.sampled_from(IDS), st.sampled_from(NAMES))
def test_a_narrowed_pattern_fits_what_both_fit(one: str, other: str, denies: bool, identity: str, name: str) -> None:
    """A role's permission on part of what it was given for allows nothing beyond both, and denies all of both."""
    both = pattern_fits(one, identity, name) and pattern_fits(other, identity, name)
    pattern = narrowed(one, other, denies=denies)
    fits = pattern is not None and pattern_fits(pattern, identity, name)

    assert (fits or not both) if denies else (both or not fits)
