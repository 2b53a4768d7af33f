"""Uploads in parts over HTTP: the native calls, signed links, and a client that is killed and goes on."""

import base64
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from faces.native import resuming_client
from security.raw import Raw, Reply
from servers import RunningServer, clean_environment

MIB = 1 << 20
PART = 5 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that asks for tokens."""
    with RunningServer(tmp_path_factory.mktemp("uploads") / "data") as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    """A connection of the administrator."""
    with Raw(server.port, server.token) as connection:
        yield connection


@pytest.fixture
def root(raw: Raw) -> str:
    """The artifact root of a new run."""
    return new_root(raw)


def new_root(raw: Raw) -> str:
    """The artifact root of a new run, as a path."""
    made = raw.json("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1}).json
    return str(made["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/"))


def begin(raw: Raw, path: str, size: int, part_size: int | None = None) -> Any:
    """Begin an upload."""
    fields = {"path": path, "size": size} | ({"part_size": part_size} if part_size else {})
    reply = raw.json("POST", "/api/v1/uploads", fields)
    assert reply.status == 201, reply
    return reply.json


def download(raw: Raw, path: str) -> Reply:
    """The file at a path, or what is said instead."""
    return raw.request("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}")


def test_an_upload_from_its_beginning_to_its_end(raw: Raw, root: str) -> None:
    """An upload says how many parts it wants, which are there, and what it became."""
    data = os.urandom(PART + 7)
    upload = begin(raw, f"{root}/a/b.bin", len(data), PART)
    assert {k: upload[k] for k in ("path", "parts", "part_size", "size", "state")} == {
        "path": f"{root}/a/b.bin", "parts": 2, "part_size": PART, "size": PART + 7, "state": "open"}  # fmt: skip
    assert re.fullmatch("[0-9a-f]{32}", upload["id"])
    target = f"/api/v1/uploads/{upload['id']}"
    digest = b"sha-256=:" + base64.b64encode(hashlib.sha256(data[PART:]).digest()) + b":"
    sent = raw.request("PUT", f"{target}/parts/2", data[PART:], [(b"Repr-Digest", digest)])
    assert (sent.status, sent.json["size"], sent.headers["etag"]) == (200, 7, f'"{sent.json["etag"]}"')
    assert raw.request("GET", target).json["received"] == [sent.json]
    raw.request("PUT", f"{target}/parts/1", data[:PART])
    assert download(raw, f"{root}/a/b.bin").status == 404
    sha256 = hashlib.sha256(data).hexdigest()
    for _ in range(2):
        done = raw.json("POST", f"{target}/complete", {"sha256": sha256})
        assert (done.status, done.json) == (200, {"path": f"{root}/a/b.bin", "size": PART + 7, "sha256": sha256})
    assert download(raw, f"{root}/a/b.bin").body == data
    shown = raw.request("GET", target).json
    assert (shown["state"], shown["sha256"]) == ("done", sha256)


def test_bad_calls_are_refused(raw: Raw, root: str) -> None:
    """What is wrong with a call is a 4xx that says so, and changes nothing."""
    upload = begin(raw, f"{root}/x", 10)
    target = f"/api/v1/uploads/{upload['id']}"
    for fields, status in [
        ({"path": f"{root}/x"}, 400),
        ({"path": f"{root}/x", "size": -1}, 400),
        ({"path": f"{root}/x", "size": 0}, 400),
        ({"path": f"{root}/x", "size": 5, "part_size": 1}, 400),
        ({"path": f"{root}/x", "size": 1 << 60, "part_size": PART}, 413),
        ({"path": f"{root}/../x", "size": 5}, 400),
        ({"path": "nowhere/x", "size": 5}, 404),
        ({"path": root, "size": 5}, 409),
    ]:
        raw.json("POST", "/api/v1/uploads", fields).refused(status)
    for number, body, status in [("2", b"0123456789", 400), ("0", b"x", 400), ("x", b"x", 400), ("1", b"short", 400)]:
        raw.request("PUT", f"{target}/parts/{number}", body).refused(status)
    wrong = [(b"Repr-Digest", b"sha-256=:" + base64.b64encode(bytes(32)) + b":")]
    raw.request("PUT", f"{target}/parts/1", b"0123456789", wrong).refused(400)
    raw.json("POST", f"{target}/complete", {}).refused(409)
    raw.json("POST", f"{target}/complete", {"sha256": "x"}).refused(400)
    assert raw.request("GET", target).json["received"] == []
    unknown = f"/api/v1/uploads/{'0' * 32}"
    for method, place in [("GET", ""), ("DELETE", ""), ("POST", "/complete"), ("PUT", "/parts/1")]:
        raw.json(method, unknown + place, {}).refused(404)


def test_an_upload_is_given_up(raw: Raw, root: str) -> None:
    """After DELETE there is no upload any more."""
    target = f"/api/v1/uploads/{begin(raw, f'{root}/x', 3)['id']}"
    raw.request("PUT", f"{target}/parts/1", b"abc")
    assert raw.request("DELETE", target).status == 204
    raw.request("GET", target).refused(404)


def test_uploads_of_another_workspace_do_not_exist(raw: Raw, root: str) -> None:
    """The id of an upload opens nothing from another workspace."""
    assert raw.json("POST", "/api/v1/workspaces", {"name": "elsewhere"}).status in {200, 201}
    target = f"/api/v1/uploads/{begin(raw, f'{root}/x', 3)['id']}"
    other = [(b"X-MLFLOW-WORKSPACE", b"elsewhere")]
    raw.request("GET", target, headers=other).refused(404)
    raw.request("PUT", f"{target}/parts/1", b"abc", other).refused(404)
    raw.json("POST", f"{target}/complete", {}, other).refused(404)
    raw.request("DELETE", target, headers=other).refused(404)


def part_targets(raw: Raw, root: str, parts: int) -> tuple[str, list[str]]:
    """An upload begun as MLflow's client does, and where its parts go on this server."""
    fields = {"path": "/home/me/x.bin", "num_parts": parts}
    made = raw.json("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{root}", fields)
    urls = [urlsplit(one["url"]) for one in made.json["credentials"]]
    assert {url.netloc for url in urls} == {f"127.0.0.1:{raw.port}"}
    return made.json["upload_id"], [f"{url.path}?{url.query}" for url in urls]


