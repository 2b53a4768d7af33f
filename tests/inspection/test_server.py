"""Inspections on a running server: judged by its worker, shown by API and command line, acted on by every download."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import postgres
from cli.test_commands import done, stopped
from inspection.forge import safetensors
from inspection.hostile import EVIL
from security.raw import Raw, Reply
from servers import RunningServer

RPC = "/api/2.0/mlflow/"
PROXY = "/api/2.0/mlflow-artifacts/"


class Site:
    """A server with a good version (1) and an unsafe one (2) of a model, both judged."""

    def __init__(self, server: RunningServer, raw: Raw) -> None:
        self.server = server
        self.raw = raw
        run = self.post("runs/create", experiment_id="0", start_time=1)["run"]["info"]
        self.run_id, self.source = run["run_id"], run["artifact_uri"]
        self.post("registered-models/create", name="m")
        for number, content in enumerate((safetensors({"w": ("F32", [2], 8)}), EVIL), 1):
            root = self.source.removeprefix("mlflow-artifacts:/")
            assert raw.request("PUT", f"{PROXY}artifacts/{root}/{number}/model.bin", content).status == 200
            self.post("model-versions/create", name="m", source=f"{self.source}/{number}")

    def post(self, rpc: str, **fields: Any) -> Any:
        """A call over MLflow's wire that must succeed."""
        reply = self.raw.json("POST", RPC + rpc, fields)
        assert reply.status == 200, reply
        return reply.json

    def native(self, method: str, path: str, fields: Any = None) -> Reply:
        """A call of the native API."""
        if fields is None:
            return self.raw.request(method, f"/api/v1/{path}")
        return self.raw.json(method, f"/api/v1/{path}", fields)

    def judged(self, number: int) -> Any:
        """The inspection of a version, once it is done."""
        deadline = time.monotonic() + 60
        while (found := self.native("GET", f"models/m/versions/{number}/inspection").json)["state"] != "done":
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def downloads(self, number: int) -> dict[str, Reply]:
        """Every way to the files of a version."""
        show = self.native("GET", f"models/m/versions/{number}").json
        place = show["download_uri"].removeprefix("mlflow-artifacts:/")
        etag = self.raw.request("GET", f"{PROXY}artifacts/{place}/model.bin").headers.get("etag", '"x"').encode()
        return {
            "proxy": self.raw.request("GET", f"{PROXY}artifacts/{place}/model.bin"),
            "range": self.raw.request("GET", f"{PROXY}artifacts/{place}/model.bin", headers=[(b"Range", b"bytes=0-1")]),
            "cached": self.raw.request(
                "GET", f"{PROXY}artifacts/{place}/model.bin", headers=[(b"If-None-Match", b"*")]
            ),
            "known": self.raw.request("GET", f"{PROXY}artifacts/{place}/model.bin", headers=[(b"If-None-Match", etag)]),
            "page": self.raw.request("GET", f"/model-versions/get-artifact?name=m&version={number}&path=model.bin"),
            "archive": self.native("GET", f"models/m/versions/{number}/archive"),
            "link": self.raw.request("GET", f"{PROXY}presigned/{place}/model.bin"),
            "resolve": self.native("GET", f"resolve?uri=models%3A%2Fm%2F{number}"),
        }

    def command(self) -> dict[str, str]:
        """The settings of a command line that speaks to this server."""
        return {"MODELKEEP_URL": self.server.url, "MLFLOW_TRACKING_TOKEN": self.server.token or ""}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A furnished server, once on each database."""
    data = tmp_path_factory.mktemp("site") / "data"
    if request.param == "sqlite":
        with RunningServer(data) as server, Raw(server.port, server.token) as raw:
            yield Site(server, raw)
        return
    with (
        postgres.empty_database(request.getfixturevalue("postgres_server")) as url,
        RunningServer(data, database=url) as server,
        Raw(server.port, server.token) as raw,
    ):
        yield Site(server, raw)


def test_versions_are_judged_and_shown(site: Site) -> None:
    """The server's worker judges both; verdict, findings and contents are in the answer."""
    good, bad = site.judged(1), site.judged(2)
    assert (good["verdict"], good.get("findings", [])) == ("safe", [])
    assert good["contents"]["safetensors"][0]["tensors"] == [{"name": "w", "dtype": "F32", "shape": [2]}]
    assert bad["verdict"] == "unsafe"
    assert bad["findings"][0] == bad["findings"][0] | {
        "file": "model.bin",
        "rule": "pickle.import",
        "severity": "unsafe",
    }
    assert bad["rule_set"] == bad["current_rule_set"]
    assert bad["digest"] == site.native("GET", "models/m/versions/2").json["digest"]


