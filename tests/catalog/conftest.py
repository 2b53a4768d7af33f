"""The registry under test, on each database."""

from collections.abc import Iterator

import pytest

from models.registry import Registry, opened


@pytest.fixture
def registry(database_url: str) -> Iterator[Registry]:
    """A registry on an empty database, once on SQLite and once on PostgreSQL."""
    yield from opened(database_url)
