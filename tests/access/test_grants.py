"""Roles and who holds them, on either database: what somebody may do follows from what was given, and to whom."""

from typing import Any

import pytest

from access.registry import caller, facts, kinds
from modelkeep.access import (
    ANY,
    BUILT_IN,
    SERVER,
    Kind,
    Rights,
    Target,
    Verb,
    assignments,
    by_id,
    people,
    review,
    rights_of,
    roles,
    sharing,
    who_may,
    workspace_target,
)
from modelkeep.access.administrator import administrator
from modelkeep.access.decision import Asked, Refused, permit
from modelkeep.access.service import create_workspace
from modelkeep.core.errors import AlreadyExists, Conflict, DomainError, InvalidInput, NotFound
from modelkeep.core.types import NOWHERE, SYSTEM, Caller
from modelkeep.db import Database, Tx

CLF = Target(Kind.MODEL, "m1", "clf", "team")
Registry = Database


@pytest.fixture(autouse=True)
def people_and_teams(registry: Registry) -> None:
    """An administrator, alice, bob, the group `ml`, and the workspaces `team` and `other`."""

    def make(tx: Tx) -> None:
        administrator(tx)
        for name in ("alice", "bob"):
            people.make_user(tx, name)
        people.make_group(tx, "ml")
        for name in ("team", "other"):
            create_workspace(tx, name, None)

    registry.write_now(SYSTEM, make)


def named(tx: Tx, name: str) -> Any:
    return people.find_user(tx, name)


def give(registry: Registry, principal: str, role: str, workspace: str = "team", **more: Any) -> Any:
    new = assignments.NewAssignment(principal, role, workspace, **more)
    return registry.write_now(SYSTEM, lambda tx: assignments.assign(tx, new))


def rights(registry: Registry, name: str) -> Rights:
    return registry.read_now(SYSTEM, lambda tx: rights_of(tx, named(tx, name).id))


def may(registry: Registry, name: str, verb: Verb, target: Target = CLF) -> bool:
    return rights(registry, name).decide(verb, target).allowed


def at_work(registry: Registry, name: str, workspace: str = "team") -> Caller:
    who = registry.read_now(SYSTEM, lambda tx: named(tx, name))
    return Caller(caller(who).actor, workspace)


def make_role(registry: Registry, name: str, *permissions: roles.NewPermission, workspace: str = "team") -> Any:
    def make(tx: Tx) -> Any:
        role = roles.make_role(tx, name, workspace)
        for permission in permissions:
            roles.add_permission(tx, role.id, permission)
        return role

    return registry.write_now(SYSTEM, make)


@pytest.mark.parametrize("role", BUILT_IN, ids=lambda role: role.name)
def test_a_built_in_role_allows_its_verbs_and_no_other(registry: Registry, role: Any) -> None:
    """Who holds a built-in role in a workspace may do there what the role says, and nothing elsewhere."""
    give(registry, "user/alice", role.name)
    elsewhere = Target(Kind.MODEL, "m1", "clf", "other")

    assert {verb for verb in Verb if may(registry, "alice", verb)} == role.verbs
    assert not any(may(registry, "alice", verb, elsewhere) for verb in Verb)
    assert not any(may(registry, "alice", verb, SERVER) for verb in Verb)
    assert not any(may(registry, "bob", verb) for verb in Verb)


def test_groups_pass_on_what_they_hold(registry: Registry) -> None:
    """Who is in a group may do what the group was given, as long as they are in it."""
    give(registry, "group/ml", "contributor")
    registry.write_now(SYSTEM, lambda tx: people.add_member(tx, "ml", named(tx, "alice")))

    decision = rights(registry, "alice").decide(Verb.EDIT, CLF)
    assert decision.because == "allowed by role 'contributor' of group 'ml'"

    registry.write_now(SYSTEM, lambda tx: people.remove_member(tx, "ml", named(tx, "alice")))
    assert not may(registry, "alice", Verb.EDIT)


def test_a_denial_beats_what_a_group_allows(registry: Registry) -> None:
    """Somebody who is denied a thing may not do it, whatever their groups hold."""
    registry.write_now(SYSTEM, lambda tx: people.add_member(tx, "ml", named(tx, "alice")))
    give(registry, "group/ml", "manager")
    give(registry, "user/alice", "administrator", kind="model", pattern=by_id("m1"), effect="deny")

    assert not may(registry, "alice", Verb.READ)
    assert may(registry, "alice", Verb.READ, Target(Kind.MODEL, "m2", "fraud", "team"))