def test_a_signed_link_takes_one_part_from_anybody(server: RunningServer, raw: Raw, root: str) -> None:
    """A link works without a token, for its part, its upload and its method only, and not when it is changed."""
    _, (first, second) = part_targets(raw, root, 2)
    path, _, query = first.partition("?")
    flipped = query[:-1] + ("0" if query[-1] != "0" else "1")
    bad = [path, f"{path}?", f"{path}?link=", f"{path}?{flipped}", f"{second.partition('?')[0]}?{query}"]
    bad += [f"{path}?{query}&{query.replace('link', 'x')}", f"{path}?{query}&link=x"]
    with Raw(server.port) as stranger:
        for target in bad[:5]:
            stranger.request("PUT", target, b"x").refused(401)
        for target in bad[5:]:
            stranger.request("PUT", target, b"x").refused(400)
        assert stranger.request("GET", first).status == 404
        for number, target in enumerate((first, second), 1):
            reply = stranger.request("PUT", target, b"abc")
            assert (reply.status, reply.json["number"]) == (200, number)
    for target in bad[:5]:  # a token does not stand for a link
        raw.request("PUT", target, b"x").refused(401)


def test_a_download_link_gives_ranges_of_what_was_there(server: RunningServer, raw: Raw, root: str) -> None:
    """A download link gives the bytes that were at the path when it was made, whole and in ranges, to anybody."""
    data = os.urandom(3 * MIB)
    place = f"/api/2.0/mlflow-artifacts/artifacts/{root}/a%20%C3%BC%25.bin"
    assert raw.request("PUT", place, data).status == 200
    made = raw.request("GET", place.replace("/artifacts/", "/presigned/", 1)).json
    assert (made["file_size"], made["headers"]) == (len(data), {})
    url = urlsplit(made["url"])
    target = f"{url.path}?{url.query}"
    assert raw.request("PUT", place, b"another file").status == 200
    with Raw(server.port) as stranger:
        whole = stranger.request("GET", target)
        assert (whole.status, whole.body == data) == (200, True)
        assert whole.headers["content-disposition"].startswith("attachment")
        part = stranger.request("GET", target, headers=[(b"Range", b"bytes=1048570-2000000")])
        assert (part.status, part.body == data[1048570:2000001]) == (206, True)
        assert stranger.request("HEAD", target).headers["content-length"] == str(len(data))
        stranger.request("GET", url.path).refused(401)
        stranger.request("GET", f"{url.path}x?{url.query}").refused(401)
        stranger.request("PUT", target, b"x").refused(404)


