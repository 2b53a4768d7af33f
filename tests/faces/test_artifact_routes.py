"""The routes of artifacts, spoken to as an HTTP server does it: bytes in pieces, clients that leave, hostile paths."""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from modelkeep import models, runs
from modelkeep.app import App
from modelkeep.bootstrap import build
from modelkeep.config import Settings
from modelkeep.core.types import Actor, Caller
from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.http import HttpFace
from modelkeep.faces.mlflow import artifacts
from modelkeep.faces.mlflow.wire import MLFLOW
from security.hostile_paths import HOSTILE_PATHS

ALICE = Caller(Actor("local", "none"))
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
BIG = bytes(range(256)) * (20 * 1024) + b"end"


@dataclass(frozen=True)
class Answer:
    """What came back; `broken` if the server gave up while it sent the body."""

    status: int
    headers: dict[str, str]
    body: bytes
    broken: bool

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Site:
    """A registry with one run, and a client that sends exactly what it is told to."""

    def __init__(self, app: App, data: Path) -> None:
        self.app = app
        self.blobs = data / "sha256"
        self.staging = data / "staging"
        self.http = HttpFace(app, artifacts.OPERATIONS, MLFLOW, AccessLog())
        self.run = app.database.write_now(ALICE, lambda tx: runs.create_run(tx, "0"))
        self.root = self.run.artifact_uri.removeprefix("mlflow-artifacts:/")

    def call(
        self, method: str, target: str, pieces: tuple[bytes, ...] = (), *, leaves: bool = False, **headers: str
    ) -> Answer:
        """Send a request target and a body in these pieces; `leaves` closes the connection before its end."""
        return asyncio.run(self._call(method, target, pieces, leaves, headers))

    def put(self, path: str, *pieces: bytes, **headers: str) -> Answer:
        """Upload to a path below the run's root."""
        return self.call("PUT", f"{PROXY}/{self.root}/{path}", pieces, **headers)

    def get(self, path: str, **headers: str) -> Answer:
        """Download from a path below the run's root."""
        return self.call("GET", f"{PROXY}/{self.root}/{path}", **headers)

    def names(self) -> list[str]:
        """What the run's root holds."""
        answer = self.call("GET", f"{PROXY}?path={self.root}")
        return [entry["path"] for entry in answer.json.get("files", [])]

    def stored(self) -> list[Path]:
        """Every blob on the disk."""
        return [path for path in self.blobs.rglob("*") if path.is_file()]

    async def _call(
        self, method: str, target: str, pieces: tuple[bytes, ...], leaves: bool, headers: dict[str, str]
    ) -> Answer:
        path, _, query = target.partition("?")
        incoming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        incoming.append({"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b""})
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"127.0.0.1"), *named],
        }
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(0)
            if not incoming:
                await asyncio.Event().wait()  # as a server whose client stays and says nothing more
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await self.http(scope, receive, send)
        return _answer(sent)


