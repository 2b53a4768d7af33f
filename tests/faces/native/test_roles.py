"""Roles, assignments, shares and reviews on the native API: who may give what, and what follows from it at once."""

import time
from typing import Any

import pytest

from faces.native.cast import Cast, Person
from faces.native.pushing import Registry

DAY_MS = 86_400_000


@pytest.fixture(name="cast")
def _cast(registry: Registry) -> Cast:
    return Cast(registry)


@pytest.fixture(name="team")
def _team(cast: Cast) -> str:
    """A workspace with the models `clf` and `fraud`."""
    workspace = cast.workspace()
    for name in ("clf", "fraud"):
        cast.admin.ok("POST", "models", {"name": name}, workspace)
    return workspace


def soon() -> int:
    return int(time.time() * 1000) + DAY_MS


def names(person: Person, workspace: str) -> list[str]:
    return [row["name"] for row in person.ok("GET", "models", workspace=workspace)["items"]]


def test_the_built_in_roles_show_their_verbs(cast: Cast) -> None:
    """Whoever may read anything sees the built-in roles with what each allows."""
    found = {row["name"]: row for row in cast.admin.ok("GET", "roles")["items"] if row["built_in"]}

    assert list(found) == [
        "viewer", "contributor", "reviewer", "operator", "auditor", "manager", "administrator",
    ]  # fmt: skip
    assert found["viewer"]["verbs"] == ["download", "read"]
    assert "approve" not in found["manager"]["verbs"]


def test_a_role_goes_its_way(cast: Cast, team: str) -> None:
    """A role is made, described, given permissions, changed and deleted; what it shows is what was done."""
    admin = cast.admin
    role = admin.ok("POST", "roles", {"name": "releaser", "description": "Releases."}, team)
    path = f"roles/{role['id']}"
    new = {"verbs": ["read", "alias"], "kind": "model", "pattern": "cl*", "aliases": "champ*"}
    added = admin.ok("POST", f"{path}/permissions", new, team)
    denied = admin.ok("POST", f"{path}/permissions", {"verbs": ["delete"], "model": "clf", "effect": "deny"}, team)
    admin.ok("PATCH", path, {"name": "shipper"}, team)
    admin.ok("PATCH", f"{path}/permissions/{added['id']}", {"verbs": ["alias"]}, team)
    shown = admin.ok("GET", path, workspace=team)

    assert (shown["name"], shown["description"], shown["workspace"]) == ("shipper", "Releases.", team)
    assert shown["permissions"] == [added | {"verbs": ["alias"]}, denied]
    assert denied["pattern"].startswith("id:")
    admin.ok("DELETE", f"{path}/permissions/{added['id']}", workspace=team)
    assert admin.ok("GET", path, workspace=team)["permissions"] == [denied]
    admin.ok("DELETE", path, workspace=team)
    assert admin.refused(404, "GET", path, workspace=team)["detail"] == f"No role has the id {role['id']}."


def test_what_is_given_holds_from_the_next_request(cast: Cast, team: str) -> None:
    """A role given or taken back is felt by the very next request of who it is about."""
    person = cast.person()
    person.refused(404, "GET", "models", workspace=team)
    given = cast.give(person, "contributor", team, model="clf")
    assert names(person, team) == ["clf"]
    person.refused(404, "GET", "models/fraud", workspace=team)

    cast.admin.ok("DELETE", f"assignments/{given['id']}")
    assert person.refused(404, "GET", "models", workspace=team)["detail"] == f"Workspace '{team}' not found"


def test_a_grant_stays_with_the_thing_it_was_given_on(cast: Cast, team: str) -> None:
    """What is given on a model lasts through a rename, and goes to no other model that takes the name."""
    person = cast.person()
    cast.give(person, "viewer", team, model="clf")
    rename = {"name": "clf", "new_name": "renamed"}
    headers = [(b"X-MLFLOW-WORKSPACE", team.encode())]
    renamed = cast.admin.raw.json("POST", "/api/2.0/mlflow/registered-models/rename", rename, headers)
    assert renamed.status == 200, renamed
    cast.admin.ok("POST", "models", {"name": "clf"}, team)

    assert names(person, team) == ["renamed"]


