"""A registry of the schema before this one is upgraded with all it holds, and its users go on as before."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import Connection, MetaData, Table, func, select, text

from cli.terminal import Terminal
from faces.mlflow.wire import Wire
from modelkeep.db import migrate
from servers import PROGRAM, RunningServer, ServerError, clean_environment

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning"),
]
BEFORE = "0003"
# Kinds of entries that this schema is the first to have.
NEW_KINDS = ("role.", "user.", "group.", "access.", "sign_in", "session", "service.", "audit.")
LIMIT_S = 60
CONTENT = "bytes that were stored before the upgrade"


@dataclass
class Old:
    """A registry of the schema before: its folder, its database, its administrator's token and what is in it."""

    data: Path
    database: str
    token: str
    run_id: str
    entries: list[dict[str, Any]]


def fill(folder: Path) -> str:
    """A run with files, a model with two versions, tags and an alias, all by the stock client; the run's id."""
    client = MlflowClient()
    experiment = client.create_experiment("old-experiment", tags={"k": "v"})
    run = client.create_run(experiment)
    client.log_metric(run.info.run_id, "accuracy", 0.5, step=3)
    client.log_param(run.info.run_id, "depth", "7")
    path = folder / "weights.txt"
    path.write_text(CONTENT)
    client.log_artifact(run.info.run_id, str(path), "model")
    client.create_registered_model("churn", tags={"team": "blue"}, description="old words")
    for _ in range(2):
        client.create_model_version("churn", f"{run.info.artifact_uri}/model", run.info.run_id, tags={"a": "b"})
    client.set_registered_model_alias("churn", "champion", "2")
    client.transition_model_version_stage("churn", "1", "Staging")
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The data folder of a server that was filled and stopped, its administrator's token, and the run that it has."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as environment, RunningServer(folder / "data") as server:
        use(server, environment)
        run_id = fill(folder)
    return folder / "data", str(server.token), run_id


@pytest.fixture
def old(filled: tuple[Path, str, str], database_url: str, tmp_path: Path) -> Old:
    """That registry as a server of the schema before would have left it."""
    data, token, run_id = filled
    shutil.copytree(data, tmp_path / "data", ignore=shutil.ignore_patterns("modelkeep.db*", "audit-key*"))
    __import__("alembic.command").command.upgrade(migrate.alembic_config(database_url), BEFORE)
    filled_engine, engine = (migrate.sync_engine(url) for url in (f"sqlite:///{data}/modelkeep.db", database_url))
    with filled_engine.connect() as new, engine.begin() as older:
        copy_rows(new, older)
        entries = [dict(row) for row in older.execute(text("SELECT * FROM journal ORDER BY id")).mappings()]
    return Old(tmp_path / "data", database_url, token, run_id, entries)


def copy_rows(new: Connection, older: Connection) -> None:
    """All rows of the tables that were there before, in the columns that they had; counters go on behind them."""
    tables = MetaData()
    tables.reflect(older)
    for table in tables.sorted_tables:
        if table.name == "alembic_version":
            continue
        found = new.execute(text(f"SELECT {', '.join(quoted(table))} FROM {table.name}")).mappings()
        rows = [dict(row) for row in found if not str(row.get("kind", "")).startswith(NEW_KINDS)]
        if rows:
            older.execute(table.insert(), rows)
        go_on(older, table)


def quoted(table: Table) -> list[str]:
    """The names of a table's columns, as every database takes them."""
    return [f'"{column.name}"' for column in table.columns]


def go_on(older: Connection, table: Table) -> None:
    """PostgreSQL counts ids apart from the rows."""
    if older.dialect.name == "postgresql" and "id" in table.c and table.c.id.server_default is not None:
        last = older.execute(select(func.max(table.c.id))).scalar() or 1
        older.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {int(last)})"))


