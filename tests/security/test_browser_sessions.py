"""Browser sessions over the wire: cookies, sign-in and sign-out, and requests forged by other sites (AU-06, WB-03)."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from browser import SESSION, Browser
from servers import RunningServer

PASSWORD = "correct horse battery"
NAMES = ("alice", "bob")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with two people who have passwords."""
    with RunningServer(tmp_path_factory.mktemp("sessions") / "data") as running:
        for name in NAMES:
            made = admin(running, "POST", "/api/v1/users", {"name": name, "password": PASSWORD})
            assert made.status_code == 201, made.text
        yield running


def admin(server: RunningServer, method: str, target: str, fields: Any = None) -> httpx.Response:
    """A call of the administrator, by token."""
    headers = {"authorization": f"Bearer {server.token}"}
    return httpx.request(method, server.url + target, headers=headers, json=fields, trust_env=False, timeout=60)


@pytest.fixture
def browser(server: RunningServer) -> Iterator[Browser]:
    """A browser that nobody signed in with."""
    with Browser(server.url) as opened:
        yield opened


@pytest.fixture
def alice(browser: Browser) -> Browser:
    """A browser that alice signed in with."""
    assert browser.sign_in("alice", PASSWORD).status_code == 204
    return browser


def journal(server: RunningServer) -> list[tuple[str, str]]:
    """Actor and kind of all that was recorded."""
    with closing(sqlite3.connect(f"file:{server.data / 'modelkeep.db'}?mode=ro", uri=True)) as database:
        return database.execute("SELECT actor, kind FROM journal ORDER BY id").fetchall()


def test_AU_06_signing_in_gives_a_cookie_for_this_host_only(server: RunningServer) -> None:
    """The cookie has the __Host- prefix, and is Secure, HttpOnly, SameSite=Lax and for the whole host; no body."""
    with Browser(server.url) as browser:
        answer = browser.sign_in("alice", PASSWORD)
    cookies = answer.headers.get_list("set-cookie")
    assert (answer.status_code, answer.content, len(cookies)) == (204, b"", 1)
    name, _, rest = cookies[0].partition("=")
    assert name == "__Host-modelkeep"
    assert rest.split("; ")[1:] == ["Path=/", "Max-Age=43200", "Secure", "HttpOnly", "SameSite=Lax"]
    assert answer.headers["cache-control"] == "no-store"


def test_AU_06_the_session_is_its_user(alice: Browser) -> None:
    """Requests with the cookie are the user's, and the session says how it was begun and until when it lasts."""
    me = alice.me().json()
    assert (me["name"], me["signed_in_by"]) == ("alice", "session")
    session = alice.send("GET", "/api/v1/me/session").json()
    assert (session["signed_in_by"], session["is_present"], session["address"]) == ("password", True, "127.0.0.1")
    assert session["expires_at"] - session["created_at"] == 12 * 60 * 60 * 1000
    assert [one["handle"] for one in alice.send("GET", "/api/v1/me/sessions").json()["items"]].count(
        session["handle"]
    ) == 1


def test_AU_06_signing_in_again_rotates_the_secret(alice: Browser) -> None:
    """A second sign-in of the same browser gives another secret, and the first is over at once."""
    first = alice.cookies[SESSION]
    assert alice.sign_in("bob", PASSWORD).status_code == 204
    assert alice.cookies[SESSION] != first
    assert alice.me().json()["name"] == "bob"
    alice.cookies[SESSION] = first
    assert alice.me().status_code == 401


def test_AU_06_a_planted_cookie_is_not_taken_over(browser: Browser) -> None:
    """A session secret that somebody else put into the browser signs nobody in, before or after the sign-in."""
    planted = browser.cookies[SESSION] = "A" * 43
    assert browser.me().status_code == 401
    headers = {"origin": browser.url}
    given = {"name": "alice", "password": PASSWORD}
    assert browser.send("POST", "/api/v1/sign-in", headers, json=given).status_code == 204
    assert browser.cookies[SESSION] != planted
    browser.cookies[SESSION] = planted
    assert browser.me().status_code == 401


