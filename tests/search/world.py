"""A small world to search through: rows made of a seed, kept both in memory and in a database."""

import random
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, insert

from modelkeep.core.types import Actor, Caller
from modelkeep.db import Database, Prepared
from modelkeep.models.tables import model_tags, models, version_tags, versions
from modelkeep.promotion.tables import aliases, stages
from modelkeep.runs.tables import dataset_inputs, datasets, experiments, latest_metrics, params, runs, tags

WORKSPACE = "lab"
CALLER = Caller(Actor("tester", "none"), WORKSPACE)
NAMES = ["red", "Red", "red fox", "blue", "a\\b", "100%", "über", "Über", "r_d"]
LONG = "x" * 230
VALUES = ["a", "b", "ab", "A", "", "%", "_", "a\\c", "é", LONG + "1", LONG + "2", "x" * 200]
NUMBERS = [0.0, 1.0, 1.0, 1.0, -2.5, 3.0, 1e300, "nan"]
TIMES = [None, 1000, 1000, 2000, 3000, 4000]
EXPERIMENTS = [1, 2, 3]


@dataclass
class Thing:
    """A run or version as the tests see it: attributes by search key, and what is kept beside it by key."""

    id: Any
    attributes: dict[str, Any]
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)
    many: dict[str, list[str]] = field(default_factory=dict)
    hidden: bool = False


