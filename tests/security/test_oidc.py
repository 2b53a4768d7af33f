"""Sign-in through an OpenID Connect provider: a real one, and one that does all it should not (AU-07, SR, WB-07).

The hostile provider's tokens are signed by the keys that it publishes unless a test says otherwise.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest

from browser import FLOW, SESSION, Browser
from issuer import KEYS, OTHER_KEYS, Issuer, mac_signed, sign, unsigned
from modelkeep.config import BadSetting, Settings, oidc_settings
from security.test_sign_in import refused_start
from servers import RunningServer

CLIENT = "modelkeep"
SECRET = "the-clients-secret-7c1e"


def started(folder: Path, issuer: str, **environment: str) -> RunningServer:
    """A server whose people sign in at this issuer."""
    options = ["--oidc-issuer", issuer, "--oidc-client-id", CLIENT]
    given = {"MODELKEEP_OIDC_CLIENT_SECRET": SECRET, **environment}
    return RunningServer(folder / "data", arguments=options, environment=given)


def admin(server: RunningServer, method: str, target: str, fields: Any = None) -> httpx.Response:
    """A call of the administrator, by token."""
    headers = {"authorization": f"Bearer {server.token}"}
    return httpx.request(method, server.url + target, headers=headers, json=fields, trust_env=False, timeout=60)


def made(answer: httpx.Response) -> httpx.Response:
    """The answer to something that must work."""
    assert answer.status_code in {200, 201, 204}, answer.text
    return answer


# A real provider.


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a real provider."""
    with oidc_provider_mock.run_server_in_thread() as running:
        yield f"http://localhost:{running.server_port}"