def _answer(sent: list[Any]) -> Answer:
    if not sent:
        return Answer(0, {}, b"", broken=False)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message["body"] for message in sent[1:])
    ended = any(not message.get("more_body") for message in sent[1:])
    return Answer(sent[0]["status"], headers, body, broken=not ended)


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A registry without sign-in on either database."""
    data = tmp_path / "data"
    app, _ = build(Settings(data=data, database=database_url, auth="none"))
    yield Site(app, data)
    app.close()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Site]:
    """A registry without sign-in on SQLite."""
    data = tmp_path / "data"
    app, _ = build(Settings(data=data, auth="none"))
    yield Site(app, data)
    app.close()


def test_what_is_uploaded_in_pieces_comes_back_whole(site: Site):
    """A body of many pieces is one file, listed with its size, and answered with the headers of an attachment."""
    pieces = [BIG[start : start + 100_000] for start in range(0, len(BIG), 100_000)]
    assert site.put("d/weights.bin", *pieces, content_length=str(len(BIG))).json == {}
    answer = site.get("d/weights.bin")
    assert (answer.status, answer.body) == (200, BIG)
    assert answer.headers["content-length"] == str(len(BIG))
    assert answer.headers["etag"] == f'"{hashlib.sha256(BIG).hexdigest()}"'
    assert answer.headers["content-disposition"] == "attachment; filename=weights.bin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    listing = site.call("GET", f"{PROXY}?path={site.root}/d").json
    assert listing == {"files": [{"path": "weights.bin", "is_dir": False, "file_size": len(BIG)}]}


def test_an_empty_file_is_a_file(quick: Site):
    """An upload without a byte is stored and answered."""
    assert quick.put("empty", content_length="0").status == 200
    assert (quick.get("empty").status, quick.get("empty").body) == (200, b"")


@pytest.mark.parametrize("size", [10, len(BIG)])
def test_head_tells_what_get_would(quick: Site, size: int):
    """HEAD has the headers of GET and no body."""
    quick.put("x.txt", BIG[:size])
    head, get = (quick.call(method, f"{PROXY}/{quick.root}/x.txt") for method in ("HEAD", "GET"))
    assert head.body == b""
    assert {**head.headers, "x-request-id": ""} == {**get.headers, "x-request-id": ""}


@pytest.mark.parametrize("data", [b"0123456789", BIG])
@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("0-3", 0, 4),
        ("4-", 4, None),
        ("-3", -3, None),
        ("5-5", 5, 6),
        ("2-99999999999", 2, None),
        ("-99999999999", 0, None),
    ],
)
def test_a_range_is_answered(quick: Site, data: bytes, asked: str, start: int, end: int | None):
    """One range of bytes is answered as a part, wherever it begins and however far it reaches."""
    quick.put("x", data)
    answer = quick.get("x", range=f"bytes={asked}")
    first = start % len(data)
    expected = data[start:end]
    assert (answer.status, answer.body) == (206, expected)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(data)}"
    assert answer.headers["content-length"] == str(len(expected))


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_behind_the_end_is_not_satisfiable(quick: Site, asked: str):
    """A range that begins behind the last byte is refused with the size."""
    quick.put("x", b"0123456789")
    answer = quick.get("x", range=asked)
    assert (answer.status, answer.body, answer.headers["content-range"]) == (416, b"", "bytes */10")


@pytest.mark.parametrize(
    "asked", ["bytes=3-1", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes", "bytes=\u0661-"]
)
def test_what_is_no_single_range_is_answered_whole(quick: Site, asked: str):
    """A Range that makes no sense, or asks for several parts, is passed over."""
    quick.put("x", b"0123456789")
    answer = quick.get("x", range=asked)
    assert (answer.status, answer.body) == (200, b"0123456789")


def test_a_range_of_another_upload_is_answered_whole(quick: Site):
    """With If-Range, a part is answered only of the file that the client has the beginning of."""
    quick.put("x", b"0123456789")
    etag = quick.get("x").headers["etag"]
    assert quick.get("x", range="bytes=5-", if_range=etag).status == 206
    quick.put("x", b"another one")
    assert quick.get("x", range="bytes=5-", if_range=etag).body == b"another one"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"no", {}', "*"])
def test_a_known_file_is_not_sent_again(quick: Site, form: str):
    """If-None-Match with the file's tag is answered without a body, and with it after the file changed."""
    quick.put("x", b"one")
    tag = form.format(quick.get("x").headers["etag"])
    assert (quick.get("x", if_none_match=tag).status, quick.get("x", if_none_match=tag).body) == (304, b"")
    assert quick.get("x", if_none_match='"other"').status == 200


def test_a_client_that_leaves_leaves_nothing(site: Site):
    """An upload that breaks off stores nothing, keeps the file that was there, and no staged bytes."""
    site.put("x", b"before")
    path = f"{PROXY}/{site.root}/x"
    site.call("PUT", path, (BIG, BIG), leaves=True)
    assert site.get("x").body == b"before"
    site.put("y", b"after")
    assert len(site.stored()) == 2
    assert list(site.staging.iterdir()) == []


@pytest.mark.parametrize("declared", ["5", "7", "0"])
def test_a_body_of_another_size_than_declared_is_refused(quick: Site, declared: str):
    """A body shorter or longer than its Content-Length is not stored."""
    assert quick.put("x", b"123456", content_length=declared).status == 400
    assert (quick.names(), quick.stored()) == ([], [])


def _digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


@pytest.mark.parametrize("size", [10, len(BIG)])
def test_an_answer_says_the_digest_of_the_whole_file(quick: Site, size: int):
    """GET, HEAD and a range have the SHA-256 of the whole file as Repr-Digest."""
    quick.put("x", BIG[:size])
    head = quick.call("HEAD", f"{PROXY}/{quick.root}/x")
    for answer in (quick.get("x"), head, quick.get("x", range="bytes=1-2")):
        assert answer.headers["repr-digest"] == _digest(BIG[:size])