def test_a_version_held_elsewhere_is_external(site: Site) -> None:
    """Its state says so, and it cannot be judged again."""
    number = site.post("model-versions/create", name="m", source="s3://elsewhere/m")["model_version"]["version"]
    assert site.native("GET", f"models/m/versions/{number}/inspection").json["state"] == "external"
    assert site.native("POST", f"models/m/versions/{number}/inspection").status == 409
    assert site.native("GET", "models/m/versions/999/inspection").status == 404


def test_judging_again_is_accepted_and_done(site: Site) -> None:
    """The answer is 202 with the verdict so far, and the worker does it."""
    before = site.judged(2)["inspected_at"]
    reply = site.native("POST", "models/m/versions/2/inspection")
    assert (reply.status, reply.json["state"], reply.json["verdict"]) == (202, "pending", "unsafe")
    assert site.judged(2)["inspected_at"] > before


def test_every_download_of_an_unsafe_version_is_refused_where_the_workspace_says_so(site: Site) -> None:
    """403 with the reason on every route; the good version and the run's own files are given out as before."""
    site.judged(1)
    site.judged(2)
    policy = "workspaces/default/download-policy"
    allowed = {"workspace": "default", "refuse_unsafe": False, "refuse_unjudged": False}
    assert site.native("GET", policy).json == allowed
    assert {reply.status for reply in site.downloads(2).values()} <= {200, 206, 304}
    assert site.native("PUT", policy, {"refuse_unsafe": True}).json["refuse_unsafe"]
    try:
        for name, reply in site.downloads(2).items():
            problem = reply.refused(403)
            assert "judged unsafe" in problem.get("detail", problem.get("message", "")), name
        assert {reply.status for reply in site.downloads(1).values()} <= {200, 206, 304}
        root = site.source.removeprefix("mlflow-artifacts:/")
        assert site.raw.request("GET", f"{PROXY}artifacts/{root}/2/model.bin").body == EVIL
    finally:
        site.native("PUT", policy, {"refuse_unsafe": False})
    assert site.downloads(2)["proxy"].body == EVIL


def test_a_reclaimed_version_is_not_judged_again(site: Site) -> None:
    """Asking for it is a conflict that says why; its state is reclaimed and its verdict stands."""
    site.post("registered-models/create", name="old")
    site.post("model-versions/create", name="old", source=f"{site.source}/2")
    site.judged(2)
    site.native("DELETE", "models/old/versions/1")
    gone = site.native("POST", "gc", {"apply": True, "older_than_days": 0})
    assert gone.status == 200, gone
    path = "models/old/versions/1/inspection"
    shown = site.native("GET", path).json
    assert (shown["state"], shown["verdict"]) == ("reclaimed", "unsafe")
    assert "reclaimed" in site.native("POST", path).refused(409)["detail"]
    assert "unsafe" in done("models", "inspect", "old", "1", **site.command())


def test_a_policy_needs_a_workspace_and_a_plain_answer(site: Site) -> None:
    """An absent workspace is not found, and what is no yes or no is refused by name."""
    assert site.native("GET", "workspaces/absent/download-policy").status == 404
    assert site.native("PUT", "workspaces/default/download-policy", {"refuse_unsafe": "yes"}).refused(400)["field"]


def test_the_command_line_shows_an_inspection(site: Site) -> None:
    """For people with the reason, for programs as the API has it; an absent version is one line and code 1."""
    site.judged(1)
    site.judged(2)
    told = done("models", "inspect", "m", "2", **site.command())
    assert "m version 2: unsafe" in told
    assert "os.system" in told
    assert json.loads(done("models", "inspect", "m", "1", "--json", **site.command()))["verdict"] == "safe"
    assert "not found" in stopped(1, "models", "inspect", "m", "77", **site.command()).lower()
    assert "pickle" in done("models", "inspect", "m", "2", "--again", **site.command())
    site.judged(2)
