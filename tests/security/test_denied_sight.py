"""What somebody is denied to read is not there for them, whatever else they may do and wherever they stand (AZ-04)."""

from collections.abc import Iterator
from typing import Any

import pytest

from security.governed import RPC, Governed
from security.raw import Reply


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """Two workspaces; ann contributes to one and may not read what begins with `secret`, bob manages it likewise."""
    with Governed.start(tmp_path_factory.mktemp("denied") / "data") as registry:
        for name in ("alpha", "beta"):
            registry.native("POST", "workspaces", name=name)
        for name, role in (("ann", "contributor"), ("bob", "manager")):
            registry.callers[name] = registry.user(name)
            registry.native("POST", "assignments", at="alpha", principal=f"user/{name}", role=role)
            denied = {"principal": f"user/{name}", "effect": "deny", "pattern": "secret*"}
            registry.native("POST", "assignments", at="alpha", role="viewer", **denied)
        registry.native("POST", "assignments", at="beta", principal="user/bob", role="viewer")
        registry.native("POST", "models", at="alpha", name="secret-1")
        registry.post("experiments/create", at="alpha", name="secret-1")
        yield registry


def ann(registry: Governed, method: str, path: str, fields: dict[str, Any]) -> Reply:
    """A call of ann's."""
    return registry.send(method, path, fields, token=registry.callers["ann"], workspace="alpha")


def told(reply: Reply, name: str) -> tuple[int, bytes]:
    """An answer without what must differ: the name that was asked for, and the request's id."""
    text = reply.body.replace(name.encode(), b"NAME").replace(reply.headers["x-request-id"].encode(), b"")
    return reply.status, text


CREATE = {"native": "/api/v1/models", "mlflow": f"{RPC}registered-models/create", "runs": f"{RPC}experiments/create"}


@pytest.mark.parametrize("wire", CREATE)
def test_AZ_04_making_a_thing_does_not_tell_what_is_hidden(registry: Governed, wire: str) -> None:
    """A name that one may not read is refused to be taken, alike whether something bears it or not."""
    taken, free = (ann(registry, "POST", CREATE[wire], {"name": name}) for name in ("secret-1", "secret-2"))

    assert taken.status == 403
    assert told(taken, "secret-1") == told(free, "secret-2")


CHANGES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "describe": ("PATCH", "registered-models/update", {"description": "x"}),
    "tag": ("POST", "registered-models/set-tag", {"key": "a", "value": "b"}),
    "rename": ("POST", "registered-models/rename", {"new_name": "mine"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_AZ_04_what_is_hidden_is_not_there_to_be_changed(registry: Governed, change: str) -> None:
    """Who may change everything but not read a model is answered as for one that never was, and changes nothing."""
    method, path, fields = CHANGES[change]
    hidden, absent = (ann(registry, method, RPC + path, {"name": name, **fields}) for name in ("secret-1", "secret-9"))

    assert hidden.status == 404
    assert told(hidden, "secret-1") == told(absent, "secret-9")
    kept = registry.send("GET", f"{RPC}registered-models/get?name=secret-1", workspace="alpha").json["registered_model"]
    assert "description" not in kept
    assert "tags" not in kept


def test_AZ_04_a_denial_by_name_holds_from_another_workspace(registry: Governed) -> None:
    """What is given on a hidden experiment is neither shown nor taken back by asking for it from somewhere else."""
    registry.user("eve")
    wanted = {"principal": "user/eve", "role": "viewer", "experiment": "secret-1"}
    given = registry.native("POST", "assignments", at="alpha", **wanted)
    address = f"/api/v1/assignments/{given['id']}"

    for place in ("alpha", "beta"):
        for method in ("GET", "DELETE"):
            asked = registry.send(method, address, token=registry.callers["bob"], workspace=place)
            assert asked.status == 404, (place, method, asked.body)
    assert registry.send("GET", address, workspace="alpha").status == 200
