"""A client's connection: the quick way of answering says what the ordinary one says, in the order of the requests."""

from collections.abc import Iterator

import pytest

from security.raw import Raw, Reply
from servers import RunningServer

CREATE = "/api/2.0/mlflow/registered-models/create"
REQUESTS = [
    ("GET", "/version", b""),
    ("HEAD", "/version", b""),
    ("GET", "/api/2.0/mlflow/registered-models/get?name=a%20b+c", b""),
    ("GET", "/nowhere", b""),
    ("POST", CREATE, b'{"name": ""}'),
    ("POST", CREATE, b"no JSON"),
    ("GET", "/metrics", b""),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its defaults."""
    with RunningServer(tmp_path_factory.mktemp("connection") / "data") as running:
        yield running


def told(reply: Reply) -> tuple[int, dict[str, str]]:
    """An answer without what differs from one request to the next."""
    varies = {"x-request-id", "connection", "content-length"}
    return reply.status, {name: value for name, value in reply.headers.items() if name not in varies}


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
def test_a_kept_connection_gets_the_same_answers(server: RunningServer, method: str, target: str, body: bytes) -> None:
    """Status, headers and the presence of a body do not depend on whether the client keeps its connection."""
    kind = [(b"Content-Type", b"application/json")] if body else []
    with Raw(server.port, server.token) as kept, Raw(server.port, server.token) as once:
        quick = kept.request(method, target, body, kind)
        ordinary = once.request(method, target, body, [*kind, (b"Connection", b"close")])

    assert "connection" not in quick.headers
    assert ordinary.headers["connection"] == "close"
    assert told(quick) == told(ordinary)
    assert bool(quick.body) == bool(ordinary.body)
    assert len(quick.headers["x-request-id"]) == 16
    assert "content-length" in quick.headers


def test_requests_sent_together_are_answered_in_their_order(server: RunningServer) -> None:
    """Several requests in one packet get one answer each, in the order they were sent."""
    targets = ["/version", "/nowhere", "/health", "/version"]
    with Raw(server.port, server.token) as raw:
        first = raw.exchange(b"".join(raw.written("GET", target) for target in targets))
        replies = [first, *(raw._receive(has_body=True) for _ in targets[1:])]

    assert [reply.status for reply in replies] == [200, 404, 200, 200]
    assert replies[2].body == b"OK"
    assert replies[0].body == replies[3].body