@pytest.mark.parametrize(
    "steps", ["/etc/passwd", "../up.bin", "C:\\Users\\me\\up.bin", "\\\\host\\share\\up.bin", "up.bin"]
)
def test_the_clients_own_folders_do_not_count(raw: Raw, root: str, steps: str) -> None:
    """Of the path that a client says of its own file only the name is used, on whichever system it runs."""
    fields = {"path": steps, "num_parts": 1}
    upload = raw.json("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{root}/in", fields).json["upload_id"]
    name = "passwd" if steps.startswith("/etc") else "up.bin"
    assert raw.request("GET", f"/api/v1/uploads/{upload}").json["path"] == f"{root}/in/{name}"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"path": ""}, 400), ({"path": "/"}, 400), ({"path": "a/.."}, 400), ({"num_parts": 0}, 400),
        ({"num_parts": 10_001}, 400), ({"num_parts": -1}, 400), ({"num_parts": "x"}, 400), ({"num_parts": None}, 400),
    ],
)  # fmt: skip
def test_bad_beginnings_are_refused(raw: Raw, root: str, changed: dict[str, Any], status: int) -> None:
    """No name, no parts, or more of them than there can be is a 400."""
    fields = {"path": "x.bin", "num_parts": 1} | changed
    raw.json("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{root}", fields).refused(status)


def test_bad_ends_are_refused(raw: Raw, root: str) -> None:
    """Another path, a wrong or missing etag, a missing or doubled part: a 4xx, after which the right call works."""
    upload, targets = part_targets(raw, root, 2)
    parts = [
        {"part_number": number, "etag": raw.request("PUT", target, b"abc").headers["etag"], "url": target}
        for number, target in enumerate(targets, 1)
    ]
    target = f"/api/2.0/mlflow-artifacts/mpu/complete/{root}"
    good = {"path": "x.bin", "upload_id": upload, "parts": parts}
    for change, status in [
        ({"path": "y.bin"}, 400), ({"upload_id": "0" * 32}, 404), ({"upload_id": ""}, 400), ({"parts": []}, 400),
        ({"parts": parts[:1]}, 409), ({"parts": [parts[0], parts[0]]}, 400), ({"parts": [{"part_number": 1}]}, 400),
        ({"parts": [parts[0], parts[1] | {"etag": '"0"'}]}, 400),
        ({"parts": [*parts, {"part_number": 3, "etag": "x"}]}, 400),
    ]:  # fmt: skip
        raw.json("POST", target, good | change).refused(status)
    abort = {"path": "y.bin", "upload_id": upload}
    raw.json("POST", f"/api/2.0/mlflow-artifacts/mpu/abort/{root}", abort).refused(400)
    assert raw.json("POST", target, good).json == {}
    assert download(raw, f"{root}/x.bin").body == b"abcabc"


def test_ten_thousand_parts_are_offered(raw: Raw, root: str) -> None:
    """The most parts that there can be have each a link of its own."""
    _, targets = part_targets(raw, root, 10_000)
    assert len({*targets}) == 10_000
    with Raw(raw.port) as stranger:
        assert stranger.request("PUT", targets[-1], b"last").json["number"] == 10_000


def test_links_name_the_server_as_clients_reach_it(tmp_path: Path) -> None:
    """With a public URL, links begin with it, its path included."""
    public = {"MODELKEEP_PUBLIC_URL": "https://models.example:8443/registry/"}
    with RunningServer(tmp_path / "data", environment=public) as server, Raw(server.port, server.token) as raw:
        fields = {"path": "x.bin", "num_parts": 1}
        made = raw.json("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{new_root(raw)}", fields).json
        url = urlsplit(made["credentials"][0]["url"])
        assert (url.scheme, url.netloc) == ("https", "models.example:8443")
        inside = url.path.removeprefix("/registry")
        with Raw(server.port) as stranger:
            assert stranger.request("PUT", f"{inside}?{url.query}", b"x").status == 200


