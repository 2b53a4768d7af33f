"""What must hold of a server's database and folders at any time, also after a crash: nothing is there by halves."""

import hashlib
import os
import time
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import text

from faces.mlflow.wire import Wire
from modelkeep.db.migrate import sync_engine
from servers import RunningServer

# What would be half of something, by the statement that counts it.
HALVES = {
    "versions without a stage": "SELECT count(*) FROM model_versions v LEFT JOIN version_stages s"
    " ON s.model_id = v.model_id AND s.version = v.version WHERE s.version IS NULL",
    "stages without a version": "SELECT count(*) FROM version_stages s LEFT JOIN model_versions v"
    " ON s.model_id = v.model_id AND s.version = v.version WHERE v.version IS NULL",
    "versions that the journal misses": "SELECT count(*) FROM model_versions v LEFT JOIN journal j"
    " ON j.resource = 'model-version/' || v.model_id || '/' || v.version AND j.kind = 'model_version.registered'"
    " WHERE j.id IS NULL",
    "versions without their files": "SELECT count(*) FROM model_versions v WHERE v.origin = 'stored' AND NOT EXISTS"
    " (SELECT 1 FROM artifact_trees t WHERE 'mlflow-artifacts:/' || t.root = v.download_uri AND t.digest = v.digest)",
    "models that count wrongly": "SELECT count(*) FROM registered_models m WHERE m.last_version <>"
    " (SELECT count(*) FROM model_versions v WHERE v.model_id = m.id)",
    "manifests that miss files": "SELECT count(*) FROM manifests m WHERE m.files <>"
    " (SELECT count(*) FROM manifest_files f WHERE f.digest = m.digest)",
    "manifest files without a blob": "SELECT count(*) FROM manifest_files f LEFT JOIN blobs b"
    " ON b.sha256 = f.sha256 AND b.size = f.size WHERE b.sha256 IS NULL",
    "tree files without a blob": "SELECT count(*) FROM artifact_files f LEFT JOIN blobs b"
    " ON b.sha256 = f.sha256 AND b.size = f.size WHERE b.sha256 IS NULL",
}


@dataclass(frozen=True)
class Served:
    """A running server and the URL of its database."""

    server: RunningServer
    database: str

    @property
    def wire(self) -> Wire:
        """Raw HTTP to the server as its administrator."""
        return Wire(self.server.url, self.server.token)

    def start_later(self) -> None:
        """The start after a crash, some minutes on: what is younger than a minute may be another process's."""
        before = time.time() - 300
        for path in (self.server.data / "staging").iterdir():
            os.utime(path, (before, before))
        self.server.start()

    def assert_whole(self) -> None:
        """No half of anything is in the database, whose file is sound, and no upload's leftovers are in the store."""
        assert self.leftovers() == [], "the start did not sweep"
        with closing(sync_engine(self.database).connect()) as connection:
            for name, statement in HALVES.items():
                assert connection.execute(text(statement)).scalar() == 0, name
            if self.database.startswith("sqlite"):
                assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
                assert connection.execute(text("PRAGMA foreign_key_check")).all() == []

    def assert_bytes(self) -> None:
        """Every blob that the database knows is in the store and hashes to its name."""
        with closing(sync_engine(self.database).connect()) as connection:
            known = connection.execute(text("SELECT sha256, size FROM blobs")).all()
        for sha256, size in known:
            data = (self.server.data / "sha256" / sha256[:2] / sha256[2:4] / sha256).read_bytes()
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (sha256, size)

    def leftovers(self) -> list[str]:
        """The names of what is being, or was being, uploaded."""
        return [path.name for path in (self.server.data / "staging").iterdir()]
