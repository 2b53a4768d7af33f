"""What a request leaves behind: nothing that the garbage collector has to find.

Objects that hold one another in a circle wait for a collection, and each holds up all requests: thousands of requests
with a circle apiece made one in a hundred answers six times slower than the others.
"""

import gc
import http.client
import json
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from modelkeep.bootstrap import build
from modelkeep.cli.connection import Connection
from modelkeep.config import Settings
from modelkeep.faces.table import build_http
from servers import free_port

API, PROXY = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts/"
REQUESTS = 60
# Of the whole process, for so many requests; a circle apiece is a dozen objects and more for each of them.
MOST_OBJECTS = REQUESTS

KINDS = {
    "read": ("GET", API + "registered-models/get?name=m", b""),
    "search": ("GET", API + "registered-models/search", b""),
    "change": ("POST", API + "registered-models/set-tag", json.dumps({"name": "m", "key": "k", "value": "v"}).encode()),
    "not there": ("GET", API + "registered-models/get?name=absent", b""),
    "refused": ("POST", API + "registered-models/create", b'{"name": 5}'),
    "no such route": ("GET", "/api/2.0/nothing", b""),
    "small upload": ("PUT", PROXY + "0/RUN/artifacts/small", b"x" * 100),
    "large upload": ("PUT", PROXY + "0/RUN/artifacts/large", b"x" * 700_000),
    "small download": ("GET", PROXY + "0/RUN/artifacts/small", b""),
    "large download": ("GET", PROXY + "0/RUN/artifacts/large", b""),
    "no such file": ("GET", PROXY + "0/RUN/artifacts/absent", b""),
}


@pytest.fixture(name="connection", scope="module")
def _connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http.client.HTTPConnection]:
    app, _ = build(Settings(data=tmp_path_factory.mktemp("garbage") / "data", auth="none"))
    port = free_port()
    config = uvicorn.Config(build_http(app), port=port, http=Connection, ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    yield connection
    connection.close()
    server.should_exit = True
    thread.join()
    app.close()


@pytest.fixture(name="run", scope="module")
def _run(connection: http.client.HTTPConnection) -> str:
    ask(connection, "POST", API + "registered-models/create", b'{"name": "m"}')
    made = json.loads(ask(connection, "POST", API + "runs/create", b'{"experiment_id": "0"}'))
    run = str(made["run"]["info"]["run_id"])
    for kind in ("small upload", "large upload"):
        method, path, body = KINDS[kind]
        ask(connection, method, path.replace("RUN", run), body)
    return run


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> bytes:
    connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
    return connection.getresponse().read()


@pytest.mark.parametrize("kind", KINDS)
def test_requests_leave_no_circles(connection: http.client.HTTPConnection, run: str, kind: str) -> None:
    """Sixty requests of a kind leave fewer objects to the garbage collector than they are."""
    method, path, body = KINDS[kind]
    path = path.replace("RUN", run)
    for _ in range(3):
        ask(connection, method, path, body)
    gc.collect()
    gc.disable()
    try:
        for _ in range(REQUESTS):
            ask(connection, method, path, body)
        found = gc.collect()
    finally:
        gc.enable()

    assert found < MOST_OBJECTS
