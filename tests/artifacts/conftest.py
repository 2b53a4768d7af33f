"""The fixtures of the tests of artifacts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.storing import Storing


@pytest.fixture
def storing(database_url: str, tmp_path: Path) -> Iterator[Storing]:
    """An empty store, and one open tree, on either database."""
    made = Storing(database_url, tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Storing]:
    """An empty store, and one open tree, on SQLite."""
    made = Storing(f"sqlite:///{tmp_path / 'quick.db'}", tmp_path / "store")
    yield made
    made.close()
