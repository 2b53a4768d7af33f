"""The registry under test, on each database, with its bytes on the local disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from retention.keeper import Keeper, opened


@pytest.fixture
def keeper(database_url: str, tmp_path: Path) -> Iterator[Keeper]:
    """A registry with an empty store, once on SQLite and once on PostgreSQL."""
    yield from opened(database_url, tmp_path / "blobs")
