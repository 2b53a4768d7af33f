"""Workload identity: tokens of a trusted issuer exchanged for short ones, and all those that are not (AU-07, SR-07).

The issuer is the tests' own and signs whatever it is asked to.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from issuer import KEYS, OTHER_KEYS, Issuer, key_set, mac_signed, sign, unsigned
from servers import RunningServer

SUBJECT = "repo:acme/churn:ref:refs/heads/main"
QUARTER_MS = 15 * 60 * 1000


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """An issuer whose keys the server fetches."""
    with Issuer() as running:
        yield running


@pytest.fixture(scope="module")
def server(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that trusts the issuer for one service."""
    folder = tmp_path_factory.mktemp("workload")
    vouched = issuer.url.removeprefix("http://")
    with RunningServer(folder / "data", environment={"MODELKEEP_ISSUER_HOSTS": vouched}) as running:
        for name in ("churn-ci", "other-ci"):
            made(admin(running, "POST", "/api/v1/services", {"name": name}))
        made(trust(running, issuer, "main"))
        yield running


def admin(server: RunningServer, method: str, target: str, fields: Any = None) -> httpx.Response:
    """A call of the administrator, by token."""
    headers = {"authorization": f"Bearer {server.token}"}
    return httpx.request(method, server.url + target, headers=headers, json=fields, trust_env=False, timeout=60)


def made(answer: httpx.Response) -> httpx.Response:
    """The answer to something that must work."""
    assert answer.status_code in {200, 201, 204}, answer.text
    return answer


def trust(server: RunningServer, issuer: Issuer, name: str, **changed: Any) -> httpx.Response:
    """Trust the issuer."""
    return trust_with(server, name=name, issuer=issuer.url, **changed)


def trust_with(server: RunningServer, **changed: Any) -> httpx.Response:
    """Trust an issuer by usual claims, for a usual service, but for what is changed."""
    usual = {"audience": "modelkeep", "service": "churn-ci", "claims": {"sub": SUBJECT}}
    return admin(server, "POST", "/api/v1/issuers", {**usual, **changed})


def exchange(server: RunningServer, token: str, **more: str) -> httpx.Response:
    """Exchange a token, as a job without any secret does."""
    given = {"token": token, **more}
    return httpx.post(f"{server.url}/api/v1/workload-token", json=given, trust_env=False, timeout=60)


def me(server: RunningServer, token: str) -> httpx.Response:
    """Who this token is."""
    return httpx.get(f"{server.url}/api/v1/me", headers={"authorization": f"Bearer {token}"}, trust_env=False)


