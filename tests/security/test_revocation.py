"""What was taken from somebody is gone within a second, on every server process (AZ-10)."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import FreshPostgres
from security.raw import Raw, Reply
from servers import RunningServer

WITHIN = 1.0
PASSWORD = "correct horse battery"


class Pair:
    """Two server processes on one database, and what the administrator does on the first."""

    def __init__(self, first: RunningServer, second: RunningServer) -> None:
        self.first, self.second = first, second
        assert first.token is not None
        self.admin = first.token

    def do(self, method: str, path: str, fields: Any = None) -> Any:
        """A call of the administrator on the first process."""
        with Raw(self.first.port, self.admin) as raw:
            reply = raw.json(method, f"/api/v1/{path}", {} if fields is None else fields)
        assert reply.status in {200, 201, 204}, reply.body
        return reply.json if reply.body else None

    def person(self, name: str) -> str:
        """Somebody who reads everything, and their token."""
        self.do("POST", "users", {"name": name, "password": PASSWORD})
        self.do("POST", "assignments", {"principal": f"user/{name}", "role": "viewer"})
        return str(self.do("POST", "tokens", {"owner": name, "name": "theirs"})["token"])


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory, fresh_postgres: FreshPostgres) -> Iterator[Pair]:
    """Two processes that share a database and a folder."""
    folder, database = tmp_path_factory.mktemp("pair"), fresh_postgres()
    shared = ("--artifacts", f"file://{folder}/blobs")
    (folder / "blobs").mkdir()
    with (
        RunningServer(folder / "one", database=database, arguments=shared) as first,
        RunningServer(folder / "two", database=database, arguments=shared) as second,
    ):
        yield Pair(first, second)


def refused_within_a_second(ask: Callable[[], Reply], take: Callable[[], Any], status: int) -> None:
    """What works until it is taken, and is refused from a second after that was answered."""
    assert ask().status == 200
    take()
    time.sleep(WITHIN)
    assert ask().status == status


def test_AZ_10_what_was_taken_on_one_process_is_gone_on_the_other(pair: Pair) -> None:
    """Roles, group members, tokens, and people: taken on one server, refused on the other a second later."""
    pair.do("POST", "models", {"name": "clf"})
    with Raw(pair.second.port) as raw:

        def reader(token: str) -> Callable[[], Reply]:
            sent = [(b"Authorization", b"Bearer " + token.encode())]
            return lambda: raw.request("GET", "/api/v1/models/clf", headers=sent)

        role, member, revoked, disabled, deleted = (reader(pair.person(name)) for name in ("a", "b", "c", "d", "e"))
        held = {one["principal"]: one["id"] for one in pair.do("GET", "assignments")["items"]}
        refused_within_a_second(role, lambda: pair.do("DELETE", f"assignments/{held['user/a']}"), 404)
        pair.do("DELETE", f"assignments/{held['user/b']}")
        pair.do("POST", "groups", {"name": "staff"})
        pair.do("PUT", "groups/staff/members/b")
        pair.do("POST", "assignments", {"principal": "group/staff", "role": "viewer"})
        time.sleep(WITHIN)
        refused_within_a_second(member, lambda: pair.do("DELETE", "groups/staff/members/b"), 404)
        tokens = {one["owner"]: one["id"] for one in pair.do("GET", "tokens")["items"]}
        refused_within_a_second(revoked, lambda: pair.do("DELETE", f"tokens/{tokens['c']}"), 401)
        refused_within_a_second(disabled, lambda: pair.do("PATCH", "users/d", {"disabled": True}), 401)
        refused_within_a_second(deleted, lambda: pair.do("DELETE", "users/e"), 401)


def test_AZ_10_an_open_session_ends_with_its_user(pair: Pair) -> None:
    """A browser session on one server is refused once its user was disabled on the other."""
    pair.do("POST", "models", {"name": "clf"})
    pair.person("ann")
    with Raw(pair.second.port) as raw:
        signed_in = raw.json("POST", "/api/v1/sign-in", {"name": "ann", "password": PASSWORD})
        assert signed_in.status == 204, signed_in.body
        cookie = [(b"Cookie", signed_in.headers["set-cookie"].partition(";")[0].encode())]
        refused_within_a_second(
            lambda: raw.request("GET", "/api/v1/models/clf", headers=cookie),
            lambda: pair.do("PATCH", "users/ann", {"disabled": True}),
            401,
        )
