"""The data both servers are measured on: one shape, one fixed seed, two ways in.

MLflow's is inserted into the SQLite database that its own server created, as its API would need about an hour, and is
kept in a cache. Modelkeep's goes over the wire.
"""

import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from bench import load, wire
from bench.servers import Server, mlflow_database, start_mlflow

EDITION = 1
EXPERIMENT = "bench-runs"
BIG_MODEL = "big"
BIG_VERSIONS = 2000
VERSIONS_EACH = 98
BASE_MS = 1_790_000_000_000
SEED = 20_261_101
CHUNK = 10_000
SEED_CONNECTIONS = 16
METRICS = ("acc", "auc", "loss")


@dataclass(frozen=True)
class Shape:
    """How much there is of what, from a scale of 1 = 100,000 versions and 100,000 runs."""

    scale: float

    @property
    def models(self) -> int:
        """Registered models beside the big one."""
        return max(1, round(1000 * self.scale))

    @property
    def runs(self) -> int:
        """Runs, all in one experiment."""
        return max(1, round(100_000 * self.scale))

    @property
    def label(self) -> str:
        """A name for files that hold this data."""
        return f"scale{self.scale:g}-edition{EDITION}"


@dataclass(frozen=True)
class Version:
    """A model version to be."""

    model: str
    number: int
    source: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Run:
    """A run to be."""

    name: str
    start_ms: int
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]


def model_name(index: int) -> str:
    """The name of one of the many models."""
    return f"model-{index:04d}"


def model_names(shape: Shape) -> list[str]:
    """Every registered model of the shape."""
    return [*(model_name(index) for index in range(shape.models)), BIG_MODEL]


def versions(shape: Shape) -> Iterator[Version]:
    """All versions, in the order they came about: each model gets its next one in turn, the big one at last."""
    chance = random.Random(SEED)
    for number in range(1, VERSIONS_EACH + 1):
        for index in range(shape.models):
            yield _version(chance, model_name(index), number)
    for number in range(1, BIG_VERSIONS + 1):
        yield _version(chance, BIG_MODEL, number)


def _version(chance: random.Random, model: str, number: int) -> Version:
    tags = {
        "team": f"team-{chance.randrange(10)}",
        "build": f"build-{chance.randrange(1000):04d}",
        "note": f"version {number} of {model}",
    }
    return Version(model, number, f"s3://bench/{model}/{number}", tags)


def runs(shape: Shape) -> Iterator[Run]:
    """All runs, oldest first."""
    chance = random.Random(SEED + 1)
    for index in range(shape.runs):
        metrics = {key: round(chance.random(), 9) for key in METRICS}
        params = {"lr": f"0.{chance.randrange(10)}", "depth": str(chance.randrange(100)), "seed": str(index % 1000)}
        tags = {
            "team": f"team-{chance.randrange(10)}",
            "dataset": f"dataset-{chance.randrange(1000):04d}",
            "note": f"run number {index}",
        }
        yield Run(f"run-{index}", BASE_MS + index, metrics, params, tags)


def cache_folder() -> Path:
    """Where seeded databases are kept between runs: $MODELKEEP_BENCH_CACHE or ~/.cache/modelkeep-bench."""
    return Path(os.environ.get("MODELKEEP_BENCH_CACHE", Path.home() / ".cache" / "modelkeep-bench"))


def seeded_mlflow(shape: Shape) -> Path:
    """The seeded database of the baseline; made on the first call for a shape and MLflow version, cached afterwards."""
    kept = cache_folder() / f"mlflow-{version('mlflow')}-{shape.label}.db"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            _create_mlflow(Path(folder))
            _insert(mlflow_database(Path(folder)), shape)
            mlflow_database(Path(folder)).rename(kept)
    return kept


