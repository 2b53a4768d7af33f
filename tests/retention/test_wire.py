"""Reclaiming as operators meet it: the native API, the command line, MLflow's wire and the monitoring page."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from faces.mlflow.build import Build
from faces.mlflow.wire import Answer, Wire
from servers import PROGRAM, RunningServer, clean_environment


class Site:
    """A server with one model of three versions, each of one file, which their runs no longer have."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.wire = Wire(server.url, server.token)
        self.native = self.wire.under("/api/v1/")
        self.build = Build(self.wire)

    def furnish(self, name: str) -> None:
        """Make the model."""
        self.build.model(name)
        for number in range(1, 4):
            folder = self.build.artifacts_of(self.build.run())
            self.wire.put_file(f"{folder}/model/weights", f"{name} {number}".encode() * 100).ok()
            self.build.version(name, f"mlflow-artifacts:/{folder}/model")
            self.wire.call("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/model").ok()

    def gc(self, **asked: object) -> dict[str, object]:
        """Call gc."""
        return self.native.post("gc", **asked).ok()

    def put(self, path: str, **fields: object) -> Answer:
        """Set something on the native API."""
        return self.native.send("PUT", path, fields)

    def drop(self, path: str) -> Answer:
        """Delete something on the native API."""
        return self.native.call("DELETE", f"/api/v1/{path}")

    def command(self, *arguments: str, code: int = 0) -> str:
        """What a command prints that ends with this code."""
        access = {"MODELKEEP_URL": self.server.url, "MLFLOW_TRACKING_TOKEN": self.server.token or ""}
        environment = clean_environment({"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb", **access})
        environment["PATH"] = os.environ["PATH"]
        done = subprocess.run(
            [str(PROGRAM), *arguments], capture_output=True, text=True, timeout=120, env=environment, check=False
        )
        assert done.returncode == code, done
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of its own."""
    with RunningServer(tmp_path_factory.mktemp("reclaim") / "data") as server:
        yield Site(server)


def problem(answer: Answer, status: int, text: str) -> None:
    """Hold a refusal to its status and a part of its text."""
    assert answer.status == status, answer
    assert text in answer.json["detail"], answer.json


def test_a_rule_is_shown_dry_then_applied(site: Site) -> None:
    """A rule makes candidates, which the dry run lists with reasons and changes nothing; apply lets go of them."""
    site.furnish("dry")
    site.put("models/dry/retention", keep_last=1).ok()
    assert site.native.get("models/dry/retention").ok() == {"of": "model", "automatic": False, "keep_last": 1}
    for _ in range(2):
        found = [one for one in site.gc()["items"] if one.get("name") == "dry"]
        assert [(one["kind"], one["version"], one["bytes"], one["frees"]) for one in found] == [
            ("version", 1, 500, 500),
            ("version", 2, 500, 500),
        ]
        assert "the last 1 are kept" in found[0]["reason"]
    done = site.gc(apply=True)
    assert (done["applied"], done["finished"], done["versions"]) == (True, True, {"count": 2, "bytes": 1000})
    versions = site.native.get("models/dry/versions").ok()["items"]
    assert [one.get("reclaimed", False) for one in versions] == [False, True, True]
    assert [one["digest"] is not None for one in versions] == [True] * 3
    assert site.drop("models/dry/retention").status == 204
    assert site.native.get("models/dry/retention").status == 404


def test_a_reclaimed_version_over_the_wire(site: Site) -> None:
    """Its record and file list are shown; downloads, moves, aliases and restores are refused with what happened."""
    site.furnish("gone")
    site.put("models/gone/retention", keep_last=2).ok()
    site.gc(apply=True)
    manifest = site.native.get("models/gone/versions/1/manifest").ok()
    assert [one["path"] for one in manifest["files"]] == ["weights"]
    uri = site.wire.get("model-versions/get-download-uri", name="gone", version="1").ok()["artifact_uri"]
    site.wire.get_file(f"{uri.removeprefix('mlflow-artifacts:/')}/weights").missing("reclaimed")
    page = site.wire.call("GET", "/model-versions/get-artifact?name=gone&version=1&path=weights")
    page.missing("reclaimed")
    moved = site.wire.post("model-versions/transition-stage", name="gone", version="1", stage="Production")
    moved.refused(409, "RESOURCE_CONFLICT", "reclaimed")
    problem(site.put("models/gone/aliases/champion", version=1), 409, "reclaimed")
    copied = site.wire.post("model-versions/create", name="gone", source="models:/gone/1")
    copied.refused(409, "RESOURCE_CONFLICT", "reclaimed")


def test_a_hold_is_set_shown_and_lifted(site: Site) -> None:
    """A hold says why, by whom and when; it keeps a version that a rule would let go of; lifting it twice is fine."""
    site.furnish("held")
    site.put("models/held/retention", keep_last=2).ok()
    hold = site.put("models/held/versions/1/hold", reason="case 7").ok()
    assert (hold["version"], hold["reason"], hold["held_by"]) == (1, "case 7", "admin")
    assert site.native.get("models/held/versions/1/hold").ok() == hold
    site.gc(apply=True)
    assert "reclaimed" not in site.native.get("models/held/versions/1").ok()
    for _ in range(2):
        assert site.drop("models/held/versions/1/hold").status == 204
    assert site.native.get("models/held/versions/1/hold").status == 404
    problem(site.put("models/held/versions/9/hold", reason="x"), 404, "not found")
    problem(site.put("models/held/versions/1/hold", reason=" "), 400, "why")


def test_wrong_input_is_refused_by_name(site: Site) -> None:
    """Rules, quotas and gc refuse what makes no sense and name the field."""
    site.build.model("wrong")
    for answer, field in (
        (site.put("workspaces/default/retention"), "keep_last"),
        (site.put("workspaces/default/retention", keep_last=0), "keep_last"),
        (site.put("models/wrong/retention", keep_days=10**9), "keep_days"),
        (site.native.post("gc", older_than_days=-1), "older_than_days"),
        (site.native.post("gc", trash_days=10**9), "trash_days"),
        (site.native.post("gc", cursor="nonsense"), "cursor"),
        (site.native.get("usage", cursor="nonsense"), "cursor"),
    ):
        assert (answer.status, answer.json["field"]) == (400, field), answer
    assert site.put("workspaces/default/quota", bytes=-1).status == 400
    for path in ("retention", "quota"):
        problem(site.native.get(f"workspaces/none/{path}"), 404, "Workspace 'none' not found")
    assert site.put("workspaces/none/quota", bytes=1).status == 404


def test_the_listing_comes_in_pages(site: Site) -> None:
    """With a small limit, gc's pages follow each other over versions and blobs, each item once."""
    site.furnish("pages")
    site.put("models/pages/retention", keep_last=1).ok()
    folder = site.build.artifacts_of(site.build.run())
    for index in range(5):
        site.wire.put_file(f"{folder}/{index}", b"unnamed %d" % index).ok()
    site.wire.call("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{folder}").ok()
    whole = site.gc()
    assert "next_cursor" not in whole
    items: list[object] = []
    cursor = ""
    while True:
        page = site.gc(limit=2, cursor=cursor)
        items += page["items"]
        assert len(page["items"]) <= 2
        cursor = str(page.get("next_cursor", ""))
        if not cursor:
            break
    assert items == whole["items"]
    assert [one["kind"] for one in items].count("blob") >= 5


