"""What looks at the whole store, whatever workspace its bytes are of, is for whoever manages the server."""

from pathlib import Path

from security.governed import Given, Governed
from security.raw import Raw
from servers import RunningServer


def test_only_who_manages_the_server_sees_the_whole_store(tmp_path: Path) -> None:
    """One who manages a workspace neither verifies everybody's bytes nor is told how many there are."""
    with RunningServer(tmp_path / "data") as server:
        with Raw(server.port, server.token) as raw:
            assert raw.json("POST", "/api/v1/users", {"name": "keeper"}).status == 201
            role = {"principal": "user/keeper", "role": "manager", "workspace": "default"}
            assert raw.json("POST", "/api/v1/assignments", role).status == 201
            token = raw.json("POST", "/api/v1/tokens", {"owner": "keeper", "name": "t"}).json["token"]
            assert raw.json("POST", "/api/v1/artifacts/verify", {}).status == 200
            assert "store" in raw.request("GET", "/api/v1/usage").json["workspace"]
        with Raw(server.port, token) as raw:
            assert raw.json("POST", "/api/v1/artifacts/verify", {}).status == 403
            usage = raw.request("GET", "/api/v1/usage")
            assert usage.status == 200
            assert "store" not in usage.json["workspace"]


def test_only_who_manages_the_server_says_how_much_a_workspace_may_hold(tmp_path: Path) -> None:
    """One who manages a workspace sees its quota, and neither raises nor lifts it."""
    with Governed.start(tmp_path / "data") as registry:
        keeper = registry.user("keeper", given=[Given("manager"), Given("administrator")])
        address = "/api/v1/workspaces/default/quota"
        registry.native("PUT", "workspaces/default/quota", bytes=1000)
        assert registry.send("PUT", address, {"bytes": 2000}, token=keeper).status == 403
        refused = registry.send("DELETE", address, token=keeper)
        assert (refused.status, "on the server" in refused.problem()["detail"]) == (403, True)
        assert registry.send("GET", address, token=keeper).json["bytes"] == 1000
        assert registry.send("DELETE", address).status == 204