def test_two_servers_share_an_upload(fresh_postgres: Callable[[], str], tmp_path: Path) -> None:
    """Of two servers on one database and folder each takes parts and links of the other, and both complete as one."""
    database, files = fresh_postgres(), f"file://{tmp_path / 'files'}"
    data = os.urandom(3 * PART)
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(RunningServer(tmp_path / name, database=database, arguments=["--artifacts", files]))
            for name in ("one", "two")
        ]
        token = servers[0].token
        one, two = (stack.enter_context(Raw(server.port, token)) for server in servers)
        root = new_root(one)
        target = f"/api/v1/uploads/{begin(one, f'{root}/big.bin', len(data), PART)['id']}"
        for number, raw in ((1, one), (2, two), (3, one)):
            assert (
                raw.request("PUT", f"{target}/parts/{number}", data[(number - 1) * PART : number * PART]).status == 200
            )
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda raw: raw.json("POST", f"{target}/complete", {}).json, (one, two)))
        expected = {"path": f"{root}/big.bin", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        assert answers == [expected, expected]
        _, (link,) = part_targets(one, root, 1)
        with Raw(servers[1].port) as stranger:
            assert stranger.request("PUT", link, b"x").status == 200


def resume(server: RunningServer, path: str, file: Path, part_size: int, kills: list[int]) -> list[list[int]]:
    """Run the client, kill it in the middle of the n-th part that it sends, and run it again; the parts of each run."""
    runs: list[list[int]] = []
    program = [sys.executable, resuming_client.__file__, f"127.0.0.1:{server.port}", str(server.token), path]
    program += [str(file), str(file.with_suffix(".state")), str(part_size)]
    for stop_after in [*kills, 1 << 30]:
        sent: list[int] = []
        with subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment()
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            for line in client.stdout:
                word, _, value = line.strip().partition(" ")
                if word == "part":
                    sent.append(int(value))
                elif word == "half" and len(sent) > stop_after:
                    client.kill()
                elif word == "half":
                    print(file=client.stdin, flush=True)
                else:
                    assert value == hashlib.file_digest(file.open("rb"), "sha256").hexdigest()
        runs.append(sent)
    return runs


def sparse(file: Path, size: int, part_size: int) -> None:
    """A file of mostly nothing, with something in every part."""
    with file.open("wb") as target:
        for start in range(0, size, part_size):
            target.seek(start + 3)
            target.write(os.urandom(64))
        target.truncate(size)


def memory_peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024  # type: ignore[index]


def killed_twice(server: RunningServer, raw: Raw, root: str, file: Path, size: int, part_size: int) -> None:
    """Upload with a client that is killed twice in the middle of a part; every whole part is sent once."""
    sparse(file, size, part_size)
    third = size // part_size // 3
    first, second, last = resume(server, f"{root}/big.bin", file, part_size, [third, third])
    assert first == list(range(1, third + 2))
    assert second == list(range(third + 1, 2 * third + 2))
    assert last == list(range(2 * third + 1, -(-size // part_size) + 1))
    head = raw.request("HEAD", f"/api/2.0/mlflow-artifacts/artifacts/{root}/big.bin")
    assert head.headers["content-length"] == str(size)
    assert head.headers["etag"] == f'"{hashlib.file_digest(file.open("rb"), "sha256").hexdigest()}"'


def test_a_killed_client_goes_on(server: RunningServer, raw: Raw, root: str, tmp_path: Path) -> None:
    """An upload of 64 MiB whose client is killed twice goes on with the part that it was at."""
    killed_twice(server, raw, root, tmp_path / "big.bin", 64 * MIB, PART)


@pytest.mark.slow
def test_a_killed_client_goes_on_with_much(server: RunningServer, raw: Raw, root: str, tmp_path: Path) -> None:
    """An upload of 2 GiB whose client is killed twice goes on, and the server's memory stays flat."""
    before = memory_peak(server.pid)
    killed_twice(server, raw, root, tmp_path / "big.bin", 2048 * MIB, 64 * MIB)
    grown = memory_peak(server.pid) - before
    print(f"the server's memory grew by {grown / MIB:.1f} MiB")
    assert grown < 64 * MIB


def test_what_is_kept_of_a_request_is_json(raw: Raw, root: str) -> None:
    """Every answer of these calls is JSON with the fields that are described."""
    upload = begin(raw, f"{root}/x", 3)
    assert {*upload} == {"id", "path", "state", "parts", "size", "part_size", "created_at", "updated_at"}
    assert {*json.loads(raw.request("GET", f"/api/v1/uploads/{upload['id']}").body)} == {*upload, "received"}