def test_an_upload_over_quota_is_413_on_the_wire(site: Site) -> None:
    """In a workspace with a quota, a larger upload is refused with 413 and a message; other workspaces are not."""
    site.native.post("workspaces", name="small")
    small = {"X-MLFLOW-WORKSPACE": "small"}
    site.put("workspaces/small/quota", bytes=1000).ok()
    assert site.native.get("workspaces/small/quota").ok() == {"workspace": "small", "bytes": 1000}
    run = site.wire.call(
        "POST",
        "/api/2.0/mlflow/runs/create",
        b'{"experiment_id": "0", "start_time": 1}',
        content_type="application/json",
        **small,
    ).ok()
    folder = run["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    site.wire.put_file(f"{folder}/fits", b"x" * 600, **small).ok()
    refused = site.wire.put_file(f"{folder}/more", b"y" * 600, **small)
    refused.refused(413, "INVALID_PARAMETER_VALUE", "quota of 1000 bytes", "600 are in use")
    assert site.native.call("GET", "/api/v1/usage", **small).ok()["workspace"]["quota_bytes"] == 1000
    site.wire.put_file(f"{site.build.artifacts_of(site.build.run())}/large", b"z" * 5000).ok()
    assert site.drop("workspaces/small/quota").status == 204
    site.wire.put_file(f"{folder}/more", b"y" * 600, **small).ok()


def test_usage_names_what_is_held_and_by_which_models(site: Site) -> None:
    """Usage adds up files, versions and stored bytes, and lists models by size in pages."""
    site.furnish("used")
    first = site.native.get("usage", limit=1).ok()
    held = first["workspace"]
    assert held["logical_bytes"] == held["tree_bytes"] + held["version_bytes"]
    assert held["stored_bytes"] <= held["logical_bytes"]
    assert held["store"]["bytes"] >= held["stored_bytes"]
    names = []
    page = first
    while True:
        names += [one["name"] for one in page["models"]]
        if "next_cursor" not in page:
            break
        page = site.native.get("usage", limit=1, cursor=page["next_cursor"]).ok()
        assert "workspace" not in page
    assert names.count("used") == 1


def test_gc_on_the_command_line(site: Site) -> None:
    """`gc` prints what may go with bytes per model, `--json` one object a line, `--apply` what was done."""
    site.furnish("shell")
    site.put("models/shell/retention", keep_last=1).ok()
    text = site.command("gc")
    assert "shell version 1" in text
    assert "the last 1 are kept" in text
    assert "model shell" in text
    assert "Nothing was changed" in text
    lines = [json.loads(line) for line in site.command("gc", "--json").splitlines()]
    assert [one["version"] for one in lines if one.get("name") == "shell"] == [1, 2]
    done = json.loads(site.command("gc", "--apply", "--trash-days", "0", "--json"))
    assert done["versions"]["count"] >= 2
    assert done["deleted"]["count"] >= 2
    assert "blobs deleted" in site.command("gc", "--apply", "--older-than", "30")
    assert "days" in site.command("gc", "--older-than", "-1", code=1)


def test_usage_on_the_command_line(site: Site) -> None:
    """`usage` prints a table, and with `--json` what the API says."""
    site.furnish("shown")
    text = site.command("usage")
    assert "kept in the store" in text
    assert "shown" in text
    assert json.loads(site.command("usage", "--json", "--models", "1"))["workspace"]["files"] > 0


def test_the_journal_tells_what_was_reclaimed(site: Site) -> None:
    """Rules, holds, releases, trash and quotas are in the journal with who asked for them."""
    site.furnish("told")
    site.put("models/told/retention", keep_last=1).ok()
    site.put("models/told/versions/2/hold", reason="why").ok()
    site.put("workspaces/default/quota", bytes=10**12).ok()
    site.drop("workspaces/default/quota")
    site.gc(apply=True, trash_days=0)
    entries = site.native.get("journal", limit=1000).ok()["items"]
    mine = {entry["kind"]: entry for entry in reversed(entries)}
    for kind in (
        "retention_rule.set",
        "model_version.held",
        "model_version.reclaimed",
        "blobs.trashed",
        "blobs.deleted",
        "quota.set",
        "quota.lifted",
    ):
        assert mine[kind]["actor"] == "admin", kind
    assert mine["model_version.reclaimed"]["data"]["reason"].startswith("outside the retention rule")


def test_the_chores_run_beside_the_server_and_show_on_metrics(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The figures of the store are on the monitoring page some time after the start, without anybody asking for gc."""
    with RunningServer(tmp_path_factory.mktemp("chores") / "data") as server:
        request = urllib.request.Request(f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token}"})
        with urllib.request.urlopen(request) as answer:
            text = answer.read().decode()
    assert "modelkeep_store_bytes" in text
    assert "modelkeep_trash_bytes" in text
