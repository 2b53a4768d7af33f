"""The native API over ASGI: strict requests, problems, cursors, and what it says of models and versions."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from modelkeep import bootstrap, models
from modelkeep.config import Settings
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database
from modelkeep.faces import native
from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.http import HttpFace
from modelkeep.faces.mlflow import workspaces
from modelkeep.faces.native.wire import NATIVE


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def ok(self, status: int = 200) -> Any:
        """The JSON of a success."""
        assert self.status == status, self.body
        return self.json if self.body else None

    def problem(self, status: int, code: str, *texts: str) -> dict[str, Any]:
        """The problem of a refusal, complete and about this."""
        assert self.status == status, self.body
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = self.json
        assert {"type", "title", "status", "detail", "code", "request_id"} <= found.keys()
        assert (found["code"], found["status"]) == (code, status)
        for text in texts:
            assert text in found["detail"], found
        return found


@dataclass(frozen=True)
class Api:
    """A caller of an application without a network between."""

    http: HttpFace
    database: Database
    workspace: str = ""

    def call(self, method: str, *segments: str, body: Any = None, raw: bytes | None = None, **query: Any) -> Reply:
        """A call of the native API."""
        path = "/api/v1/" + "/".join(quote(segment, safe="") for segment in segments)
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return self.send(method, path, data, urlencode(query, doseq=True))

    def send(self, method: str, path: str, data: bytes = b"", query: str = "") -> Reply:
        """A call of any path."""
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        if self.workspace:
            headers.append((b"x-mlflow-workspace", self.workspace.encode()))
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": headers}
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.http({**scope, "query_string": query.encode()}, receive, send))
        found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """The native API on an empty registry, once on each database, to a caller without a token."""
    settings = Settings(database=database_url, artifacts=f"file://{tmp_path / 'files'}", auth="none")
    app, _ = bootstrap.build(settings)
    yield Api(HttpFace(app, [*native.OPERATIONS, *workspaces.OPERATIONS], NATIVE, AccessLog()), app.database)
    app.close()


@pytest.fixture
def iris(api: Api) -> str:
    """A model with two versions elsewhere."""
    api.call("POST", "models", body={"name": "iris", "tags": {"team": "risk"}}).ok(201)
    for _ in range(2):
        new = models.NewVersion("iris", "s3://elsewhere/iris", tags=[("k", "v")])
        api.database.write_now(SYSTEM, lambda tx, new=new: models.create_version(tx, new))
    return "iris"


def test_a_model_is_made_and_shown(api: Api) -> None:
    """What was said of a model comes back, with its permanent id and its creator."""
    made = api.call("POST", "models", body={"name": "a b", "description": "why", "tags": {"k": "v"}}).ok(201)
    assert made == api.call("GET", "models", "a b").ok()
    assert (made["name"], made["description"], made["tags"], made["aliases"]) == ("a b", "why", {"k": "v"}, {})
    assert (made["created_by"], made["last_version"], made["kind"], len(made["id"])) == ("local", 0, "model", 32)


def test_a_version_shows_whether_its_bytes_are_held(api: Api, iris: str) -> None:
    """A version that is only recorded is not verified, has no digest, and has no list of files."""
    version = api.call("GET", "models", iris, "versions", "1").ok()
    assert (version["origin"], version["verified"], version["retired"], version["stage"]) == (
        "external",
        False,
        False,
        "None",
    )
    assert {"digest", "files", "size"}.isdisjoint(version)
    api.call("GET", "models", iris, "versions", "1", "manifest").problem(409, "conflict", "external")


def test_a_taken_name_is_a_conflict(api: Api, iris: str) -> None:
    """A refusal names the field that is wrong."""
    assert api.call("POST", "models", body={"name": iris}).problem(409, "already_exists", iris)["field"] == "name"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "unknown": 1}, "unknown"),
        ({"name": 1}, "name"),
        ({}, "name"),
        ({"name": "x", "tags": {"k": 1}}, "tags"),
        ({"name": "a/b"}, "name"),
        ([], ""),
        ("x", ""),
    ],
)
def test_a_body_is_taken_strictly(api: Api, body: Any, field: str) -> None:
    """An unknown field, a wrong type, a missing field and a body that is no object are refused."""
    problem = api.call("POST", "models", body=body).problem(400, "invalid_input")
    assert field in problem.get("field", "")


@pytest.mark.parametrize("raw", [b"{", b'{"name": "\xff"}', b"[" * 100_000, b"null"])
def test_a_body_that_is_no_json_is_refused(api: Api, raw: bytes) -> None:
    """Broken bodies are the caller's mistake."""
    api.call("POST", "models", raw=raw).problem(400, "invalid_input")


