"""Raw HTTP as the tests speak it: any method, any path, and an answer that can be held to its exact error."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit


@dataclass(frozen=True)
class Answer:
    """What came back, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; an empty body counts as an empty object."""
        return json.loads(self.body or b"{}")

    def ok(self) -> Any:
        """The JSON of an answer that must be a success, which is 200 and nothing else."""
        assert self.status == 200, f"{self.status}: {self.body[:500]!r}"
        return self.json

    def refused(self, status: int, code: str, *texts: str) -> str:
        """The message of an answer that must be this refusal and hold all these texts."""
        assert self.status == status, f"{self.status}: {self.body[:500]!r}"
        problem = self.json
        assert problem["error_code"] == code, problem
        for text in texts:
            assert text in problem["message"], problem["message"]
        return problem["message"]

    def invalid(self, *texts: str) -> str:
        """The message of a 400 INVALID_PARAMETER_VALUE holding all these texts."""
        return self.refused(400, "INVALID_PARAMETER_VALUE", *texts)

    def missing(self, *texts: str) -> str:
        """The message of a 404 RESOURCE_DOES_NOT_EXIST holding all these texts."""
        return self.refused(404, "RESOURCE_DOES_NOT_EXIST", *texts)

    def taken(self, *texts: str) -> str:
        """The message of a 400 RESOURCE_ALREADY_EXISTS holding all these texts."""
        return self.refused(400, "RESOURCE_ALREADY_EXISTS", *texts)


class Wire:
    """One caller of one server; `prefix` is what stands before the name of a call."""

    def __init__(self, url: str, token: str | None, prefix: str = "/api/2.0/mlflow/") -> None:
        self.url = url
        self.host = urlsplit(url).netloc
        self.token = token
        self.prefix = prefix

    def under(self, prefix: str) -> "Wire":
        """The same caller with another prefix."""
        return Wire(self.url, self.token, prefix)

    def call(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send exactly this request target and body; a header `content_type` is written Content-Type."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("authorization", f"Bearer {self.token}")
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.request(method, target, body=body, headers=sent)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def send(self, method: str, rpc: str, fields: Any) -> Answer:
        """A call with a JSON body."""
        return self.call(method, self.prefix + rpc, json.dumps(fields).encode(), content_type="application/json")

    def get(self, rpc: str, /, **query: Any) -> Answer:
        """A GET call; a list is sent as a repeated parameter."""
        text = urlencode(query, doseq=True)
        return self.call("GET", f"{self.prefix}{rpc}?{text}" if text else self.prefix + rpc)

    def post(self, rpc: str, /, **fields: Any) -> Answer:
        """A POST call."""
        return self.send("POST", rpc, fields)

    def patch(self, rpc: str, /, **fields: Any) -> Answer:
        """A PATCH call."""
        return self.send("PATCH", rpc, fields)

    def delete(self, rpc: str, /, **fields: Any) -> Answer:
        """A DELETE call with a JSON body, as the client sends it."""
        return self.send("DELETE", rpc, fields)

    def put_file(self, path: str, data: bytes, **headers: str) -> Answer:
        """Upload one file through the artifact proxy."""
        return self.call("PUT", "/api/2.0/mlflow-artifacts/artifacts/" + quote(path), data, **headers)

    def get_file(self, path: str) -> Answer:
        """Download one file through the artifact proxy."""
        return self.call("GET", "/api/2.0/mlflow-artifacts/artifacts/" + quote(path))

    def list_files(self, path: str) -> dict[str, dict[str, Any]]:
        """The entries of a directory of the artifact proxy, by name."""
        answer = self.call("GET", "/api/2.0/mlflow-artifacts/artifacts?" + urlencode({"path": path}))
        return {entry["path"]: entry for entry in answer.ok().get("files", [])}
