"""People, groups and tokens over the native API: pages, odd requests, and a server that asks nobody who they are."""

from collections.abc import Iterator
from typing import Any

import pytest

from security.raw import Raw
from servers import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that asks who is calling."""
    with RunningServer(tmp_path_factory.mktemp("people") / "data") as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    """The administrator's connection."""
    with Raw(server.port, server.token) as connection:
        yield connection


def listed(raw: Raw, target: str) -> list[Any]:
    """All items of a list, two at a time."""
    items: list[Any] = []
    cursor = ""
    while True:
        joined = "&" if "?" in target else "?"
        page = raw.request("GET", f"/api/v1/{target}{joined}limit=2{f'&cursor={cursor}' if cursor else ''}").json
        assert 0 < len(page["items"]) <= 2
        items += page["items"]
        cursor = page.get("next_cursor") or ""
        if not cursor:
            return items


def test_lists_go_from_page_to_page(raw: Raw) -> None:
    """People, services, groups, members and tokens are listed whole, each once, in order."""
    names = [f"list-{number}" for number in range(5)]
    raw.json("POST", "/api/v1/groups", {"name": "list-0"})
    for name in names:
        raw.json("POST", "/api/v1/users", {"name": name})
        raw.json("POST", "/api/v1/services", {"name": f"{name}-bot", "owner": name})
        raw.json("POST", "/api/v1/groups", {"name": f"{name}-group"})
        raw.json("POST", "/api/v1/tokens", {"owner": "list-0", "name": name})
        assert raw.request("PUT", f"/api/v1/groups/list-0/members/{name}").status == 204
    assert [one["name"] for one in listed(raw, "users") if one["name"].startswith("list-")] == names
    assert [one["name"] for one in listed(raw, "services")] == [f"{name}-bot" for name in names]
    assert [one["name"] for one in listed(raw, "groups")] == ["list-0", *(f"{name}-group" for name in names)]
    assert [one["name"] for one in listed(raw, "groups/list-0/members")] == names
    assert sorted(one["name"] for one in listed(raw, "tokens?owner=list-0")) == names


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "users", {}, 400),
        ("POST", "users", {"name": 5}, 400),
        ("POST", "users", {"name": "x", "admin": True}, 400),
        ("POST", "users", {"name": "admin"}, 409),
        ("PATCH", "users/nobody", {"disabled": True}, 404),
        ("PATCH", "users/admin", {"disabled": True}, 409),
        ("PATCH", "users/admin", {"disabled": None}, 400),
        ("DELETE", "users/admin", None, 409),
        ("PUT", "users/nobody/password", {"password": "plum-tractor-9-lake"}, 404),
        ("POST", "services", {"name": "s", "owner": "nobody"}, 404),
        ("PATCH", "services/admin", {"disabled": True}, 404),
        ("PUT", "groups/nothing/members/admin", None, 404),
        ("POST", "tokens", {"owner": "nobody", "name": "t"}, 404),
        ("POST", "tokens", {"owner": "admin", "name": "t", "days": 10**30}, 400),
        ("POST", "me/tokens", {"name": "t", "service": "admin"}, 404),
        ("POST", "me/tokens", {"name": "t", "never": True}, 400),
        ("DELETE", "me/tokens/x", None, 404),
        ("POST", "token-revocations", {}, 400),
        ("POST", "token-revocations", {"since": -1}, 400),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why(raw: Raw, method: str, path: str, body: Any, status: int) -> None:
    """Each senseless request gets its status and an explanation."""
    reply = raw.json(method, f"/api/v1/{path}", b"" if body is None else body)
    reply.refused(status)
    assert reply.json["detail"]


def test_what_is_left_out_of_a_change_stays(raw: Raw) -> None:
    """A change of one thing leaves the others; null takes a description away."""
    raw.json("POST", "/api/v1/users", {"name": "kept", "display_name": "Kept"})
    raw.json("POST", "/api/v1/services", {"name": "kept-bot", "owner": "kept", "display_name": "Bot"})
    assert raw.json("PATCH", "/api/v1/users/kept", {"disabled": True}).json["display_name"] == "Kept"
    assert raw.json("PATCH", "/api/v1/users/kept", {"display_name": "K"}).json["disabled"] is True
    assert "display_name" not in raw.json("PATCH", "/api/v1/users/kept", {"display_name": None}).json
    changed = raw.json("PATCH", "/api/v1/services/kept-bot", {"owner": "admin"}).json
    assert (changed["owner"], changed["display_name"], changed["works"]) == ("admin", "Bot", True)


def test_where_nobody_signs_in_nobody_has_an_account(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With --auth none one is `local`, has no tokens and no password, and can prepare the accounts of others."""
    with RunningServer(tmp_path_factory.mktemp("open") / "data", auth="none") as server, Raw(server.port) as raw:
        assert raw.request("GET", "/api/v1/me").json == {"name": "local", "signed_in_by": "none"}
        raw.request("GET", "/api/v1/me/tokens").refused(409)
        raw.json("POST", "/api/v1/me/tokens", {"name": "t"}).refused(409)
        raw.json("POST", "/api/v1/me/password", {"present": "x", "new": "plum-tractor-9-lake"}).refused(409)
        raw.json("POST", "/api/v1/services", {"name": "bot"}).refused(400)
        assert raw.json("POST", "/api/v1/users", {"name": "ann"}).status == 201
        assert raw.json("POST", "/api/v1/services", {"name": "bot", "owner": "ann"}).status == 201
        assert raw.json("POST", "/api/v1/tokens", {"owner": "bot", "name": "t"}).status == 201
