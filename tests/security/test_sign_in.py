"""Who may call: every route asks for a token, no refusal tells why, and tokens are written nowhere (AU, AZ)."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelkeep.access import Permission
from modelkeep.config import BadSetting, Settings
from modelkeep.faces.operations import PUBLIC
from security.raw import Raw, Reply
from security.table import ROUTES
from servers import PROGRAM, RunningServer, clean_environment

GUARDED = [route for route in ROUTES if route.operation.permission is not PUBLIC]
OPEN = [route for route in ROUTES if route.operation.permission is PUBLIC]
READ = "/api/v1/models"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that asks for tokens."""
    with RunningServer(tmp_path_factory.mktemp("sign-in") / "data") as running:
        yield running


def with_credentials(server: RunningServer, value: bytes, target: str = READ) -> Reply:
    """The answer to a request with this Authorization header."""
    with Raw(server.port) as raw:
        return raw.request("GET", target, headers=[(b"Authorization", value)])


def basic(user: str, password: str) -> bytes:
    """A header of basic authentication."""
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def known(server: RunningServer) -> str:
    """The administrator's token."""
    assert server.token is not None
    return server.token


def bad_tokens(token: str) -> list[str]:
    """Tokens that look more or less like a good one."""
    other_id = token[:3] + ("0" if token[3] != "0" else "1") + token[4:]
    last = "0" if token[-1] != "0" else "1"
    never_made = "mk_" + "0" * 16 + "_" + "A" * 43 + "df4b9c"
    return [
        "", "x", "admin", token[:-1], token + "0", token[:-1] + last, other_id, token.upper(), token[3:], token[::-1],
        f"{token} {token}", f"{token},{token}", never_made, "mk_" * 1000, "A" * 20_000, "null", "undefined",
        "' OR 1=1 --",
    ]  # fmt: skip


def test_AZ_01_no_guarded_route_answers_a_stranger(server: RunningServer) -> None:
    """Every route that is not public answers 401 without a token, whatever else is wrong with the request."""
    with Raw(server.port) as stranger:
        for route in GUARDED:
            reply = stranger.json(route.method, route.target({}), b"" if route.method in {"GET", "HEAD"} else b"{")
            assert reply.status == 401, (str(route), reply)
            assert "www-authenticate" in reply.headers


def test_AZ_01_the_open_routes_tell_nothing(server: RunningServer) -> None:
    """The public routes answer without a token, and know no names, numbers or versions of what is kept."""
    with Raw(server.port, server.token) as owner:
        owner.json("POST", READ, {"name": "secret-model"})
    with Raw(server.port) as stranger:
        for route in OPEN:
            reply = stranger.request(route.method, route.target({}))
            # Signing in takes more than to ask for it.
            assert reply.status in ({400, 404} if route.operation.name.startswith("sign_in.") else {200}), str(route)
            assert b"secret-model" not in reply.body


def test_AU_05_every_bad_token_gets_the_same_answer(server: RunningServer) -> None:
    """Unknown, damaged, forged and missing tokens are refused in the same words, as Bearer and as a password."""
    answers = set()
    for number, token in enumerate(bad_tokens(known(server))):
        for value in (b"Bearer " + token.encode(), basic(f"user{number}", token)):
            reply = with_credentials(server, value)
            assert reply.status == 401, (token[:60], reply)
            answers.add(reply.body.replace(reply.headers["x-request-id"].encode(), b""))
    with Raw(server.port) as stranger:
        reply = stranger.request("GET", READ)
    answers.add(reply.body.replace(reply.headers["x-request-id"].encode(), b""))
    assert len(answers) == 1


@pytest.mark.parametrize(
    "scheme", [b"Basic !!!", b"Basic", b"Bearer", b"Basic " + b"A" * 9, b"Digest x", b"\xff\xfe", b"Negotiate x"]
)
def test_AU_05_broken_credentials_are_no_credentials(server: RunningServer, scheme: bytes) -> None:
    """A header that is no credential is refused as if there were none."""
    with_credentials(server, scheme).refused(401)


def test_AU_the_token_works_in_every_way_a_client_sends_it(server: RunningServer) -> None:
    """Bearer in any case, and basic authentication with any user name and the token as password."""
    token = known(server)
    for value in (f"Bearer {token}", f"bearer {token}", f"BEARER  {token}"):
        assert with_credentials(server, value.encode()).status == 200, value
    for user in ("admin", "", "anyone", "a b"):
        assert with_credentials(server, basic(user, token)).status == 200, user


