"""Downloads are entries where the workspace asks for that: of files, ranges, archives, previews and links."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelkeep import audit
from modelkeep.core.types import SYSTEM
from security.governed import Governed
from security.raw import Reply

KNOWN_S = 1.1
FILES = "/api/2.0/mlflow-artifacts/artifacts/"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Governed]:
    """A registry with a run's file, and a version of it."""
    with Governed.start(tmp_path / "data") as registry:
        run = registry.post("runs/create", experiment_id="0", start_time=1)["run"]["info"]
        root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        registry.made |= {"run": run["run_id"], "root": root}
        registry.put(f"{root}/a.txt", b"weights")
        registry.made["clf"] = registry.native("POST", "models", name="clf")["id"]
        registry.post("model-versions/create", name="clf", source=run["artifact_uri"])
        registry.native("PUT", "workspaces/default/audit", downloads=True)
        yield registry


def fetched(registry: Governed, target: str, *headers: tuple[bytes, bytes], method: str = "GET") -> Reply:
    """A successful answer."""
    reply = registry.wire.call(method, target, headers=headers, token=registry.token)
    assert reply.status in {200, 206, 304}, reply
    return reply


def downloads(registry: Governed) -> list[dict[str, Any]]:
    """What was fetched, oldest first."""
    chosen = audit.Selection(kind="artifact.downloaded", everywhere=True)
    rows = registry.app.database.read_now(SYSTEM, lambda tx: audit.search(tx, chosen, 2**63 - 1, 100))
    return [json.loads(row.data) | {"resource": row.resource, "actor": row.actor} for row in rows[::-1]]


def test_a_file_that_is_fetched_is_an_entry(registry: Governed) -> None:
    """Who fetched which file of what, with its digest; a range says which; HEAD and what is known already are none."""
    target = FILES + registry.made["root"] + "/a.txt"
    reply = fetched(registry, target)
    fetched(registry, target, (b"range", b"bytes=1-3"))
    fetched(registry, target, method="HEAD")
    fetched(registry, target, (b"if-none-match", reply.headers["etag"].encode()))
    whole, part = downloads(registry)
    assert (whole["resource"], whole["actor"], whole["way"]) == (f"run/{registry.made['run']}", "admin", "file")
    assert whole["path"] == f"{registry.made['root']}/a.txt"
    assert whole["digest"] == reply.headers["etag"].strip('"')
    assert (whole["first"], whole["last"], part["first"], part["last"]) == (None, None, 1, 3)


def test_archives_previews_and_links_are_entries(registry: Governed) -> None:
    """Each way to the bytes is an entry about what they are of; a link is one when it is made and when it is used."""
    fetched(registry, "/api/v1/models/clf/versions/1/archive")
    fetched(registry, "/api/v1/models/clf/versions/1/preview?path=a.txt")
    link = registry.send("GET", f"/api/2.0/mlflow-artifacts/presigned/{registry.made['root']}/a.txt").json
    fetched(registry, "/" + link["url"].split("/", 3)[3])
    found = [(one["way"], one["resource"].split("/")[0]) for one in downloads(registry)]
    assert found == [("archive", "model-version"), ("preview", "model-version"), ("link", "run"), ("file", "blob")]
    assert downloads(registry)[0]["resource"] == f"model-version/{registry.made['clf']}/1"


def test_without_being_asked_downloads_leave_nothing(registry: Governed) -> None:
    """A second after a workspace asked for no entries, downloads are none; that it asked is one."""
    registry.native("PUT", "workspaces/default/audit", downloads=False)
    time.sleep(KNOWN_S)
    fetched(registry, FILES + registry.made["root"] + "/a.txt")
    assert downloads(registry) == []
    assert registry.native("GET", "workspaces/default/audit") == {"downloads": False}
    told = registry.native("GET", "journal?kind=workspace.downloads_audited")["items"]
    assert [one["data"]["audited"] for one in told] == [False, True]