@pytest.fixture(scope="module")
def server(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server at that provider, with some groups and a local person."""
    with started(tmp_path_factory.mktemp("oidc"), provider) as running:
        for name in ("team-a", "team-b", "ours"):
            made(admin(running, "POST", "/api/v1/groups", {"name": name}))
        made(admin(running, "POST", "/api/v1/users", {"name": "local-alice", "password": "correct horse battery"}))
        yield running


@pytest.fixture
def browser(server: RunningServer) -> Iterator[Browser]:
    """A browser that nobody signed in with."""
    with Browser(server.url) as opened:
        yield opened


def known_as(provider: str, subject: str, **claims: Any) -> str:
    """Let the provider know somebody."""
    made(httpx.put(f"{provider}/users/{subject}", json=claims, trust_env=False))
    return subject


def test_a_person_signs_in_through_the_provider(provider: str, browser: Browser) -> None:
    """The first sign-in makes a person of the preferred name, in the groups that there are; the next finds them."""
    claims = {"preferred_username": "Ann", "name": "Ann Example", "groups": ["team-a", "no-such-group"]}
    known_as(provider, "ann-1", **claims)
    welcome = browser.sign_in_at("ann-1", "/ui/models?q=1&x=2")
    assert welcome.status_code == 200, welcome.text
    assert 'href="/ui/models?q=1&amp;x=2"' in welcome.text
    assert 'content="0;url=/ui/models?q=1&amp;x=2"' in welcome.text
    assert "sandbox" not in welcome.headers["content-security-policy"]
    me = browser.me().json()
    assert (me["name"], me["display_name"], me["signed_in_by"]) == ("ann", "Ann Example", "session")
    assert me["groups"] == ["team-a"]
    assert browser.send("GET", "/api/v1/me/session").json()["signed_in_by"] == provider
    with Browser(browser.url) as again:
        again.sign_in_at("ann-1")
        assert again.me().json()["id"] == me["id"]


def test_AZ_10_groups_are_replaced_at_each_sign_in(server: RunningServer, provider: str, browser: Browser) -> None:
    """Groups that the provider names no more are left at the next sign-in; those given here stay."""
    known_as(provider, "ben-1", preferred_username="ben", groups=["team-a", "team-b"])
    browser.sign_in_at("ben-1")
    made(admin(server, "PUT", "/api/v1/groups/ours/members/ben"))
    assert browser.me().json()["groups"] == ["ours", "team-a", "team-b"]
    known_as(provider, "ben-1", preferred_username="ben", groups=["team-b"])
    browser.sign_in_at("ben-1")
    assert browser.me().json()["groups"] == ["ours", "team-b"]
    known_as(provider, "ben-1", preferred_username="ben")
    browser.sign_in_at("ben-1")
    assert browser.me().json()["groups"] == ["ours"]


def test_AZ_10_the_last_administrator_is_not_lost_to_the_provider(provider: str, tmp_path: Path) -> None:
    """The last administrator, whom the provider names in the administrators' group no more, comes in and stays in it;
    the journal and the log say so. When there is another, the next sign-in takes them out.
    """
    with started(tmp_path, provider) as server, Browser(server.url) as browser:
        made(admin(server, "POST", "/api/v1/groups", {"name": "owners"}))
        role = {"principal": "group/owners", "role": "administrator", "workspace": "*"}
        made(admin(server, "POST", "/api/v1/assignments", role))
        known_as(provider, "olga-1", preferred_username="olga", groups=["owners"])
        browser.sign_in_at("olga-1")
        (first,) = [
            row["id"]
            for row in made(admin(server, "GET", "/api/v1/assignments?workspace=*")).json()["items"]
            if row["principal"] == "user/admin"
        ]
        made(admin(server, "DELETE", f"/api/v1/assignments/{first}"))
        known_as(provider, "olga-1", preferred_username="olga", groups=[])
        assert browser.sign_in_at("olga-1").status_code == 200
        assert browser.me().json()["groups"] == ["owners"]
        (entry,) = made(browser.call("GET", "/api/v1/journal?kind=user.groups_kept")).json()["items"]
        assert (entry["data"]["name"], entry["data"]["groups"]) == ("olga", ["owners"])
        assert "the last administrator's groups were kept against the provider" in server.log

        made(browser.call("POST", "/api/v1/assignments", role | {"principal": "user/admin"}))
        browser.sign_in_at("olga-1")
        assert browser.me().json()["groups"] == []
        assert browser.call("GET", "/api/v1/journal?kind=user.groups_kept").status_code in {403, 404}


@pytest.mark.parametrize("claim", ["preferred_username", "email"])
def test_AU_07_no_account_is_taken_over_by_its_name(provider: str, browser: Browser, claim: str) -> None:
    """Whom the provider calls by the name of somebody here is not let in as them, until an administrator links them."""
    known_as(provider, f"thief-{claim}", **{claim: "local-alice", "email_verified": True})
    refused = browser.sign_in_at(f"thief-{claim}")
    assert refused.status_code == 409, refused.text
    assert "modelkeep admin issuer link" in refused.json()["detail"]
    assert SESSION not in browser.cookies


def test_AU_07_nobody_is_called_as_the_first_administrator(provider: str, browser: Browser) -> None:
    """The provider's `admin` is let in as nobody: who has that name is an administrator after the next recovery."""
    known_as(provider, "thief-admin", preferred_username="admin")
    assert browser.sign_in_at("thief-admin").status_code == 403
    assert SESSION not in browser.cookies


def test_an_administrator_links_a_person_to_the_provider(
    server: RunningServer, provider: str, browser: Browser
) -> None:
    """A local person who was linked signs in through the provider as who they are here; nobody is linked twice."""
    made(admin(server, "POST", "/api/v1/users", {"name": "linda"}))
    known_as(provider, "linda-1", preferred_username="linda")
    assert browser.sign_in_at("linda-1").status_code == 409
    link = {"issuer": provider, "subject": "linda-1"}
    made(admin(server, "POST", "/api/v1/users/linda/logins", link))
    made(admin(server, "POST", "/api/v1/users/linda/logins", link))
    assert admin(server, "POST", "/api/v1/users/local-alice/logins", link).status_code == 409
    assert browser.sign_in_at("linda-1").status_code == 200
    assert browser.me().json()["name"] == "linda"


def test_only_a_verified_address_is_a_name(provider: str, browser: Browser) -> None:
    """Without a preferred name a verified address is the name; one that is not verified, or is no name, is none."""
    known_as(provider, "eve-1", email="eve@example.com", email_verified=True)
    assert browser.sign_in_at("eve-1").status_code == 200
    assert browser.me().json()["name"] == "eve@example.com"
    refused: dict[str, dict[str, Any]] = {
        "not verified": {"email": "mallory@example.com"},
        "says so in words": {"email": "mallory@example.com", "email_verified": "true"},
        "preferred address": {"preferred_username": "boss@example.com"},
        "odd": {"preferred_username": "a b/../x"},
        "empty": {},
    }
    for number, claims in enumerate(refused.values()):
        answer = browser.sign_in_at(known_as(provider, f"odd-{number}", **claims))
        assert answer.status_code == 403, answer.text


def test_somebody_disabled_stays_out(server: RunningServer, provider: str, browser: Browser) -> None:
    """The provider's word does not let in whom an administrator has disabled."""
    known_as(provider, "dan-1", preferred_username="dan")
    assert browser.sign_in_at("dan-1").status_code == 200
    made(admin(server, "PATCH", "/api/v1/users/dan", {"disabled": True}))
    assert browser.me().status_code == 401
    assert browser.sign_in_at("dan-1").status_code == 403
    assert browser.me().status_code == 401


def test_AU_06_signing_in_through_the_provider_rotates_the_secret(provider: str, browser: Browser) -> None:
    """A session that the browser had is over after it signed in through the provider."""
    known_as(provider, "ann-1", preferred_username="Ann")
    browser.sign_in_at("ann-1")
    first = browser.cookies[SESSION]
    browser.sign_in_at("ann-1")
    assert browser.cookies[SESSION] != first
    browser.cookies[SESSION] = first
    assert browser.me().status_code == 401


def test_AU_07_the_way_to_the_provider_has_all_it_needs(server: RunningServer, browser: Browser) -> None:
    """The browser is sent with PKCE by S256, a state, a nonce, and this server's callback; all new each time."""
    one, two = (parse_qs(urlsplit(browser.start()).query) for _ in range(2))
    assert one["response_type"] == ["code"]
    assert one["client_id"] == [CLIENT]
    assert one["redirect_uri"] == [f"{server.url}/oidc/callback"]
    assert one["code_challenge_method"] == ["S256"]
    assert "openid" in one["scope"][0].split()
    for name in ("state", "nonce", "code_challenge"):
        assert len(one[name][0]) == 43
        assert one[name] != two[name]


def test_AU_07_a_sign_in_comes_back_once(provider: str, browser: Browser) -> None:
    """An address that the provider sent a browser back to works once, also for the same browser."""
    known_as(provider, "ann-1", preferred_username="Ann")
    flow, back = None, browser.approved(browser.start(), "ann-1")
    flow = browser.cookies[FLOW]
    assert browser.come_back(back).status_code == 200
    assert FLOW not in browser.cookies
    browser.cookies[FLOW] = flow
    assert browser.come_back(back).status_code == 401


@pytest.mark.parametrize("state", ["another's", "none", "changed", "wrong cookie", "no cookie", "another's cookie"])
def test_AU_07_a_sign_in_belongs_to_the_browser_that_began_it(
    server: RunningServer, provider: str, browser: Browser, state: str
) -> None:
    """A code that arrives with a state of another browser, or of none, signs nobody in (login CSRF, fixation)."""
    known_as(provider, "ann-1", preferred_username="Ann")
    back = browser.approved(browser.start(), "ann-1")
    own = parse_qs(urlsplit(back).query)["state"][0]
    with Browser(server.url) as other:
        others = parse_qs(urlsplit(other.start()).query)["state"][0]
        changed = {"another's": others, "none": "", "changed": own[:-1] + ("A" if own[-1] != "A" else "B")}
        cookies = {"wrong cookie": {FLOW: "x" * 43}, "no cookie": {}, "another's cookie": other.cookies}
        browser.cookies = cookies.get(state, browser.cookies)
    refused = browser.come_back(back.replace(own, changed.get(state, own)))
    assert refused.status_code == 401
    assert SESSION not in browser.cookies


def test_AU_07_who_declines_is_not_signed_in(provider: str, browser: Browser) -> None:
    """Whoever says no at the provider comes back as nobody, and what the provider says is not repeated unread."""
    answer = httpx.post(browser.start(), data={"action": "deny"}, trust_env=False)
    assert browser.come_back(answer.headers["location"]).status_code == 401
    begun = parse_qs(urlsplit(browser.start()).query)["state"][0]
    refused = browser.come_back(f"/oidc/callback?error=<script>alert(1)</script>&state={begun}")
    assert refused.status_code == 401
    assert "script" not in refused.text


def test_AU_07_a_made_up_code_is_refused(browser: Browser) -> None:
    """A code that the provider never gave signs nobody in."""
    state = parse_qs(urlsplit(browser.start()).query)["state"][0]
    assert browser.come_back(f"/oidc/callback?code=made-up&state={state}").status_code == 401


def test_AU_07_too_old_a_sign_in_is_refused(server: RunningServer, provider: str, browser: Browser) -> None:
    """What comes back more than ten minutes after it began has to begin again."""
    known_as(provider, "ann-1", preferred_username="Ann")
    back = browser.approved(browser.start(), "ann-1")
    with closing(sqlite3.connect(server.data / "modelkeep.db", timeout=30)) as database:
        database.execute("UPDATE sign_in_flows SET created_at = created_at - 600000")
        database.commit()
    assert browser.come_back(back).status_code == 401


def test_only_the_way_back_may_come_from_another_site(browser: Browser) -> None:
    """Another site's page can send a browser to the callback only, and only by moving to it."""
    assert browser.go("/oidc/callback?state=x", site="cross-site").status_code == 401
    assert browser.go("/oidc/start", site="cross-site").status_code == 403
    assert browser.go("/api/v1/me", site="cross-site").status_code == 403
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert browser.send("GET", "/oidc/callback?state=x", framed).status_code == 403


NEXTS = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https://evil", "javascript:",
    "/\r\nset-cookie: x=y", "/\tx", "evil.example", "", "/é", "/ x", '/"onload="x', "/<script>", "data:text/html,x",
    "///evil.example", "/" + "x" * 2000, "http:/evil.example", " /x", "\x00/x",
]  # fmt: skip


