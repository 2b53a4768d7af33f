"""Links that need no token, where they would go over a network unencrypted."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from faces.mlflow.wire import Wire
from modelkeep.bootstrap import build
from modelkeep.cli.connection import Connection
from modelkeep.config import Settings
from modelkeep.faces.table import build_http
from servers import free_port


@pytest.fixture(params=["", "https://registry.example"], ids=["no public url", "public url"])
def open_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Wire, str]]:
    """A server set to listen on every address (here it is bound to loopback alone), and its public URL."""
    app, token = build(Settings(host="0.0.0.0", data=tmp_path / "data", public_url=request.param))
    assert token is not None
    port = free_port()
    config = uvicorn.Config(build_http(app), port=port, loop="uvloop", http=Connection, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Wire(f"http://127.0.0.1:{port}", token.text), request.param
    server.should_exit = True
    thread.join()
    app.close()


def test_beyond_loopback_links_need_a_public_url(open_server: tuple[Wire, str]) -> None:
    """Without a public URL neither an upload in parts nor a download by link is offered, and none is begun."""
    wire, public = open_server
    info = wire.post("runs/create", experiment_id="0").ok()["run"]["info"]
    folder = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    wire.put_file(f"{folder}/x", b"data").ok()
    asked = [
        wire.under("/api/2.0/mlflow-artifacts/").post(f"mpu/create/{folder}", path="y", num_parts=2),
        wire.call("GET", f"/api/2.0/mlflow-artifacts/presigned/{folder}/x"),
    ]
    if not public:
        assert [answer.status for answer in asked] == [501, 501]
        assert wire.get_file(f"{folder}/x").body == b"data"
        return
    parts, download = (answer.ok() for answer in asked)
    links = [part["url"] for part in parts["credentials"]] + [download["url"]]
    assert all(link.startswith(f"{public}/api/v1/signed/") for link in links)
