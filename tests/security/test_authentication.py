"""Passwords and tokens against those who guess, flood and look (AU): each test is named after its case."""

import base64
import json
import re
import secrets
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from security.raw import Raw, Reply
from servers import PROGRAM, RunningServer, clean_environment

ROOT = Path(__file__).parents[2]
ME = "/api/v1/me"
PASSWORD = "plum-tractor-9-lake"
FREE = 5
LONGER_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that asks who is calling."""
    with RunningServer(tmp_path_factory.mktemp("authentication") / "data") as running:
        yield running


def admin(server: RunningServer) -> Raw:
    """A connection of the administrator's."""
    return Raw(server.port, server.token)


def make_person(server: RunningServer, password: str | None = PASSWORD) -> str:
    """A new person's name."""
    name = f"p{secrets.token_hex(6)}"
    with admin(server) as raw:
        assert raw.json("POST", "/api/v1/users", {"name": name, "password": password}).status == 201
    return name


def sign_in(server: RunningServer, name: str, password: str) -> Reply:
    """The answer to a call with name and password."""
    value = b"Basic " + base64.b64encode(f"{name}:{password}".encode())
    with Raw(server.port) as raw:
        return raw.request("GET", ME, headers=[(b"Authorization", value)])


def with_token(server: RunningServer, token: str, target: str = ME) -> Reply:
    """The answer to a call with a token."""
    with Raw(server.port, token) as raw:
        return raw.request("GET", target)


def wait_longer(database: Any) -> None:
    """Have the waits that began at accounts last longer: no machine is too slow to come within them."""
    with database:
        database.execute(
            f"UPDATE sign_in_failures SET wait_until = wait_until + {LONGER_S}000 WHERE key LIKE 'account/%'"
        )


def words(reply: Reply) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """A refusal without what is different in every answer."""
    request_id = reply.headers["x-request-id"]
    headers = tuple(sorted((name, value) for name, value in reply.headers.items() if name != "x-request-id"))
    return reply.status, reply.body.replace(request_id.encode(), b""), headers


def journal(server: RunningServer, kind: str) -> list[dict[str, Any]]:
    """The entries of a kind, with the address that they came from."""
    query = "SELECT data, address, actor, resource FROM journal WHERE kind = ? ORDER BY id"
    with closing(sqlite3.connect(f"file:{server.data / 'modelkeep.db'}?mode=ro", uri=True)) as database:
        rows = database.execute(query, [kind]).fetchall()
    return [json.loads(data) | {"address": at, "actor": actor, "resource": of} for data, at, actor, of in rows]


def test_AU_01_a_new_registry_has_one_administrator_and_no_password(server: RunningServer) -> None:
    """The first start makes the person `admin`, who has a random token and no password that anybody could know."""
    me = with_token(server, server.token or "").json
    assert (me["name"], me["kind"], me["signed_in_by"], me["has_password"]) == ("admin", "person", "token", False)
    for password in ("", "admin", "password", "password1234", "modelkeep", "changeme"):
        assert sign_in(server, "admin", password).status in {401, 429}


def test_AU_01_no_secret_stands_in_the_source() -> None:
    """Nothing in the program is a token, a hash of a password, or a value given to a name that means one."""
    sources = [path.read_text() for path in sorted((ROOT / "src").rglob("*.py"))]
    token = re.compile(r"mk_[0-9a-f]{16}_[\w-]{49}")
    hashed = re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[\w+/]+\$")
    named = r"^\s*\w*(?:password|passwd|secret)\w*(?::\s*str)?\s*=\s*[\"'][^\"'\s]+[\"']"
    given = re.compile(named, re.MULTILINE | re.IGNORECASE)
    assert [found for text in sources for of in (token, hashed, given) for found in of.findall(text)] == []


