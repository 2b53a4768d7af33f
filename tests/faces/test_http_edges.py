"""The edge of HTTP: whose requests are taken, what every answer carries, and how much a request may hold.

Held here: CVE-2025-14279 (DNS rebinding), CVE-2023-43472 and CVE-2025-1473 (pages of other sites), CVE-2023-6568.
"""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from itertools import repeat

import pytest

from security.raw import Raw, Reply, raw_pieces
from security.table import ROUTES, Route
from servers import RunningServer

CREATE = "/api/2.0/mlflow/registered-models/create"
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
FOREIGN_HOSTS = [
    b"evil.example", b"", b" ", b"localhost:80@evil.example", b"evil.example@localhost", b"localhost.evil.example",
    b"127.0.0.1.evil.example", b"localhost/evil", b"localhost#x", b"localhost?x", b"localhost:x", b"localhost:99999",
    b"0.0.0.0", b"[::ffff:127.0.0.1]", b"2130706433", b"127.1", b"localhost,evil.example", b"localhost evil.example",
    b"xn--lcalhost-58a", b"l\xc3\xb6calhost", b"localhost\x7f", b"[::1", b"http://localhost", b"localhost.",
]  # fmt: skip
OUR_HOSTS = [b"localhost", b"LOCALHOST", b"127.0.0.1", b"127.0.0.1:5000", b"localhost:1", b"[::1]", b"[::1]:5000"]
FOREIGN_ORIGINS = [
    b"http://evil.example", b"null", b"", b"http://localhost.evil.example", b"http://evil.example#localhost",
    b"file://", b"chrome-extension://localhost", b"http://localhost:x", b"http://[", b"*", b"//localhost", b"localhost",
]  # fmt: skip
BAD_REQUESTS = [
    b"GET /health\r\n\r\n",
    b"GET /he alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"get /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"hello\r\n\r\n",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its defaults."""
    with RunningServer(tmp_path_factory.mktemp("edges") / "data") as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    """A connection to it."""
    with Raw(server.port, server.token) as connection:
        yield connection


def names(raw: Raw) -> list[str]:
    """The registered models there are."""
    return [model["name"] for model in raw.request("GET", "/api/v1/models").json["items"]]


def check_headers(reply: Reply, what: object) -> None:
    """The answer cannot be sniffed, framed, run or read by other sites, and is not kept."""
    assert {name: reply.headers.get(name) for name in EVERYWHERE} == EVERYWHERE, (what, reply)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy, what
    for directive in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
        assert directive in policy, what
    assert "unsafe" not in policy, what
    assert "no-store" in reply.headers["cache-control"], what
    assert "access-control-allow-origin" not in reply.headers, what
    assert "server" not in reply.headers, what
    assert reply.headers["x-request-id"], what


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_WB_04_another_host_name_is_refused(raw: Raw, host: bytes) -> None:
    """A request to a name that is not this server's is refused before anything looks at it."""
    for target in ("/health", "/api/v1/models", "/no-such-page"):
        reply = raw.request("GET", target, headers=[(b"Host", host)])
        assert reply.status in {400, 403}, reply
        reply.problem()


@pytest.mark.parametrize("host", OUR_HOSTS)
def test_WB_04_our_own_names_are_taken(raw: Raw, host: bytes) -> None:
    """The loopback names are this server's, with any port and in any case."""
    assert raw.request("GET", "/health", headers=[(b"Host", host)]).status == 200


def test_WB_04_one_host_and_no_more(raw: Raw, server: RunningServer) -> None:
    """A request with two Host headers, equal ones too, or none is refused."""
    ours = b"127.0.0.1:%d" % server.port
    for second in (b"evil.example", ours):
        for pair in ((ours, second), (second, ours)):
            raw.request("GET", "/health", headers=[(b"Host", host) for host in pair]).refused(403)
    raw.exchange(b"GET /health HTTP/1.1\r\n\r\n").refused(403)
    raw.close()
    raw.exchange(b"GET /health HTTP/1.0\r\n\r\n").refused(403)


@pytest.mark.parametrize("authority", [b"evil.example", b"localhost", b"127.0.0.1", b""])
def test_WB_04_an_address_with_a_host_of_its_own_is_refused(raw: Raw, authority: bytes) -> None:
    """The absolute form of a request line, whose host would count instead of the header, is not taken."""
    for scheme in (b"http://", b"https://", b"ftp://"):
        reply = raw.request("GET", scheme + authority + b"/health")
        assert reply.status == 400, reply


def test_WB_04_forwarded_names_change_nothing(raw: Raw) -> None:
    """Headers that a proxy would set are not believed: neither to let a foreign host in nor to change a method."""
    spoofed = [(b"X-Forwarded-Host", b"localhost"), (b"Forwarded", b"host=localhost"), (b"X-Host", b"localhost")]
    raw.request("GET", "/health", headers=[(b"Host", b"evil.example"), *spoofed]).refused(403)
    override = [(b"X-HTTP-Method-Override", b"DELETE"), (b"X-Method-Override", b"DELETE")]
    assert raw.request("GET", "/health", headers=override).status == 200
    assert raw.request("GET", "/health", headers=[(b"X-Forwarded-Host", b"evil.example")]).status == 200


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_WB_03_pages_of_other_sites_are_refused(raw: Raw, origin: bytes) -> None:
    """A request that says it comes from a page of another site changes nothing and learns nothing."""
    reply = raw.json("POST", CREATE, {"name": "csrf"}, [(b"Origin", origin)])
    reply.refused(403)
    raw.request("GET", "/api/v1/models", headers=[(b"Origin", origin)]).refused(403)
    assert "csrf" not in names(raw)


def test_WB_03_fetch_metadata_is_believed(raw: Raw) -> None:
    """A browser that says `cross-site` is refused without an Origin too; our own pages and typed addresses are not."""
    raw.json("POST", CREATE, {"name": "csrf"}, [(b"Sec-Fetch-Site", b"cross-site")]).refused(403)
    for site in (b"same-origin", b"none"):
        assert raw.request("GET", "/api/v1/models", headers=[(b"Sec-Fetch-Site", site)]).status == 200
    assert raw.request("GET", "/api/v1/models", headers=[(b"Origin", b"http://localhost:5000")]).status == 200


@pytest.mark.parametrize(
    "kind",
    [b"text/plain", b"text/plain;charset=UTF-8", b"application/x-www-form-urlencoded", b"multipart/form-data", b"",
     b"text/json", b"application/jsonp", b"application/xml", b"text/plain; application/json",
     b"<script>alert(1)</script>"],
)  # fmt: skip
def test_WB_03_only_json_is_json(raw: Raw, kind: bytes) -> None:
    """JSON sent as what a form or a page can send without asking is refused, and its type is not echoed."""
    for method, target, body in [("POST", CREATE, b'{"name":"csrf"}'), ("POST", "/api/v1/models", b'{"name":"csrf"}')]:
        reply = raw.request(method, target, body, [(b"Content-Type", kind)] if kind else [])
        reply.refused(400)
        assert b"<script" not in reply.body
    assert "csrf" not in names(raw)


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON", b"application/json; charset=utf-8"])
def test_json_is_taken_however_it_is_spelled(raw: Raw, kind: bytes) -> None:
    """Case and parameters of the content type make no difference."""
    reply = raw.request("POST", "/api/v1/models", b'{"name":"x/y"}', [(b"Content-Type", kind)])
    assert b"Content-Type" not in reply.body


def test_WB_03_no_simple_get_changes_anything(raw: Raw) -> None:
    """Every route that changes something needs a method that a link or an image cannot send."""
    before = names(raw)
    for route in ROUTES:
        if route.operation.mode.value == "write":
            assert route.method not in {"GET", "HEAD"}, str(route)
            assert raw.request("GET", f"{route.target({})}?name=csrf").status < 500
    assert names(raw) == before


def test_WB_05_every_kind_of_answer_is_safe_in_a_browser(raw: Raw, server: RunningServer) -> None:
    """Successes, files, errors, unknown pages, refusals of strangers and rubbish all carry the same protection."""
    ours = {route.path: route for route in ROUTES}
    for route in ours.values():
        reply = raw.json(
            route.method, route.target({"version": "1"}), b"" if route.method in {"GET", "HEAD"} else b"{}"
        )
        check_headers(reply, str(route))
    for target in (
        "/",
        "/no-such-page",
        "/favicon.ico",
        "/api/v1/",
        "/static/x.js",
        "/api/2.0/mlflow/runs/get?run_id=x",
    ):
        check_headers(raw.request("GET", target), target)
        check_headers(raw.request("TRACE", target), target)
        check_headers(raw.request("OPTIONS", target), target)
    check_headers(Raw(server.port).request("GET", "/api/v1/models"), "no token")
    check_headers(raw.request("GET", "/health", headers=[(b"Host", b"evil.example")]), "foreign host")
    check_headers(raw.exchange(b"hello\r\n\r\n"), "no HTTP")


@pytest.mark.parametrize(
    "name", ["page.html", "picture.svg", "code.js", "data.xml", "paper.pdf", "x.htm", "noname", "x.css"]
)
def test_WB_02_an_uploaded_page_is_only_a_download(raw: Raw, name: str) -> None:
    """Whatever a file is called, a browser saves it and runs nothing of it."""
    run = raw.json("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1}).json["run"]["info"]
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:") + "/" + name
    body = b"<script>alert(1)</script>"
    assert raw.request("PUT", f"/api/2.0/mlflow-artifacts/artifacts{path}", body).status == 200
    for target in (f"/api/2.0/mlflow-artifacts/artifacts{path}", f"/get-artifact?run_id={run['run_id']}&path={name}"):
        reply = raw.request("GET", target)
        assert reply.body == body
        assert reply.headers["content-disposition"].startswith("attachment")
        assert "html" not in reply.headers["content-type"]
        assert "sandbox" in reply.headers["content-security-policy"]
        check_headers(reply, target)


@pytest.mark.parametrize("request_bytes", BAD_REQUESTS)
def test_IN_11_what_is_no_http_is_refused_in_json(raw: Raw, request_bytes: bytes) -> None:
    """A broken request is answered once, in JSON with an id, and the connection is closed."""
    reply = raw.exchange(request_bytes)
    assert reply.status in {400, 403}, reply
    reply.problem()
    check_headers(reply, request_bytes)


def test_IN_11_a_head_has_a_bound(raw: Raw, server: RunningServer) -> None:
    """A header, a number of headers or an address beyond 64 KiB is refused, whether it ever ends or not."""
    raw.request("GET", "/health", headers=[(b"X", b"a" * 100_000)]).refused(431)
    raw.request("GET", "/health", headers=[(b"X", b"a")] * 60_000).refused(431)
    raw.request("GET", b"/" + b"a" * 70_000).refused(431)
    with raw_pieces(raw, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", repeat(b"a" * 65_536, 10_000)) as reply:
        reply.refused(431)
    assert raw.request("GET", "/health", headers=[(b"X", b"a" * 30_000)]).status == 200


def test_IN_11_a_head_has_a_hundred_headers_at_most(raw: Raw) -> None:
    """Small headers without number are refused too, and that refusal is as protected as any other answer."""
    some = [(b"X-%d" % number, b"a") for number in range(98)]
    assert raw.request("GET", "/health", headers=some).status == 200
    reply = raw.request("GET", "/health", headers=[*some, (b"Y", b"a")])
    reply.refused(431)
    check_headers(reply, "too many headers")


def test_IN_05_a_body_has_a_bound_before_it_is_read(raw: Raw) -> None:
    """A body that declares more than the limit is refused at once; one that only grows, as soon as it is too long."""
    declared = raw.written(
        "POST", CREATE, b"", [(b"Content-Type", b"application/json"), (b"Content-Length", b"99999999999")]
    )
    with raw_pieces(raw, declared, []) as reply:
        reply.refused(413)
    endless = raw.written(
        "POST", CREATE, b"", [(b"Content-Type", b"application/json"), (b"Transfer-Encoding", b"chunked")]
    )
    with raw_pieces(raw, endless, repeat(b"10000\r\n" + b" " * 65_536 + b"\r\n", 100_000)) as reply:
        reply.refused(413)
    assert raw.request("GET", "/health").status == 200


def test_IN_05_a_body_shorter_than_declared_is_no_request(raw: Raw, server: RunningServer) -> None:
    """A client that declares more than it sends and hangs up has done nothing."""
    body = b'{"name":"cut"}'
    half = raw.written("POST", CREATE, body, [(b"Content-Type", b"application/json"), (b"Content-Length", b"100")])
    raw._send(half)
    raw.close()
    assert "cut" not in names(raw)


def test_IN_05_what_follows_a_request_is_another_request(raw: Raw) -> None:
    """Bytes after the declared body are never part of it: they are the next request, checked as any other."""
    smuggled = raw.written("POST", CREATE, b'{"name":"smuggled"}', [(b"Content-Type", b"text/plain")])
    first = raw.json("POST", "/api/v1/models/none/restore", {})
    assert first.status == 404
    reply = raw.exchange(raw.written("GET", "/health") + smuggled)
    assert reply.status == 200
    raw._receive(has_body=True).refused(400)
    assert "smuggled" not in names(raw)


def test_unknown_methods_and_upgrades_are_no_way_in(raw: Raw) -> None:
    """A method that no route has is not found, and a connection is never upgraded to another protocol."""
    for method in ("TRACE", "OPTIONS", "PATCH", "PROPFIND", "MOVE", "LINK"):
        raw.request(method, "/api/v1/models").refused(404)
    upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")]
    for target in ("/health", "/api/v1/models"):
        reply = raw.request("GET", target, headers=[*upgrade, (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")])
        assert reply.status == 200, reply


@pytest.mark.parametrize(
    "target", ["/API/v1/models", "/api/v1/models/", "/api/v1;x/models", "/api%2fv1/models", "/Health"]
)
def test_PT_14_other_spellings_of_a_route_are_not_that_route(raw: Raw, target: str) -> None:
    """Case, a trailing slash, parameters or an encoded slash lead nowhere."""
    assert raw.request("GET", target).status in {400, 404}


def test_AZ_03_doubled_slashes_lead_to_the_same_decision(server: RunningServer) -> None:
    """A route that is reached with doubled slashes asks for the same permission as without."""
    for target in ("//api/v1/models", "/api//v1///models", "/api/2.0//mlflow/registered-models/get?name=x"):
        with Raw(server.port) as stranger:
            stranger.request("GET", target).refused(401)


def head_pairs() -> list[Route]:
    """The routes that GET answers."""
    return [route for route in ROUTES if route.method == "GET"]


def test_head_is_get_without_a_body(raw: Raw) -> None:
    """HEAD answers with the status and headers of GET and no body, on every route that has GET."""
    for route in head_pairs():
        target = route.target({"version": "1"})
        got, head = raw.request("GET", target), raw.request("HEAD", target)
        changing = {"x-request-id", "content-length", "transfer-encoding"}
        assert head.status == got.status, str(route)
        assert head.body == b""
        assert {*head.headers} - changing == {*got.headers} - changing, str(route)


def test_a_download_ends_when_its_client_has_gone(server: RunningServer) -> None:
    """A client that hangs up in the middle of a large file is noticed: the rest is not read for nobody."""
    credential = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    call = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    call.request("POST", "/api/2.0/mlflow/runs/create", b"{}", credential)
    root = json.loads(call.getresponse().read())["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:")
    path = f"/api/2.0/mlflow-artifacts/artifacts{root}/large"
    call.request("PUT", path, bytes(256 * 1024 * 1024), credential)
    assert call.getresponse().read() == b"{}"
    with socket.create_connection(("127.0.0.1", server.port)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n\r\n"
        reader.sendall(head.encode())
        assert reader.recv(1000).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 30
    while not (gone := [line for line in server.log.splitlines() if '"GET"' in line and "/large" in line]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert '"status":499' in gone[0]