def test_what_is_given_on_one_thing_is_not_given_on_others(registry: Registry) -> None:
    """A role on one model by its id, or on models by the beginning of their names, allows nothing on the rest."""
    give(registry, "user/alice", "viewer", kind="model", pattern=by_id("m1"))
    give(registry, "user/bob", "viewer", kind="model", pattern="cl*")

    assert may(registry, "alice", Verb.READ, Target(Kind.MODEL, "m1", "renamed", "team"))
    assert not may(registry, "bob", Verb.READ, Target(Kind.MODEL, "m1", "renamed", "team"))
    assert may(registry, "bob", Verb.READ)
    for name in ("alice", "bob"):
        assert not may(registry, name, Verb.READ, Target(Kind.MODEL, "m2", "fraud", "team"))
        assert not may(registry, name, Verb.READ, Target(Kind.EXPERIMENT, "m1", "clf", "team"))
        assert not may(registry, name, Verb.READ, workspace_target("team"))


def test_an_assignment_ends_when_it_was_said_to(registry: Registry) -> None:
    """What is given until a moment is allowed before and not from then on."""
    now = registry.read_now(SYSTEM, lambda tx: tx.now)
    give(registry, "user/alice", "viewer", expires_at=now + 60_000)
    give(registry, "user/bob", "viewer", expires_at=now + 60_000)
    assert may(registry, "alice", Verb.READ)

    def later(tx: Tx) -> bool:
        tx.now = now + 60_000
        return rights_of(tx, named(tx, "alice").id).decide(Verb.READ, CLF).allowed

    assert registry.read_now(SYSTEM, later) is False


def test_a_role_that_somebody_makes_allows_what_it_holds(registry: Registry) -> None:
    """A role's permissions allow and deny, each on its own things, in the workspace that the role was given in."""
    make_role(
        registry,
        "releaser",
        roles.NewPermission(["read"], kind="model"),
        roles.NewPermission(["alias"], kind="model", aliases="champ*"),
        roles.NewPermission(["read"], kind="model", pattern="secret*", effect="deny"),
    )
    give(registry, "user/alice", "releaser")

    assert may(registry, "alice", Verb.READ)
    assert may(registry, "alice", Verb.ALIAS, Target(Kind.MODEL, "m1", "clf", "team", "champion"))
    assert not may(registry, "alice", Verb.ALIAS, Target(Kind.MODEL, "m1", "clf", "team", "dev"))
    assert not may(registry, "alice", Verb.READ, Target(Kind.MODEL, "m3", "secret-1", "team"))
    assert not may(registry, "alice", Verb.READ, Target(Kind.EXPERIMENT, "1", "e", "team"))


def test_a_role_given_on_part_allows_that_part_only(registry: Registry) -> None:
    """A role's permission on more than it was given for is cut down to that."""
    make_role(registry, "reader", roles.NewPermission(["read"]))
    give(registry, "user/alice", "reader", kind="model", pattern="clf*")

    assert may(registry, "alice", Verb.READ)
    assert not may(registry, "alice", Verb.READ, Target(Kind.MODEL, "m2", "fraud", "team"))
    assert not may(registry, "alice", Verb.READ, Target(Kind.EXPERIMENT, "1", "clf", "team"))


def test_a_change_of_a_role_changes_what_its_holders_may_do(registry: Registry) -> None:
    """Permissions added, changed and removed, and the end of a role, count for whoever holds it."""
    role = make_role(registry, "mine", roles.NewPermission(["read"]))
    give(registry, "user/alice", "mine")
    first = registry.read_now(SYSTEM, lambda tx: roles.permissions_of_role(tx, role))[0]
    registry.write_now(SYSTEM, lambda tx: roles.change_permission(tx, first.id, ["edit"]))
    assert not may(registry, "alice", Verb.READ)
    assert may(registry, "alice", Verb.EDIT)

    registry.write_now(SYSTEM, lambda tx: roles.remove_permission(tx, first.id))
    assert not may(registry, "alice", Verb.EDIT)

    registry.write_now(SYSTEM, lambda tx: roles.delete_role(tx, role.id))
    assert registry.read_now(SYSTEM, lambda tx: assignments.assignments_of(tx, f"user/{named(tx, 'alice').id}")) == []