def test_AU_02_guessing_slows_down_and_ends(server: RunningServer) -> None:
    """Of twenty wrong passwords five are compared, and told in the journal; then it is 429 with Retry-After."""
    name = make_person(server)
    replies = [sign_in(server, name, f"wrong-password-{number}") for number in range(FREE)]
    with closing(sqlite3.connect(server.data / "modelkeep.db", timeout=30)) as database:
        wait_longer(database)
    replies += [sign_in(server, name, f"wrong-password-{number}") for number in range(FREE, 20)]
    assert [reply.status for reply in replies] == [401] * FREE + [429] * 15
    assert all(1 <= int(reply.headers["retry-after"]) <= LONGER_S + 1 for reply in replies[FREE:])
    assert {reply.json["code"] for reply in replies[FREE:]} == {"too_many_attempts"}

    with admin(server) as raw:
        person = raw.request("GET", f"/api/v1/users/{name}").json
    failed = [entry for entry in journal(server, "sign_in.failed") if entry["resource"] == f"user/{person['id']}"]
    assert [entry["failures"] for entry in failed] == [1, 2, 3, 4, 5]
    assert {(entry["address"], entry["actor"]) for entry in failed} == {("127.0.0.1", "")}
    assert "wrong-password" not in str(failed)


def test_AU_02_the_victim_goes_on(server: RunningServer) -> None:
    """Who is guessed at keeps working with their token, and with what they had signed in by."""
    name = make_person(server)
    with admin(server) as raw:
        token = raw.json("POST", "/api/v1/tokens", {"owner": name, "name": "t"}).json["token"]
    assert sign_in(server, name, PASSWORD).status == 200
    for number in range(15):
        sign_in(server, name, f"wrong-password-{number}")
    assert with_token(server, token).status == 200
    assert sign_in(server, name, PASSWORD).status == 200


@pytest.mark.slow
def test_AU_02_one_password_for_many_accounts(tmp_path: Path) -> None:
    """Of a thousand accounts tried once from one address, no more than a hundred and a few are compared."""
    with RunningServer(tmp_path / "data") as server:
        tried = [sign_in(server, f"user{number}", PASSWORD).status for number in range(130)]
        assert tried[:100] == [401] * 100
        assert tried.count(401) < 110
        assert set(tried) == {401, 429}


def test_AU_02_a_restart_forgives_nothing(tmp_path: Path) -> None:
    """A wait that began before a restart goes on after it."""
    with RunningServer(tmp_path / "data") as server:
        name = make_person(server)
        with closing(sqlite3.connect(server.data / "modelkeep.db")) as database:
            for number in range(FREE):
                sign_in(server, name, f"wrong-password-{number}")
            wait_longer(database)
        server.restart()
        assert sign_in(server, name, PASSWORD).status == 429