def test_a_deleted_model_leaves_nothing_to_its_successor(cast: Cast, team: str) -> None:
    """A model made under the name of a deleted one inherits none of what was given on that."""
    person = cast.person()
    cast.give(person, "viewer", team, model="clf")
    cast.admin.ok("DELETE", "models/clf", workspace=team)
    cast.admin.ok("POST", "models", {"name": "clf"}, team)

    assert names(person, team) == []


def test_managers_give_on_what_they_manage(cast: Cast, team: str) -> None:
    """Who manages a workspace gives roles in it, and who manages a model on it; neither gives anything beyond."""
    manager, owner, third = cast.member("manager", team), cast.person(), cast.person()
    cast.give(owner, "manager", team, model="clf")
    given = {"principal": f"user/{third.name}", "role": "viewer"}
    manager.ok("POST", "assignments", given | {"kind": "model", "pattern": "f*"}, team)
    owner.ok("POST", "assignments", given | {"model": "clf"}, team)
    assert names(third, team) == ["clf", "fraud"]

    beyond: list[tuple[Person, dict[str, Any], int]] = [
        (manager, {"workspace": "*"}, 403),
        (manager, {"workspace": "default"}, 404),
        (owner, {}, 403),
        (owner, {"workspace": "*"}, 403),
        (owner, {"kind": "model", "pattern": "clf*"}, 403),
        (owner, {"model": "fraud"}, 404),
        (third, {"model": "clf"}, 403),
        (third, {"model": "absent"}, 404),
    ]
    for person, where, status in beyond:
        person.refused(status, "POST", "assignments", given | where, team)


def test_taking_back_asks_for_what_giving_does(cast: Cast, team: str) -> None:
    """Who manages a model takes back what was given on it, and nothing else; others see no such assignment."""
    owner, third = cast.person(), cast.person()
    cast.give(owner, "manager", team, model="clf")
    on_clf, on_all = cast.give(third, "viewer", team, model="clf"), cast.give(third, "viewer", team)

    absent = owner.refused(404, "DELETE", "assignments/999999999", workspace=team)
    stranger = cast.person().refused(404, "DELETE", f"assignments/{on_all['id']}")
    assert stranger["detail"].replace(str(on_all["id"]), "999999999") == absent["detail"]
    owner.refused(403, "DELETE", f"assignments/{on_all['id']}", workspace=team)
    third.refused(403, "DELETE", f"assignments/{on_clf['id']}", workspace=team)
    owner.ok("DELETE", f"assignments/{on_clf['id']}", workspace=team)


def test_roles_of_other_workspaces_are_not_there(cast: Cast, team: str) -> None:
    """Looked at, changed, deleted or given, a role of somebody else's workspace is answered as one that is not."""
    other = cast.workspace()
    role = cast.admin.ok("POST", "roles", {"name": "theirs"}, other)
    manager = cast.member("manager", team)

    for method, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("POST", "/permissions", {"verbs": ["read"]}),
        ("PATCH", "/permissions/1", {"verbs": ["read"]}),
        ("DELETE", "/permissions/1", None),
    ):
        hidden = manager.refused(404, method, f"roles/{role['id']}{suffix}", body, team)
        absent = manager.refused(404, method, f"roles/1999999999{suffix}", body, team)
        assert hidden["detail"].replace(str(role["id"]), "1999999999") in {
            absent["detail"], "No role has the id 1999999999.",
        }  # fmt: skip
    assert "theirs" not in {row["name"] for row in manager.ok("GET", "roles", workspace=team)["items"]}
    given = {"principal": f"user/{manager.name}", "role": "theirs"}
    assert manager.refused(404, "POST", "assignments", given, team)["field"] == "role"


def test_a_workspace_cannot_lock_its_administrators_out(cast: Cast, team: str) -> None:
    """Who manages a workspace can deny it to an administrator, who can take that back all the same."""
    manager = cast.member("manager", team)
    denial = {"principal": "user/admin", "role": "administrator", "effect": "deny"}
    given = manager.ok("POST", "assignments", denial, team)
    cast.admin.refused(403, "POST", "models", {"name": "more"}, team)
    cast.admin.ok("DELETE", f"assignments/{given['id']}", workspace=team)
    cast.admin.ok("POST", "models", {"name": "more"}, team)