def test_a_role_of_a_workspace_is_known_there_only(registry: Registry) -> None:
    """A role made in one workspace cannot be given in another, and its name is free there."""
    make_role(registry, "mine")

    with pytest.raises(NotFound, match="No role has the name 'mine' here"):
        give(registry, "user/alice", "mine", "other")
    make_role(registry, "mine", workspace="other")
    assert give(registry, "user/alice", "mine", "other").role == "mine"


@pytest.mark.parametrize("change", ["rename", "delete", "permission"])
def test_built_in_roles_stay_what_they_are(registry: Registry, change: str) -> None:
    """A built-in role cannot be renamed, deleted or given more verbs."""
    changes = {
        "rename": lambda tx: roles.change_role(tx, 1, "reader"),
        "delete": lambda tx: roles.delete_role(tx, 1),
        "permission": lambda tx: roles.add_permission(tx, 1, roles.NewPermission(["edit"])),
    }

    with pytest.raises(Conflict, match="The role 'viewer' is built in"):
        registry.write_now(SYSTEM, changes[change])


def test_names_of_roles_are_taken_once(registry: Registry) -> None:
    """A name that a role of the workspace has, or a built-in one, is refused for a new role and for a renamed one."""
    make_role(registry, "mine")
    second = make_role(registry, "second")

    for refused in (
        lambda tx: roles.make_role(tx, "mine", "team"),
        lambda tx: roles.make_role(tx, "viewer", "team"),
        lambda tx: roles.change_role(tx, second.id, "mine"),
        lambda tx: roles.change_role(tx, second.id, "administrator"),
    ):
        with pytest.raises(AlreadyExists):
            registry.write_now(SYSTEM, refused)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"principal": "alice"}, "principal"),
    ({"principal": "user/nobody"}, "principal"),
    ({"principal": "group/nothing"}, ""),
    ({"role": "king"}, "role"),
    ({"workspace": "nowhere"}, "workspace"),
    ({"kind": "server"}, "kind"),
    ({"kind": "run"}, "kind"),
    ({"pattern": "clf"}, "pattern"),
    ({"pattern": "c*f*"}, "pattern"),
    ({"pattern": "id:"}, "pattern"),
    ({"pattern": "x" * 400 + "*"}, "pattern"),
    ({"effect": "maybe"}, "effect"),
    ({"expires_at": 1}, "expires_at"),
]