def use(server: RunningServer, monkeypatch: pytest.MonkeyPatch, token: str | None = None) -> None:
    """Have the stock client talk to a server."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token or str(server.token))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)


@contextmanager
def upgraded(old: Old, folder: Path) -> Iterator[RunningServer]:
    """The registry after `modelkeep db upgrade`, served; the token is the one that it always had."""
    backup = ["--backup", str(folder / "backup.db")] if old.database.startswith("sqlite") else []
    command = [str(PROGRAM), "db", "upgrade", "--data", str(old.data), "--database", old.database, *backup]
    told = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert f"is up to date (schema {migrate.HEAD}" in told.stdout
    with RunningServer(old.data, database=old.database) as server:
        assert server.token in (None, old.token), "a registry that has tokens makes no first one"
        server.token = old.token
        yield server


def test_a_server_leaves_an_older_registry_alone(old: Old) -> None:
    """Before the upgrade a server does not start: it says what to run, and nothing is changed."""
    with pytest.raises(ServerError, match="modelkeep db upgrade --backup FILE"):
        RunningServer(old.data, database=old.database)
    assert migrate.check(old.database).found == BEFORE
    with migrate.sync_engine(old.database).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM journal")).scalar() == len(old.entries)


def test_all_reads_back_and_the_client_goes_on(old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its old token the stock client finds every model, version, run and file, and registers the next version."""
    with upgraded(old, tmp_path) as server:
        use(server, monkeypatch, old.token)
        client = MlflowClient()
        model = client.get_registered_model("churn")
        assert (model.description, model.tags, model.aliases) == ("old words", {"team": "blue"}, {"champion": "2"})
        versions = [client.get_model_version("churn", number) for number in ("1", "2")]
        told = [(one.current_stage, one.run_id, one.tags["a"]) for one in versions]
        assert told == [("Staging", old.run_id, "b"), ("None", old.run_id, "b")]
        run = client.get_run(old.run_id)
        assert (run.data.metrics, run.data.params) == ({"accuracy": 0.5}, {"depth": "7"})
        place = mlflow.artifacts.download_artifacts("models:/churn@champion", dst_path=str(tmp_path / "got"))
        assert (Path(place) / "weights.txt").read_text() == CONTENT
        client.log_metric(old.run_id, "accuracy", 0.75, step=4)
        assert [one.value for one in client.get_metric_history(old.run_id, "accuracy")] == [0.5, 0.75]
        made = client.create_model_version("churn", f"{run.info.artifact_uri}/model", old.run_id)
        assert made.version == "3"
        assert client.create_experiment("new-experiment") != run.info.experiment_id


def test_the_old_token_is_an_administrator_s_and_the_old_journal_in_the_log(old: Old, tmp_path: Path) -> None:
    """Whom a token was made for is a user who may do everything, as before; every old entry has its place in the tree,
    in its order and before any new one, and the whole is verified.
    """
    with upgraded(old, tmp_path) as server:
        wire = Wire(server.url, old.token).under("/api/v1/")
        assert wire.get("me").ok()["name"] == "admin"
        assert wire.post("users", name="eve").status == 201
        roles = [one["role"] for one in wire.get("assignments", workspace="*").ok()["items"]]
        assert roles == ["administrator"]
        deadline = time.monotonic() + LIMIT_S
        while (state := wire.get("audit").ok())["waiting"] or not state["signed"]:
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
        found = wire.get("journal", limit=1000).ok()["items"][::-1]
        kept = ("id", "at", "kind", "resource", "workspace", "actor", "token_id", "request_id", "data")
        told = [{name: row[name] for name in kept} for row in found[: len(old.entries)]]
        assert told == [{name: row[name] for name in kept} | {"data": json.loads(row["data"])} for row in old.entries]
        assert [row["seq"] for row in found] == list(range(len(found)))
        assert all(row["outcome"] == "done" for row in found)
        report = Terminal(server, tmp_path).json("audit", "verify")
        assert report["size"] >= len(old.entries), report
