"""An entry stands in the log of the workspace that it is about, wherever whoever made it was at work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from security.governed import Governed


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Governed]:
    """Two workspaces, and bob, who manages both."""
    with Governed.start(tmp_path / "data") as registry:
        registry.callers["bob"] = registry.user("bob")
        for name in ("alpha", "beta"):
            registry.native("POST", "workspaces", name=name)
            registry.native("POST", "assignments", at=name, principal="user/bob", role="manager")
        yield registry


def bob(registry: Governed, method: str, path: str, **fields: Any) -> Any:
    """A call of bob's, who is at work in alpha."""
    token = registry.callers["bob"]
    return registry.send(method, f"/api/v1/{path}", fields or None, token=token, workspace="alpha")


def log_of(registry: Governed, workspace: str) -> list[dict[str, Any]]:
    """The log of a workspace, the newest entry first."""
    items: list[dict[str, Any]] = registry.native("GET", "journal?limit=500", at=workspace)["items"]
    return items


def newest(registry: Governed) -> int:
    """The number of the newest entry of all."""
    return int(registry.native("GET", "journal?limit=1&everywhere=true")["items"][0]["id"])


CHANGES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a role given": ("POST", "assignments", {"principal": "user/bob", "role": "viewer", "workspace": "beta"}),
    "downloads audited": ("PUT", "workspaces/beta/audit", {"downloads": True}),
    "a policy": ("PUT", "workspaces/beta/download-policy", {"refuse_unsafe": True, "refuse_unjudged": False}),
    "a retention rule": ("PUT", "workspaces/beta/retention", {"keep_last": 3}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_AL_01_a_change_of_another_workspace_stands_in_its_log(registry: Governed, change: str) -> None:
    """What is changed in beta from alpha is told in beta's log, and tells alpha's auditors nothing."""
    method, path, fields = CHANGES[change]
    before = newest(registry)

    assert bob(registry, method, path, **fields).status in {200, 201}
    told = {name: [one["kind"] for one in log_of(registry, name) if one["id"] > before] for name in ("alpha", "beta")}
    assert told["alpha"] == []
    assert len(told["beta"]) == 1


def test_AL_01_what_happens_to_a_role_stands_in_the_log_of_its_workspace(registry: Governed) -> None:
    """A role of beta is changed from alpha: each step of that is in beta's log, none in alpha's."""
    role = f"roles/{registry.native('POST', 'roles', at='beta', name='own')['id']}"
    before = newest(registry)

    permission = bob(registry, "POST", f"{role}/permissions", verbs=["read"]).json["id"]
    assert bob(registry, "PATCH", f"{role}/permissions/{permission}", verbs=["edit"]).status == 200
    assert bob(registry, "PATCH", role, name="other").status == 200
    assert bob(registry, "DELETE", f"{role}/permissions/{permission}").status == 204
    assert bob(registry, "DELETE", role).status == 204
    assert [one for one in log_of(registry, "alpha") if one["id"] > before] == []
    kinds = [one["kind"] for one in reversed(log_of(registry, "beta")) if one["id"] > before]
    steps = ("permission_added", "permission_changed", "changed", "permission_removed", "deleted")
    assert kinds == [f"role.{step}" for step in steps]


def test_AL_01_a_hidden_refusal_tells_nothing_elsewhere(registry: Governed) -> None:
    """Who tries ids and names of beta from alpha reads in alpha's log neither that there are such nor that there are
    none; beta's log has the attempts.
    """
    role = registry.native("POST", "roles", at="beta", name="own")["id"]
    given = registry.native("POST", "assignments", at="beta", principal="user/admin", role="viewer")["id"]
    registry.callers["eve"] = registry.user("eve")
    for held in ("auditor", "manager"):
        registry.native("POST", "assignments", at="alpha", principal="user/eve", role=held)
    before = newest(registry)

    asked = [("GET", f"roles/{role}"), ("GET", f"assignments/{given}"), ("GET", "workspaces/beta/audit")]
    asked += [("GET", "roles/2147483000"), ("GET", "assignments/2147483000"), ("GET", "workspaces/gamma/audit")]
    for method, path in asked:
        reply = registry.send(method, f"/api/v1/{path}", token=registry.callers["eve"], workspace="alpha")
        assert reply.status == 404, (path, reply.body)
    registry.app.hidden_refusals.write(registry.app.database)

    assert [one for one in log_of(registry, "alpha") if one["id"] > before] == []
    tried = [one["data"]["operation"] for one in reversed(log_of(registry, "beta")) if one["id"] > before]
    assert tried == ["roles.show", "assignments.show", "workspaces.show_audit"]