def test_AU_a_token_elsewhere_is_no_token(server: RunningServer) -> None:
    """A token in the address, the user name, another header or a second Authorization header signs nobody in."""
    token = known(server)
    with_credentials(server, basic(token, "")).refused(401)
    bearer = (b"Authorization", f"Bearer {token}".encode())
    with Raw(server.port) as raw:
        for target in (f"{READ}?token={token}", f"{READ}?access_token={token}"):
            assert raw.request("GET", target).status == 401
        for name in (b"X-Api-Key", b"X-Auth-Token", b"Proxy-Authorization", b"Cookie", b"X-Forwarded-User"):
            raw.request("GET", READ, headers=[(name, b"Bearer " + token.encode())]).refused(401)
        raw.request("GET", READ, headers=[bearer, bearer]).refused(401)
        raw.request("GET", READ, headers=[bearer, (b"authorization", b"Bearer x")]).refused(401)


def test_AU_04_tokens_are_written_nowhere(tmp_path: Path) -> None:
    """After good and bad calls and an error, no token stands in the database, its log or the server's log."""
    with RunningServer(tmp_path / "data") as server:
        token = known(server)
        wrong = token[:-6] + "000000"
        for value in (b"Bearer " + token.encode(), basic("x", token), b"Bearer " + wrong.encode(), basic(token, "")):
            with_credentials(server, value)
        with Raw(server.port, token) as raw:
            raw.json("POST", READ, {"name": "x"})
            raw.json("POST", READ, b"{")
        assert token.encode() not in server.stderr_path.read_bytes()
        secrets = [token.encode(), token[20:].encode(), wrong[20:63].encode()]
        written = [*(name for name in server.data.rglob("*") if name.is_file()), server.stderr_path]
        assert [name for name in written for secret in secrets if secret in name.read_bytes()] == []


def refused_start(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`modelkeep serve` that must end by itself."""
    command = [str(PROGRAM), "serve", "--data", str(tmp_path / "data"), "--port", "0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment(), check=False)


@pytest.mark.parametrize(
    "arguments", [("--auth", "none", "--host", "0.0.0.0"), ("--auth", "maybe"), ("--public-url", "registry.example")]
)
def test_AU_01_unsafe_settings_do_not_start(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A contradiction ends the start with exit code 2 and one line that names the setting, and makes no data folder."""
    done = refused_start(tmp_path, *arguments)
    assert done.returncode == 2, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert arguments[0] in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"auth": "none", "host": "0.0.0.0"},
        {"auth": "none", "host": "::"},
        {"auth": "none", "host": "192.0.2.1"},
        {"auth": "none", "host": "registry.example"},
        {"auth": "none", "host": ""},
        {"auth": ""},
        {"auth": "NONE"},
        {"port": 65_536},
        {"port": -1},
        {"database": "mysql://x"},
        {"database": "sqlite://x"},
        {"artifacts": "http://x"},
        {"artifacts": "/data"},
        {"public_url": "registry.example"},
        {"public_url": "ftp://registry.example"},
        {"public_url": "http://"},
        {"public_url": "http://["},
    ],
)
def test_OP_05_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    """Every senseless or unsafe setting is refused with its name, before anything is made."""
    with pytest.raises(BadSetting, match="--"):
        Settings(**settings)


def test_AU_01_the_open_door_says_so(tmp_path: Path) -> None:
    """`--auth none` works on loopback without a token, prints a warning, and prints no token."""
    with RunningServer(tmp_path / "data", auth="none") as server, Raw(server.port) as raw:
        assert raw.json("POST", READ, {"name": "x"}).status == 201
        printed = server.stdout_path.read_text()
        assert "--auth none: everybody on this machine may do everything" in printed
        assert "MLFLOW_TRACKING_TOKEN" not in printed
        raw.request("GET", READ, headers=[(b"Host", b"evil.example")]).refused(403)
        raw.json("POST", READ, {"name": "y"}, [(b"Origin", b"http://evil.example")]).refused(403)


def test_a_token_of_the_first_start_is_made_once(tmp_path: Path) -> None:
    """A second start shows no token and keeps the first one good; a recovered one works beside it."""
    with RunningServer(tmp_path / "data") as server:
        first = known(server)
        server.stop()
        command = [str(PROGRAM), "admin", "recover", "--data", str(server.data)]
        made = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=True)
        second = made.stdout.strip().removeprefix("export MLFLOW_TRACKING_TOKEN=")
        server.start()
        for token in (first, second):
            assert with_credentials(server, b"Bearer " + token.encode()).status == 200
        assert second != first
        assert server.stdout_path.read_text().count("mk_") == 1


def test_permissions_are_named_for_what_they_allow() -> None:
    """Each permission is spelled `noun:verb`, so that a refusal can be read."""
    assert [str(one) for one in Permission if str(one).count(":") != 1] == []