def test_a_field_of_the_address_is_not_said_again(api: Api, iris: str) -> None:
    """A name in the path and another in the body could be read two ways."""
    api.call("POST", "models", iris, "restore", body={"name": "other"}).problem(400, "invalid_input", "name")


def test_a_query_is_taken_strictly(api: Api) -> None:
    """Unknown, repeated and impossible parameters are refused."""
    for query in ({"limit": "0"}, {"limit": "1001"}, {"limit": "ten"}, {"page": "1"}, {"limit": ["1", "2"]}):
        api.call("GET", "models", **query).problem(400, "invalid_input")


@pytest.mark.parametrize("cursor", ["!", "x", "bnVsbA", "WzFd", "W10", "é", "WyJcdTAwMDAiXQ"])
def test_a_made_up_cursor_is_refused(api: Api, cursor: str) -> None:
    """A cursor is one that an answer gave."""
    assert api.call("GET", "models", cursor=cursor).problem(400, "invalid_input")["field"] == "cursor"


def test_pages_join_up(api: Api) -> None:
    """Following the cursors shows every model once, in order, and the last page has none."""
    names = [f"m{index}" for index in range(5)]
    for name in reversed(names):
        api.call("POST", "models", body={"name": name}).ok(201)
    seen, cursor = [], ""
    for _ in range(3):
        page = api.call("GET", "models", limit=2, **({"cursor": cursor} if cursor else {})).ok()
        seen += [item["name"] for item in page["items"]]
        cursor = page.get("next_cursor", "")
    assert (seen, cursor) == (names, "")


def test_versions_are_listed_newest_first(api: Api, iris: str) -> None:
    """Retired versions are listed when asked for, and can be restored."""
    first = api.call("GET", "models", iris, "versions", limit=1).ok()
    rest = api.call("GET", "models", iris, "versions", limit=1, cursor=first["next_cursor"]).ok()
    assert [page["items"][0]["version"] for page in (first, rest)] == [2, 1]
    assert "next_cursor" not in rest
    api.call("DELETE", "models", iris, "versions", "2").ok(204)
    assert [item["version"] for item in api.call("GET", "models", iris, "versions").ok()["items"]] == [1]
    everything = api.call("GET", "models", iris, "versions", retired="true").ok()["items"]
    assert [(item["version"], item["retired"]) for item in everything] == [(2, True), (1, False)]
    assert api.call("POST", "models", iris, "versions", "2", "restore").ok()["retired"] is False


def test_a_retired_model_is_listed_and_restored(api: Api, iris: str) -> None:
    """Retiring hides a model; its name or id brings it back, under another name if asked."""
    model_id = api.call("GET", "models", iris).ok()["id"]
    api.call("DELETE", "models", iris).ok(204)
    api.call("GET", "models", iris).problem(404, "not_found")
    (retired,) = api.call("GET", "retired-models").ok()["items"]
    versions = api.call("GET", "retired-models", retired["id"], "versions").ok()["items"]
    assert [(item["version"], item["created_by"], item["retired_by"]) for item in versions] == [
        (2, "modelkeep", "local"),
        (1, "modelkeep", "local"),
    ]
    assert {item["source"] for item in versions} != {None}
    assert api.call("GET", "retired-models", "0" * 32, "versions").status == 404
    assert (retired["id"], retired["retired_by"], retired["last_version"]) == (model_id, "local", 2)
    assert retired["restorable_until"] - retired["retired_at"] == 30 * 24 * 3600 * 1000
    assert api.call("POST", "models", model_id, "restore", body={"new_name": "rose"}).ok()["name"] == "rose"
    api.call("POST", "models", iris, "restore").problem(404, "not_found")