def put(database: Database, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows as they are."""
    statement = Prepared(insert(table))
    database.write_now(CALLER, lambda tx: tx.run_many(statement, rows))


def some(chance: random.Random, keys: str, values: list[Any]) -> dict[str, Any]:
    """A value for each of some of the keys."""
    return {key: chance.choice(values) for key in keys if chance.random() < 0.7}


def make_runs(database: Database, number: int = 120) -> list[Thing]:
    """Runs in three experiments, with metrics, parameters, tags and datasets; and one in another workspace."""
    chance = random.Random(11)
    made = [_run(chance, at) for at in range(number)]
    here = [{"workspace": WORKSPACE, "experiment_id": thing.attributes["experiment"]} for thing in made]
    put(database, experiments, [_experiment(number, WORKSPACE) for number in EXPERIMENTS] + [_experiment(1, "other")])
    put(database, runs, [_run_row(thing, WORKSPACE) for thing in made] + [_run_row(_run(chance, number), "other")])
    for table, kind in ((params, "param"), (tags, "tag")):
        found = [(thing, at) for thing, at in zip(made, here, strict=True)]
        rows = [at | {"run_id": t.id, "key": k, "value": v} for t, at in found for k, v in t.beside[kind].items()]
        put(database, table, rows)
    put(
        database,
        latest_metrics,
        [_point(t, at, k, v) for t, at in zip(made, here, strict=True) for k, v in _metrics(t)],
    )
    _make_datasets(database, made)
    return made


def _metrics(thing: Thing) -> list[tuple[str, Any]]:
    return list(thing.beside["metric"].items())


def _run(chance: random.Random, at: int) -> Thing:
    attributes = {
        "run_id": f"{chance.getrandbits(128):032x}",
        "run_name": chance.choice(NAMES),
        "status": chance.choice(["RUNNING", "FINISHED"]),
        "artifact_uri": f"mlflow-artifacts:/{at % 7}",
        "user_id": chance.choice(["ann", "bob"]),
        "start_time": chance.choice(TIMES),
        "end_time": chance.choice(TIMES),
        "experiment": chance.choice([1, 1, 1, 2, 3]),
        "lifecycle": chance.choice(["active", "active", "active", "deleted"]),
    }
    beside = {
        "tag": some(chance, "kl", VALUES),
        "param": some(chance, "kl", VALUES),
        "metric": some(chance, "mn", NUMBERS),
    }
    names = chance.sample(["iris", "wine"], chance.randrange(3))
    return Thing(attributes["run_id"], attributes, beside, {"dataset.name": names})


def _experiment(number: int, workspace: str) -> dict[str, Any]:
    return {
        "workspace": workspace,
        "id": number,
        "name": f"experiment {number}",
        "artifact_location": "mlflow-artifacts:/x",
        "lifecycle": "active",
        "created_by": "tester",
        "created_at": 1000,
        "updated_at": 1000 - number,
    }


def _run_row(thing: Thing, workspace: str) -> dict[str, Any]:
    own = dict(thing.attributes)
    own["id"], own["name"], own["experiment_id"] = own.pop("run_id"), own.pop("run_name"), own.pop("experiment")
    return own | {"workspace": workspace, "deleted_at": None}


def _point(thing: Thing, here: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    nan = value == "nan"
    point = {"value": 0.0 if nan else value, "is_nan": int(nan), "timestamp": 1, "step": 0}
    rest = dict.fromkeys(("logged_model_id", "dataset_name", "dataset_digest"))
    return here | point | rest | {"run_id": thing.id, "key": key}


def _make_datasets(database: Database, made: list[Thing]) -> None:
    ids = {(e, name): at for at, (e, name) in enumerate((e, n) for e in EXPERIMENTS for n in ("iris", "wine"))}
    text = dict.fromkeys(("source_type", "source"), "s") | dict.fromkeys(("schema", "profile"))
    here = {"workspace": WORKSPACE, "digest": "d"}
    rows = [here | text | {"id": at + 1, "experiment_id": e, "name": name} for (e, name), at in ids.items()]
    put(database, datasets, rows)
    uses = [(thing, name) for thing in made for name in thing.many["dataset.name"]]
    used = [
        {"run_id": t.id, "dataset_id": ids[t.attributes["experiment"], name] + 1, "tags": "{}", "context": "train"}
        for t, name in uses
    ]
    put(database, dataset_inputs, used)


def make_versions(database: Database, number: int = 9) -> list[Thing]:
    """Versions of models and of one prompt, some retired, with stages, aliases and tags."""
    chance = random.Random(5)
    made: list[Thing] = []
    for at in range(number):
        kind = "prompt" if at == 3 else "model"
        model = f"{chance.getrandbits(64):016x}"
        retired = 5 if at == 4 else None
        put(database, models, [_model_row(model, f"{NAMES[at]}", kind, at, retired)])
        put(database, model_tags, [{"model_id": model, "key": "k", "value": VALUES[at], "workspace": WORKSPACE}])
        made += [_version(chance, model, NAMES[at], n, kind, retired is not None) for n in range(1, 2 + 3 * at)]
    put(database, versions, [_version_row(thing) for thing in made])
    same = {"workspace": WORKSPACE}
    keyed = [(dict(zip(("model_id", "version"), thing.id, strict=True)) | same, thing) for thing in made]
    put(database, version_tags, [at | {"key": k, "value": v} for at, t in keyed for k, v in t.beside["tag"].items()])
    put(database, stages, [at | {"stage": t.attributes["current_stage"]} for at, t in keyed])
    put(database, aliases, [at | {"alias": name} for at, t in keyed for name in t.many["aliases"]])
    return made


def _model_row(model: str, name: str, kind: str, at: int, retired: int | None) -> dict[str, Any]:
    return {
        "id": model,
        "workspace": WORKSPACE,
        "name": name,
        "kind": kind,
        "description": None if at % 2 else "about",
        "created_at": 100 - at,
        "updated_at": 100 + at // 3,
        "created_by": "tester",
        "last_version": 50,
        "retired_at": retired,
        "retired_by": "tester" if retired else None,
    }


def _version(chance: random.Random, model: str, name: str, number: int, kind: str, hidden: bool) -> Thing:
    attributes = {
        "name": name,
        "version_number": number,
        "run_id": chance.choice(["aa", "bb", None]),
        "model_id": chance.choice(["m-1", None]),
        "source_path": chance.choice(["s3://b/x", "dummy"]),
        "description": chance.choice(["text", None]),
        "digest": chance.choice(["d1", "d2", None]),
        "status": "READY",
        "user_id": chance.choice(["ann", "bob"]),
        "creation_timestamp": chance.choice([1, 2, 3]),
        "last_updated_timestamp": chance.choice([1, 1, 2, 3]),
        "current_stage": chance.choice(["None", "Production"]),
        "kind": kind,
    }
    names = [f"v-{model}-{number}", "champion"] if number == 1 else []
    gone = hidden or chance.random() < 0.2
    return Thing((model, number), attributes, {"tag": some(chance, "kl", VALUES)}, {"aliases": names}, gone)


def _version_row(thing: Thing) -> dict[str, Any]:
    own, (model, number) = dict(thing.attributes), thing.id
    renamed = {"model_id": "logged_model_id", "source_path": "source", "user_id": "created_by"}
    times = {"creation_timestamp": "created_at", "last_updated_timestamp": "updated_at"}
    row = {(renamed | times).get(key, key): value for key, value in own.items()}
    for key in ("kind", "current_stage", "version_number"):
        del row[key]
    fixed = {"workspace": WORKSPACE, "origin": "stored", "download_uri": "u", "files": 1, "size": 1, "run_link": None}
    gone = {"retired_at": 5 if thing.hidden else None, "retired_by": None, "reclaimed_at": None, "status_message": None}
    return row | fixed | gone | {"model_id": model, "version": number}