def test_a_limited_token_gives_no_roles(cast: Cast, team: str) -> None:
    """A token limited to reading, or to another workspace, takes no part in its owner's right to give roles."""
    manager = cast.member("manager", team)
    for limits in ({"verbs": ["read"]}, {"workspaces": ["default"]}):
        made = cast.admin.ok("POST", "tokens", {"owner": manager.name, "name": "l"} | limits)
        limited = Person(manager.name, type(manager.raw)(manager.raw.port, made["token"]))
        reply = limited.call("POST", "assignments", {"principal": f"user/{manager.name}", "role": "auditor"}, team)
        assert reply.status in {403, 404}, reply


def test_assignments_are_listed_to_who_looks_after_them(cast: Cast, team: str) -> None:
    """Managers and auditors of a workspace list what is held in it, page by page; everybody lists their own."""
    manager, auditor, viewer = (cast.member(role, team) for role in ("manager", "auditor", "viewer"))
    for person in (manager, auditor):
        rows = person.ok("GET", "assignments", workspace=team)["items"]
        assert [row["principal"] for row in rows] == [f"user/{one.name}" for one in (manager, auditor, viewer)]
    first = manager.ok("GET", "assignments?limit=2", workspace=team)
    rest = manager.ok("GET", f"assignments?limit=2&cursor={first['next_cursor']}", workspace=team)
    assert [len(page["items"]) for page in (first, rest)] == [2, 1]
    assert "next_cursor" not in rest

    own = viewer.ok("GET", f"assignments?principal=user/{viewer.name}")["items"]
    assert [row["role"] for row in own] == ["viewer"]
    viewer.refused(403, "GET", "assignments", workspace=team)
    viewer.refused(403, "GET", f"assignments?principal=user/{manager.name}", workspace=team)
    manager.refused(403, "GET", "assignments?workspace=*", workspace=team)


def test_an_explanation_names_the_grant_or_who_can_give_it(cast: Cast, team: str) -> None:
    """What is allowed is so by an assignment; what is not says why, and who can grant it."""
    manager, person = cast.member("manager", team), cast.person()
    given = cast.give(person, "viewer", team, model="clf")
    ask = "access/explain?resource=model/clf&verb="
    allowed, refused = (person.ok("GET", ask + verb, workspace=team) for verb in ("read", "edit"))

    assert (allowed["allowed"], allowed["because"]) == (True, "allowed by role 'viewer'")
    assert allowed["grant"]["assignment_id"] == given["id"]
    assert (refused["allowed"], refused["because"]) == (False, "no role allows it")
    assert refused["who_can_grant"] == ["admin", manager.name]
    of_other = manager.ok("GET", f"{ask}edit&user={person.name}", workspace=team)
    assert of_other == refused


def test_explanations_hide_what_may_not_be_read(cast: Cast, team: str) -> None:
    """Asked about oneself, what may not be read is not there; about others, only what one looks after is told."""
    person, manager = cast.person(), cast.member("manager", team)
    cast.give(person, "viewer", team, model="clf")

    def ask(resource: str, user: str = "", status: int = 404) -> str:
        path = f"access/explain?verb=read&resource={resource}&user={user}"
        return str(person.refused(status, "GET", path, workspace=team)["detail"])

    of_self = "access/explain?verb=read&resource=model/"
    hidden, absent = (person.ok("GET", of_self + name, workspace=team) for name in ("fraud", "absent"))
    assert hidden | {"resource": ""} == absent | {"resource": ""}
    assert (hidden["exists"], hidden["allowed"]) == (False, False)
    other = cast.workspace()
    assert ask(f"workspace/{other}").replace(other, "X") == ask("workspace/absent").replace("absent", "X")
    assert ask("model/fraud", manager.name).replace("fraud", "X") == ask("model/absent", manager.name).replace(
        "absent", "X"
    )
    ask("model/clf", manager.name, 403)
    assert person.ok("GET", "access/explain?verb=manage&resource=server")["allowed"] is False


