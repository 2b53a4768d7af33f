"""A registry's store and database without a server, and what the tests do to both behind its back."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TypeVar

from modelkeep import artifacts
from modelkeep.artifacts import Content, Damaged, FileBody, LocalBlobs, StoredFile
from modelkeep.artifacts.blobs import blob_key
from modelkeep.bootstrap import open_database
from modelkeep.core.events import Event
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts
from modelkeep.db.migrate import create_schema
from modelkeep.tables import artifacts as tables

T = TypeVar("T")

ALICE = Caller(Actor("alice", "token"), request_id="request-1")
ROOT = ("1", "run-1", "artifacts")


class Storing:
    """One tree, the store of its bytes, and one caller of both. `heard` are the events."""

    def __init__(self, url: str, folder: Path) -> None:
        create_schema(url)
        self.heard: list[Event] = []
        self.folder = folder
        self.database = open_database(url, [lambda tx, event: self.heard.append(event)])
        self.blobs = LocalBlobs(folder)
        self.write(artifacts.prepare_artifacts)
        self.write(lambda tx: artifacts.open_tree(tx, "mlflow-artifacts:/" + "/".join(ROOT), "run/run-1"))
        self.damage: list[Damaged] = []

    def close(self) -> None:
        """Let go of both."""
        self.database.close()
        self.blobs.close()

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run a change."""
        return self.database.write_now(ALICE, work)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run a question."""
        return self.database.read_now(ALICE, work)

    def upload(self, name: str, *pieces: bytes, declared: int | None = None, sha256: str | None = None) -> Content:
        """Store a body as a file of the tree."""
        return asyncio.run(
            artifacts.store_file(
                self.database, ALICE, self.blobs, (*ROOT, name), arriving(pieces), declared, sha256=sha256
            )
        )

    def found(self, name: str) -> StoredFile:
        """The file of that name."""
        return self.read(lambda tx: artifacts.find_file(tx, (*ROOT, name)))

    def download(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """A file's bytes; what is found to be damaged is noted in `damage`."""
        return self.read_file(self.found(name), start, end)

    def read_file(self, file: StoredFile, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a file that was found before."""
        return asyncio.run(self._download(file, start, end))

    async def _download(self, file: StoredFile, start: int, end: int | None) -> bytes:
        async def note(error: Damaged) -> None:
            self.damage.append(error)

        stop = file.size if end is None else end
        body = await artifacts.open_file(self.database, ALICE, self.blobs, file, start, stop, note)
        if not isinstance(body, FileBody):
            return body
        try:
            return b"".join([block async for block in body.chunks()])
        finally:
            body.close()

    def place(self, content: Content) -> Path:
        """Where the bytes of a blob lie."""
        return self.folder.joinpath(*blob_key(content.sha256))

    def mark_deleting(self, content: Content) -> None:
        """Begin the deletion of a blob, as the collection of garbage does."""
        self.change_blob(content, deleting=1)

    def change_blob(self, content: Content, **values: object) -> None:
        """Change the row of a blob behind everybody's back."""
        mine = one_of_texts(tables.blobs.c.sha256, "digests")
        statement = Prepared(tables.blobs.update().where(mine).values(**values))
        self.write(lambda tx: tx.run(statement, digests=json.dumps([content.sha256])))

    def forget_chunks(self) -> None:
        """Lose the digests of all chunks, as if the blobs were older than those."""
        self.write(lambda tx: tx.run(Prepared(tables.blob_chunks.delete())))

    def raise_epoch(self) -> None:
        """Let it be as if a deletion of other blobs had begun."""
        raised = Prepared(tables.blob_epochs.update().values(epoch=tables.blob_epochs.c.epoch + 1))
        self.write(lambda tx: tx.run(raised))


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Pieces of a body, one after the other."""
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def content_of(data: bytes) -> Content:
    """What some few bytes are."""
    return Content(hashlib.sha256(data).hexdigest(), len(data), None)
