"""A server with something worth stealing beside its data folder, and files and models of its own to be reached for."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import modelkeep
from security.raw import Raw
from servers import RunningServer

CANARY = b"canary: nobody may read this 5b1f7c"
CONTENT = b"the bytes of an uploaded file 9a40"
WATCH = Path(__file__).parent / "watch"
SOURCE = str(Path(modelkeep.__file__).parent)
# Names below a folder that is open already, and descriptors: what the blob store works with.
OWN_NAMES = re.compile(r"\S+\t(?:\d+|'[0-9a-f]{2,64}'|'\.')")
PROXY = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class Place:
    """A server, the folder around its data, and what was made on it: every value names something that exists."""

    server: RunningServer
    folder: Path
    watch_log: Path
    made: dict[str, str] = field(default_factory=dict)
    spare: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def raw(self) -> Raw:
        """A new connection of a caller who may do everything."""
        return Raw(self.server.port, self.server.token)

    def post(self, rpc: str, **fields: Any) -> Any:
        """Make something over MLflow's wire."""
        with self.raw as raw:
            reply = raw.json("POST", f"/api/2.0/mlflow/{rpc}", fields)
        assert reply.status == 200, reply.body
        return reply.json

    def put(self, path: str, content: bytes) -> None:
        """Upload a file and remember it."""
        with self.raw as raw:
            reply = raw.request("PUT", PROXY + quote(path), content)
        assert reply.status == 200, reply.body
        self.files[path] = content

    def fetched(self) -> dict[str, bytes]:
        """What the server answers now for every file that was uploaded."""
        with self.raw as raw:
            return {path: raw.request("GET", PROXY + quote(path)).body for path in self.files}

    def outside(self) -> dict[str, tuple[bytes, int, int]]:
        """Everything around the data folder that the server has no business with: content, mode and time of change."""
        names = (Path(root) / name for root, _, files in os.walk(self.folder) for name in files)
        foreign = (name for name in names if self.server.data not in name.parents and name.suffix != ".log")
        return {str(name): (name.read_bytes(), name.stat().st_mode, name.stat().st_mtime_ns) for name in foreign}

    def own_files(self) -> set[str]:
        """The files of the data folder, apart from blobs and uploads in progress."""
        names = (str(name.relative_to(self.server.data)) for name in self.server.data.rglob("*") if name.is_file())
        return {name for name in names if not name.startswith(("sha256/", "staging/", "parts/"))}

    def strays(self, since: int = 0) -> set[str]:
        """What the server asked the operating system for outside its own folders, from this length of the log on."""
        lines = set(self.watch_log.read_bytes()[since:].decode().splitlines())
        # The scanner's process, which a new version is handed to in the background at any later moment, is started with
        # nothing to read or write but its pipe to the server.
        lines -= {"open\t'/dev/null'", f"subprocess.Popen\t'{sys.executable}'"}
        return {line for line in lines if not OWN_NAMES.fullmatch(line) and not line.startswith(self._own_prefixes)}

    @property
    def _own_prefixes(self) -> tuple[str, ...]:
        folders = (f"{self.server.data}/", sys.prefix, sys.base_prefix, SOURCE)
        return tuple(f"{call}\t'{folder}" for call in ("open", "os.listdir", "os.scandir") for folder in folders)

    def unharmed(self) -> dict[str, object]:
        """All that no hostile request may change."""
        return {"outside": self.outside(), "files": self.fetched(), "own": self.own_files(), "strays": self.strays()}


def furnish(place: Place, name: str) -> dict[str, str]:
    """One of everything: experiment, run and logged model with files, registered model with a version and an alias."""
    made = {"name": name, "alias": "champion", "experiment_name": name}
    made["experiment_id"] = place.post("experiments/create", name=name)["experiment_id"]
    run = place.post("runs/create", experiment_id=made["experiment_id"], start_time=1)["run"]["info"]
    made["run_id"] = made["run_uuid"] = run["run_id"]
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    made["root"] = root
    place.put(f"{root}/a.txt", CONTENT)
    place.put(f"{root}/model/MLmodel", CONTENT + b" model")
    logged = place.post("logged-models", experiment_id=made["experiment_id"], name="logged")["model"]["info"]
    made["model_id"] = logged["model_id"]
    place.put(logged["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/MLmodel", CONTENT + b" logged")
    place.post("registered-models/create", name=name)
    source = f"{run['artifact_uri']}/model"
    made["version"] = place.post("model-versions/create", name=name, source=source)["model_version"]["version"]
    place.post("registered-models/alias", name=name, alias="champion", version=made["version"])
    return made


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The furnished server on SQLite, with its calls to the operating system watched."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "canary.txt").write_bytes(CANARY)
    (folder / "data-beside").mkdir()
    (folder / "data-beside" / "canary.txt").write_bytes(CANARY)
    watch_log = folder / "watch.log"
    environment = {"PYTHONPATH": str(WATCH), "MODELKEEP_WATCH_LOG": str(watch_log)}
    with RunningServer(folder / "data", environment=environment) as server:
        place = Place(server, folder, watch_log)
        place.made, place.spare = furnish(place, "victim"), furnish(place, "spare")
        yield place


@pytest.fixture
def raw(place: Place) -> Iterator[Raw]:
    """A connection to the furnished server."""
    with place.raw as connection:
        yield connection