def test_of_what_nobody_made_yet_patterns_decide(cast: Cast, team: str) -> None:
    """Of a name that no model or experiment has, an explanation says what would hold for one: for oneself, and for
    others to whoever would look after it.
    """
    person, manager = cast.person(), cast.member("manager", team)
    given = cast.give(person, "contributor", team, kind="model", pattern="new-*")
    ask = "access/explain?verb=register&resource="
    mine = person.ok("GET", f"{ask}model/new-one", workspace=team)
    assert (mine["allowed"], mine["exists"], mine["grant"]["assignment_id"]) == (True, False, given["id"])
    assert manager.ok("GET", f"{ask}model/new-one&user={person.name}", workspace=team) == mine

    for resource in ("model/other", "experiment/new-one"):
        refused = person.ok("GET", ask + resource, workspace=team)
        assert (refused["allowed"], refused["exists"]) == (False, False)
        assert refused["who_can_grant"] == ["admin", manager.name]
    assert person.ok("GET", f"{ask}server", workspace=team)["exists"] is True
    person.refused(403, "GET", f"{ask}model/new-one&user={manager.name}", workspace=team)


def test_an_explanation_tells_nobody_what_is_denied_them(cast: Cast, team: str) -> None:
    """A model that is denied to somebody who may read all others is explained to them as one that nobody made; who
    looks after it is told the truth.
    """
    person, manager = cast.member("viewer", team), cast.member("manager", team)
    cast.give(person, "administrator", team, model="fraud", effect="deny")
    ask = "access/explain?verb=read&resource=model/"
    hidden, absent = (person.ok("GET", ask + name, workspace=team) for name in ("fraud", "absent"))
    assert hidden | {"resource": ""} == absent | {"resource": ""}
    assert hidden["exists"] is False
    hidden, absent = (
        person.refused(403, "GET", f"{ask}{name}&user={manager.name}", workspace=team)["detail"]
        for name in ("fraud", "absent")
    )
    assert hidden.replace("fraud", "X") == absent.replace("absent", "X")

    told = manager.ok("GET", f"{ask}fraud&user={person.name}", workspace=team)
    assert (told["allowed"], told["exists"]) == (False, True)


@pytest.mark.parametrize(
    ("query", "field"),
    [("verb=read&resource=clf", "resource"), ("verb=fly&resource=server", "verb"), ("verb=read", "resource")],
    ids=["resource", "verb", "missing"],
)
def test_a_wrong_question_is_refused_by_name(cast: Cast, query: str, field: str) -> None:
    """A question with a wrong part says which part it is."""
    assert cast.admin.refused(400, "GET", f"access/explain?{query}")["field"] == field


def test_effective_rights_say_where_they_come_from(cast: Cast, team: str) -> None:
    """Everybody sees all that they were given; a manager sees of others what counts in their workspace."""
    person, manager, other = cast.person(), cast.member("manager", team), cast.workspace()
    cast.give(person, "viewer", team)
    cast.give(person, "operator", other)

    mine = person.ok("GET", "access/effective")
    assert {grant["workspace"] for grant in mine["grants"]} == {team, other}
    theirs = manager.ok("GET", f"access/effective?user={person.name}", workspace=team)
    assert [(grant["workspace"], grant["because"]) for grant in theirs["grants"]] == [(team, "role 'viewer'")]
    person.refused(403, "GET", f"access/effective?user={manager.name}", workspace=team)
    assert cast.admin.ok("GET", f"access/effective?user={person.name}")["grants"] == mine["grants"]


def test_a_review_is_for_who_looks_after_the_thing(cast: Cast, team: str) -> None:
    """Who manages or audits a model sees who may do what on it and why; who may only read it does not."""
    auditor, viewer = cast.member("auditor", team), cast.member("viewer", team)
    found = auditor.ok("GET", "access/review?resource=model/clf", workspace=team)["items"]

    assert {row["name"] for row in found} == {"admin", auditor.name, viewer.name}
    held = next(row["verbs"] for row in found if row["name"] == viewer.name)
    assert held == {"read": "allowed by role 'viewer'", "download": "allowed by role 'viewer'"}
    viewer.refused(403, "GET", "access/review?resource=model/clf", workspace=team)
    cast.person().refused(404, "GET", "access/review?resource=model/clf")