def test_AU_06_sign_out_ends_the_session(server: RunningServer, alice: Browser) -> None:
    """Signing out takes the cookie back and ends the session on the server, and no other session."""
    with Browser(server.url) as other:
        other.sign_in("alice", PASSWORD)
        secret = alice.cookies[SESSION]
        assert alice.call("POST", "/api/v1/sign-out", {}).status_code == 204
        assert SESSION not in alice.cookies
        alice.cookies[SESSION] = secret
        assert alice.me().status_code == 401
        assert other.me().status_code == 200


def test_AU_06_sign_out_everywhere_ends_all_sessions(server: RunningServer, alice: Browser) -> None:
    """Signing out everywhere, also by a token, ends every session of the user and none of others."""
    with Browser(server.url) as second, Browser(server.url) as bob:
        second.sign_in("alice", PASSWORD)
        bob.sign_in("bob", PASSWORD)
        assert alice.call("POST", "/api/v1/sign-out", {"everywhere": True}).status_code == 204
        assert second.me().status_code == 401
        assert bob.me().status_code == 200
    assert alice.sign_in("alice", PASSWORD).status_code == 204
    assert alice.me().status_code == 200


def test_AU_06_a_new_password_ends_the_sessions(server: RunningServer) -> None:
    """When the password changes, sessions begun with the old one are over, and sign-in needs the new one."""
    admin(server, "POST", "/api/v1/users", {"name": "carol", "password": PASSWORD})
    with Browser(server.url) as carol:
        carol.sign_in("carol", PASSWORD)
        asked = {"present": PASSWORD, "new": "another good password"}
        assert carol.call("POST", "/api/v1/me/password", asked).status_code in {200, 204}
        assert carol.me().status_code == 401
        assert carol.sign_in("carol", "another good password").status_code == 204


def test_AZ_10_a_disabled_user_is_out_at_once(server: RunningServer) -> None:
    """The open session of somebody who is disabled is over at the next request."""
    admin(server, "POST", "/api/v1/users", {"name": "dave", "password": PASSWORD})
    with Browser(server.url) as dave:
        dave.sign_in("dave", PASSWORD)
        assert dave.me().status_code == 200
        assert admin(server, "PATCH", "/api/v1/users/dave", {"disabled": True}).status_code == 200
        assert dave.me().status_code == 401


def test_a_session_is_recorded_without_its_secret(server: RunningServer, alice: Browser) -> None:
    """Sign-in and sign-out are entries of the user's own, and no file of the server has the secret."""
    secret, token = alice.cookies[SESSION], alice.csrf_token()
    before = len(journal(server))
    alice.call("POST", "/api/v1/sign-out", {})
    alice.sign_in("alice", PASSWORD)
    assert journal(server)[before:] == [("alice", "session.ended"), ("alice", "session.started")]
    written = [*(path for path in server.data.rglob("*") if path.is_file()), server.stderr_path]
    for given in (secret, token, alice.cookies[SESSION], PASSWORD):
        assert [path for path in written if given.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "cookie",
    [
        "__Host-modelkeep={0}; __Host-modelkeep={0}",
        "__host-modelkeep={0}",
        "modelkeep={0}",
        "__Secure-modelkeep={0}",
        '__Host-modelkeep="{0}"',
        "__Host-modelkeep={0}x",
        "__Host-modelkeep=",
        "__Host-modelkeep",
        "; ; =",
    ],
    ids=range(9),
)
def test_AU_06_other_cookies_are_no_session(alice: Browser, cookie: str) -> None:
    """A cookie of another name, a repeated one, or one with another value signs nobody in."""
    answer = httpx.get(
        f"{alice.url}/api/v1/me", headers={"cookie": cookie.format(alice.cookies[SESSION])}, trust_env=False
    )
    assert answer.status_code == 401


def test_AU_06_two_cookie_headers_are_none(alice: Browser) -> None:
    """A request whose Cookie header is there twice has no session."""
    pair = ("cookie", f"{SESSION}={alice.cookies[SESSION]}")
    assert httpx.get(f"{alice.url}/api/v1/me", headers=[pair, pair], trust_env=False).status_code == 401


