"""A journal on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.journal import Journal


@pytest.fixture
def journal(database_url: str, tmp_path: Path) -> Iterator[Journal]:
    """An empty journal, once on SQLite and once on PostgreSQL."""
    made = Journal(database_url, tmp_path)
    yield made
    made.close()