@pytest.mark.parametrize("header", ["content_digest", "repr_digest"])
@pytest.mark.parametrize("data", [b"small", BIG], ids=["small", "big"])
def test_a_declared_digest_is_held_to(quick: Site, header: str, data: bytes):
    """A body with the digest that was declared is stored; one with another is a 400, and nothing of it is stored."""
    refused = quick.put("x", data, **{header: _digest(b"other")})
    assert (refused.status, refused.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert (quick.names(), quick.stored()) == ([], [])
    for form in ("{}", "sha-512=:AAAA:, {}", "{};q=1", "{} , unixsum=30637"):
        assert quick.put("x", data, **{header: form.format(_digest(data))}).status == 200, form
    assert quick.get("x").body == data


@pytest.mark.parametrize("digest", ["sha-256=", "sha-256=abc", "sha-256=:AAAA:", "sha-256=:%%%%:", "sha-256=?1"])
def test_a_digest_that_is_none_is_refused(quick: Site, digest: str):
    """A SHA-256 that is not written as one is a 400 that says how."""
    refused = quick.put("x", b"1", content_digest=digest)
    assert refused.status == 400
    assert "base64" in refused.json["message"]
    assert quick.names() == []


def test_two_digests_that_differ_are_refused(quick: Site):
    """A client that contradicts itself is refused; digests of kinds that are not known are passed over."""
    assert quick.put("x", b"1", content_digest=_digest(b"1"), repr_digest=_digest(b"2")).status == 400
    assert quick.names() == []
    assert quick.put("x", b"1", content_digest="sha-512=:AAAA:").status == 200


@pytest.mark.parametrize("declared", ["-1", "1e3", "\u0661", "1, 1"])
def test_a_size_that_is_none_is_refused(quick: Site, declared: str):
    """A Content-Length that is no number is not believed."""
    assert quick.put("x", b"1", content_length=declared).status == 400
    assert quick.names() == []


def test_a_file_overwritten_while_it_is_read_is_one_upload(quick: Site):
    """A download that began before an overwrite gives the old bytes to the end."""
    quick.put("x", BIG)

    async def read_slowly() -> bytes:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "",
            "raw_path": f"{PROXY}/{quick.root}/x".encode(),
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
        }
        got = bytearray()

        incoming = [{"type": "http.request", "body": b""}]

        async def receive() -> Any:
            if not incoming:
                await asyncio.Event().wait()
            return incoming.pop()

        async def send(message: Any) -> None:
            got.extend(message.get("body", b""))
            if not 0 < len(got) < len(BIG):
                return
            await asyncio.to_thread(quick.put, "x", b"new")

        await quick.http(scope, receive, send)
        return bytes(got)

    assert asyncio.run(read_slowly()) == BIG
    assert quick.get("x").body == b"new"


@pytest.mark.parametrize("data", [b"small", BIG])
def test_a_lost_blob_is_an_error(quick: Site, data: bytes):
    """A file whose bytes are gone from the disk answers an error, not an empty file."""
    quick.put("x", data)
    for path in quick.stored():
        path.unlink()
    answer = quick.get("x")
    assert (answer.status, answer.json["error_code"]) == (500, "DATA_LOSS")


@pytest.mark.parametrize("data", [b"small", BIG])
def test_a_shortened_blob_is_an_error(quick: Site, data: bytes):
    """A file of which bytes are missing answers an error."""
    quick.put("x", data)
    os.truncate(quick.stored()[0], len(data) - 1)
    assert quick.get("x").json["error_code"] == "DATA_LOSS"


