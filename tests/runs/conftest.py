"""The tracking use cases on an empty database of either kind, with every fact they tell kept."""

from collections.abc import Iterator

import pytest

from modelkeep.bootstrap import dispatch, open_database, prepare
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM
from modelkeep.db.migrate import create_schema
from runs.tracking import Tracking


@pytest.fixture(name="tracking")
def _tracking(database_url: str) -> Iterator[Tracking]:
    create_schema(database_url)
    events: list[Event] = []
    database = open_database(database_url, (dispatch, lambda _tx, event: events.append(event)))
    database.write_now(SYSTEM, prepare)
    events.clear()
    yield Tracking(database, events)
    database.close()
