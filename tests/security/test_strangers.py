"""What is answered to whoever is not known yet: no window for passwords, and no work without end (IN-10)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.bootstrap import build
from modelkeep.config import Settings
from security.governed import Asked, Governed, Wire
from security.raw import Reply

JSON = ((b"content-type", b"application/json"),)
EXCHANGE = Asked("POST", "/api/v1/workload-token", b'{"token": "a.b.c"}', JSON)
START = Asked("GET", "/oidc/start")
FACES = ("/api/v1/models", "/api/2.0/mlflow/registered-models/search")
MANY = 250


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Governed]:
    """A registry with the usual limits."""
    app, token = build(Settings(data=tmp_path / "data"))
    assert token is not None
    with Governed(app, Wire(app), token.text) as registry:
        yield registry


def challenge(registry: Governed, target: str, *headers: tuple[bytes, bytes]) -> str:
    """What an answer to nobody known asks to be signed in with."""
    reply = registry.wire.call("GET", target, headers=headers)
    assert reply.status == 401
    return reply.headers["www-authenticate"]


@pytest.mark.parametrize("mode", [b"cors", b"navigate", b"same-origin", b"no-cors"])
def test_a_browser_is_asked_for_a_token_only(registry: Governed, mode: bytes) -> None:
    """A 401 to what a browser sends, by its Sec-Fetch-Mode, never makes it open a window for a password."""
    for target in FACES:
        assert challenge(registry, target, (b"sec-fetch-mode", mode)) == 'Bearer realm="modelkeep"'


def test_mlflow_s_client_is_asked_for_name_and_password(registry: Governed) -> None:
    """A 401 on MLflow's wire says Basic to what is no browser, as its client wants it, and Bearer on the native API."""
    assert [challenge(registry, one) for one in FACES] == ['Bearer realm="modelkeep"', 'Basic realm="mlflow"']


def rationed(replies: list[Reply]) -> list[Reply]:
    """Those that were refused for being too many of their kind, and say when to come again."""
    late = [reply for reply in replies if reply.status == 429]
    for reply in late:
        assert int(reply.headers["retry-after"]) >= 1
        assert "takes 5 a second" in reply.problem()["detail"]
    return late


@pytest.mark.parametrize(("asked", "usual"), [(EXCHANGE, 401), (START, 404)], ids=["exchange", "start"])
def test_IN_10_a_stranger_s_address_gets_few_costly_answers(registry: Governed, asked: Asked, usual: int) -> None:
    """Exchanges of tokens and beginnings of sign-ins are refused beyond a hundred at once; all else goes on."""
    replies = registry.wire.call_all([asked] * MANY)
    assert {reply.status for reply in replies} == {usual, 429}
    assert rationed(replies)
    assert registry.send("GET", "/api/v1/me").status == 200
    password = Asked("POST", "/api/v1/sign-in", b'{"name": "x", "password": "correct horse"}', JSON)
    others = [Asked("GET", "/health"), Asked("GET", "/oidc/callback"), password]
    assert rationed(registry.wire.call_all(others)) == []


def test_without_a_limit_no_stranger_waits(tmp_path: Path) -> None:
    """`--rate-limit 0` is no limit of these either."""
    with Governed.start(tmp_path / "data") as registry:
        assert {reply.status for reply in registry.wire.call_all([EXCHANGE] * MANY)} == {401}
