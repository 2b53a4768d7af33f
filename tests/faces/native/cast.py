"""People with tokens of their own on a running registry, and workspaces of a test's own."""

import secrets
from dataclasses import dataclass
from typing import Any

from faces.native.pushing import Registry
from security.raw import Headers, Raw, Reply


@dataclass
class Person:
    """Somebody who calls the native API with a token of theirs."""

    name: str
    raw: Raw

    def call(self, method: str, path: str, fields: Any = None, workspace: str = "") -> Reply:
        """A call in a workspace."""
        headers: Headers = [(b"X-MLFLOW-WORKSPACE", workspace.encode())] if workspace else []
        if fields is None:
            return self.raw.request(method, f"/api/v1/{path}", headers=headers)
        return self.raw.json(method, f"/api/v1/{path}", fields, headers)

    def ok(self, method: str, path: str, fields: Any = None, workspace: str = "") -> Any:
        """The JSON of a call that must succeed; None where it has no body."""
        reply = self.call(method, path, fields, workspace)
        assert reply.status in {200, 201, 204}, reply
        return reply.json if reply.body else None

    def refused(self, status: int, method: str, path: str, fields: Any = None, workspace: str = "") -> Any:
        """What a call is refused with, but for its request's id."""
        problem = self.call(method, path, fields, workspace).refused(status)
        del problem["request_id"]
        return problem


@dataclass
class Cast:
    """The administrator of a registry, and whoever a test needs."""

    registry: Registry

    @property
    def admin(self) -> Person:
        """The first administrator."""
        return Person("admin", self.registry.raw)

    def person(self) -> Person:
        """Somebody new who was given nothing."""
        name = f"p-{secrets.token_hex(4)}"
        self.admin.ok("POST", "users", {"name": name})
        token = self.admin.ok("POST", "tokens", {"owner": name, "name": "test"})["token"]
        return Person(name, Raw(self.registry.server.port, token))

    def workspace(self) -> str:
        """A new workspace."""
        name = f"w-{secrets.token_hex(4)}"
        self.admin.ok("POST", "workspaces", {"name": name})
        return name

    def give(self, person: Person, role: str, workspace: str, **more: Any) -> Any:
        """Give somebody a role, by the administrator."""
        body = {"principal": f"user/{person.name}", "role": role} | more
        return self.admin.ok("POST", "assignments", body, workspace)

    def member(self, role: str, workspace: str) -> Person:
        """Somebody new who holds a role in a workspace."""
        person = self.person()
        self.give(person, role, workspace)
        return person
