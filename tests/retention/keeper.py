"""A registry with a real store of bytes, and a clock that a test may turn: what reclaiming works on."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Table, select, update

from modelkeep import artifacts, catalog, models, promotion, retention, runs
from modelkeep.access import create_workspace
from modelkeep.artifacts import BlobStore, LocalBlobs
from modelkeep.artifacts.tables import blobs as blob_rows
from modelkeep.bootstrap import dispatch, open_database, prepare, require_schema
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM, Actor, Caller
from modelkeep.db import Database, Tx
from modelkeep.models.tables import versions
from modelkeep.retention import Reclaimed, Terms
from modelkeep.runs.tables import logged_models
from modelkeep.runs.tables import runs as run_rows

T = TypeVar("T")
ALICE = Caller(Actor("alice", "token"))
DAY_MS = 24 * 3600 * 1000


class Keeper:
    """One caller of a registry, and the facts that were told."""

    def __init__(self, database: Database, blobs: BlobStore, events: list[Event], caller: Caller = ALICE) -> None:
        self.database = database
        self.blobs = blobs
        self.events = events
        self.caller = caller

    def within(self, workspace: str) -> "Keeper":
        """The same caller in a workspace of its own, which is made."""
        self.do(create_workspace, workspace, None)
        other = Keeper(self.database, self.blobs, self.events, Caller(ALICE.actor, workspace))
        other.do(runs.prepare_default_experiment)
        return other

    def do(self, use_case: Callable[..., T], *given: Any, **options: Any) -> T:
        """Run a use case that writes."""
        return self.database.write_now(self.caller, lambda tx: use_case(tx, *given, **options))

    def see(self, use_case: Callable[..., T], *given: Any, **options: Any) -> T:
        """Run a use case that reads."""
        return self.database.read_now(self.caller, lambda tx: use_case(tx, *given, **options))

    def run(self) -> str:
        """A new run's id."""
        return str(self.do(runs.create_run, "0").id)

    def folder(self, run_id: str) -> str:
        """The path of a run's files."""
        return str(self.see(runs.run_head, run_id).artifact_uri).removeprefix("mlflow-artifacts:/")

    def upload(self, path: str, data: bytes, declared: int | None = None) -> str:
        """Store a file as an upload does; its digest."""
        upload = artifacts.store_file(
            self.database, self.caller, self.blobs, tuple(path.split("/")), _once(data), declared
        )
        return asyncio.run(upload).sha256

    def delete(self, path: str) -> None:
        """Delete a file or folder."""
        self.do(artifacts.delete_files, tuple(path.split("/")))

    def model(self, name: str = "churn") -> str:
        """Make a model; its id."""
        return str(self.do(models.create_model, name))

    def version(self, data: bytes | str, name: str = "churn", *, keep_run: bool = False) -> int:
        """A version of one file with this text; unless asked, the run that it came from no longer has it."""
        path = f"{self.folder(self.run())}/model/weights"
        self.upload(path, data.encode() if isinstance(data, str) else data)
        number = self.register(path.rpartition("/")[0], name)
        if not keep_run:
            self.delete(path)
        return number

    def register(self, path: str, name: str = "churn") -> int:
        """A version of what stands at a path."""
        return int(self.do(models.create_version, models.NewVersion(name, f"mlflow-artifacts:/{path}")))

    def show(self, number: int, name: str = "churn") -> catalog.VersionView:
        """A version, retired or not."""
        return self.see(catalog.get_any_version, name, number)

    def content(self, number: int, name: str = "churn") -> bytes:
        """The file of a version, as it is served."""
        uri = self.see(catalog.download_uri, name, number)
        return self.read(f"{uri.removeprefix('mlflow-artifacts:/')}/weights")

    def read(self, path: str) -> bytes:
        """A file, as it is served."""
        file = self.see(artifacts.find_file, tuple(path.split("/")))
        reader = self.blobs.open(file.sha256)
        data = reader.read_at(0, reader.size)
        reader.close()
        assert hashlib.sha256(data).hexdigest() == file.sha256
        return data

    def move(self, number: int, stage: str, name: str = "churn") -> None:
        """Bring a version to a stage."""
        self.do(promotion.move, name, number, stage)

    def gc(self, older_than: int = 30, trash_days: int = 7) -> Reclaimed:
        """Reclaim all that may go."""
        terms = Terms(older_than)
        return retention.reclaim(self.database, self.caller, self.blobs, terms, trash_days, 600)

    def candidates(self, older_than: int = 30) -> dict[int, str]:
        """The versions whose files may go, and why."""
        found = self.see(retention.version_candidates, Terms(older_than), ("", 0), 1000)
        return {one.version: one.reason for one in found}

    def trash(self) -> set[str]:
        """The blobs in the trash."""
        rows = self.see(lambda tx: tx.rows(select(blob_rows).where(blob_rows.c.trashed_at.is_not(None))))
        return {row.sha256 for row in rows}

    def known(self) -> set[str]:
        """The blobs that the database knows."""
        return {row.sha256 for row in self.see(lambda tx: tx.rows(select(blob_rows.c.sha256)))}

    def held(self) -> set[str]:
        """The blobs in the store."""
        return set(self.blobs.digests())

    def days_pass(self, days: int) -> None:
        """Let everything have happened so many days earlier."""
        for table, names in _TIMES:
            self.do(_turn_back, table, names, days * DAY_MS)

    def kinds(self) -> list[str]:
        """The facts told so far, by kind, which are then forgotten."""
        told = [event.kind for event in self.events]
        self.events.clear()
        return told


_TIMES: list[tuple[Table, list[str]]] = [
    (blob_rows, ["trashed_at", "deleting_at"]),
    (versions, ["created_at", "retired_at"]),
    (run_rows, ["deleted_at"]),
    (logged_models, ["deleted_at"]),
]


def _turn_back(tx: Tx, table: Table, names: list[str], by: int) -> None:
    tx.run(update(table).values({name: table.c[name] - by for name in names}))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def opened(url: str, folder: Path) -> Iterator[Keeper]:
    """A registry on an empty database and folder, closed at the end."""
    events: list[Event] = []
    require_schema(url)
    database = open_database(url, (dispatch, lambda _tx, event: events.append(event)))
    database.write_now(SYSTEM, prepare)
    events.clear()
    blobs = LocalBlobs(folder)
    yield Keeper(database, blobs, events)
    database.close()
    blobs.close()