def rows(server: RunningServer, statement: str) -> list[Any]:
    """What the database holds."""
    with closing(sqlite3.connect(f"file:{server.data / 'modelkeep.db'}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


@pytest.mark.parametrize(("alg", "kid"), [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")])
def test_a_job_gets_a_token_for_a_quarter_of_an_hour(server: RunningServer, issuer: Issuer, alg: str, kid: str) -> None:
    """A token with the right claims, by any algorithm of the list, is exchanged for one of the service's."""
    before = int(time.time() * 1000)
    answer = made(exchange(server, issuer.token(alg, kid))).json()
    assert answer["service"] == "churn-ci"
    assert before + QUARTER_MS <= answer["expires_at"] <= int(time.time() * 1000) + QUARTER_MS
    who = me(server, answer["token"]).json()
    assert (who["name"], who["signed_in_by"], who["kind"]) == ("churn-ci", "workload", "service")
    assert who["token_expires_at"] == answer["expires_at"]


def test_an_exchange_is_recorded_with_the_claims_that_decided(server: RunningServer, issuer: Issuer) -> None:
    """The journal has which trust, subject and claims, as an act of the service; the token is in no file."""
    token = issuer.token()
    ours = made(exchange(server, token)).json()["token"]
    found = rows(server, "SELECT actor, actor_method, data FROM journal WHERE kind = 'workload_token.issued'")[-1]
    data = json.loads(found[2])
    assert found[:2] == ("churn-ci", "workload")
    assert (data["name"], data["issuer"], data["subject"]) == ("main", issuer.url, SUBJECT)
    assert data["claims"] == {"sub": SUBJECT}
    assert data["token_id"] in ours
    written = [*(path for path in server.data.rglob("*") if path.is_file()), server.stderr_path]
    for secret in (token, token.split(".")[1], token.split(".")[2], ours):
        assert [path for path in written if secret.encode() in path.read_bytes()] == []


NOW = int(time.time())
PEM = KEYS["rsa"].as_pem(private=False)
OWN = OTHER_KEYS["rsa"].as_dict(private=False)
BAD: dict[str, Callable[[Issuer], str]] = {
    "alg none": lambda i: unsigned({"alg": "none"}, i.claims()),
    "alg none with kid": lambda i: unsigned({"alg": "none", "kid": "rsa"}, i.claims()),
    "HS256 with the public key": lambda i: mac_signed({"alg": "HS256", "kid": "rsa"}, i.claims(), PEM),
    "own jwk": lambda i: sign(i.claims(), OTHER_KEYS["rsa"], {"alg": "RS256", "jwk": OWN}),
    "jku": lambda i: sign(i.claims(), OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "jku": f"{i.url}/k"}),
    "x5u": lambda i: sign(i.claims(), OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa", "x5u": f"{i.url}/k"}),
    "another's key": lambda i: sign(i.claims(), OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "rsa"}),
    "unknown kid": lambda i: sign(i.claims(), KEYS["rsa"], {"alg": "RS256", "kid": "x"}),
    "no signature": lambda i: i.token().rpartition(".")[0] + ".",
    "wrong aud": lambda i: i.token(aud="another"),
    "no aud": lambda i: i.token(aud=None),
    "an untrusted issuer": lambda i: i.token(iss="https://issuer.example"),
    "the issuer with a slash": lambda i: i.token(iss=f"{i.url}/"),
    "no issuer": lambda i: i.token(iss=None),
    "expired": lambda i: i.token(iat=NOW - 600, exp=NOW - 1),
    "no exp": lambda i: i.token(exp=None),
    "no iat": lambda i: i.token(iat=None),
    "future iat": lambda i: i.token(iat=NOW + 3600, exp=NOW + 7200),
    "future nbf": lambda i: i.token(nbf=NOW + 3600),
    "holds for a year": lambda i: i.token(exp=NOW + 365 * 86400),
    "another branch": lambda i: i.token(sub="repo:acme/churn:ref:refs/heads/evil"),
    "a longer branch": lambda i: i.token(sub=SUBJECT + "-evil"),
    "another case": lambda i: i.token(sub=SUBJECT.upper()),
    "no sub": lambda i: i.token(sub=None),
    "sub a list": lambda i: i.token(sub=[SUBJECT]),
    "sub an object": lambda i: i.token(sub={"x": SUBJECT}),
    "a token of ours": lambda i: "mk_0123456789abcdef_" + "A" * 49,
    "no token": lambda i: "x",
    "dots": lambda i: "..",
    "very long": lambda i: i.token(x="x" * 40_000),
    "NUL": lambda i: i.token().replace(".", "\x01."),
}


def test_AU_07_bad_workload_tokens_are_refused_alike(server: RunningServer, issuer: Issuer) -> None:
    """No token that is not signed by the issuer, for us, for now, with the claims is exchanged; all get one answer."""
    before, answers = rows(server, "SELECT count(*) FROM tokens"), set()
    for name, make in BAD.items():
        refused = exchange(server, make(issuer))
        assert refused.status_code == 401, (name, refused.text)
        answers.add(refused.text.replace(refused.headers["x-request-id"], ""))
    assert len(answers) == 1
    assert rows(server, "SELECT count(*) FROM tokens") == before
    log = server.stderr_path.read_text()
    assert "its claims (sub) are not those of main" in log


def test_the_issuer_is_asked_for_its_keys_seldom(server: RunningServer, issuer: Issuer) -> None:
    """However many good and bad tokens came, the issuer was not asked each time."""
    for name in ("unknown kid", "another's key", "jku") * 3:
        exchange(server, BAD[name](issuer))
    assert len([path for path, _ in issuer.calls if path == "/k"]) == 0
    assert len([path for path, _ in issuer.calls if path == "/keys"]) < 20


@pytest.mark.parametrize(
    ("pattern", "taken", "refused"),
    [
        ("repo:acme/*", "repo:acme/churn:ref:x", "repo:acme-impostor/churn:ref:x"),
        ("repo:acme/pricing:*", "repo:acme/pricing:ref:refs/heads/x", "repo:acme/pricing"),
        ("system:serviceaccount:ml:trainer", "system:serviceaccount:ml:trainer", "system:serviceaccount:ml:trainer2"),
    ],
    ids=range(3),
)
def test_claims_are_exact_or_end_with_a_name(
    server: RunningServer, issuer: Issuer, pattern: str, taken: str, refused: str
) -> None:
    """A value fits if it is the same, or goes on behind the beginning that the pattern gives."""
    made(trust(server, issuer, "pattern", audience="patterns", claims={"sub": pattern, "ref_protected": "true"}))
    try:
        made(exchange(server, issuer.token(aud="patterns", sub=taken)))
        assert exchange(server, issuer.token(aud="patterns", sub=refused)).status_code == 401
        assert exchange(server, issuer.token(aud="patterns", sub=pattern[:-1])).status_code == 401
        assert exchange(server, issuer.token(aud="patterns", sub=taken, ref_protected=False)).status_code == 401
    finally:
        made(admin(server, "DELETE", "/api/v1/issuers/pattern"))


def test_a_workload_token_is_limited_to_what_was_said(server: RunningServer, issuer: Issuer) -> None:
    """The short token has the workspaces and verbs of the trust, and makes no token that does more or lasts longer."""
    made(trust(server, issuer, "narrow", audience="narrow", workspaces=["default"], verbs=["read", "register"]))
    token = made(exchange(server, issuer.token(aud=["x", "narrow"]))).json()["token"]
    who = me(server, token).json()
    assert (who["workspaces"], who["verbs"]) == (["default"], ["read", "register"])
    bearer = {"authorization": f"Bearer {token}"}
    asked = {"name": "wider", "days": 90}
    wider = httpx.post(f"{server.url}/api/v1/me/tokens", headers=bearer, json=asked, trust_env=False)
    assert wider.status_code == 403


def test_where_several_trusts_fit_one_is_named(server: RunningServer, issuer: Issuer) -> None:
    """Which service a job becomes is never left to chance: where several trusts take a token, the job names one."""
    for name, service in (("one", "churn-ci"), ("two", "other-ci")):
        made(trust(server, issuer, name, audience="several", service=service))
    token = issuer.token(aud="several")
    refused = exchange(server, token)
    assert (refused.status_code, refused.json()["field"]) == (400, "trust")
    assert made(exchange(server, token, trust="two")).json()["service"] == "other-ci"
    assert exchange(server, token, trust="main").status_code == 401
    assert exchange(server, token, trust="no-such").status_code == 401


def test_pasted_keys_need_no_call(server: RunningServer, issuer: Issuer) -> None:
    """Tokens of a cluster that the server cannot reach are checked by the keys that were given, and by no others."""
    with Issuer("localhost") as cluster:
        keys = json.dumps(key_set({"cluster": OTHER_KEYS["ec"]}))
        made(trust(server, cluster, "cluster", keys=keys))
        header = {"alg": "ES256", "kid": "cluster"}
        good = sign(cluster.claims(), OTHER_KEYS["ec"], header)
        assert made(exchange(server, good)).json()["service"] == "churn-ci"
        assert exchange(server, sign(cluster.claims(), KEYS["ec"], header)).status_code == 401
        assert exchange(server, cluster.token()).status_code == 401
        assert cluster.calls == []
        assert admin(server, "GET", "/api/v1/issuers/cluster").json()["has_own_keys"] is True


def test_SR_07_an_issuer_in_the_private_network_is_not_called(server: RunningServer) -> None:
    """An administrator who trusts an address of the private network makes the server call nothing there."""
    with Issuer() as inner:
        made(trust(server, inner, "inner", audience="inner"))
        assert exchange(server, inner.token(aud="inner")).status_code == 503
        assert inner.calls == []


@pytest.mark.parametrize("end", ["trust dropped", "service disabled", "service deleted", "owner disabled"])
def test_AZ_10_what_ends_a_trust_ends_its_tokens(server: RunningServer, issuer: Issuer, end: str) -> None:
    """Without its trust, its service or the service's owner, a token is exchanged no more; nor are those made before
    good, but for a dropped trust, whose tokens last for their quarter of an hour at most.
    """
    name = end.replace(" ", "-")
    made(admin(server, "POST", "/api/v1/users", {"name": f"p-{name}"}))
    made(admin(server, "POST", "/api/v1/services", {"name": f"s-{name}", "owner": f"p-{name}"}))
    made(trust(server, issuer, name, audience=name, service=f"s-{name}"))
    token = made(exchange(server, issuer.token(aud=name))).json()["token"]
    ends = {
        "trust dropped": ("DELETE", f"issuers/{name}", None),
        "service disabled": ("PATCH", f"services/s-{name}", {"disabled": True}),
        "service deleted": ("DELETE", f"services/s-{name}", None),
        "owner disabled": ("PATCH", f"users/p-{name}", {"disabled": True}),
    }
    method, target, fields = ends[end]
    made(admin(server, method, f"/api/v1/{target}", fields))
    assert exchange(server, issuer.token(aud=name)).status_code == 401
    assert me(server, token).status_code == (200 if end == "trust dropped" else 401)


WRONG: dict[str, tuple[dict[str, Any], str, int]] = {
    "http": ({"issuer": "http://issuer.example"}, "issuer", 400),
    "no address": ({"issuer": "issuer.example"}, "issuer", 400),
    "a query": ({"issuer": "https://issuer.example/?x"}, "issuer", 400),
    "metadata service": ({"issuer": "http://169.254.169.254"}, "issuer", 400),
    "no audience": ({"audience": " "}, "audience", 400),
    "no claims": ({"claims": {}}, "claims", 400),
    "any subject": ({"claims": {"sub": "*"}}, "claims", 400),
    "beginning of a name": ({"claims": {"sub": "repo:acme*"}}, "claims", 400),
    "star in the middle": ({"claims": {"sub": "repo:*:ref:x"}}, "claims", 400),
    "two stars": ({"claims": {"sub": "repo:**"}}, "claims", 400),
    "only a separator": ({"claims": {"sub": "/*"}}, "claims", 400),
    "empty value": ({"claims": {"sub": ""}}, "claims", 400),
    "the issuer as a claim": ({"claims": {"iss": "x"}}, "claims", 400),
    "the audience as a claim": ({"claims": {"aud": "x"}}, "claims", 400),
    "a claim without a name": ({"claims": {"": "x"}}, "claims", 400),
    "a person": ({"service": "admin"}, "", 404),
    "no such service": ({"service": "nobody"}, "", 404),
    "no such workspace": ({"workspaces": ["nowhere"]}, "", 404),
    "no workspaces": ({"workspaces": []}, "workspaces", 400),
    "no such verb": ({"verbs": ["rule"]}, "verbs", 400),
    "no verbs": ({"verbs": []}, "verbs", 400),
    "keys that are none": ({"keys": "x"}, "keys", 400),
    "keys without keys": ({"keys": "{}"}, "keys", 400),
    "a secret for a key": ({"keys": '{"keys":[{"kty":"oct","k":"AA"}]}'}, "keys", 400),
    "a private key": ({"keys": json.dumps({"keys": [KEYS["ec"].as_dict(private=True)]})}, "keys", 400),
    "a name that is none": ({"name": "A B"}, "name", 400),
    "a name that is taken": ({"name": "main"}, "name", 409),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_trust_that_could_let_in_strangers_is_refused(server: RunningServer, issuer: Issuer, name: str) -> None:
    """A trust without TLS, without claims, or with patterns that fit the names of others is refused, field by field."""
    changed, field, status = WRONG[name]
    refused = trust_with(server, **{"name": "wrong", "issuer": issuer.url, **changed})
    assert (refused.status_code, refused.json().get("field", "")) == (status, field), refused.text


def test_trusts_are_listed_and_dropped(server: RunningServer, issuer: Issuer) -> None:
    """Trusts are shown as they were made, a page at a time, without keys; a dropped one is gone."""
    made(trust(server, issuer, "zz-last", audience="zz"))
    shown = made(admin(server, "GET", "/api/v1/issuers/zz-last")).json()
    assert (shown["issuer"], shown["service"], shown["claims"]) == (issuer.url, "churn-ci", {"sub": SUBJECT})
    names, cursor = [], ""
    while cursor is not None:
        page = made(admin(server, "GET", f"/api/v1/issuers?limit=1&cursor={cursor}")).json()
        names += [item["name"] for item in page["items"]]
        cursor = page.get("next_cursor")
    assert names == sorted(names)
    assert "zz-last" in names
    made(admin(server, "DELETE", "/api/v1/issuers/zz-last"))
    assert admin(server, "GET", "/api/v1/issuers/zz-last").status_code == 404
    assert admin(server, "DELETE", "/api/v1/issuers/zz-last").status_code == 404


def test_only_an_administrator_trusts_issuers(server: RunningServer, issuer: Issuer) -> None:
    """A service, even one that a trust made, cannot trust issuers or see them."""
    token = made(exchange(server, issuer.token())).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    asked = {"name": "mine", "issuer": issuer.url, "audience": "x", "service": "churn-ci", "claims": {"sub": "x"}}
    refused = httpx.post(f"{server.url}/api/v1/issuers", headers=bearer, json=asked, trust_env=False)
    assert refused.status_code in {403, 404}
    assert httpx.get(f"{server.url}/api/v1/issuers", headers=bearer, trust_env=False).status_code in {403, 404}
