"""A token that is limited opens no way for its holder to come back without the limits (AZ-13)."""

from collections.abc import Iterator
from typing import Any

import pytest

from security.governed import Governed
from security.raw import Reply

ISSUER = {"issuer": "https://idp.example", "audience": "registry", "service": "robot", "claims": {"sub": "ci"}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """A registry with a service that may do everything."""
    with Governed.start(tmp_path_factory.mktemp("limits") / "data") as registry:
        registry.native("POST", "services", name="robot")
        registry.native("POST", "assignments", principal="user/robot", role="administrator", workspace="*")
        made = registry.native("POST", "me/tokens", name="limited", verbs=["manage"])
        registry.callers["limited"] = made["token"]
        yield registry


def call(registry: Governed, method: str, path: str, fields: dict[str, Any]) -> Reply:
    """A call with the limited token."""
    return registry.send(method, f"/api/v1/{path}", fields, token=registry.callers["limited"])


def test_AZ_13_a_limited_token_links_nobody_to_a_provider(registry: Governed) -> None:
    """Who could say which stranger signs in as an administrator would be one, without the limits: it is refused."""
    refused = call(registry, "POST", "users/admin/logins", {"issuer": "https://idp.example", "subject": "mallory"})

    assert "limited" in refused.refused(403)["detail"]


def test_AZ_13_a_limited_token_trusts_no_issuer_for_more_than_itself(registry: Governed) -> None:
    """An issuer is limited as the token is by which it is trusted; more is refused, and nothing inherited."""
    more = call(registry, "POST", "issuers", {"name": "more", "verbs": ["manage", "read"], **ISSUER})
    unsaid = call(registry, "POST", "issuers", {"name": "unsaid", **ISSUER})

    assert "read" in more.refused(403)["detail"]
    assert unsaid.status == 201
    assert unsaid.json["verbs"] == ["manage"]