def test_an_alias_is_put_shown_and_deleted(api: Api, iris: str) -> None:
    """An alias is a thing of its own with a version in it."""
    alias = ("models", iris, "aliases", "champion")
    api.call("GET", *alias).problem(404, "not_found")
    assert api.call("PUT", *alias, body={"version": 2}).ok() == {"alias": "champion", "version": 2}
    assert api.call("GET", *alias).ok()["version"] == 2
    assert api.call("GET", "models", iris).ok()["aliases"] == {"champion": 2}
    api.call("PUT", *alias, body={"version": "2"}).problem(400, "invalid_input")
    api.call("PUT", *alias, body={"version": 9}).problem(404, "not_found")
    for _ in range(2):
        api.call("DELETE", *alias).ok(204)


def test_a_version_is_moved(api: Api, iris: str) -> None:
    """A move is posted, and can archive the others."""
    for number in ("1", "2"):
        move = {"stage": "production", "archive_existing": True}
        assert api.call("POST", "models", iris, "versions", number, "moves", body=move).ok()["stage"] == "Production"
    assert api.call("GET", "models", iris, "versions", "1").ok()["stage"] == "Archived"
    refused = api.call("POST", "models", iris, "versions", "1", "moves", body={"stage": "Nowhere"})
    assert refused.problem(400, "invalid_input")["field"] == "stage"


@pytest.mark.parametrize("number", ["0", "-1", "one", "1.5", "9223372036854775808", "9" * 40])
def test_a_version_is_a_positive_number(api: Api, iris: str, number: str) -> None:
    """What cannot be a number of a version is refused before anything is looked up."""
    assert api.call("GET", "models", iris, "versions", number).problem(400, "invalid_input")["field"] == "version"


@pytest.mark.parametrize("name", ["\x00", "a\x00b", "x" * 257])
def test_a_name_that_cannot_be_is_refused(api: Api, name: str) -> None:
    """A name in the address obeys the rules of names on every call."""
    for method, *rest in (("GET",), ("DELETE",), ("POST", "restore"), ("GET", "versions"), ("GET", "aliases", "a")):
        api.call(method, "models", name, *rest).problem(400, "invalid_input")


def test_an_unknown_path_is_a_problem_too(api: Api) -> None:
    """The API answers problems for what it does not know."""
    api.call("GET", "nothing").problem(404, "endpoint_not_found")


def test_workspaces_are_made_and_keep_their_names_apart(api: Api, iris: str) -> None:
    """A model of one workspace is not seen from another."""
    made = api.call("POST", "workspaces", body={"name": "team-a", "description": "A"}).ok(201)
    assert (made["name"], made["description"]) == ("team-a", "A")
    assert [item["name"] for item in api.call("GET", "workspaces").ok()["items"]] == ["default", "team-a"]
    there = replace(api, workspace="team-a")
    there.call("GET", "models", iris).problem(404, "not_found")
    assert there.call("GET", "models").ok()["items"] == []
    replace(api, workspace="never").call("GET", "models").problem(404, "not_found", "never")
    api.call("POST", "workspaces", body={"name": "team-a"}).problem(409, "already_exists")
    api.call("POST", "workspaces", body={"name": "Team A"}).problem(400, "invalid_input")


def test_workspaces_on_mlflows_wire(api: Api) -> None:
    """MLflow's client makes a workspace with 201 and lists what there is."""
    path = "/api/3.0/mlflow/workspaces"
    made = api.send("POST", path, b'{"name": "team-b", "description": "B"}').ok(201)
    assert made == {"workspace": {"name": "team-b", "description": "B"}} == api.send("GET", f"{path}/team-b").ok()
    assert [item["name"] for item in api.send("GET", path).ok()["workspaces"]] == ["default", "team-b"]
    assert api.send("GET", f"{path}/never").status == 404
    assert api.send("GET", f"{path}/%00").status == 400
    assert api.send("POST", path, b'{"name": "team-b"}').json["error_code"] == "RESOURCE_ALREADY_EXISTS"
