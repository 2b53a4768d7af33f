"""The tracking use cases on an empty database of either kind, with every fact they tell kept."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import postgres
from modelkeep.bootstrap import dispatch, open_database, prepare
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM
from modelkeep.db.migrate import create_schema, sync_engine
from modelkeep.db.schema import metadata
from runs.tracking import Tracking


@pytest.fixture(scope="session", name="tracking_postgres")
def _tracking_postgres(postgres_server: str) -> Iterator[Callable[[], str]]:
    """A function that empties one PostgreSQL database and answers its URL; its schema is made once."""
    with postgres.empty_database(postgres_server) as url:
        create_schema(url)
        engine = sync_engine(url)

        def emptied() -> str:
            with engine.begin() as connection:
                for table in reversed(metadata.sorted_tables):
                    connection.execute(table.delete())
            return url

        yield emptied
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"], name="tracking")
def _tracking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tracking]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'modelkeep.db'}"
        create_schema(url)
    else:
        url = request.getfixturevalue("tracking_postgres")()
    events: list[Event] = []
    database = open_database(url, (dispatch, lambda _tx, event: events.append(event)))
    database.write_now(SYSTEM, prepare)
    events.clear()
    yield Tracking(database, events)
    database.close()
