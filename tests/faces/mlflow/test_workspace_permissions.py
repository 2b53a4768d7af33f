"""Levels on whole workspaces as clients before roles asked for them, sent and read by the stock client's own means."""

from typing import Any

import mlflow
import pytest
from mlflow.server.auth.entities import WorkspacePermission
from mlflow.tracking import MlflowClient

from faces.mlflow.build import Build, unused
from faces.mlflow.served import Served
from faces.mlflow.test_auth_client import PASSWORD, Acting, can, refused

pytestmark = pytest.mark.beyond_mlflow


class Levels:
    """The calls of earlier stock clients, by the transport and the entities of this one."""

    def __init__(self, acting: Acting) -> None:
        self._call: Any = acting.auth._request

    def give(self, workspace: str, user: str, level: str) -> WorkspacePermission:
        """Give a user a level on a workspace."""
        answer = self._call(self._path(workspace), "POST", json={"username": user, "permission": level})
        return WorkspacePermission.from_json(answer["permission"])

    def take(self, workspace: str, user: str) -> None:
        """Take a user's level on a workspace."""
        self._call(self._path(workspace), "DELETE", params={"username": user}, expected_status=204)

    def on(self, workspace: str) -> dict[str, str]:
        """The levels on a workspace, by the ids of users."""
        return self._read(self._call(self._path(workspace), "GET"), "user_id")

    def of(self, user: str) -> dict[str, str]:
        """The levels of a user, by workspace."""
        path = "/api/3.0/mlflow/workspace-permissions"
        return self._read(self._call(path, "GET", params={"username": user}), "workspace")

    def _path(self, workspace: str) -> str:
        return f"/api/3.0/mlflow/workspaces/{workspace}/permissions"

    def _read(self, answer: Any, key: str) -> dict[str, str]:
        rows = [WorkspacePermission.from_json(row) for row in answer["permissions"]]
        return {getattr(row, key): row.permission for row in rows}


@pytest.fixture(name="acting")
def _acting(client: MlflowClient, server: Served, monkeypatch: pytest.MonkeyPatch) -> Acting:
    acting = Acting(server, monkeypatch)
    acting.administrator()
    return acting


@pytest.fixture(name="user")
def _user(acting: Acting) -> str:
    name = unused("user").lower()
    acting.auth.create_user(name, PASSWORD)
    return name


@pytest.fixture(name="workspace")
def _workspace(acting: Acting) -> str:
    """A workspace of its own."""
    name = unused("w").lower()
    mlflow.create_workspace(name)
    return name


def test_a_level_on_a_workspace_is_given_changed_and_taken(acting: Acting, user: str, workspace: str) -> None:
    """The last level given is the one that there is, on that workspace only; taken, there is none, and none to take."""
    levels, user_id = Levels(acting), acting.auth.get_user(user).id
    for level, read in (("READ", "READ"), ("USE", "READ"), ("EDIT", "EDIT"), ("MANAGE", "MANAGE")):
        given = levels.give(workspace, user, level)
        assert (given.workspace, given.user_id, given.permission) == (workspace, user_id, level)
        assert levels.on(workspace) == {user_id: read}
    levels.give("default", user, "READ")
    assert levels.of(user) == {workspace: "MANAGE", "default": "READ"}

    levels.take(workspace, user)
    assert (levels.on(workspace), levels.of(user)) == ({}, {"default": "READ"})
    with refused("RESOURCE_DOES_NOT_EXIST", user):
        levels.take(workspace, user)


def test_a_level_on_a_workspace_lets_do_what_it_says(acting: Acting, build: Build, user: str) -> None:
    """A level counts for all that is in the workspace; NO_PERMISSIONS denies it, whatever a role allows."""
    levels, name = Levels(acting), build.model()
    for level, reads, edits in (("READ", True, False), ("EDIT", True, True), ("NO_PERMISSIONS", False, False)):
        levels.give("default", user, level)
        acting.auth.grant_user_permission(user, "registered_model", name, "READ")
        with acting.user(user):
            assert can(acting.mlflow.get_registered_model, name) is reads
            assert can(acting.mlflow.set_registered_model_tag, name, "k", "v") is edits
    assert levels.of(user) == {"default": "NO_PERMISSIONS"}


def test_who_may_look_at_and_change_levels(acting: Acting, user: str, workspace: str) -> None:
    """A user reads their own; who manages a workspace gives there and nowhere else; a workspace that is hidden is not
    there.
    """
    levels, other = Levels(acting), unused("user").lower()
    acting.auth.create_user(other, PASSWORD)
    levels.give("default", user, "READ")
    with acting.user(user):
        assert levels.of(user) == {"default": "READ"}
        for call in (
            lambda: levels.of(other),
            lambda: levels.on("default"),
            lambda: levels.give("default", other, "READ"),
            lambda: levels.take("default", user),
        ):
            with refused("PERMISSION_DENIED"):
                call()
        for hidden in (workspace, "there-is-none"):
            with refused("RESOURCE_DOES_NOT_EXIST", f"Workspace '{hidden}' not found"):
                levels.give(hidden, other, "READ")
    levels.give("default", user, "MANAGE")
    with acting.user(user):
        levels.give("default", other, "EDIT")
        assert acting.auth.get_user(user).id in levels.on("default")
    assert levels.of(other) == {"default": "EDIT"}


def test_what_cannot_be_given_on_a_workspace_is_refused(acting: Acting, user: str, workspace: str) -> None:
    """A level that there is none of, a user or a workspace that is not there, are refused and said so."""
    levels = Levels(acting)
    with refused("INVALID_PARAMETER_VALUE", "OWN"):
        levels.give(workspace, user, "OWN")
    with refused("RESOURCE_DOES_NOT_EXIST", "nobody-here"):
        levels.give(workspace, "nobody-here", "READ")
    with refused("RESOURCE_DOES_NOT_EXIST", "there-is-none"):
        levels.give("there-is-none", user, "READ")
    assert levels.on(workspace) == {}