@pytest.mark.parametrize(("wrong", "field"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_what_cannot_be_given_is_refused_by_name(registry: Registry, wrong: dict[str, Any], field: str) -> None:
    """An assignment with a wrong part is refused, and the refusal names the part."""
    whole = {"principal": "user/alice", "role": "viewer", "workspace": "team"} | wrong

    with pytest.raises(DomainError) as refused:
        give(registry, **whole)
    assert refused.value.field == field


def test_the_same_given_twice_is_given_once(registry: Registry) -> None:
    """An assignment that stands is answered as it is; with another end it is a conflict, and told of once."""
    first = give(registry, "user/alice", "viewer")

    assert give(registry, "user/alice", "viewer").id == first.id
    assert kinds(registry).count("role.assigned") == 2  # the administrator's, and this
    now = registry.read_now(SYSTEM, lambda tx: tx.now)
    with pytest.raises(Conflict):
        give(registry, "user/alice", "viewer", expires_at=now + 60_000)


def test_no_id_of_an_assignment_is_given_twice(registry: Registry) -> None:
    """What was taken back leaves its id unused, so that the journal never means two by one."""
    first = give(registry, "user/alice", "viewer")
    registry.write_now(SYSTEM, lambda tx: assignments.unassign(tx, first.id))

    assert give(registry, "user/bob", "viewer").id > first.id
    with pytest.raises(NotFound):
        registry.write_now(SYSTEM, lambda tx: assignments.unassign(tx, first.id))


def test_the_journal_tells_who_was_given_what(registry: Registry) -> None:
    """Giving and taking back are told with principal, role, effect and place, by lasting ids and by names."""
    row = give(registry, "user/alice", "viewer", kind="model", pattern=by_id("m1"))
    registry.write_now(SYSTEM, lambda tx: assignments.unassign(tx, row.id))
    given, taken = facts(registry)[-2:]

    assert (given[0], taken[0]) == ("role.assigned", "role.unassigned")
    assert given[1] == taken[1] == row.principal
    assert given[2] == taken[2]
    told = given[2] | {"assignment_id": None}
    assert told == {
        "assignment_id": None,
        "principal": row.principal,
        "principal_name": "user/alice",
        "role": "viewer",
        "role_id": 1,
        "effect": "allow",
        "workspace": "team",
        "of_kind": "model",
        "pattern": "id:m1",
        "expires_at": None,
    }


def test_the_last_administrator_stays(registry: Registry) -> None:
    """Nobody can take back, deny or otherwise end what makes the last administrator one; with a second, they can."""
    row = registry.read_now(SYSTEM, lambda tx: assignments.assignments_of(tx, f"user/{named(tx, 'admin').id}"))[0]
    with pytest.raises(Conflict, match="nobody who administers"):
        registry.write_now(SYSTEM, lambda tx: assignments.unassign(tx, row.id))
    with pytest.raises(Conflict, match="nobody who administers"):
        give(registry, "user/admin", "administrator", ANY, effect="deny")
    assert may(registry, "admin", Verb.MANAGE, SERVER)

    registry.write_now(SYSTEM, lambda tx: assignments.make_administrator(tx, named(tx, "alice").id))
    registry.write_now(SYSTEM, lambda tx: assignments.unassign(tx, row.id))
    assert not may(registry, "admin", Verb.MANAGE, SERVER)


DENIALS: dict[str, Any] = {
    "added": lambda tx, role, _: roles.add_permission(tx, role, roles.NewPermission(["manage"], effect="deny")),
    "changed": lambda tx, _, permission: roles.change_permission(tx, permission, ["manage"], "deny"),
}


@pytest.mark.parametrize("whom", ["user/admin", "group/ml"])
@pytest.mark.parametrize("change", DENIALS.values(), ids=list(DENIALS))
def test_no_permission_of_a_role_denies_the_last_administrator(registry: Registry, change: Any, whom: str) -> None:
    """A role that the last administrator holds everywhere comes to deny nothing that makes them one."""
    registry.write_now(SYSTEM, lambda tx: people.add_member(tx, "ml", named(tx, "admin")))
    role = make_role(registry, "r", roles.NewPermission(["read"]), workspace="")
    (row,) = registry.read_now(SYSTEM, lambda tx: roles.permissions_of_role(tx, role))
    give(registry, whom, "r", ANY)
    with pytest.raises(Conflict, match="nobody who administers"):
        registry.write_now(SYSTEM, lambda tx: change(tx, role.id, row.id))
    assert may(registry, "admin", Verb.MANAGE, SERVER)
    registry.write_now(SYSTEM, lambda tx: assignments.make_administrator(tx, named(tx, "alice").id))
    registry.write_now(SYSTEM, lambda tx: change(tx, role.id, row.id))
    assert not may(registry, "admin", Verb.MANAGE, SERVER)


def test_no_role_given_as_a_denial_comes_to_deny_the_last_administrator(registry: Registry) -> None:
    """What is allowed by a role that is given to deny is denied, and not to the last administrator."""
    role = make_role(registry, "r", roles.NewPermission(["read"]), workspace="")
    give(registry, "user/admin", "r", ANY, effect="deny")
    with pytest.raises(Conflict, match="nobody who administers"):
        registry.write_now(SYSTEM, lambda tx: roles.add_permission(tx, role.id, roles.NewPermission(["manage"])))
    assert may(registry, "admin", Verb.MANAGE, SERVER)


def test_no_group_denies_the_last_administrator(registry: Registry) -> None:
    """The last administrator comes into no group that is denied what makes them one; another one does."""
    registry.write_now(SYSTEM, lambda tx: assignments.make_administrator(tx, named(tx, "alice").id))
    give(registry, "group/ml", "administrator", ANY, effect="deny")
    registry.write_now(SYSTEM, lambda tx: people.add_member(tx, "ml", named(tx, "alice")))
    with pytest.raises(Conflict, match="nobody who administers"):
        registry.write_now(SYSTEM, lambda tx: people.add_member(tx, "ml", named(tx, "admin")))
    assert may(registry, "admin", Verb.MANAGE, SERVER)


def test_an_administrator_who_cannot_sign_in_does_not_count(registry: Registry) -> None:
    """The last administrator who can sign in stays one, even if others are disabled or denied."""
    registry.write_now(SYSTEM, lambda tx: assignments.make_administrator(tx, named(tx, "alice").id))
    registry.write_now(SYSTEM, lambda tx: people.disable_user(tx, named(tx, "alice")))

    with pytest.raises(Conflict):
        registry.write_now(SYSTEM, lambda tx: assignments.make_no_administrator(tx, named(tx, "admin").id))


def test_who_is_deleted_keeps_nothing(registry: Registry) -> None:
    """With a person or a group goes what they were given; one that takes the name later has none of it."""
    give(registry, "user/alice", "manager")
    give(registry, "group/ml", "manager")
    registry.write_now(SYSTEM, lambda tx: people.add_member(tx, "ml", named(tx, "bob")))
    registry.write_now(SYSTEM, lambda tx: people.delete_user(tx, named(tx, "alice")))
    registry.write_now(SYSTEM, lambda tx: people.delete_group(tx, "ml"))
    registry.write_now(SYSTEM, lambda tx: people.make_user(tx, "alice"))

    assert not may(registry, "alice", Verb.READ)
    assert not may(registry, "bob", Verb.READ)
    assert registry.read_now(SYSTEM, lambda tx: assignments.page_of_assignments(tx, "team", "", 0, 0, 10)) == []
    assert kinds(registry).count("role.unassigned") == 2


def test_who_may_names_those_who_can(registry: Registry) -> None:
    """Those who may do something on a thing are named: by themselves or in groups, unless denied or disabled."""
    give(registry, "user/alice", "manager")
    give(registry, "group/ml", "manager")
    registry.write_now(SYSTEM, lambda tx: people.add_member(tx, "ml", named(tx, "bob")))
    assert registry.read_now(SYSTEM, lambda tx: who_may(tx, Verb.MANAGE, CLF)) == ["admin", "alice", "bob"]

    registry.write_now(SYSTEM, lambda tx: people.disable_user(tx, named(tx, "bob")))
    give(registry, "user/alice", "administrator", effect="deny")
    assert registry.read_now(SYSTEM, lambda tx: who_may(tx, Verb.MANAGE, CLF)) == ["admin"]


def share(registry: Registry, workspace: str = "other", after_ms: int = 60_000) -> Any:
    def run(tx: Tx) -> Any:
        return sharing.share(tx, Kind.MODEL, "m1", workspace, tx.now + after_ms)

    return registry.write_now(at_work(registry, "admin"), run)


def test_what_is_shared_can_be_read_by_the_other_workspace(registry: Registry) -> None:
    """Those who hold anything in a workspace may read and download what is shared with it, and nothing else there."""
    give(registry, "user/alice", "manager", "other")
    share(registry)
    alice = rights(registry, "alice")

    assert {verb for verb in Verb if alice.decide(verb, CLF).allowed} == {Verb.READ, Verb.DOWNLOAD}
    assert alice.decide(Verb.READ, CLF).because == "allowed by role 'viewer' shared with 'other'"
    assert not alice.decide(Verb.READ, Target(Kind.MODEL, "m2", "fraud", "team")).allowed
    assert not alice.decide(Verb.READ, workspace_target("team")).allowed
    assert not may(registry, "bob", Verb.READ)


def test_shares_end(registry: Registry) -> None:
    """A share is over when it was said to be, and when it is taken back."""
    give(registry, "user/alice", "viewer", "other")
    row = share(registry)

    def later(tx: Tx) -> bool:
        tx.now = row.expires_at
        return rights_of(tx, named(tx, "alice").id).decide(Verb.READ, CLF).allowed

    assert registry.read_now(SYSTEM, later) is False
    assert may(registry, "alice", Verb.READ)
    registry.write_now(at_work(registry, "admin"), lambda tx: sharing.end_share(tx, Kind.MODEL, "m1", row.id))
    assert not may(registry, "alice", Verb.READ)


def test_shares_are_not_passed_on(registry: Registry) -> None:
    """Who may read in a workspace only what is shared with another gets nothing that is shared with the first."""
    give(registry, "user/alice", "viewer", "other")
    share(registry)
    lent = registry.write_now(
        Caller(SYSTEM.actor, "default"),
        lambda tx: sharing.share(tx, Kind.MODEL, "m9", "team", tx.now + 60_000),
    )

    assert lent.principal == "workspace/team"
    assert not may(registry, "alice", Verb.READ, Target(Kind.MODEL, "m9", "lent", "default"))


@pytest.mark.parametrize("workspace", ["team", "Not A Name", ""])
def test_a_share_is_with_another_workspace(registry: Registry, workspace: str) -> None:
    """A workspace shares nothing with itself, nor with what cannot be one."""
    with pytest.raises(InvalidInput):
        share(registry, workspace)


def test_a_share_tells_nothing_of_the_other_workspace(registry: Registry) -> None:
    """Sharing with a workspace that is not there is answered as with one that is: nobody finds out which there are."""
    there, absent = share(registry, "other"), share(registry, "absent")

    assert (there.role, there.effect, there.pattern) == (absent.role, absent.effect, absent.pattern)


def test_a_review_lists_those_who_may_do_anything(registry: Registry) -> None:
    """A review of a thing names who may do what and by which role, readers of workspaces that it is shared with too."""
    give(registry, "user/alice", "contributor", kind="model", pattern=by_id("m1"))
    give(registry, "user/bob", "viewer", "other")
    share(registry)
    found = registry.read_now(SYSTEM, lambda tx: review.review(tx, CLF, "", 10))

    assert [one.name for one in found] == ["admin", "alice", "bob"]
    assert found[1].verbs[Verb.EDIT] == "allowed by role 'contributor'"
    assert set(found[2].verbs) == {Verb.READ, Verb.DOWNLOAD}
    rest = registry.read_now(SYSTEM, lambda tx: review.review(tx, CLF, "admin", 1))
    assert [one.name for one in rest] == ["alice"]


def test_a_refusal_says_what_is_missing_and_who_can_grant_it(registry: Registry) -> None:
    """What may be read but not changed is refused with the verb, the thing, and those who manage it."""
    give(registry, "user/alice", "viewer")
    give(registry, "user/bob", "manager")

    with pytest.raises(Refused) as refused:
        registry.read_now(
            at_work(registry, "alice"),
            lambda tx: permit(tx, rights_of(tx, tx.actor.id), Verb.EDIT, [Asked(CLF)]),
        )
    assert refused.value.message == (
        "alice lacks the permission 'edit' on model 'clf' (workspace 'team'): no role allows it; "
        "admin, bob can grant it."
    )


def test_what_may_not_be_read_is_not_there(registry: Registry) -> None:
    """A request about a thing that its caller may not read goes on in a workspace that holds nothing."""

    def ask(tx: Tx) -> tuple[bool, str]:
        return permit(tx, rights_of(tx, tx.actor.id), Verb.READ, [Asked(CLF)]), tx.workspace

    assert registry.read_now(at_work(registry, "alice"), ask) == (False, NOWHERE)


def test_the_server_is_refused_and_never_hidden(registry: Registry) -> None:
    """What belongs to no workspace is refused to who may not read it, since hiding it in one would hide nothing."""
    give(registry, "user/alice", "manager")

    with pytest.raises(Refused, match="lacks the permission 'audit' on the server"):
        registry.read_now(
            at_work(registry, "alice"),
            lambda tx: permit(tx, rights_of(tx, tx.actor.id), Verb.AUDIT, [Asked(SERVER)]),
        )


def test_a_workspace_of_others_is_not_there(registry: Registry) -> None:
    """A workspace that the caller has nothing in is answered as one that there is not; one of theirs is refused."""
    give(registry, "user/alice", "viewer", kind="model", pattern=by_id("m1"))

    def ask(name: str) -> Any:
        return lambda tx: permit(tx, rights_of(tx, tx.actor.id), Verb.MANAGE, [Asked(workspace_target(name))])

    with pytest.raises(NotFound, match=r"^Workspace 'other' not found$"):
        registry.read_now(at_work(registry, "alice"), ask("other"))
    with pytest.raises(NotFound, match=r"^Workspace 'absent' not found$"):
        registry.read_now(at_work(registry, "alice"), ask("absent"))
    with pytest.raises(Refused):
        registry.read_now(at_work(registry, "alice", "default"), ask("team"))