def test_a_share_is_read_only_and_of_one_thing(cast: Cast, team: str) -> None:
    """Readers of the other workspace read and download what is shared, by naming its workspace; nothing more."""
    other = cast.workspace()
    reader = cast.member("manager", other)
    cast.admin.ok("POST", "models", {"name": "own"}, other)
    reader.refused(404, "GET", "models", workspace=team)
    share = cast.admin.ok("POST", "models/clf/shares", {"workspace": other, "expires_at": soon()}, team)

    assert names(reader, team) == ["clf"]
    assert reader.ok("GET", "models/clf", workspace=team)["name"] == "clf"
    assert names(reader, other) == ["own"]
    reader.refused(404, "GET", "models/fraud", workspace=team)
    reader.refused(403, "DELETE", "models/clf", workspace=team)
    reader.refused(403, "PUT", "models/clf/aliases/champion", {"version": 1}, workspace=team)
    reader.refused(403, "POST", "models", {"name": "mine"}, team)
    given = {"principal": f"user/{reader.name}", "role": "manager", "model": "clf"}
    reader.refused(403, "POST", "assignments", given, team)
    reader.refused(403, "GET", "models/clf/shares", workspace=team)
    assert cast.admin.ok("GET", "models/clf/shares", workspace=team)["items"] == [share]

    cast.admin.ok("DELETE", f"models/clf/shares/{share['id']}", workspace=team)
    reader.refused(404, "GET", "models", workspace=team)


def test_a_share_ends_by_itself(cast: Cast, team: str) -> None:
    """From its last moment on, what was shared is not there any more."""
    other = cast.workspace()
    reader = cast.member("viewer", other)
    ends = int(time.time() * 1000) + 3_000
    cast.admin.ok("POST", "models/clf/shares", {"workspace": other, "expires_at": ends}, team)
    assert names(reader, team) == ["clf"]

    while reader.call("GET", "models", workspace=team).status == 200:
        assert time.time() * 1000 < ends + 30_000
        time.sleep(0.1)
    assert time.time() * 1000 >= ends - 1
    assert cast.admin.ok("GET", "models/clf/shares", workspace=team)["items"][0]["expired"] is True


def test_shares_are_given_by_who_manages_the_model(cast: Cast, team: str) -> None:
    """Who may edit a model does not share it; who manages it does, until a moment, and with another workspace."""
    contributor, owner, other = cast.member("contributor", team), cast.person(), cast.workspace()
    cast.give(owner, "manager", team, model="clf")
    body = {"workspace": other, "expires_at": soon()}

    contributor.refused(403, "POST", "models/clf/shares", body, team)
    owner.refused(404, "POST", "models/fraud/shares", body, team)
    owner.ok("POST", "models/clf/shares", body, team)
    owner.refused(400, "POST", "models/clf/shares", {"workspace": other}, team)
    owner.refused(400, "POST", "models/clf/shares", body | {"expires_at": 1}, team)
    owner.refused(400, "POST", "models/clf/shares", body | {"workspace": team}, team)
    assert owner.refused(404, "DELETE", "models/clf/shares/999999999", workspace=team)["field"] == "id"


def test_a_guest_learns_nothing_else_of_the_workspace(cast: Cast, team: str) -> None:
    """Who got into a workspace by a share sees of its experiments, roles, members and rules nothing at all."""
    other = cast.workspace()
    reader = cast.member("viewer", other)
    cast.admin.ok("POST", "models/clf/shares", {"workspace": other, "expires_at": soon()}, team)
    cast.admin.ok("POST", "roles", {"name": "internal"}, team)

    for path in (
        "assignments",
        "journal",
        "quota",
        f"workspaces/{team}/quota",
        f"access/review?resource=workspace/{team}",
    ):
        assert reader.call("GET", path, workspace=team).status in {403, 404}, path
    assert "internal" not in {row["name"] for row in reader.ok("GET", "roles", workspace=team)["items"]}
    headers = [(b"X-MLFLOW-WORKSPACE", team.encode())]
    found = reader.raw.json("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 10}, headers)
    assert found.json.get("experiments", []) == []


def test_who_was_given_nothing_may_do_nothing(cast: Cast) -> None:
    """A person without any role is refused whatever they ask for, but what they may ask about themselves."""
    person = cast.person()

    assert person.ok("GET", "access/effective")["grants"] == []
    for method, path, body in (
        ("GET", "models", None),
        ("GET", "users", None),
        ("GET", "roles", None),
        ("POST", "roles", {"name": "r"}),
        ("POST", "workspaces", {"name": "w"}),
        ("POST", "assignments", {"principal": f"user/{person.name}", "role": "administrator", "workspace": "*"}),
        ("GET", "assignments", None),
    ):
        person.refused(403, method, path, body)