@pytest.fixture(name="two", scope="module")
def _two(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers of one registry, on PostgreSQL."""
    folder = tmp_path_factory.mktemp("two")
    shared = ["--artifacts", f"file://{folder / 'blobs'}"]
    with RunningServer(folder / "one", database=postgres_url, arguments=shared) as one:
        other = [*shared, "--audit-key", str(folder / "one" / "audit-key")]
        with RunningServer(folder / "two", database=postgres_url, arguments=other) as two:
            yield one, two


def test_AU_02_two_servers_count_together(two: tuple[RunningServer, RunningServer], postgres_url: str) -> None:
    """What was guessed at one server counts at the other."""
    name = make_person(two[0])
    statuses = [sign_in(two[number % 2], name, f"wrong-password-{number}").status for number in range(FREE)]
    assert statuses == [401] * FREE
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as database:
        wait_longer(database)
    assert [sign_in(one, name, PASSWORD).status for one in two] == [429, 429]


def test_AU_05_what_one_server_revoked_ends_at_the_other(two: tuple[RunningServer, RunningServer]) -> None:
    """A token that another server believed a moment ago is refused there before long, and never believed again."""
    with admin(two[0]) as raw:
        made = raw.json("POST", "/api/v1/me/tokens", {"name": "short"}).json
        assert with_token(two[1], made["token"]).status == 200
        raw.request("DELETE", f"/api/v1/me/tokens/{made['id']}")
    assert with_token(two[0], made["token"]).status == 401
    ends = time.monotonic() + 10
    while with_token(two[1], made["token"]).status != 401:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert with_token(two[1], made["token"]).status == 401


def test_AU_03_an_unknown_name_and_a_wrong_password_look_alike(server: RunningServer) -> None:
    """Unknown, disabled, without a password, a service, and wrong: the same status, headers and words."""
    with_password, without = make_person(server), make_person(server, None)
    disabled, service = make_person(server), f"s{secrets.token_hex(6)}"
    with admin(server) as raw:
        assert raw.json("PATCH", f"/api/v1/users/{disabled}", {"disabled": True}).status == 200
        assert raw.json("POST", "/api/v1/services", {"name": service}).status == 201
    cases = [(with_password, "not-" + PASSWORD), ("nobody-here", PASSWORD), (without, PASSWORD)]
    cases += [(disabled, PASSWORD), (service, PASSWORD), ("Nobody Here", PASSWORD), (with_password, "x" * 5000)]
    answers = {words(sign_in(server, name, password)) for name, password in cases}
    assert len(answers) == 1
    assert next(iter(answers))[0] == 401


def test_AU_04_secrets_are_written_nowhere(tmp_path: Path) -> None:
    """Passwords and tokens, right and wrong, in every field that takes one, stand in no file of the server's."""
    canary = f"canary {secrets.token_hex(16)}"
    with RunningServer(tmp_path / "data") as server:
        name = make_person(server, f"{canary} 1")
        with admin(server) as raw:
            token = raw.json("POST", "/api/v1/tokens", {"owner": name, "name": "t"}).json["token"]
            raw.json("PUT", f"/api/v1/users/{name}/password", {"password": f"{canary} 2"})
            raw.json("PUT", f"/api/v1/users/{name}/password", {"password": f"{canary}\u0000"})
            raw.json("POST", "/api/v1/users", {"name": "Wrong Name", "password": f"{canary} 3"})
            raw.json("POST", "/api/v1/users", {"name": name, "password": f"{canary} 4", "extra": canary})
        with Raw(server.port, token) as raw:
            raw.json("POST", "/api/v1/me/password", {"present": f"{canary} 5", "new": f"{canary} 6"})
            raw.json("POST", "/api/v1/me/password", {"present": f"{canary} 2", "new": f"{canary} 7"})
        for password in (f"{canary} 7", f"{canary} 8", token):
            sign_in(server, name, password)
        sign_in(server, f"{canary} 9", "x")
        with_token(server, token[:-6] + "000000")
        written = [path for path in server.data.rglob("*") if path.is_file()] + [server.stderr_path, server.stdout_path]
        for secret in (canary.encode(), canary[7:].encode(), token[20:63].encode()):
            assert [path.name for path in written if secret in path.read_bytes()] == []


def test_AU_04_a_list_shows_the_beginning_of_a_token_only(server: RunningServer) -> None:
    """Tokens are listed by their ids; their text is told when they are made, and never again."""
    with admin(server) as raw:
        made = raw.json("POST", "/api/v1/me/tokens", {"name": "listed"}).json
        listed = raw.request("GET", "/api/v1/me/tokens").body
    assert made["token"].startswith(made["prefix"] + "_")
    assert made["prefix"].encode() in listed
    assert made["token"][20:].encode() not in listed


def test_AU_05_every_state_of_a_token_gets_the_same_401(tmp_path: Path) -> None:
    """Just expired, revoked, of a deleted or disabled owner, damaged, cut, huge, of elsewhere: the same words."""
    with RunningServer(tmp_path / "data") as server:
        made: dict[str, str] = {}
        with admin(server) as raw:
            for state in ("expired", "revoked", "deleted", "disabled", "orphaned"):
                raw.json("POST", "/api/v1/users", {"name": state})
                owner = state
                if state == "orphaned":
                    owner = "orphan-bot"
                    raw.json("POST", "/api/v1/services", {"name": owner, "owner": state})
                answer = raw.json("POST", "/api/v1/tokens", {"owner": owner, "name": state}).json
                made[state] = answer["token"]
                assert with_token(server, made[state]).status == 200
            raw.request("DELETE", f"/api/v1/tokens/{made['revoked'][3:19]}")
            raw.request("DELETE", "/api/v1/users/deleted")
            raw.request("DELETE", "/api/v1/users/orphaned")
            raw.json("PATCH", "/api/v1/users/disabled", {"disabled": True})
        server.stop()
        with closing(sqlite3.connect(server.data / "modelkeep.db")) as database, database:
            database.execute(
                "UPDATE tokens SET expires_at = CAST(strftime('%s') AS INTEGER) * 1000 - 1 WHERE name = 'expired'"
            )
        server.start()
        good = server.token or ""
        elsewhere = "mk_0123456789abcdef_" + "A" * 43
        others = [good[:-1], good[:-6] + "000000", good + "x", elsewhere + "000000", good * 12_000, ""]
        answers = {words(with_token(server, token)) for token in [*made.values(), *others[:4], others[5]]}
        assert len(answers) == 1
        assert next(iter(answers))[0] == 401
        assert with_token(server, others[4]).status == 431


def test_AU_05_a_revoked_token_is_refused_from_the_next_call_on(server: RunningServer) -> None:
    """In the server that revoked it, a token that was good a moment ago is refused at once."""
    with admin(server) as raw:
        made = raw.json("POST", "/api/v1/me/tokens", {"name": "short"}).json
        for _ in range(3):
            assert with_token(server, made["token"]).status == 200
        raw.request("DELETE", f"/api/v1/me/tokens/{made['id']}")
    assert with_token(server, made["token"]).status == 401


@pytest.mark.parametrize(
    "password",
    ["short", "x" * 1025, "a" * 40, "Password1234", "{name}", "{name}123", "with\ttab-inside", "mk_" + "0" * 20],
    ids=["short", "long", "plain", "usual", "name", "name-123", "control", "token"],
)
def test_AU_10_weak_passwords_are_refused(server: RunningServer, password: str) -> None:
    """A password that is easy to guess is refused when it is set, in each way to set one, with what to change."""
    name = make_person(server)
    weak = password.replace("{name}", name)
    with admin(server) as raw:
        for reply in (
            raw.json("POST", "/api/v1/users", {"name": name, "password": weak}),
            raw.json("PUT", f"/api/v1/users/{name}/password", {"password": weak}),
        ):
            reply.refused(400)
            assert reply.json["field"] == "password"
    assert sign_in(server, name, PASSWORD).status == 200


def test_AU_10_a_password_is_compared_whole(server: RunningServer) -> None:
    """The thousandth byte counts, and so do capitals and spaces; the same characters written otherwise are the same."""
    long = "caf\u00e9 " * 160 + "end"
    name = make_person(server, long)
    for wrong in (long[:-1], long.upper(), long.strip() + " "):
        assert sign_in(server, name, wrong).status == 401
    assert sign_in(server, name, long.replace("\u00e9", "e\u0301")[:1024]).status == 401
    assert sign_in(server, name, long).status == 200


def test_AU_10_changing_ones_password_takes_the_present_one(server: RunningServer) -> None:
    """A wrong present password is refused, and slowed down as any guess; the right one changes it at once."""
    name, new = make_person(server), "another-plum-tractor"
    with admin(server) as raw:
        token = raw.json("POST", "/api/v1/tokens", {"owner": name, "name": "t"}).json["token"]
    with Raw(server.port, token) as raw:
        raw.json("POST", "/api/v1/me/password", {"present": "not-" + PASSWORD, "new": new}).refused(403)
        assert raw.json("POST", "/api/v1/me/password", {"present": PASSWORD, "new": new}).status == 204
        assert sign_in(server, name, PASSWORD).status == 401
        assert sign_in(server, name, new).status == 200
        tried = [raw.json("POST", "/api/v1/me/password", {"present": "x" * 12, "new": new}).status for _ in range(20)]
    assert set(tried) == {403, 429}


def test_AU_10_nobody_without_a_password_gets_one_by_a_token(server: RunningServer) -> None:
    """Who signs in otherwise is not given a password by whoever found their token; a limited token sets nobody's."""
    name = make_person(server, None)
    with admin(server) as raw:
        token = raw.json("POST", "/api/v1/tokens", {"owner": name, "name": "t"}).json["token"]
        limited = raw.json("POST", "/api/v1/me/tokens", {"name": "l", "verbs": ["read", "manage"]}).json["token"]
    with Raw(server.port, token) as raw:
        raw.json("POST", "/api/v1/me/password", {"present": "", "new": PASSWORD}).refused(409)
    with Raw(server.port, limited) as raw:
        raw.json("PUT", "/api/v1/users/admin/password", {"password": PASSWORD}).refused(403)


def test_AU_12_the_way_back_in_is_the_database(tmp_path: Path) -> None:
    """With the database in hand, and only so, an administrator gets a new token, in the journal as all else."""
    with RunningServer(tmp_path / "data") as server:
        running = recover(server.data)
        assert running.returncode == 1
        assert "in use" in running.stderr
        server.stop()
        done = recover(server.data, "--revoke-others", "--json")
        new = json.loads(done.stdout)["token"]
        server.start()
        assert with_token(server, server.token or "").status == 401
        assert with_token(server, new).json["name"] == "admin"
        assert journal(server, "tokens.revoked")[0]["count"] == 1
        assert [entry["purpose"] for entry in journal(server, "token.made")] == ["first start", "recovery"]


def recover(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`modelkeep admin recover`."""
    command = [str(PROGRAM), "admin", "recover", "--data", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60, check=False)


def test_AU_13_fifty_sign_ins_at_once_leave_room_for_others(server: RunningServer) -> None:
    """While fifty wait for their passwords to be hashed, calls with a token are answered between them, and all are."""
    people = [make_person(server) for _ in range(2)]
    answered: list[str] = []

    def hash_one(number: int) -> None:
        status = sign_in(server, f"{people[0]}-{number}" if number % 5 else people[1], PASSWORD).status
        answered.append(f"hashed {status}")

    crowd = [threading.Thread(target=hash_one, args=(number,)) for number in range(50)]
    for thread in crowd:
        thread.start()
    with admin(server) as raw:
        while any(thread.is_alive() for thread in crowd):
            assert raw.request("GET", ME).status == 200
            answered.append("other")
    for thread in crowd:
        thread.join()
    assert sum(one != "other" for one in answered) == 50
    assert set(answered) <= {"other", "hashed 200", "hashed 401"}
    before_last = len(answered) - 1 - [one != "other" for one in reversed(answered)].index(True)
    assert answered[:before_last].count("other") > 20


def test_AU_stock_clients_sign_in_by_name_and_password(server: RunningServer) -> None:
    """MLflow's client with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD is the person with that password."""
    name = make_person(server)
    environment = {"MLFLOW_TRACKING_URI": server.url}
    environment |= {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    program = "import mlflow; print(mlflow.MlflowClient().search_experiments())"
    done = subprocess.run(
        [str(PROGRAM.with_name("python")), "-c", program],
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "UNAUTHENTICATED" not in done.stderr
    wrong = subprocess.run(
        [str(PROGRAM.with_name("python")), "-c", program],
        env=clean_environment(environment | {"MLFLOW_TRACKING_PASSWORD": "not-" + PASSWORD}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "not authenticated" in wrong.stderr
