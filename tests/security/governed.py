"""A furnished registry in this process, and callers of every kind: requests are decided on it and then undone."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from modelkeep.access import assignments, make_links, people, tokens
from modelkeep.app import App
from modelkeep.bootstrap import build
from modelkeep.config import Settings
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.db import Database, Tx
from modelkeep.faces.table import build_http
from security.counted import Counting
from security.raw import Headers, Reply

T = TypeVar("T")

_AT_ONCE = 6
PASSWORD = "correct horse battery staple"
RPC = "/api/2.0/mlflow/"
PROXY = "/api/2.0/mlflow-artifacts/artifacts/"


class _Done(Exception):
    """A unit of work came to its end, and is not to be kept."""


class Undoing:
    """A database that runs every change to its end, with its answer, and then keeps nothing of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read = database.read
        self.read_quickly = database.read_quickly
        self.read_now = database.read_now
        self.alone = database.alone
        self.close = database.close
        self.name = database.name
        self.lingers_ms = database.lingers_ms
        self.readers = database.readers

    async def write(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """Run, answer and undo."""
        run, results = _ending(work)
        with contextlib.suppress(_Done):
            await self._database.write(caller, run)
        return results[-1]

    def write_now(self, caller: Caller, work: Callable[[Tx], T]) -> T:
        """The same for plain code."""
        run, results = _ending(work)
        with contextlib.suppress(_Done):
            self._database.write_now(caller, run)
        return results[-1]


def _ending(work: Callable[[Tx], T]) -> tuple[Callable[[Tx], None], list[T]]:
    results: list[T] = []

    def run(tx: Tx) -> None:
        results.append(work(tx))
        raise _Done

    return run, results


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    target: str
    body: bytes = b""
    headers: Headers = ()
    token: str | None = None

    @property
    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """Those given and those that every request has."""
        headers = [(name.lower(), value) for name, value in self.headers] + [(b"host", b"127.0.0.1")]
        headers.append((b"content-length", b"%d" % len(self.body)))
        if self.token is not None:
            headers.append((b"authorization", b"Bearer " + self.token.encode()))
        return headers


class Wire:
    """The HTTP face of an app, called without a server in front of it: what is sent is exactly what it gets."""

    def __init__(self, app: App) -> None:
        self._http = build_http(app)
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()

    def call(
        self, method: str, target: str, body: bytes = b"", headers: Headers = (), *, token: str | None = None
    ) -> Reply:
        """One request for this target, as spelled."""
        return self._runner.run(self._answer(Asked(method, target, body, headers, token)))

    def call_all(self, asked: Sequence["Asked"]) -> list[Reply]:
        """Several requests, some at a time; the answers in their order."""
        return self._runner.run(self._answer_all(asked))

    def listened(self, database: Counting, asked: "Asked") -> tuple[Reply, list[str]]:
        """The answer to a request, and the statements that were run for it before it was there."""
        return self._runner.run(database.listen(self._answer(asked)))

    async def _answer_all(self, asked: Sequence["Asked"]) -> list[Reply]:
        free = asyncio.Semaphore(_AT_ONCE)

        async def one(request: Asked) -> Reply:
            async with free:
                return await self._answer(request)

        return await asyncio.gather(*map(one, asked))

    async def _answer(self, asked: "Asked") -> Reply:
        path, _, query = asked.target.encode().partition(b"?")
        method, headers = asked.method, asked.all_headers
        scope = {"type": "http", "method": method, "raw_path": path, "path": path.decode(), "query_string": query}
        messages: list[Any] = [{"type": "http.request", "body": asked.body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self._http(scope | {"headers": headers, "client": ("127.0.0.1", 1)}, receive, send)
        named = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], named, b"".join(one["body"] for one in sent[1:]))


@dataclass(frozen=True)
class Given:
    """A role given to a caller: everything in the workspace, or one thing by the name that `made` has its id under."""

    role: str
    workspace: str = "default"
    kind: str = "*"
    of: str = ""
    effect: str = "allow"


# Everybody who asks, and what they were given.
CALLERS: dict[str, Sequence[Given]] = {
    "anonymous": (),
    "no role": (),
    "viewer": [Given("viewer")],
    "contributor": [Given("contributor")],
    "reviewer": [Given("reviewer")],
    "operator": [Given("operator")],
    "auditor": [Given("auditor")],
    "manager here": [Given("manager")],
    "administrator here": [Given("administrator")],
    "manager of clf": [Given("manager", kind="model", of="clf_id")],
    "contributor to clf": [Given("contributor", kind="model", of="clf_id")],
    "viewer, clf denied": [Given("viewer"), Given("viewer", kind="model", of="clf_id", effect="deny")],
    "administrator": [Given("administrator", "*")],
    "auditor everywhere": [Given("auditor", "*")],
    "admin, reading token": [Given("administrator", "*")],
    "admin, token for red": [Given("administrator", "*")],
    "member of red only": [Given("administrator", "red")],
    "expired token": [Given("administrator", "*")],
    "revoked token": [Given("administrator", "*")],
    "disabled": [Given("administrator", "*")],
}
LIMITS: dict[str, dict[str, Any]] = {
    "admin, reading token": {"verbs": ["read", "download"]},
    "admin, token for red": {"workspaces": ["red"]},
    "expired token": {"expires_at": 1},
}


@dataclass
class Governed:
    """The registry, its wire, who calls, and what was made on it."""

    app: App
    wire: Wire
    token: str
    callers: dict[str, str | None] = field(default_factory=dict)
    spare_tokens: dict[str, str] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, folder: Path) -> Self:
        """A registry of its own in a folder, with nothing on it."""
        app, token = build(Settings(data=folder, rate_limit=0))
        assert token is not None
        return cls(app, Wire(app), token.text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.close()
        self.app.close()

    def keep_nothing(self) -> None:
        """From now on, what requests change is undone once it has its answer."""
        self.wire.close()
        self.app = replace(self.app, database=Undoing(self.app.database))
        self.wire = Wire(self.app)

    def send(
        self, method: str, target: str, fields: Any = None, *, token: str | None = None, workspace: str = ""
    ) -> Reply:
        """A call as the administrator, or with another token; JSON where there are fields."""
        body = b"" if fields is None else fields if isinstance(fields, bytes) else json_of(fields)
        headers = [(b"content-type", b"application/json")] if body else []
        if workspace:
            headers.append((b"x-mlflow-workspace", workspace.encode()))
        return self.wire.call(method, target, body, headers, token=token or self.token)

    def post(self, rpc: str, *, at: str = "", **fields: Any) -> Any:
        """Make something over MLflow's wire."""
        reply = self.send("POST", RPC + rpc, fields, workspace=at)
        assert reply.status == 200, reply.body
        return reply.json

    def put(self, path: str, content: bytes, *, at: str = "") -> None:
        """Upload a file."""
        reply = self.send("PUT", PROXY + path, content, workspace=at)
        assert reply.status == 200, reply.body

    def native(self, method: str, address: str, *, at: str = "", **fields: Any) -> Any:
        """Make something over the native API."""
        reply = self.send(method, f"/api/v1/{address}", fields or None, workspace=at)
        assert reply.status in {200, 201, 204}, reply.body
        return reply.json if reply.body else None

    def user(self, name: str, *, given: Sequence[Given] = (), password_hash: str | None = None, **limits: Any) -> str:
        """Somebody who signs in with a token, and what they were given."""

        def make(tx: Tx) -> str:
            row = people.make_user(tx, name, password_hash=password_hash)
            for one in given:
                pattern = f"id:{self.made[one.of]}" if one.of else "*"
                wanted = (f"user/{name}", one.role, one.workspace, one.kind, pattern, one.effect)
                assignments.assign(tx, assignments.NewAssignment(*wanted))
            return tokens.make_token_for(tx, row, name="theirs", **limits).text

        return self.app.database.write_now(SYSTEM, make)

    def token_of(self, name: str) -> str:
        """The id of one more token of somebody's."""

        def make(tx: Tx) -> str:
            return tokens.make_token_for(tx, people.find_user(tx, name), name="spare").id

        return self.app.database.write_now(SYSTEM, make)

    def link(self, who: str, method: str, path: str) -> str:
        """A signed link that this caller made."""
        name, token = slug(who), self.callers[who]
        if token is None:
            return "none"

        def make(tx: Tx) -> str:
            tx.caller = Caller(Actor(name, "token", str(token)[3:19], people.find_user(tx, name).id))
            return make_links(tx, method, [path], 600)[0]

        return self.app.database.read_now(SYSTEM, make)


def json_of(fields: Any) -> bytes:
    """As a client writes it."""
    return json.dumps(fields).encode()


def slug(name: str) -> str:
    """A caller's name as that of an account."""
    return name.replace(", ", "-").replace(" ", "-")
