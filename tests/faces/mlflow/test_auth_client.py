"""MLflow's administration API through the stock client: users, permissions, roles, and what follows from them."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client
from mlflow.server.auth.entities import ExperimentPermission, RegisteredModelPermission
from mlflow.tracking import MlflowClient

from faces.mlflow.build import Build, unused
from faces.mlflow.served import Served
from faces.mlflow.wire import Wire

pytestmark = pytest.mark.beyond_mlflow
PASSWORD = "correct horse battery"


class Acting:
    """The stock clients, signed in as whoever is said."""

    def __init__(self, server: Served, environment: pytest.MonkeyPatch) -> None:
        self._environment = environment
        self._server = server
        self.auth = get_app_client("basic-auth", server.url)
        self.mlflow = MlflowClient(server.url)

    @contextmanager
    def user(self, name: str, password: str = PASSWORD) -> Iterator[None]:
        """Everything inside is done as this user, with their password."""
        self._environment.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
        self._environment.setenv("MLFLOW_TRACKING_USERNAME", name)
        self._environment.setenv("MLFLOW_TRACKING_PASSWORD", password)
        yield
        self.administrator()

    def administrator(self) -> None:
        """From here on everything is done as the first administrator."""
        for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            self._environment.delenv(variable, raising=False)
        if self._server.token:
            self._environment.setenv("MLFLOW_TRACKING_TOKEN", self._server.token)


@pytest.fixture(name="acting")
def _acting(client: MlflowClient, server: Served, monkeypatch: pytest.MonkeyPatch) -> Acting:
    acting = Acting(server, monkeypatch)
    acting.administrator()
    return acting


@pytest.fixture(name="user")
def _user(acting: Acting) -> str:
    """A user with a password who was given nothing."""
    name = unused("user").lower()
    acting.auth.create_user(name, PASSWORD)
    return name


@contextmanager
def refused(code: str, text: str = ".") -> Iterator[None]:
    """What is inside is refused with this code."""
    with pytest.raises(MlflowException, match=text) as error:
        yield
    assert error.value.error_code == code


def can(call: Any, *arguments: Any, **more: Any) -> bool:
    """Whether a call is let through; what may not be read is not there, what may not be done is denied."""
    try:
        call(*arguments, **more)
    except MlflowException as error:
        assert error.error_code in {"PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST"}, error
        return False
    return True


def test_users_come_and_go(acting: Acting, user: str) -> None:
    """A user is made, read, made an administrator and deleted; each step shows in what is read."""
    auth = acting.auth
    found = auth.get_user(user)
    assert (found.username, found.is_admin) == (user, False)
    auth.update_user_admin(user, True)
    assert auth.get_user(user).is_admin
    auth.update_user_admin(user, False)
    assert not auth.get_user(user).is_admin
    with refused("RESOURCE_ALREADY_EXISTS"):
        auth.create_user(user, PASSWORD)

    auth.delete_user(user)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        auth.get_user(user)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "password1234"])
def test_weak_passwords_are_refused(acting: Acting, password: str) -> None:
    """A password of less than twelve characters, or one that is guessed first, is not taken."""
    with refused("INVALID_PARAMETER_VALUE", "password"):
        acting.auth.create_user(unused("user").lower(), password)


def test_passwords_are_changed_by_their_owners_and_administrators(acting: Acting, user: str) -> None:
    """A user gives themselves another password, an administrator one to anybody, nobody else one to others."""
    other = unused("user").lower()
    acting.auth.create_user(other, PASSWORD)
    with acting.user(user):
        with refused("PERMISSION_DENIED"):
            acting.auth.update_user_password(other, "another fine password")
        with refused("PERMISSION_DENIED"):
            acting.auth.update_user_password(user, "another fine password", current_password="wrong wrong wrong")
        acting.auth.update_user_password(user, "another fine password", current_password=PASSWORD)
    with acting.user(user), refused("UNAUTHENTICATED"):
        acting.auth.get_user(user)
    acting.auth.update_user_password(user, PASSWORD)
    with acting.user(user):
        assert acting.auth.get_user(user).username == user


def test_the_last_administrator_stays_one(wire: Wire) -> None:
    """Nobody takes the registry's last administrator's rights away, nor deletes themselves."""
    wire.patch("users/update-admin", username="admin", is_admin=False).refused(409, "RESOURCE_CONFLICT")
    wire.delete("users/delete", username="admin").refused(409, "RESOURCE_CONFLICT")


LEVELS = {
    "READ": {"read"},
    "USE": {"read"},
    "EDIT": {"read", "edit"},
    "MANAGE": {"read", "edit", "delete", "give"},
    "DENY": set[str](),
    "NO_PERMISSIONS": set[str](),
}


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_on_a_model_lets_do_what_it_says(acting: Acting, build: Build, user: str, level: str) -> None:
    """A level given on a model allows exactly its verbs on it, and nothing on any other."""
    name, other, third = build.model(), build.model(), unused("user").lower()
    acting.auth.create_user(third, PASSWORD)
    acting.auth.grant_user_permission(user, "registered_model", name, level)

    with acting.user(user):
        client = acting.mlflow
        done = {
            "read": can(client.get_registered_model, name),
            "edit": can(client.set_registered_model_tag, name, "k", "v"),
            "give": can(acting.auth.grant_user_permission, third, "registered_model", name, "READ"),
            "delete": can(client.delete_registered_model, name),
        }
        assert not can(client.get_registered_model, other)
        assert not can(client.delete_registered_model, other)
    assert {verb for verb, worked in done.items() if worked} == LEVELS[level]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_on_an_experiment_lets_do_what_it_says(acting: Acting, build: Build, user: str, level: str) -> None:
    """A level given on an experiment allows exactly its verbs on it and its runs, and nothing on any other."""
    experiment, other, third = build.experiment(), build.experiment(), unused("user").lower()
    acting.auth.create_user(third, PASSWORD)
    acting.auth.grant_user_permission(user, "experiment", experiment, level)

    with acting.user(user):
        client = acting.mlflow
        done = {
            "read": can(client.get_experiment, experiment),
            "edit": can(client.create_run, experiment),
            "give": can(acting.auth.grant_user_permission, third, "experiment", experiment, "READ"),
            "delete": can(client.delete_experiment, experiment),
        }
        assert can(client.search_experiments) == ("read" in LEVELS[level])
        assert not can(client.get_experiment, other)
        assert not can(client.create_run, other)
    assert {verb for verb, worked in done.items() if worked} == LEVELS[level]


def test_a_permission_is_granted_read_and_revoked(acting: Acting, build: Build, user: str) -> None:
    """The last level granted is the one in effect; revoked, there is none, and nothing to revoke."""
    name, auth = build.model(), acting.auth
    for level in ("READ", "MANAGE", "DENY", "EDIT"):
        auth.grant_user_permission(user, "registered_model", name, level)
        found = auth.get_user_permission(user, "registered_model", name)
        assert (found.permission, found.allowed) == (level, level != "DENY")

    auth.revoke_user_permission(user, "registered_model", name)
    found = auth.get_user_permission(user, "registered_model", name)
    assert (found.permission, found.allowed) == ("NO_PERMISSIONS", False)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        auth.revoke_user_permission(user, "registered_model", name)


def test_permissions_on_all_of_a_type(acting: Acting, build: Build, user: str) -> None:
    """A level on `*` counts for every experiment, now and later, or for the whole workspace."""
    acting.auth.grant_user_permission(user, "experiment", "*", "READ")
    experiment, model = build.experiment(), build.model()
    with acting.user(user):
        assert can(acting.mlflow.get_experiment, experiment)
        assert not can(acting.mlflow.get_registered_model, model)

    acting.auth.grant_user_permission(user, "workspace", "*", "USE")
    with acting.user(user):
        assert can(acting.mlflow.get_registered_model, model)
        assert acting.auth.get_user_permission(user, "workspace", "*").allowed


def test_permissions_outlast_renames_and_are_not_inherited(acting: Acting, build: Build, user: str) -> None:
    """A permission stays with its model under another name; a new model of the old name comes without."""
    name, renamed = build.model(), unused()
    acting.auth.grant_user_permission(user, "registered_model", name, "READ")
    acting.mlflow.rename_registered_model(name, renamed)
    acting.mlflow.create_registered_model(name)

    with acting.user(user):
        assert [one.name for one in acting.mlflow.search_registered_models()] == [renamed]


@pytest.mark.parametrize(
    ("resource_type", "resource", "level", "code"),
    [
        ("scorer", "x", "READ", "INVALID_PARAMETER_VALUE"),
        ("run", "*", "READ", "INVALID_PARAMETER_VALUE"),
        ("workspace", "team", "USE", "INVALID_PARAMETER_VALUE"),
        ("experiment", "*", "OWN", "INVALID_PARAMETER_VALUE"),
        ("experiment", "987654321", "READ", "RESOURCE_DOES_NOT_EXIST"),
        ("registered_model", "there is none", "READ", "RESOURCE_DOES_NOT_EXIST"),
    ],
    ids=["type", "part", "workspace", "level", "experiment", "model"],
)
def test_what_cannot_be_granted_is_refused(
    acting: Acting, user: str, resource_type: str, resource: str, level: str, code: str
) -> None:
    """A type or level that there is none of, or a thing that is not there, is refused and said so."""
    with refused(code):
        acting.auth.grant_user_permission(user, resource_type, resource, level)


def test_a_user_asks_about_themselves_only(acting: Acting, build: Build, user: str) -> None:
    """A user reads their own rights, of what they may read; those of others are for who manages the thing."""
    shown, hidden = build.model(), build.model()
    acting.auth.grant_user_permission(user, "registered_model", shown, "READ")
    acting.auth.grant_user_permission(user, "registered_model", hidden, "DENY")
    with acting.user(user):
        auth = acting.auth
        assert auth.get_user_permission(user, "registered_model", shown).permission == "READ"
        unknown, absent = (auth.get_user_permission(user, "registered_model", one) for one in (hidden, unused()))
        assert unknown.to_json() == absent.to_json()
        for ask in (auth.get_user, auth.list_user_roles):
            with refused("PERMISSION_DENIED"):
                ask("admin")
        with refused("PERMISSION_DENIED"):
            auth.get_user_permission("admin", "registered_model", shown)
        with refused("PERMISSION_DENIED"):
            auth.list_all_roles()


def test_a_role_goes_its_way(acting: Acting, build: Build, user: str) -> None:
    """A role is made, given permissions and given to a user, who may then do what it says, until it is deleted."""
    auth, name, model = acting.auth, unused(), build.model()
    role = auth.create_role("default", name, "for tests")
    edit = auth.add_role_permission(role.id, "registered_model", model, "EDIT")
    auth.add_role_permission(role.id, "experiment", "*", "READ")
    assert [one.to_json() for one in auth.list_role_permissions(role.id)] == [
        one.to_json() for one in auth.get_role(role.id).permissions
    ]
    assert (edit.resource_type, edit.resource_pattern, edit.permission) == ("registered_model", model, "EDIT")
    assignment = auth.assign_role(user, role.id)
    assert assignment.user_id == auth.get_user(user).id
    assert [one.name for one in auth.list_user_roles(user)] == [name]
    assert [one.user_id for one in auth.list_role_users(role.id)] == [assignment.user_id]
    with acting.user(user):
        assert can(acting.mlflow.set_registered_model_tag, model, "k", "v")

    assert auth.update_role_permission(edit.id, "DENY").permission == "DENY"
    with acting.user(user):
        assert not can(acting.mlflow.get_registered_model, model)
    auth.remove_role_permission(edit.id)
    assert auth.update_role(role.id, name=f"{name}2").name == f"{name}2"
    auth.unassign_role(user, role.id)
    assert auth.list_user_roles(user) == []
    auth.delete_role(role.id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        auth.get_role(role.id)


@pytest.mark.parametrize("identity", [2**63, -1, 10**30], ids=["over", "under", "huge"])
def test_an_id_that_no_role_can_have_is_refused(wire: Wire, identity: int) -> None:
    """A number that no database holds is refused as a wrong value, in the query and in a body."""
    third = wire.under("/api/3.0/mlflow/")
    third.get("roles/get", role_id=identity).invalid("role_id")
    third.delete("roles/delete", role_id=identity).invalid()
    third.delete("roles/permissions/remove", role_permission_id=identity).invalid()


def test_built_in_roles_can_be_given(acting: Acting, user: str) -> None:
    """The roles that every registry has are among all roles, can be given in the workspace, and cannot be changed."""
    found = {role.name: role for role in acting.auth.list_all_roles()}
    contributor = found["contributor"]
    acting.auth.assign_role(user, contributor.id)

    assert [(role.name, role.workspace) for role in acting.auth.list_user_roles(user)] == [("contributor", "default")]
    with acting.user(user):
        assert can(acting.mlflow.create_registered_model, unused())
    with refused("RESOURCE_CONFLICT"):
        acting.auth.delete_role(contributor.id)


def test_only_managers_of_a_workspace_make_roles(acting: Acting, user: str) -> None:
    """Who holds no right to manage a workspace makes, gives and deletes no roles there."""
    role = acting.auth.create_role("default", unused())
    acting.auth.grant_user_permission(user, "workspace", "*", "EDIT")
    with acting.user(user):
        assert acting.auth.get_role(role.id).name == role.name
        for call in (
            lambda: acting.auth.create_role("default", unused()),
            lambda: acting.auth.add_role_permission(role.id, "workspace", "*", "MANAGE"),
            lambda: acting.auth.assign_role(user, role.id),
            lambda: acting.auth.delete_role(role.id),
        ):
            with refused("PERMISSION_DENIED"):
                call()
    with refused("RESOURCE_DOES_NOT_EXIST"):
        acting.auth.create_role("there-is-none", unused())


@pytest.mark.parametrize(
    ("path", "key", "answer", "kind"),
    [
        ("experiments", "experiment_id", "experiment_permission", ExperimentPermission),
        ("registered-models", "name", "registered_model_permission", RegisteredModelPermission),
    ],
    ids=["experiment", "model"],
)
def test_the_permissions_of_the_2_line(
    wire: Wire, build: Build, user: str, path: str, key: str, answer: str, kind: Any
) -> None:
    """Permissions by experiment and by model are made, read, changed and deleted as clients of the 2.x line do it."""
    thing = build.experiment() if key == "experiment_id" else build.model()
    one, route = {key: thing, "username": user}, f"{path}/permissions"
    made = wire.post(f"{route}/create", **one, permission="READ").ok()
    assert kind.from_json(made[answer]).permission == "READ"
    wire.post(f"{route}/create", **one, permission="EDIT").taken()

    for level in ("EDIT", "MANAGE", "NO_PERMISSIONS"):
        wire.patch(f"{route}/update", **one, permission=level).ok()
        assert kind.from_json(wire.get(f"{route}/get", **one).ok()[answer]).permission == level
    shown = wire.get("users/get", username=user).ok()["user"]
    assert [row["permission"] for row in shown[f"{answer}s"]] == ["NO_PERMISSIONS"]

    wire.delete(f"{route}/delete", **one).ok()
    wire.get(f"{route}/get", **one).missing()
    wire.delete(f"{route}/delete", **one).missing()
    wire.patch(f"{route}/update", **one, permission="READ").missing()


def test_a_caller_learns_who_they_are(acting: Acting, server: Served, build: Build, user: str) -> None:
    """Whoever calls is told who they are, how they signed in, and all that they were given."""
    model = build.model()
    acting.auth.grant_user_permission(user, "registered_model", model, "EDIT")
    basic = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()

    def own(path: str) -> Any:
        return Wire(server.url, None).call("GET", f"/api/{path}", authorization=f"Basic {basic}").ok()

    me = own("2.0/mlflow/users/current")
    assert (me["user"]["username"], me["user"]["is_admin"], me["is_basic_auth"]) == (user, False, True)
    held = own("3.0/mlflow/users/current/permissions")
    (row,) = held["permissions"]
    assert (row["resource_type"], row["resource_pattern"], row["permission"]) == ("registered_model", model, "EDIT")
    assert held["is_admin"] is False


def test_all_users_are_listed_with_their_roles(acting: Acting, wire: Wire, user: str) -> None:
    """An administrator lists all users, with who administers and which roles they hold."""
    found = {row["username"]: row for row in wire.get("users/list").ok()["users"]}

    assert found["admin"]["is_admin"] is True
    assert found[user]["is_admin"] is False
    assert found[user]["roles"] == []
    with acting.user(user):
        assert not can(acting.auth.get_user, "admin")


def test_who_is_not_signed_in_is_asked_for_a_password(server: Served) -> None:
    """A call without credentials is answered 401 in the words that stock clients and browsers know."""
    reply = Wire(server.url, None).get("users/current")

    reply.refused(401, "UNAUTHENTICATED")
    assert reply.headers["www-authenticate"] == 'Basic realm="mlflow"'


def test_workspaces_are_described_and_stay(wire: Wire) -> None:
    """A workspace gets another description; deleting one is refused, and says so."""
    name, third = unused("w").lower(), wire.under("/api/3.0/mlflow/")
    third.post("workspaces", name=name, description="before")

    changed = third.patch(f"workspaces/{name}", description="after").ok()
    assert changed["workspace"] == {"name": name, "description": "after"}
    third.delete(f"workspaces/{name}").refused(409, "RESOURCE_CONFLICT", "not deleted")
    third.patch("workspaces/there-is-none", description="x").missing()
