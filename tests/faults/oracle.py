"""What the clients of a server were told, remembered in the test, and the comparison of a server with it.

A change that was answered is known. One that was sent and got no answer may have happened or not, but not in part.
"""

import hashlib
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from faces.mlflow.build import path_of
from faces.mlflow.wire import Wire

Key = tuple[Any, ...]
BATCH_PARAMS, BATCH_METRICS = 2, 3


@dataclass
class Cell:
    """One thing that can be read back: its last acknowledged value (None: absent) and those sent since."""

    known: Any = None
    tried: list[Any] = field(default_factory=list)

    def settle(self, seen: Any, key: Key) -> None:
        """Hold what a server shows to what was said; from now on that is what is known."""
        assert seen in [self.known, *self.tried], f"{key}: the server shows {seen!r}, it was told {self}"
        self.known = seen
        self.tried.clear()


@dataclass
class Registration:
    """A version that was asked for: of which model, with which files (None: kept elsewhere), and its number if told."""

    model: str
    files: dict[str, str] | None
    number: int | None = None


class Oracle:
    """Everything that was sent to a server, and what it answered. Any thread may add; each cell is one thread's."""

    def __init__(self, seed: int) -> None:
        self.cells: dict[Key, Cell] = {}
        self.registrations: dict[str, Registration] = {}
        self._touched: set[Key] = set()
        self._last_seen: dict[str, int] = {}
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def acknowledged(self) -> int:
        """How many things the server has vouched for."""
        versions = sum(1 for one in self.registrations.values() if one.number is not None)
        return versions + sum(1 for cell in self.cells.values() if cell.known is not None)

    def cell(self, key: Key) -> Cell:
        """The cell, marked for the next comparison."""
        with self._lock:
            self._touched.add(key)
            return self.cells.setdefault(key, Cell())

    def compare(self, wire: Wire, more: int = 40) -> None:
        """Compare all that was touched since the last time and `more` of the rest."""
        with self._lock:
            older = sorted(self.cells.keys() - self._touched, key=repr)
            keys = [*self._touched, *self._random.sample(older, min(more, len(older)))]
            self._touched.clear()
        self._compare(wire, keys)
        self._compare_versions(wire)

    def compare_all(self, wire: Wire) -> None:
        """Compare everything, and every byte of every version, from the first to the last."""
        self._compare(wire, list(self.cells))
        self._last_seen.clear()
        self._compare_versions(wire)

    def _compare(self, wire: Wire, keys: Iterable[Key]) -> None:
        reader = Reader(wire)
        for key in keys:
            self.cells[key].settle(reader.seen(key), key)

    def _compare_versions(self, wire: Wire) -> None:
        """Numbers go on without a gap, each is one of the registrations, and has all its bytes."""
        for model in sorted({one.model for one in self.registrations.values()}):
            number = self._last_seen.get(model, 0) + 1
            while (found := wire.get("model-versions/get", name=model, version=number)).status == 200:
                self._settle_version(wire, found.json["model_version"], model, number)
                number += 1
            found.missing()
            self._last_seen[model] = number - 1
        self._forget_what_never_was()

    def _settle_version(self, wire: Wire, record: dict[str, Any], model: str, number: int) -> None:
        wanted = self.registrations.get(record["description"])
        assert wanted is not None and wanted.model == model, f"{model}/{number} is nobody's: {record}"
        assert wanted.number in (None, number), f"{model}/{number} is {wanted.number} as well"
        assert (record["status"], record["current_stage"] in STAGES) == ("READY", True), record
        wanted.number = number
        if wanted.files is not None:
            check_files(wire, model, number, wanted.files)

    def _forget_what_never_was(self) -> None:
        for nonce, wanted in list(self.registrations.items()):
            if wanted.number is None:
                del self.registrations[nonce]
            else:
                assert wanted.number <= self._last_seen[wanted.model], f"{wanted} is gone"


STAGES = ("None", "Staging", "Production", "Archived")


def check_files(wire: Wire, model: str, number: int, files: dict[str, str]) -> None:
    """A version has exactly these files, by its manifest and by their bytes."""
    manifest = wire.call("GET", f"/api/v1/models/{model}/versions/{number}/manifest").ok()
    assert {entry["path"]: entry["sha256"] for entry in manifest["files"]} == files, f"{model}/{number}"
    uri = wire.get("model-versions/get-download-uri", name=model, version=number).ok()["artifact_uri"]
    for path, sha256 in files.items():
        answer = wire.get_file(f"{path_of(uri)}/{path}")
        assert (answer.status, hashlib.sha256(answer.body).hexdigest()) == (200, sha256), f"{model}/{number} {path}"


class Reader:
    """What a server shows now; each record is asked for once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._records: dict[Key, Any] = {}

    def seen(self, key: Key) -> Any:
        """The value that the server shows for a cell; None where it is absent."""
        kind, *rest = key
        return getattr(self, f"_{kind}")(*rest)

    def _model(self, name: str) -> Any:
        return bool(self._record("registered-models/get", "registered_model", name=name)) or None

    def _model_tag(self, name: str, tag: str) -> Any:
        record = self._record("registered-models/get", "registered_model", name=name)
        return values(record.get("tags")).get(tag)

    def _alias(self, name: str, alias: str) -> Any:
        record = self._record("registered-models/get", "registered_model", name=name)
        return {one["alias"]: one["version"] for one in record.get("aliases", [])}.get(alias)

    def _version_tag(self, name: str, number: str, tag: str) -> Any:
        record = self._record("model-versions/get", "model_version", name=name, version=number)
        return values(record.get("tags")).get(tag)

    def _stage(self, name: str, number: str) -> Any:
        record = self._record("model-versions/get", "model_version", name=name, version=number)
        return record["current_stage"]

    def _run(self, run_id: str) -> Any:
        return bool(self._record("runs/get", "run", run_id=run_id)) or None

    def _batch(self, run_id: str, number: int) -> Any:
        """The value that all parameters and metrics of a batch share, or what there is instead of a whole batch."""
        data = self._record("runs/get", "run", run_id=run_id)["data"]
        mine = f"b{number}-"
        params = [one["value"] for one in data.get("params", []) if one["key"].startswith(mine)]
        metrics = [str(int(one["value"])) for one in data.get("metrics", []) if one["key"].startswith(mine)]
        if not params and not metrics:
            return None
        whole = (len(params), len(metrics), len({*params, *metrics})) == (BATCH_PARAMS, BATCH_METRICS, 1)
        return params[0] if whole else (params, metrics)

    def _file(self, path: str) -> Any:
        answer = self._wire.get_file(path)
        if answer.status == 404:
            return None
        assert answer.status == 200, f"{path}: {answer.status} {answer.body[:300]!r}"
        return hashlib.sha256(answer.body).hexdigest()

    def _record(self, rpc: str, field_name: str, **query: Any) -> Any:
        asked = (rpc, *query.values())
        if asked not in self._records:
            answer = self._wire.get(rpc, **query)
            self._records[asked] = answer.ok()[field_name] if answer.status != 404 else {}
        return self._records[asked]


def values(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """A record's tags as a dict."""
    return {tag["key"]: tag.get("value", "") for tag in tags or []}
