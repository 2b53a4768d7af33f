"""Eight clients that write everything a registry keeps, all at once, over raw HTTP, and remember every answer."""

import hashlib
import http.client
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from faces.mlflow.build import ELSEWHERE, path_of
from faces.mlflow.wire import Answer
from faults.oracle import BATCH_METRICS, BATCH_PARAMS, STAGES, Key, Oracle, Registration
from servers import RunningServer

CLIENTS = 8
SHARED_MODEL = "shared"
PATIENCE = 60.0
FULL = {507: "RESOURCE_EXHAUSTED"}
LARGEST = 2 * 1024 * 1024
SEED_VARIABLE = "MODELKEEP_TEST_SEED"
# Bytes that several clients upload at the same time, so that they meet in the store.
SAME_BYTES = (b"", b"the same\n", b"\x00" * 70_000, b"again and again " * 65_536)

_nonces = itertools.count(1)


def new_seed() -> int:
    """The seed of this run, from the environment or new; printed, so that a failure's report has it."""
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(2**32))
    print(f"{SEED_VARIABLE}={seed}")
    return seed


class NoAnswer(Exception):
    """The connection ended before the answer did: what was asked has happened, or it has not."""


class Line:
    """One kept connection to a server."""

    def __init__(self, server: RunningServer) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self._token = server.token

    def call(self, method: str, target: str, body: bytes = b"", kind: str = "application/json") -> Answer:
        """Send a request and read all of its answer. Raises NoAnswer."""
        headers = {"authorization": f"Bearer {self._token}", "content-type": kind}
        try:
            self._connection.request(method, target, body, headers)
            reply = self._connection.getresponse()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer from error

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class Client:
    """One writer with models and runs of its own; its writes are counted, the refused ones apart.

    `refusals` are the statuses with which a write may be refused, and the code of each."""

    def __init__(
        self,
        server: RunningServer,
        oracle: Oracle,
        name: str,
        seed: int,
        shared: str = SHARED_MODEL,
        refusals: Mapping[int, str] = FULL,
    ) -> None:
        self.accepted = 0
        self.refused = 0
        self._refusals = refusals
        self._line = Line(server)
        self._oracle = oracle
        self._name = name
        self._shared = shared
        self._random = random.Random(f"{seed}/{name}")
        self._count = itertools.count(1)
        self._versions: dict[str, list[str]] = {}
        self._runs: dict[str, str] = {}
        self._files: dict[str, dict[str, str]] = {}

    def step(self) -> None:
        """Make one change of a random kind. Raises NoAnswer."""
        makers = [self.create_model, self.create_run]
        if not self._versions or not self._runs:
            change = makers[bool(self._versions)]
        else:
            change = self._random.choices([*makers, *self._others()], [2, 2, 3, 3, 2, 2, 2, 2, 4, 10, 4])[0]
        change()

    def _others(self) -> list[Any]:
        return [
            self.register_elsewhere,
            self.register_shared,
            self.tag_model,
            self.tag_version,
            self.set_alias,
            self.move,
            self.log_batch,
            self.upload,
            self.register_tree,
        ]

    def close(self) -> None:
        """End the connection."""
        self._line.close()

    def create_model(self) -> None:
        """A registered model."""
        name = f"{self._name}-{next(self._count)}"
        if self._change(("model", name), True, "registered-models/create", name=name):
            self._versions[name] = []

    def create_run(self) -> None:
        """A run; its id comes with the answer, so that nothing is known of one that got none."""
        answer = self._post("runs/create", experiment_id="0", run_name=self._name)
        if answer is not None:
            info = answer["run"]["info"]
            self._oracle.cell(("run", info["run_id"])).known = True
            self._runs[info["run_id"]] = path_of(info["artifact_uri"])
            self._files[info["run_id"]] = {}

    def register_elsewhere(self) -> None:
        """A version whose files are kept elsewhere."""
        self._register(self._model(), ELSEWHERE, None)

    def register_shared(self) -> None:
        """A version of the model that all clients share."""
        self._register(self._shared, ELSEWHERE, None)

    def register_tree(self) -> None:
        """A version of files that this client has uploaded."""
        run_id = self._random.choice(list(self._runs))
        files = {path.removeprefix("model/"): sha256 for path, sha256 in self._files[run_id].items()}
        if files:
            source = f"mlflow-artifacts:/{self._runs[run_id]}/model"
            self._register(self._random.choice([self._model(), self._shared]), source, files, run_id=run_id)

    def tag_model(self) -> None:
        """A tag of a model."""
        name, key = self._model(), self._random.choice("abc")
        value = str(next(self._count))
        self._change(("model_tag", name, key), value, "registered-models/set-tag", name=name, key=key, value=value)

    def tag_version(self) -> None:
        """A tag of a version."""
        name, version = self._version()
        if version:
            key, value = self._random.choice("ab"), str(next(self._count))
            cell = ("version_tag", name, version, key)
            self._change(cell, value, "model-versions/set-tag", name=name, version=version, key=key, value=value)

    def set_alias(self) -> None:
        """An alias, at another version than before."""
        name, version = self._version()
        if version:
            alias = self._random.choice(["champion", "canary"])
            fields = {"name": name, "alias": alias, "version": version}
            self._change(("alias", name, alias), version, "registered-models/alias", **fields)

    def move(self) -> None:
        """A version to another stage; the cell begins where a new version stands."""
        name, version = self._version()
        if version:
            cell, stage = ("stage", name, version), self._random.choice(STAGES[1:])
            if cell not in self._oracle.cells:
                self._oracle.cell(cell).known = STAGES[0]
            fields = {"name": name, "version": version, "stage": stage, "archive_existing_versions": False}
            self._change(cell, stage, "model-versions/transition-stage", **fields)

    def log_batch(self) -> None:
        """Parameters and metrics in one batch, all with one value."""
        run_id, number = self._random.choice(list(self._runs)), next(self._count)
        params = [{"key": f"b{number}-p{at}", "value": str(number)} for at in range(BATCH_PARAMS)]
        point = {"value": number, "timestamp": 1, "step": 0}
        metrics = [{"key": f"b{number}-m{at}", **point} for at in range(BATCH_METRICS)]
        fields = {"run_id": run_id, "params": params, "metrics": metrics}
        self._change(("batch", run_id, number), str(number), "runs/log-batch", **fields)

    def upload(self, data: bytes | None = None) -> None:
        """A file of a run, new or over an earlier one."""
        run_id = self._random.choice(list(self._runs))
        path = "model/" + self._random.choice(["a.bin", "b.bin", "deep/c.bin", "deep/d/e.bin"])
        data = self._bytes() if data is None else data
        sha256 = hashlib.sha256(data).hexdigest()
        full_path = f"{self._runs[run_id]}/{path}"
        target = "/api/2.0/mlflow-artifacts/artifacts/" + quote(full_path)
        if self._settle(("file", full_path), sha256, "PUT", target, data, "application/octet-stream"):
            self._files[run_id][path] = sha256

    def _register(self, model: str, source: str, files: dict[str, str] | None, **more: str) -> None:
        nonce = f"{self._name}-{next(_nonces)}"
        wanted = self._oracle.registrations[nonce] = Registration(model, files)
        answer = self._post("model-versions/create", name=model, source=source, description=nonce, **more)
        if answer is None:
            del self._oracle.registrations[nonce]
            return
        version = answer["model_version"]["version"]
        wanted.number = int(version)
        if model != self._shared:
            self._versions[model].append(version)

    def _change(self, key: Key, shown: Any, rpc: str, /, **fields: Any) -> bool:
        """Send a change after which the cell shows that; whether it was accepted."""
        return self._settle(key, shown, "POST", "/api/2.0/mlflow/" + rpc, json.dumps(fields).encode())

    def _settle(self, key: Key, shown: Any, *request: Any) -> bool:
        cell = self._oracle.cell(key)
        cell.tried.append(shown)
        done = self._accepted(self._line.call(*request)) is not None
        cell.tried.remove(shown)
        cell.known = shown if done else cell.known
        return done

    def _post(self, rpc: str, **fields: Any) -> Any | None:
        return self._accepted(self._line.call("POST", "/api/2.0/mlflow/" + rpc, json.dumps(fields).encode()))

    def _accepted(self, answer: Answer) -> Any | None:
        """The answer's JSON, or None for one of the expected refusals; nothing else may be answered."""
        if answer.status in self._refusals:
            answer.refused(answer.status, self._refusals[answer.status])
            self.refused += 1
            return None
        self.accepted += 1
        return answer.ok()

    def _model(self) -> str:
        return self._random.choice(list(self._versions))

    def _version(self) -> tuple[str, str | None]:
        name = self._model()
        return name, self._random.choice(self._versions[name]) if self._versions[name] else None

    def _bytes(self) -> bytes:
        if self._random.random() < 0.25:
            return self._random.choice(SAME_BYTES)
        largest = self._random.choices([64, 8_192, 200_000, LARGEST], [4, 4, 2, 1])[0]
        return self._random.randbytes(self._random.randint(0, largest))


