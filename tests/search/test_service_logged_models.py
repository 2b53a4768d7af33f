"""Searches of logged models: their metrics have many points, of which some count, and the newest orders."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from modelkeep.db import Database
from modelkeep.runs.tables import logged_model_metrics, logged_model_params, logged_model_tags, logged_models
from modelkeep.search import DatasetFilter, OrderField, search_logged_models
from search.conftest import NewDatabase
from search.world import CALLER, WORKSPACE, put

NUMBER = 60


@dataclass(frozen=True, repr=False)
class Zoo:
    """A database with logged models in it, and the points of their metrics by model."""

    database: Database
    points: dict[str, list[dict[str, Any]]]

    def ids(self, text: str | None = None, datasets: tuple[DatasetFilter, ...] = (), *order: OrderField) -> list[str]:
        """The models that a search finds, on pages of seven."""
        found: list[str] = []
        token: str | None = None
        while True:
            page = self.database.read_now(
                CALLER,
                lambda tx, token=token: search_logged_models(tx, ["1", "2"], text, datasets, 7, order, token),
            )
            found += [model.id for model in page.items]
            token = page.next_page_token
            if token is None:
                return found


def model_row(at: int) -> dict[str, Any]:
    """A logged model; every tenth is deleted, every third in a third experiment."""
    return {
        "id": f"m-{at:03d}",
        "workspace": WORKSPACE,
        "experiment_id": 3 if at % 3 == 0 else 1 + at % 2,
        "name": f"model {at % 4}",
        "status": "READY",
        "status_message": None,
        "model_type": "tree" if at % 2 else None,
        "source_run_id": f"run {at % 5}",
        "artifact_uri": "mlflow-artifacts:/x",
        "created_by": "tester",
        "created_at": at // 4,
        "updated_at": at,
        "deleted_at": 1 if at % 10 == 0 else None,
    }


def points_of(model: str, chance: random.Random) -> list[dict[str, Any]]:
    """Up to five points of one metric, some at the same time."""
    points = {}
    for _ in range(chance.randrange(6)):
        nan = chance.random() < 0.2
        point = {
            "logged_model_id": model,
            "run_id": chance.choice(["r1", "r2"]),
            "key": "acc",
            "timestamp": chance.choice([1, 2]),
            "step": chance.choice([0, 1]),
            "dataset_name": chance.choice(["iris", "wine", ""]),
            "dataset_digest": chance.choice(["d1", "d2"]),
            "value": 0.0 if nan else chance.choice([0.0, 0.5, 1.0, 2.0]),
            "is_nan": int(nan),
        }
        points[newness(point)] = point
    return list(points.values())


def newness(point: dict[str, Any]) -> tuple[Any, ...]:
    """What the newest point is least by."""
    return (-point["timestamp"], -point["step"], point["run_id"], point["dataset_name"], point["dataset_digest"])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def zoo(request: pytest.FixtureRequest, new_database: NewDatabase) -> Zoo:
    """Sixty logged models on each kind of database."""
    database = new_database(request.param)
    chance = random.Random(3)
    rows = [model_row(at) for at in range(NUMBER)]
    points = {row["id"]: points_of(row["id"], chance) for row in rows}
    entries = [{"logged_model_id": row["id"], "key": "kind", "value": row["name"]} for row in rows[::2]]
    put(database, logged_models, rows)
    put(database, logged_model_tags, entries)
    put(database, logged_model_params, entries)
    put(database, logged_model_metrics, [point for some in points.values() for point in some])
    return Zoo(database, points)


def expected(*, order: Any = None) -> list[dict[str, Any]]:
    """The models of experiments 1 and 2 that are not deleted, newest first or in another order."""
    rows = [model_row(at) for at in range(NUMBER)]
    rows = [row for row in rows if row["experiment_id"] != 3 and row["deleted_at"] is None]
    return sorted(sorted(rows, key=lambda row: (-row["created_at"], row["id"])), key=order or (lambda row: 0))


def test_newest_first_unless_asked(zoo: Zoo):
    """Without arguments all that are not deleted come, the newest first, and by id among equals."""
    assert zoo.ids() == [row["id"] for row in expected()]


@pytest.mark.parametrize(("operator", "meets"), [(">", (0.5).__lt__), ("<=", (0.5).__ge__), ("=", (0.5).__eq__)])
def test_a_metric_counts_by_any_of_its_points(zoo: Zoo, operator: str, meets: Any):
    """A condition on a metric holds for a model that has a point for which it does; NaN is no number."""
    found = [
        row["id"] for row in expected() if any(meets(p["value"]) and not p["is_nan"] for p in zoo.points[row["id"]])
    ]
    assert zoo.ids(f"metrics.acc {operator} 0.5") == found
    missing = [row["id"] for row in expected() if row["id"] not in found]
    assert zoo.ids(f"NOT metrics.acc {operator} 0.5") == missing


@pytest.mark.parametrize("digest", ["", "d2"])
@pytest.mark.parametrize("text", ["metrics.acc >= 1", ""])
def test_datasets_narrow_metrics(zoo: Zoo, digest: str, text: str):
    """Only points on the named datasets count; where no condition is about a metric, any point on them does."""

    def counts(point: dict[str, Any]) -> bool:
        named = point["dataset_name"] == "iris" and digest in ("", point["dataset_digest"])
        return named and (not text or (point["value"] >= 1 and not point["is_nan"]))

    found = [row["id"] for row in expected() if any(map(counts, zoo.points[row["id"]]))]
    assert zoo.ids(text, (DatasetFilter("iris", digest),)) == found


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize(("name", "digest"), [("", ""), ("iris", ""), ("wine", "d1")])
def test_the_newest_point_orders(zoo: Zoo, ascending: bool, name: str, digest: str):
    """Of a metric's points, on the dataset if one is named, the newest orders; NaN and missing ones come last."""

    def place(row: dict[str, Any]) -> tuple[int, float]:
        seen = [
            point
            for point in zoo.points[row["id"]]
            if name in ("", point["dataset_name"]) and digest in ("", point["dataset_digest"])
        ]
        if not seen:
            return 2, 0.0
        newest = min(seen, key=newness)
        return newest["is_nan"], newest["value"] if ascending else -newest["value"]

    asked = OrderField("metrics.acc", ascending, name, digest)
    assert zoo.ids(None, (), asked) == [row["id"] for row in expected(order=place)]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("tags.kind = 'model 2' AND params.kind LIKE 'model%'", lambda at: at % 4 == 2),
        ("tags.kind IS NULL", lambda at: at % 2),
        ("model_type != 'x'", lambda at: at % 2),
        ("NOT model_type = 'tree'", lambda at: at % 2 == 0),
        ("source_run_id = 'run 3'", lambda at: at % 5 == 3),
        ("model_id IN ('m-001', 'm-002', 'm-003')", lambda at: at in (1, 2)),
        ("creation_timestamp >= 4.5 AND last_updated_timestamp < 40", lambda at: 20 <= at < 40),
    ],
)
def test_attributes_tags_and_parameters(zoo: Zoo, text: str, at: Any):
    """Logged models are found by what they are and what was logged to them."""
    assert zoo.ids(text) == [row["id"] for row in expected() if at(row["updated_at"])]