@pytest.mark.parametrize("path", NEXTS, ids=range(len(NEXTS)))
def test_WB_07_the_way_on_is_a_path_of_this_server(browser: Browser, path: str) -> None:
    """Nobody is sent to another site after signing in: what is no plain path is refused at the start."""
    refused = browser.send("GET", "/oidc/start", params={"next": path})
    assert refused.status_code == 400
    assert "location" not in refused.headers


@pytest.mark.parametrize(
    "path", ["/", "/ui/models/x?tab=1&y=%2f%2fevil", "/%0d%0aset-cookie:x", "/a//b", "/@evil.example"]
)
def test_WB_07_paths_are_kept_as_they_are(provider: str, browser: Browser, path: str) -> None:
    """A path of this server comes through the sign-in unchanged, and ends up in no header."""
    known_as(provider, "ann-1", preferred_username="Ann")
    welcome = browser.sign_in_at("ann-1", path)
    assert f'href="{path.replace("&", "&amp;")}"' in welcome.text
    assert not any("evil" in value for value in welcome.headers.values())


def test_sign_ins_are_recorded_and_nothing_secret_is_kept(
    server: RunningServer, provider: str, browser: Browser
) -> None:
    """The journal has who was made, linked, put into groups and signed in; no code, state or secret is in any file."""
    known_as(provider, "rita-1", preferred_username="rita", groups=["team-a"])
    address = browser.start()
    back = browser.approved(address, "rita-1")
    flow = browser.cookies[FLOW]
    browser.come_back(back)
    with closing(sqlite3.connect(f"file:{server.data / 'modelkeep.db'}?mode=ro", uri=True)) as database:
        told = database.execute("SELECT actor, kind, address FROM journal ORDER BY id DESC LIMIT 4").fetchall()
    assert [entry[:2] for entry in reversed(told)] == [
        ("modelkeep", "user.made"),
        ("modelkeep", "login.linked"),
        ("modelkeep", "user.groups_replaced"),
        ("rita", "session.started"),
    ]
    assert {entry[2] for entry in told} == {"127.0.0.1"}
    query = parse_qs(urlsplit(back).query)
    written = [*(path for path in server.data.rglob("*") if path.is_file()), server.stderr_path, server.stdout_path]
    for secret in (query["code"][0], query["state"][0], flow, browser.cookies[SESSION], SECRET):
        assert [path for path in written if secret.encode() in path.read_bytes()] == []