def test_a_damaged_small_file_is_an_error(quick: Site):
    """One flipped bit is found before a byte is sent."""
    quick.put("x", b"small")
    quick.stored()[0].write_bytes(b"smalm")
    assert quick.get("x").json["error_code"] == "DATA_LOSS"


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_damaged_file_is_not_served_until_it_is_healed(site: Site, caplog: pytest.LogCaptureFixture):
    """It is an error in each way to ask for it, told to the operator with its holders; its bytes, uploaded, heal it."""
    site.put("m/x", b"small")
    served = _version(site)
    site.stored()[0].write_bytes(b"smalm")
    assert site.get("m/x").json["error_code"] == "DATA_LOSS"
    told = [record.fields for record in caplog.records if record.getMessage() == "stored bytes are damaged"]
    assert [line["sha256"] for line in told] == [hashlib.sha256(b"small").hexdigest()]
    assert told[0]["holders"] == f"run {site.run.id} (default), version clf/1 (default)"
    assert told[0]["request_id"]
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"range": "bytes=0-1"}),
        ("GET", {"if_none_match": "*"}),
    ):
        answer = site.call(method, f"{PROXY}/{served}/x", **headers)
        assert answer.status == 500, (method, headers)
        assert b"small" not in answer.body
    site.put("other", b"small")
    assert site.call("GET", f"{PROXY}/{served}/x").body == site.get("m/x").body == b"small"


def test_a_body_that_breaks_off_is_logged_as_that(quick: Site, capsys: pytest.CaptureFixture[str]):
    """The access log does not say 200 as if all were well, and the next request is refused before a byte is sent."""
    quick.put("x", BIG)
    quick.stored()[0].write_bytes(BIG[:-1] + b"\x01")
    capsys.readouterr()
    answer = quick.get("x")
    assert answer.broken
    assert (answer.status, len(answer.body) < len(BIG), BIG.startswith(answer.body)) == (200, True, True)
    line = next(line for line in _lines(capsys.readouterr().err) if line.get("logger") == "request")
    assert (line["status"], line["broken_off"], line["level"]) == (200, True, "error")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert quick.get("x").status == 500


def test_a_large_file_that_is_damaged_at_its_beginning_is_an_error(tmp_path: Path):
    """One flipped bit in the first block of a file that this process has not seen is found before a byte is sent."""
    data = tmp_path / "data"
    app, _ = build(Settings(data=data, auth="none"))
    writer = Site(app, data)
    writer.put("x", BIG)
    app.close()
    writer.stored()[0].write_bytes(b"\x01" + BIG[1:])
    app, _ = build(Settings(data=data, auth="none"))
    reader = Site(app, data)
    answer = reader.call("GET", f"{PROXY}/{writer.root}/x")
    app.close()
    assert (answer.status, answer.json["error_code"]) == (500, "DATA_LOSS")


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a")])
def test_a_file_that_would_be_a_folder_is_a_conflict(quick: Site, first: str, second: str):
    """The second upload is refused as 409, and the first is kept."""
    quick.put(first, b"1")
    assert quick.put(second, b"2").status == 409
    assert quick.get(first).body == b"1"


@pytest.mark.parametrize("path", ["x", "0/x", "0/none/artifacts/x"])
def test_an_upload_outside_every_tree_is_refused(quick: Site, path: str):
    """A place of no run is a 404 that says where files can be, and is not there afterwards."""
    answer = quick.call("PUT", f"{PROXY}/{path}", (b"x",))
    assert answer.status == 404
    assert "artifact_uri" in answer.json["message"]
    assert quick.call("GET", f"{PROXY}/{path}").status == 404
    assert quick.stored() == []


@pytest.mark.parametrize("path", [".", "", "0", "%2F", "..", "nope", "workspaces/other/x", "./"])
def test_deleting_what_is_in_no_tree_changes_nothing(quick: Site, path: str):
    """Roots, experiments, and what climbs or is unknown never delete a file."""
    quick.put("x", b"1")
    assert quick.call("DELETE", f"{PROXY}/{path}").status in {200, 400, 404}
    assert quick.names() == ["x"]


def test_deleting_is_repeatable(site: Site):
    """A folder is deleted with all below it, and once more without complaint."""
    site.put("d/a", b"1")
    site.put("d/e/b", b"2")
    for _ in range(2):
        assert site.call("DELETE", f"{PROXY}/{site.root}/d").json == {}
    assert site.names() == []


def _version(site: Site) -> str:
    """Registers the run's folder `m` as version 1 of `clf`; where it is served."""

    def register(tx: Any) -> str:
        models.create_model(tx, "clf")
        models.create_version(tx, models.NewVersion("clf", f"{site.run.artifact_uri}/m"))
        return models.get_version(tx, "clf", 1).download_uri

    return site.app.database.write_now(ALICE, register).removeprefix("mlflow-artifacts:/")