FORGED: dict[str, dict[str, str]] = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "another site, no Sec-Fetch": {"origin": "https://evil.example"},
    "another site, Origin left out": {"sec-fetch-site": "cross-site"},
    "another server of this machine": {"origin": "http://127.0.0.1:1", "sec-fetch-site": "same-site"},
    "another name of this machine": {"origin": "http://localhost:{port}", "sec-fetch-site": "same-site"},
    "another scheme": {"origin": "https://127.0.0.1:{port}", "sec-fetch-site": "cross-site"},
    "a longer name": {"origin": "http://127.0.0.1:{port}.evil.example"},
    "origin null": {"origin": "null", "sec-fetch-site": "cross-site"},
    "the address bar": {"sec-fetch-site": "none"},
    "same-site": {"sec-fetch-site": "same-site"},
    "says nothing": {},
}


@pytest.mark.parametrize("name", FORGED)
def test_WB_03_a_forged_request_is_refused(server: RunningServer, alice: Browser, name: str) -> None:
    """A change that a page of another site makes the browser send is refused, and nothing is recorded."""
    headers = {key: value.format(port=server.port) for key, value in FORGED[name].items()}
    before = journal(server)
    answer = alice.send("POST", "/api/v1/sign-out", headers, json={"everywhere": True})
    assert answer.status_code == 403, answer.text
    assert journal(server) == before
    assert alice.me().status_code == 200


@pytest.mark.parametrize("body", ["text", "form", "multipart", "none"])
def test_WB_03_bodies_that_forms_can_send_are_refused(server: RunningServer, alice: Browser, body: str) -> None:
    """JSON sent as text, as a form field or as a file does nothing, even from a page of ours."""
    text = json.dumps({"everywhere": True})
    sent: dict[str, dict[str, Any]] = {
        "text": {"content": text, "headers": {"content-type": "text/plain"}},
        "form": {"data": {text: ""}},
        "multipart": {"files": {"x": text}},
        "none": {"content": text},
    }
    given = dict(sent[body])
    headers = {"origin": alice.url, "x-csrf-token": alice.csrf_token(), **given.pop("headers", {})}
    before = journal(server)
    assert alice.send("POST", "/api/v1/sign-out", headers, **given).status_code == 400
    assert journal(server) == before


@pytest.mark.parametrize("token", ["missing", "empty", "another session's", "shortened", "the cookie itself", "twice"])
def test_WB_03_a_wrong_token_is_refused(server: RunningServer, alice: Browser, token: str) -> None:
    """A change needs the token of this very session, also where the browser says that the page is ours."""
    good = alice.csrf_token()
    with Browser(server.url) as other:
        other.sign_in("alice", PASSWORD)
        wrong = {"empty": "", "another session's": other.csrf_token(), "shortened": good[:-1]}
        wrong |= {"the cookie itself": alice.cookies[SESSION]}
    headers = [("origin", alice.url), ("cookie", f"{SESSION}={alice.cookies[SESSION]}")]
    headers += [("x-csrf-token", good)] * 2 if token == "twice" else []
    headers += [("x-csrf-token", wrong[token])] if token in wrong else []
    answer = httpx.post(f"{alice.url}/api/v1/sign-out", headers=headers, json={}, trust_env=False)
    assert answer.status_code == 403
    assert alice.me().status_code == 200


def test_WB_03_a_page_of_ours_may_change_things(alice: Browser) -> None:
    """With the token, and Origin or Sec-Fetch-Site of this very site, a session can do what its user may."""
    for headers in ({"origin": alice.url}, {"sec-fetch-site": "same-origin"}):
        given = {**headers, "x-csrf-token": alice.csrf_token()}
        assert alice.send("POST", "/api/v1/me/tokens", given, json={"name": "mine"}).status_code == 201


def test_WB_03_tokens_need_no_page(server: RunningServer, alice: Browser) -> None:
    """A request with an Authorization header is judged by that alone, whatever cookie comes with it."""
    made = alice.call("POST", "/api/v1/me/tokens", {"name": "mine"}).json()["token"]
    alice.cookies[SESSION] = "x" * 43
    bearer = {"authorization": f"Bearer {made}"}
    assert alice.send("POST", "/api/v1/sign-out", bearer, json={"everywhere": True}).status_code == 204
    alice.sign_in("alice", PASSWORD)
    assert alice.send("GET", "/api/v1/me", {"authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "null"},
    ],
    ids=range(5),
)
def test_WB_03_nobody_is_signed_in_by_another_site(browser: Browser, headers: dict[str, str]) -> None:
    """A page of another site cannot sign a browser in, as whoever it likes (login CSRF)."""
    given = {"name": "bob", "password": PASSWORD}
    assert browser.send("POST", "/api/v1/sign-in", headers, json=given).status_code == 403
    assert browser.cookies == {}