def set_journal(database: Path, mode: str) -> None:
    """Set a SQLite database's journal mode, which stays with the file. Raises RuntimeError when it is not accepted."""
    connection = sqlite3.connect(database)
    try:
        (accepted,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    finally:
        connection.close()
    if accepted != mode:
        raise RuntimeError(f"journal mode {mode} was refused: {accepted}")


def _create_mlflow(folder: Path) -> None:
    server = start_mlflow(folder)
    try:
        wire.call(server, "POST", "experiments/create", {"name": EXPERIMENT})
    finally:
        server.stop()


def _insert(database: Path, shape: Shape) -> None:
    connection = sqlite3.connect(database)
    try:
        with connection:
            _insert_models(connection, shape)
            _insert_runs(connection, shape)
    finally:
        connection.close()


def _insert_models(connection: sqlite3.Connection, shape: Shape) -> None:
    models = [(name, BASE_MS, BASE_MS) for name in model_names(shape)]
    connection.executemany(
        "INSERT INTO registered_models (name, creation_time, last_updated_time) VALUES (?, ?, ?)", models
    )
    for offset, item in enumerate(versions(shape)):
        moment = BASE_MS + offset
        connection.execute(
            "INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, current_stage,"
            " source, run_id, status, run_link, storage_location)"
            " VALUES (?, ?, ?, ?, '', 'None', ?, '', 'READY', '', ?)",
            (item.model, item.number, moment, moment, item.source, item.source),
        )
        connection.executemany(
            "INSERT INTO model_version_tags (key, value, name, version) VALUES (?, ?, ?, ?)",
            [(key, value, item.model, item.number) for key, value in item.tags.items()],
        )


def _insert_runs(connection: sqlite3.Connection, shape: Shape) -> None:
    query = "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?"
    experiment, location = connection.execute(query, (EXPERIMENT,)).fetchone()
    chance = random.Random(SEED + 2)
    for run in runs(shape):
        run_id = f"{chance.getrandbits(128):032x}"
        connection.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?, ?, 'UNKNOWN', '', '', '', 'RUNNING', ?, '', 'active', ?, ?)",
            (run_id, run.name, run.start_ms, f"{location}/{run_id}/artifacts", experiment),
        )
        _insert_run_data(connection, run_id, run)


def _insert_run_data(connection: sqlite3.Connection, run_id: str, run: Run) -> None:
    points = [(key, value, run.start_ms, run_id) for key, value in run.metrics.items()]
    for table in ("metrics", "latest_metrics"):
        connection.executemany(
            f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, 0, 0)", points
        )
    params = [(key, value, run_id) for key, value in run.params.items()]
    connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
    tags = [(key, value, run_id) for key, value in {**run.tags, "mlflow.runName": run.name}.items()]
    connection.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)


def fill_over_the_wire(server: Server, shape: Shape) -> float:
    """Send the whole shape through a server's API; the seconds it took. Raises CallError when a call was refused."""
    began = time.perf_counter()
    experiment = wire.call(server, "POST", "experiments/create", {"name": EXPERIMENT})["experiment_id"]
    models = (wire.post(server, "registered-models/create", {"name": name}) for name in model_names(shape))
    _send(server, models)
    _send(server, (_create_version(server, item) for item in versions(shape)))
    waiting = runs(shape)
    while chunk := list(islice(waiting, CHUNK)):
        created = _send(
            server, (_create_run(server, experiment, run) for run in chunk), rb'"run_id": ?"([0-9a-f]{32})"'
        )
        _send(server, (_log_run(server, run_id, run) for run_id, run in zip(created, chunk, strict=True)))
    return time.perf_counter() - began


def _send(server: Server, requests: Iterator[bytes], collect: bytes | None = None) -> list[str]:
    collected: list[str] = []
    while chunk := list(islice(requests, CHUNK)):
        job = load.Job(
            server.port,
            server.pid,
            chunk,
            connections=SEED_CONNECTIONS,
            count=len(chunk),
            hard_seconds=900,
            collect=collect,
        )
        result = load.run(job)
        if result.errors or result.answers != len(chunk):
            raise wire.CallError(f"seeding {server.name}: {result.errors} errors, first: {result.first_error}")
        collected += result.collected
    return collected


def _create_version(server: Server, item: Version) -> bytes:
    payload = {"name": item.model, "source": item.source, "tags": _pairs(item.tags)}
    return wire.post(server, "model-versions/create", payload)


def _create_run(server: Server, experiment: str, run: Run) -> bytes:
    payload = {"experiment_id": experiment, "run_name": run.name, "start_time": run.start_ms, "tags": _pairs(run.tags)}
    return wire.post(server, "runs/create", payload)


def _log_run(server: Server, run_id: str, run: Run) -> bytes:
    metrics = [{"key": k, "value": v, "timestamp": run.start_ms, "step": 0} for k, v in run.metrics.items()]
    return wire.post(server, "runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": _pairs(run.params)})


def _pairs(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in values.items()]