def test_a_registered_version_is_read_only(site: Site):
    """A version's files are listed and answered as they were frozen, and cannot be written or deleted."""
    site.put("m/MLmodel", b"flavors: {}")
    served = _version(site)
    site.put("m/MLmodel", b"changed")
    assert site.call("PUT", f"{PROXY}/{served}/MLmodel", (b"x",)).status == 409
    assert site.call("DELETE", f"{PROXY}/{served}").status == 409
    assert site.call("GET", f"{PROXY}/{served}/MLmodel").body == b"flavors: {}"
    assert site.call("GET", "/model-versions/get-artifact?name=clf&version=1&path=MLmodel").body == b"flavors: {}"
    assert site.call("GET", "/model-versions/get-artifact?name=clf&version=2&path=MLmodel").status == 404
    assert site.call("GET", "/model-versions/get-artifact?name=clf&version=x&path=MLmodel").status == 400


def test_a_deleted_run_can_be_read(site: Site):
    """Files of a deleted run are listed and downloaded by path and by run."""
    site.put("x", b"1")
    site.app.database.write_now(ALICE, lambda tx: runs.delete_run(tx, site.run.id))
    assert site.get("x").body == b"1"
    assert site.call("GET", f"/get-artifact?run_uuid={site.run.id}&path=x").body == b"1"


@pytest.mark.parametrize(("folder", "path"), [("", "d"), ("d", "d/e"), ("d/e", "d/e/x")])
def test_a_runs_listing_gives_paths_from_its_root(quick: Site, folder: str, path: str):
    """The listing of a run's folder says where the run's files are and what the folder holds."""
    quick.put("d/e/x", b"1")
    answer = quick.call("GET", f"/api/2.0/mlflow/artifacts/list?run_id={quick.run.id}&path={folder}").json
    assert answer["root_uri"] == quick.run.artifact_uri
    assert [entry["path"] for entry in answer["files"]] == [path]


def test_files_kept_elsewhere_are_not_opened(quick: Site):
    """A run whose artifacts are on other storage is refused with their address."""

    def make(tx: Any) -> str:
        number = runs.create_experiment(tx, "elsewhere", "s3://bucket/place")
        return runs.create_run(tx, str(number)).id

    run_id = quick.app.database.write_now(ALICE, make)
    for target in (f"/api/2.0/mlflow/artifacts/list?run_id={run_id}", f"/get-artifact?run_id={run_id}&path=x"):
        answer = quick.call("GET", target)
        assert answer.status == 400
        assert "s3://bucket/place" in answer.json["message"]


def test_a_small_upload_by_run(site: Site):
    """The upload call that pages use stores its body, and refuses one that grows over 10 MB whatever it declared."""
    target = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={site.run.id}&path=u/x"
    assert site.call("POST", target, (b"ab", b"c")).json == {}
    assert site.get("u/x").body == b"abc"
    answer = site.call("POST", target, (BIG, BIG, BIG))
    assert (answer.status, answer.json["message"]) == (400, "Artifact size is too large. Max size is 10MB.")
    assert site.get("u/x").body == b"abc"


def _sent(path: str) -> str:
    return quote(path.encode("utf-8", "surrogatepass"), safe="")


def test_no_hostile_path_reaches_a_file(quick: Site):
    """Every hostile spelling is refused on every route, and the files that are there stay as they are."""
    quick.put("x", b"1")
    run = quick.run.id
    targets = [
        ("PUT", f"{PROXY}/{quick.root}/{{}}"),
        ("GET", f"{PROXY}/{quick.root}/{{}}"),
        ("DELETE", f"{PROXY}/{quick.root}/{{}}"),
        ("PUT", f"{PROXY}/{{}}"),
        ("GET", f"{PROXY}/{{}}"),
        ("DELETE", f"{PROXY}/{{}}"),
        ("GET", f"{PROXY}?path={{}}"),
        ("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run}&path={{}}"),
        ("GET", f"/get-artifact?run_id={run}&path={{}}"),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={{}}"),
    ]
    for path in HOSTILE_PATHS:
        for method, target in targets:
            answer = quick.call(method, target.format(_sent(path)), (b"evil",) if method in {"PUT", "POST"} else ())
            assert answer.status in {400, 404}, (method, target, path)
    assert quick.names() == ["x"]
    assert quick.get("x").body == b"1"
