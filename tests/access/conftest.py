"""A prepared registry on either database."""

from collections.abc import Iterator

import pytest

from access.registry import prepared
from modelkeep.db import Database


@pytest.fixture
def registry(database_url: str) -> Iterator[Database]:
    """The database of a registry before its first start is over, with its journal."""
    with prepared(database_url) as database:
        yield database
