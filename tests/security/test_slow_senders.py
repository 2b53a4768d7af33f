"""Who sends a body slowly gets nothing of what was taken from them while it was on its way (AZ-10)."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from security.raw import Raw, Reply
from servers import RunningServer

JSON = (b"Content-Type", b"application/json")


class Registry:
    """A server, its administrator, and a contributor who is about to lose what they have."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.do("POST", "users", {"name": "ann"})
        self.role = self.do("POST", "assignments", {"principal": "user/ann", "role": "contributor"})["id"]
        made = self.do("POST", "tokens", {"owner": "ann", "name": "hers"})
        self.token_id, self.token = made["id"], made["token"]

    def do(self, method: str, path: str, fields: Any = None) -> Any:
        """A call of the administrator."""
        with Raw(self.server.port, self.server.token) as raw:
            address = path if path.startswith("/") else f"/api/v1/{path}"
            reply = raw.json(method, address, {} if fields is None else fields)
        assert reply.status in {200, 201, 204}, reply.body
        return reply.json if reply.body else None

    def status(self, path: str) -> int:
        """How the administrator is answered there."""
        with Raw(self.server.port, self.server.token) as raw:
            return raw.request("GET", path).status

    @contextmanager
    def all_but_the_end(
        self, method: str, path: str, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Iterator[Callable[[], Reply]]:
        """A request of hers of which the last byte is missing; called, it is sent, and the answer is waited for."""
        raw = Raw(self.server.port, self.token)
        request = raw.written(method, path, body, headers)
        with raw:
            raw._send(request[:-1])
            time.sleep(0.3)  # it has been read, and she was let in

            def end() -> Reply:
                assert raw._socket is not None
                with socket.socket(fileno=raw._socket.fileno()) as same:
                    same.sendall(request[-1:])
                    same.detach()
                return raw._receive(has_body=True)

            yield end

    def lose_token(self) -> None:
        """Her token is revoked."""
        self.do("DELETE", f"tokens/{self.token_id}")

    def lose_role(self) -> None:
        """Her role is taken back."""
        self.do("DELETE", f"assignments/{self.role}")

    def lose_account(self) -> None:
        """Her account is disabled."""
        self.do("PATCH", "users/ann", {"disabled": True})


@pytest.fixture
def registry(tmp_path: Any) -> Iterator[Registry]:
    """A server of its own."""
    with RunningServer(tmp_path / "data") as server:
        yield Registry(server)


LOSSES = {
    "token": (Registry.lose_token, 401),
    "role": (Registry.lose_role, 403),
    "account": (Registry.lose_account, 401),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_AZ_10_a_body_that_ends_after_a_revocation_changes_nothing(registry: Registry, loss: str) -> None:
    """A request that began before a token, role or account was taken and ends after changes nothing."""
    lose, status = LOSSES[loss]
    body = json.dumps({"name": "afterlife"}).encode()
    with registry.all_but_the_end("POST", "/api/v1/models", body, (JSON,)) as end:
        lose(registry)
        time.sleep(1.0)
        end().refused(status)
    assert registry.status("/api/v1/models/afterlife") == 404


@pytest.mark.parametrize("loss", LOSSES)
def test_AZ_10_an_upload_that_ends_after_a_revocation_leaves_no_file(registry: Registry, loss: str) -> None:
    """A file whose last byte comes after what its sender had was taken is refused, and is not there."""
    lose, _ = LOSSES[loss]
    experiment = registry.do("POST", "/api/2.0/mlflow/experiments/create", {"name": "e"})["experiment_id"]
    run = registry.do("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/late.bin"
    with registry.all_but_the_end("PUT", path, b"late bytes") as end:
        lose(registry)
        time.sleep(1.0)
        assert end().problem()
    assert registry.status(path) == 404


def test_AZ_10_a_slow_body_of_who_lost_nothing_is_taken(registry: Registry) -> None:
    """Being slow alone is no reason to refuse: what somebody still may do is done at the end of the body."""
    with registry.all_but_the_end("POST", "/api/v1/models", b'{"name": "slow"}', (JSON,)) as end:
        assert end().status == 201
    assert registry.status("/api/v1/models/slow") == 200
