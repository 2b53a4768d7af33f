"""MLflow REST requests as ready bytes, and single calls for preparing a case."""

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode

from bench.servers import HOST, Server

API = "/api/2.0/mlflow/"
NATIVE = "/api/v1/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
CALL_TIMEOUT = 300

# Stands in a request, inside a text or as a number, where the load process puts a running number of as many digits:
# so one prepared request gives any number of different writes.
SEQUENCE = 87654321
FIRST_IN_SEQUENCE = 10000000


class CallError(Exception):
    """A call that prepares a case did not answer 200."""


def get(server: Server, path: str, **query: object) -> bytes:
    """A GET of an API path with query parameters."""
    return request(server, "GET", _with_query(API + path, query))


def post(server: Server, path: str, payload: dict[str, Any]) -> bytes:
    """A POST of JSON to an API path."""
    return request(server, "POST", API + path, compact(payload))


def put_file(server: Server, path: str, content: bytes) -> bytes:
    """An upload through the artifact proxy."""
    return request(server, "PUT", ARTIFACTS + quote(path), content, "application/octet-stream")


def get_file(server: Server, path: str) -> bytes:
    """A download through the artifact proxy."""
    return request(server, "GET", ARTIFACTS + quote(path))


def delete_file(server: Server, path: str) -> None:
    """Remove a file through the artifact proxy. Raises CallError unless the answer is 200."""
    _answered(server, "DELETE", ARTIFACTS + quote(path), None)


def request(
    server: Server, method: str, target: str, content: bytes = b"", content_type: str = "application/json"
) -> bytes:
    """A whole keep-alive request."""
    return head(server, method, target, len(content), content_type) + content


def head(server: Server, method: str, target: str, length: int, content_type: str) -> bytes:
    """The head of a request whose body of `length` bytes follows."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}:{server.port}"]
    lines += [f"{name}: {value}" for name, value in _authorization(server).items()]
    if method != "GET":
        lines += [f"Content-Type: {content_type}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def call(server: Server, method: str, path: str, payload: dict[str, Any] | None = None, **query: object) -> Any:
    """One call outside the measurement; the parsed answer. Raises CallError unless it is 200."""
    return _answered(server, method, _with_query(API + path, query), payload)


def native(server: Server, method: str, path: str, payload: dict[str, Any]) -> Any:
    """The parsed answer to a call of Modelkeep's own API. Raises CallError unless it is 200."""
    return _answered(server, method, NATIVE + path, payload)


def _answered(server: Server, method: str, target: str, payload: dict[str, Any] | None) -> Any:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=CALL_TIMEOUT)
    try:
        content = None if payload is None else compact(payload)
        headers = {"Content-Type": "application/json", **_authorization(server)}
        connection.request(method, target, content, headers)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise CallError(f"{server.name} {method} {target}: {response.status} {text[:500]!r}")
    return json.loads(text)


def compact(payload: dict[str, Any]) -> bytes:
    """JSON without blanks."""
    return json.dumps(payload, separators=(",", ":")).encode()


def _with_query(target: str, query: dict[str, object]) -> str:
    return f"{target}?{urlencode(query, doseq=True)}" if query else target


def _authorization(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"} if server.token else {}
