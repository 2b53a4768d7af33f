"""A large registry that was killed at work is back soon, whole and usable."""

import time
from contextlib import closing

import psutil
import pytest
from sqlalchemy import Connection, inspect, text

from faults.load import SHARED_MODEL, Load, new_seed
from faults.oracle import Oracle
from faults.whole import Served
from modelkeep.db.migrate import sync_engine

VERSIONS = 100_000
GENEROUS = 10.0
# Tables with a row for each version, and the one that has the model's counter.
PER_VERSION = ("model_versions", "version_stages", "model_version_tags")
BIG_MODEL = "big"


def copied(table: str, columns: list[str]) -> str:
    """The statement that gives each number from 2 on the row that number 1 has."""
    taken = ", ".join("n.i" if column == "version" else f"t.{column}" for column in columns)
    return (
        f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {VERSIONS})"
        f" INSERT INTO {table} ({', '.join(columns)}) SELECT {taken} FROM {table} t CROSS JOIN n"
    )


def multiply(connection: Connection) -> None:
    """Make the one version of the database many, each with its stage, tag and journal entry."""
    for table in PER_VERSION:
        columns = [column["name"] for column in inspect(connection).get_columns(table)]
        connection.execute(text(copied(table, columns)))
    journal = ["at", "workspace", "actor", "actor_method", "token_id", "request_id", "kind", "resource", "data"]
    resource = "'model-version/' || v.model_id || '/' || v.version"
    taken = ", ".join(resource if column == "resource" else f"j.{column}" for column in journal)
    connection.execute(
        text(
            f"INSERT INTO journal ({', '.join(journal)}) SELECT {taken} FROM model_versions v"
            " JOIN journal j ON j.kind = 'model_version.registered' WHERE v.version > 1"
        )
    )
    connection.execute(text(f"UPDATE registered_models SET last_version = {VERSIONS}"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_registry_of_100000_versions_is_back_soon_after_a_kill(served: Served) -> None:
    """With 100,000 versions and a load that a SIGKILL cut off, the server is healthy again within seconds, and whole.

    How many seconds is printed; the bound is generous, as a busy machine says little about time.
    """
    wire, oracle, seed = served.wire, Oracle(0), new_seed()
    wire.post("registered-models/create", name=BIG_MODEL).ok()
    tags = [{"key": "kind", "value": "copied"}]
    wire.post("model-versions/create", name=BIG_MODEL, source="s3://elsewhere/model", tags=tags).ok()
    served.server.stop()
    with closing(sync_engine(served.database).connect()) as connection, connection.begin():
        multiply(connection)
    served.start_later()
    wire.post("registered-models/create", name=SHARED_MODEL).ok()
    for number in range(3):
        load = Load(served.server, oracle, f"restart{number}", seed)
        load.wait_until(lambda load=load: load.accepted > 200)
        served.server.kill()
        load.stop()
        begun = time.monotonic()
        served.start_later()
        seconds = time.monotonic() - begun
        used = psutil.Process(served.server.pid).cpu_times()
        print(f"{VERSIONS} versions: healthy {seconds:.2f} s after the start, {used.user + used.system:.2f} s of CPU")
        assert seconds < GENEROUS
        oracle.compare(wire)
    served.assert_whole()
    made = wire.post("model-versions/create", name=BIG_MODEL, source="s3://elsewhere/model").ok()["model_version"]
    assert made["version"] == str(VERSIONS + 1)