def test_WB_03_no_page_is_opened_by_reading(server: RunningServer, alice: Browser) -> None:
    """Whatever a session reads, in whichever way a page can make a browser read, leaves no entry."""
    before = journal(server)
    for target in ("/api/v1/sign-out", "/api/v1/sign-in", "/api/v1/me/session", "/api/v1/me/sessions", "/oidc/start"):
        for method in ("GET", "HEAD"):
            alice.send(method, target)
    assert journal(server) == before
    assert alice.me().status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Auth-Request-User"])
def test_AU_08_headers_of_proxies_sign_nobody_in(browser: Browser, header: str) -> None:
    """Nobody is taken for whom a header names, for no proxy is trusted to name anybody."""
    assert browser.send("GET", "/api/v1/me", {header: "admin"}).status_code == 401


def test_AU_08_the_address_is_the_peers(server: RunningServer, browser: Browser) -> None:
    """What a header says of the client's address is not what a session is recorded with."""
    forged = {"x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1", "x-real-ip": "192.0.2.1"}
    given = {"name": "alice", "password": PASSWORD}
    assert browser.send("POST", "/api/v1/sign-in", forged, json=given).status_code == 204
    assert browser.send("GET", "/api/v1/me/session").json()["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "name"),
        ({"name": "alice"}, "password"),
        ({"password": "x"}, "name"),
        ({"name": "alice", "password": "x", "token": "y"}, "token"),
        ({"name": 1, "password": "x"}, "name"),
        ({"name": "alice", "password": "x", "admin": True}, "admin"),
    ],
    ids=range(6),
)
def test_a_sign_in_that_is_none_says_why(browser: Browser, given: dict[str, Any], field: str) -> None:
    """A request that lacks something, or has something else, is refused with the field that is wrong."""
    answer = browser.call("POST", "/api/v1/sign-in", given)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_wrong_passwords_and_unknown_names_get_the_same_answer(browser: Browser) -> None:
    """A wrong password, an unknown name and a service are refused alike."""
    answers = set()
    for name in ("bob", "nobody-of-that-name"):
        refused = browser.sign_in(name, "wrong wrong wrong wrong")
        assert refused.status_code == 401
        answers.add(refused.text.replace(refused.headers["x-request-id"], ""))
    assert len(answers) == 1


def test_a_token_has_no_session(server: RunningServer) -> None:
    """Who calls by a token has no session to show or to end, and is told so."""
    assert admin(server, "GET", "/api/v1/me/session").status_code == 404
    assert admin(server, "POST", "/api/v1/sign-out", {}).status_code == 409
    assert admin(server, "GET", "/api/v1/me/sessions").json() == {"items": []}


WRONG = {"name": "admin", "password": "wrong wrong wrong"}


def test_AU_06_over_plain_http_only_this_machine_signs_in(tmp_path: Path) -> None:
    """A server under another name without TLS refuses browser sign-ins and says what to do."""
    with RunningServer(tmp_path / "data", arguments=["--allowed-hosts", "registry.example"]) as server:
        headers = {"host": "registry.example"}
        refused = httpx.post(f"{server.url}/api/v1/sign-in", headers=headers, json=WRONG, trust_env=False)
    assert refused.status_code == 409
    assert "--public-url" in refused.text


def test_AU_06_behind_tls_browsers_sign_in(tmp_path: Path) -> None:
    """A server whose public address is https takes sign-ins from pages of that very address."""
    with RunningServer(tmp_path / "data", arguments=["--public-url", "https://registry.example"]) as server:
        for origin, status in (("https://registry.example", 401), ("http://registry.example", 403)):
            headers = {"host": "registry.example", "origin": origin}
            answer = httpx.post(f"{server.url}/api/v1/sign-in", headers=headers, json=WRONG, trust_env=False)
            assert answer.status_code == status