class Load:
    """All clients at work, each in a thread of its own, from the constructor until `stop` or until nobody answers.

    `answered` is set at the first answer.
    """

    def __init__(self, server: RunningServer, oracle: Oracle, name: str, seed: int) -> None:
        self.clients = [Client(server, oracle, f"{name}-{at}", seed) for at in range(CLIENTS)]
        self.answered = threading.Event()
        self._server = server
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._ends: list[Future[None]] = [self._threads.submit(self._work, client) for client in self.clients]

    @property
    def refused(self) -> int:
        """How many writes were refused so far."""
        return sum(client.refused for client in self.clients)

    @property
    def accepted(self) -> int:
        """How many writes were accepted so far."""
        return sum(client.accepted for client in self.clients)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Let the clients work until then; at once if one of them has ended, for `stop` to tell why."""
        deadline = time.monotonic() + PATIENCE
        while not reached() and not any(end.done() for end in self._ends):
            assert time.monotonic() < deadline, f"{self.accepted} accepted, {self.refused} refused"
            time.sleep(0.01)

    def stop(self) -> None:
        """End the clients after the change they are at; raises what any of them was surprised by, and the logs."""
        self._stopping.set()
        for error in filter(None, [end.exception() for end in self._ends]):
            error.add_note(self._server.log)
            raise error
        self._threads.shutdown()
        for client in self.clients:
            client.close()

    def _work(self, client: Client) -> None:
        try:
            while not self._stopping.is_set():
                client.step()
                self.answered.set()
        except NoAnswer:
            return