# A provider that does what it should not.


@pytest.fixture
def hostile() -> Iterator[Issuer]:
    """A provider of the test's own."""
    with Issuer() as running:
        yield running


@pytest.fixture(scope="module")
def bad_idp() -> Iterator[Issuer]:
    """The provider of the server below; its document and keys stay good."""
    with Issuer() as running:
        yield running


@pytest.fixture(scope="module")
def victim(bad_idp: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that trusts the test's own provider."""
    with started(tmp_path_factory.mktemp("victim"), bad_idp.url) as running:
        yield running


@pytest.fixture
def visitor(victim: RunningServer) -> Iterator[Browser]:
    """A browser at that server."""
    with Browser(victim.url) as opened:
        yield opened


def id_claims(issuer: Issuer, nonce: str) -> dict[str, Any]:
    """The claims of a good ID token."""
    now = int(time.time())
    said = {"iss": issuer.url, "aud": CLIENT, "sub": "s-1", "iat": now, "exp": now + 300, "nonce": nonce}
    return {**said, "preferred_username": "visitor"}


def arrive(issuer: Issuer, browser: Browser, make: Callable[[dict[str, Any]], str], more: str = "") -> httpx.Response:
    """Sign in while the provider answers the code with the ID token that is made of the good claims."""
    query = parse_qs(urlsplit(browser.start()).query)
    issuer.give({"id_token": make(id_claims(issuer, query["nonce"][0])), "token_type": "Bearer"}, "/token")
    return browser.come_back(f"/oidc/callback?code=c-1&state={query['state'][0]}{more}")


def by_rsa(claims: dict[str, Any]) -> str:
    """Signed as a good provider signs."""
    return sign(claims, KEYS["rsa"], {"alg": "RS256", "kid": "rsa"})


def with_claims(**changed: Any) -> Callable[[dict[str, Any]], str]:
    """Signed well, with some claims changed (None: left out)."""
    return lambda good: by_rsa({name: value for name, value in {**good, **changed}.items() if value is not None})


def test_AU_07_the_hostile_provider_can_be_good(bad_idp: Issuer, victim: RunningServer, visitor: Browser) -> None:
    """With a good ID token the visitor is signed in, after the code was exchanged with the verifier and the secret."""
    assert arrive(bad_idp, visitor, by_rsa).status_code == 200
    assert visitor.me().json()["name"] == "visitor"
    path, form = bad_idp.calls[-1] if bad_idp.calls[-1][0] == "/token" else bad_idp.calls[-2]
    assert path == "/token"
    assert form["grant_type"] == ["authorization_code"]
    assert form["redirect_uri"] == [f"{victim.url}/oidc/callback"]
    assert len(form["code_verifier"][0]) == 43
    assert SECRET not in json.dumps(form)
    headers = next(one for one in reversed(bad_idp.headers) if "authorization" in one)
    assert headers["authorization"].startswith("Basic ")


NOW = int(time.time())
PEM = KEYS["rsa"].as_pem(private=False)
BAD_TOKENS: dict[str, Callable[[dict[str, Any]], str]] = {
    "alg none": lambda good: unsigned({"alg": "none"}, good),
    "alg none with kid": lambda good: unsigned({"alg": "none", "kid": "rsa"}, good),
    "HS256 with the public key": lambda good: mac_signed({"alg": "HS256", "kid": "rsa"}, good, PEM),
    "HS256 with the client's secret": lambda good: mac_signed({"alg": "HS256"}, good, SECRET.encode()),
    "another's key": lambda good: sign(good, OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa"}),
    "own jwk": lambda good: sign(
        good, OTHER_KEYS["rsa"], {"alg": "RS256", "jwk": OTHER_KEYS["rsa"].as_dict(private=False)}
    ),
    "jku": lambda good: sign(good, OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "jku": "http://127.0.0.1/k"}),
    "x5u": lambda good: sign(good, OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "x5u": "http://127.0.0.1/k"}),
    "unknown kid": lambda good: sign(good, KEYS["rsa"], {"alg": "RS256", "kid": "never-seen"}),
    "no signature": lambda good: by_rsa(good).rpartition(".")[0] + ".",
    "wrong aud": with_claims(aud="another-client"),
    "no aud": with_claims(aud=None),
    "two audiences, no azp": with_claims(aud=[CLIENT, "another-client"]),
    "azp of another": with_claims(azp="another-client"),
    "wrong iss": with_claims(iss="https://idp.example"),
    "iss with a slash": lambda good: by_rsa({**good, "iss": good["iss"] + "/"}),
    "no iss": with_claims(iss=None),
    "wrong nonce": with_claims(nonce="another"),
    "no nonce": with_claims(nonce=None),
    "nonce a list": lambda good: by_rsa({**good, "nonce": [good["nonce"]]}),
    "expired": with_claims(iat=NOW - 600, exp=NOW - 1),
    "no exp": with_claims(exp=None),
    "no iat": with_claims(iat=None),
    "future iat": with_claims(iat=NOW + 3600, exp=NOW + 7200),
    "future nbf": with_claims(nbf=NOW + 3600),
    "holds for a year": with_claims(exp=NOW + 365 * 86400),
    "no sub": with_claims(sub=None),
    "empty sub": with_claims(sub=""),
    "sub a number": with_claims(sub=1),
    "NUL in sub": with_claims(sub="a\x00b"),
    "long sub": with_claims(sub="x" * 256),
    "not a token": lambda _good: "x",
    "an empty token": lambda _good: "",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_AU_07_bad_id_tokens_are_refused(bad_idp: Issuer, visitor: Browser, name: str) -> None:
    """No ID token signs anybody in that the provider's key did not sign for us, for this sign-in and for now."""
    refused = arrive(bad_idp, visitor, BAD_TOKENS[name])
    assert refused.status_code == 401, refused.text
    assert SESSION not in visitor.cookies


def test_AU_07_two_audiences_with_our_azp_are_taken(bad_idp: Issuer, visitor: Browser) -> None:
    """A token for several is taken where it says that it was given to us."""
    assert arrive(bad_idp, visitor, with_claims(aud=[CLIENT, "other"], azp=CLIENT)).status_code == 200


def test_AU_07_a_code_of_another_provider_is_refused(bad_idp: Issuer, visitor: Browser) -> None:
    """A code that says it is of another provider is not sent to ours (mix-up); one that says ours is."""
    before = [path for path, _ in bad_idp.calls].count("/token")
    assert arrive(bad_idp, visitor, by_rsa, "&iss=https%3A%2F%2Fother.example").status_code == 401
    assert [path for path, _ in bad_idp.calls].count("/token") == before
    assert arrive(bad_idp, visitor, by_rsa, f"&iss={bad_idp.url}").status_code == 200


def test_AU_07_odd_answers_to_the_code_are_refused(bad_idp: Issuer, visitor: Browser) -> None:
    """A token endpoint that refuses, breaks, redirects or answers something else signs nobody in; nothing breaks."""
    odd: list[tuple[tuple[int, dict[str, str], bytes], int]] = [
        ((400, {}, b'{"error":"invalid_grant"}'), 401),
        ((401, {}, b'{"error":"invalid_client"}'), 401),
        ((500, {}, b""), 503),
        ((302, {"location": f"{bad_idp.url}/keys"}, b""), 503),
        ((200, {}, b""), 503),
        ((200, {}, b"[]"), 503),
        ((200, {}, b"{}"), 401),
        ((200, {}, b'{"id_token": 1}'), 401),
        ((200, {}, b"{" + b" " * 2_000_000 + b"}"), 503),
    ]
    for answer, status in odd:
        query = parse_qs(urlsplit(visitor.start()).query)
        bad_idp.answers["/token"] = answer
        refused = visitor.come_back(f"/oidc/callback?code=c&state={query['state'][0]}")
        assert refused.status_code == status, (answer[:2], refused.text)
        assert SESSION not in visitor.cookies


def test_SR_07_a_document_elsewhere_is_not_followed(hostile: Issuer, tmp_path: Path) -> None:
    """A discovery document, or keys, behind a redirect are not there; the server goes on working."""
    well_known = "/.well-known/openid-configuration"
    good = hostile.answers[well_known]
    hostile.answers["/other"] = good
    hostile.answers[well_known] = (302, {"location": f"{hostile.url}/other"}, b"")
    with started(tmp_path, hostile.url) as server, Browser(server.url) as browser:
        assert browser.send("GET", "/oidc/start").status_code == 503
        assert [path for path, _ in hostile.calls] == [well_known]
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200


def test_SR_06_proxies_of_the_environment_are_not_used(hostile: Issuer, tmp_path: Path) -> None:
    """Calls go straight to the provider, whatever proxy the environment names: it would make the peer's check void."""
    with Issuer() as proxy:
        named = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        environment = dict.fromkeys(named, proxy.url) | {"NO_PROXY": "", "no_proxy": ""}
        with started(tmp_path, hostile.url, **environment) as server, Browser(server.url) as browser:
            assert browser.send("GET", "/oidc/start").status_code == 303
        assert proxy.calls == []
    assert [path for path, _ in hostile.calls] == ["/.well-known/openid-configuration"]


def test_the_providers_settings_shape_who_comes_in(hostile: Issuer, tmp_path: Path) -> None:
    """Groups go by the mapping and the claim that the settings name, and only people of the allowed domains come in."""
    environment = {
        "MODELKEEP_OIDC_GROUPS": "idp-admins=team-a, idp-all=team-b",
        "MODELKEEP_OIDC_GROUPS_CLAIM": "roles",
        "MODELKEEP_OIDC_DOMAINS": "Example.com",
    }
    with started(tmp_path, hostile.url, **environment) as server, Browser(server.url) as browser:
        for name in ("team-a", "team-b", "idp-admins"):
            made(admin(server, "POST", "/api/v1/groups", {"name": name}))
        mail = {"email": "Visitor@EXAMPLE.com", "email_verified": True}
        come = with_claims(roles=["idp-admins", "team-b"], groups=["team-b"], **mail)
        assert arrive(hostile, browser, come).status_code == 200
        assert browser.me().json()["groups"] == ["team-a"]
        for claims in (
            {"email": "v@example.com.evil.example", "email_verified": True},
            {"email": "v@example.com", "email_verified": False},
            {"email": "evil@x@evil.example", "email_verified": True},
            {},
        ):
            assert arrive(hostile, browser, with_claims(**claims)).status_code == 403


def test_without_a_provider_there_is_no_such_way(tmp_path: Path) -> None:
    """A server without the setting says that people sign in at itself."""
    with RunningServer(tmp_path / "data") as server, Browser(server.url) as browser:
        assert browser.send("GET", "/oidc/start").status_code == 404
        assert browser.come_back("/oidc/callback?code=x&state=y").status_code == 404


@pytest.mark.parametrize(
    ("issuer", "client", "environment"),
    [
        ("http://idp.example", CLIENT, {}),
        ("idp.example", CLIENT, {}),
        ("https://idp.example?x", CLIENT, {}),
        ("https://user@idp.example", CLIENT, {}),
        ("https://", CLIENT, {}),
        ("https://idp.example", "", {}),
        ("https://idp.example", CLIENT, {"MODELKEEP_OIDC_CLIENT_SECRET_FILE": "/no/such/file"}),
        ("https://idp.example", CLIENT, {"MODELKEEP_OIDC_GROUPS": "theirs"}),
        ("https://idp.example", CLIENT, {"MODELKEEP_OIDC_SCOPE": "profile"}),
    ],
    ids=range(9),
)
def test_OP_05_provider_settings_that_cannot_be_are_refused(
    issuer: str, client: str, environment: dict[str, str]
) -> None:
    """A provider without TLS or a client id, and broken lists, are refused with the name of the setting."""
    with pytest.raises(BadSetting, match=r"--oidc|MODELKEEP_OIDC"):
        oidc_settings(issuer, client, environment)


def test_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    """The client's secret is read from the file that the environment names, and never shown."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    found = oidc_settings(
        "https://idp.example", CLIENT, {"MODELKEEP_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    )
    assert found is not None
    assert found.client_secret == SECRET
    assert SECRET not in repr(Settings(oidc=found))


def test_an_open_door_has_no_provider(tmp_path: Path) -> None:
    """A server without sign-in refuses to start with a provider to sign in at."""
    options = ("--auth", "none", "--oidc-issuer", "https://idp.example", "--oidc-client-id", CLIENT)
    done = refused_start(tmp_path, *options)
    assert (done.returncode, "--oidc-issuer" in done.stderr) == (2, True)
