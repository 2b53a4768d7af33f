"""What a token that is limited to some verbs or workspaces gets of its owner's things: a look, no more (AZ-13)."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelkeep.access import Permission
from security.governed import Given, Governed
from security.table import OPERATIONS, Route

PASSWORD = "plum-tractor-9-lake"
LIMITS: dict[str, dict[str, Any]] = {"verbs": {"verbs": ["read"]}, "workspaces": {"workspaces": ["default"]}}
OWN = [one for one in OPERATIONS if one.permission is Permission.SELF]
CHANGES = [one for one in OWN if one.routes[0][0] not in {"GET", "HEAD"}]
FIELDS: dict[str, dict[str, Any]] = {
    "me.set_password": {"present": PASSWORD, "new": "another-plum-tractor"},
    "me.create_token": {"name": "further"},
    "me.revoke_token": {},
    "sessions.sign_out": {"everywhere": True},
}
TOKENS = "/api/v1/me/tokens"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """A registry with somebody who may do much."""
    with Governed.start(tmp_path_factory.mktemp("narrowed") / "data") as registry:
        registry.callers["ann"] = registry.user("ann", given=[Given("manager")])
        registry.native("PUT", "users/ann/password", password=PASSWORD)
        yield registry


def narrowed(registry: Governed, limits: str, name: str = "limited") -> Any:
    """One more token of hers, limited."""
    made = registry.send("POST", TOKENS, {"name": name, **LIMITS[limits]}, token=registry.callers["ann"])
    assert made.status == 201, made
    return made.json


def own_state(registry: Governed) -> Any:
    """All that she has: her account, tokens without when they were used, and sessions."""
    whole = registry.callers["ann"]
    tokens = registry.send("GET", TOKENS, token=whole).json["items"]
    states = [(one["id"], one["state"], one.get("verbs"), one.get("workspaces")) for one in tokens]
    sessions = registry.send("GET", "/api/v1/me/sessions", token=whole).json
    return registry.send("GET", "/api/v1/me", token=whole).json, states, sessions


@pytest.mark.parametrize("limits", LIMITS)
def test_AZ_13_a_limited_token_changes_nothing_of_its_owner_s_own(registry: Governed, limits: str) -> None:
    """Every change of what is one's own is refused to a limited token with the reason, and has changed nothing."""
    token, other = narrowed(registry, limits), narrowed(registry, limits, "other")
    before = own_state(registry)
    assert {one.name for one in CHANGES} == set(FIELDS)
    for operation in CHANGES:
        route = Route(operation, *operation.routes[0])
        fields = {**FIELDS[operation.name], **({"id": other["id"]} if "id" in route.in_path else {})}
        method, target, body = route.call(fields)
        reply = registry.send(method, target, body or None, token=token["token"])
        assert (reply.status, "This token is limited" in reply.problem()["detail"]) == (403, True), operation.name
    assert own_state(registry) == before


@pytest.mark.parametrize("limits", LIMITS)
def test_AZ_13_a_limited_token_reads_what_is_its_owner_s_own(registry: Governed, limits: str) -> None:
    """Who it is, which tokens and sessions there are: every reading operation about oneself answers it."""
    token = narrowed(registry, limits)["token"]
    for address in ("me", "me/tokens", "me/sessions"):
        assert registry.send("GET", f"/api/v1/{address}", token=token).status == 200, address


@pytest.mark.parametrize("limits", LIMITS)
def test_AZ_13_a_limited_token_can_end_itself(registry: Governed, limits: str) -> None:
    """A token revokes itself whatever it is limited to, and is refused from then on."""
    token = narrowed(registry, limits)
    assert registry.send("DELETE", f"{TOKENS}/{token['id']}", token=token["token"]).status == 204
    assert registry.send("GET", "/api/v1/me", token=token["token"]).status == 401


def test_AZ_13_the_administrator_s_way_makes_no_wider_token(registry: Governed) -> None:
    """A token that may only manage makes others that only manage, whoever they are for."""
    limited = registry.user("chief", given=[Given("administrator", "*")], verbs=["manage"])
    for fields in ({}, {"verbs": ["manage", "read"]}, {"never": True}):
        made = registry.send("POST", "/api/v1/tokens", {"owner": "ann", "name": "x", **fields}, token=limited)
        assert made.json.get("verbs") == ["manage"] if made.status == 201 else made.status == 403, made
