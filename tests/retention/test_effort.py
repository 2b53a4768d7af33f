"""What counting and reclaiming cost: work grows with what there is, not with its square."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.artifacts.usage import store as usage_statements
from modelkeep.bootstrap import require_schema
from modelkeep.db import Prepared
from modelkeep.db.dialect import SQLITE
from modelkeep.retention import store as statements

FEW, MANY = 200, 800
STEP = 100


class Filled:
    """A database of so many versions and deleted runs, each with a tree and a blob of its own; its work is counted."""

    def __init__(self, file: Path, count: int) -> None:
        require_schema(f"sqlite:///{file}")
        self._connection = sqlite3.connect(file)
        for number in range(count):
            self._version(f"m{number % 10}", number // 10 + 1)
            self._run(f"r{number}")
        self._insert(
            "retention_rules", workspace="default", model_id="", keep_last=5, automatic=0, set_by="a", set_at=1
        )
        self._connection.commit()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def steps(self, statement: Prepared) -> int:
        """How many hundreds of instructions of the database a statement takes."""
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        compiled = statement.for_dialect(SQLITE)
        given = {"workspace": "default", "before": 10**12, "now": 10**12, "after": "", "below": 2**60, "most": 1000}
        self._connection.set_progress_handler(count, STEP)
        self._connection.execute(compiled.sql, compiled.values(given)).fetchall()
        self._connection.set_progress_handler(None, 0)
        return counted

    def _version(self, model: str, number: int) -> None:
        name = f"{model}-{number}"
        given = {"model_id": model, "version": number, "workspace": "default", "name": model, "digest": name, "size": 1}
        fixed = {"source": "", "download_uri": "", "origin": "stored", "status": "READY", "created_by": "a"}
        self._insert("model_versions", **given, **fixed, files=1, created_at=1, updated_at=1)
        self._insert("manifests", digest=name, files=1, size=1, created_at=1)
        self._insert("manifest_files", digest=name, path="file", sha256=name, size=1)
        self._insert("blobs", sha256=name, size=1, created_at=1)
        self._insert("artifact_trees", workspace="default", root=name, owner=f"version/{model}/{number}", digest=name)

    def _run(self, run: str) -> None:
        columns = list(self._connection.execute("PRAGMA table_info(runs)"))
        given = {
            name: 0 if "INT" in kind else "a"
            for _, name, kind, needed, default, _ in columns
            if needed and default is None
        }
        self._insert("runs", **given | {"id": run, "workspace": "default", "deleted_at": 1})
        tree = self._insert("artifact_trees", workspace="default", root=run, owner=f"run/{run}")
        self._insert("artifact_files", tree_id=tree, path="file", sha256=run, size=1, updated_at=1)
        self._insert("blobs", sha256=run, size=1, created_at=1)

    def _insert(self, table: str, **values: object) -> int:
        names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" for _ in values)
        done = self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))
        return int(done.lastrowid or 0)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filled, Filled]]:
    """Two databases, one four times as large as the other."""
    folder = tmp_path_factory.mktemp("effort")
    made = Filled(folder / "few.db", FEW), Filled(folder / "many.db", MANY)
    yield made
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "statement",
    [
        usage_statements._FILES,
        usage_statements._VERSIONS,
        usage_statements._STORED,
        statements._SIZE_OUTSIDE_RULES,
        statements._SIZE_RETIRED,
        statements._DELETED_SIZE,
        statements._DELETED_PAGE,
        statements._LARGEST,
    ],
    ids=["files", "versions", "stored", "outside-rules", "retired", "deleted", "deleted-page", "largest"],
)
def test_four_times_as_much_takes_less_than_six_times_the_work(
    sizes: tuple[Filled, Filled], statement: Prepared
) -> None:
    """What usage and gc ask of the whole workspace costs in proportion to what is there."""
    few, many = (one.steps(statement) for one in sizes)
    assert many <= 6 * max(few, 5)
