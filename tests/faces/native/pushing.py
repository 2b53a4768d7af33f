"""A caller who pushes files and registers them over the wire."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from security.raw import Headers, Raw, Reply
from servers import RunningServer

FILES = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class Registry:
    """A server and a connection to it; models get names of their own."""

    server: RunningServer
    raw: Raw
    headers: Headers = field(default=())
    made: int = 0

    def call(self, method: str, path: str, fields: Any = None) -> Reply:
        """A call of the native API."""
        if fields is None:
            return self.raw.request(method, f"/api/v1/{path}", headers=self.headers)
        return self.raw.json(method, f"/api/v1/{path}", fields, self.headers)

    def ok(self, method: str, path: str, fields: Any = None) -> Any:
        """The JSON of a call that must succeed."""
        reply = self.call(method, path, fields)
        assert reply.status in {200, 201}, reply
        return reply.json

    def put(self, path: str, content: bytes) -> Reply:
        """Upload a file to a full path of the namespace."""
        return self.raw.request("PUT", FILES + quote(path), content, self.headers)

    def push(self, files: Mapping[str, bytes]) -> Any:
        """An open push that these files have arrived in."""
        push = self.ok("POST", "pushes", {})
        for path, content in files.items():
            reply = self.put(f"{push['path']}/{path}", content)
            assert reply.status == 200, reply
        return push

    def register(self, files: Mapping[str, bytes], name: str = "") -> Any:
        """A new version of exactly these files, of a new model unless it is named."""
        self.made += not name
        name = name or f"model-{self.made}"
        body = {"source": self.push(files)["source"], "create_model": True}
        return self.ok("POST", f"models/{name}/versions", body)

    def blob(self, content: bytes) -> Path:
        """Where the server's store keeps these bytes."""
        sha256 = hashlib.sha256(content).hexdigest()
        (found,) = self.server.data.rglob(f"{sha256}*")
        return Path(found)


def digest_of(files: Mapping[str, bytes]) -> str:
    """The digest that a version of these files has, computed here."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()} {len(content)} {path}\n".encode()
        for path, content in sorted(files.items(), key=lambda file: file[0].encode())
    ]
    return "sha256:" + hashlib.sha256(b"".join(lines)).hexdigest()
