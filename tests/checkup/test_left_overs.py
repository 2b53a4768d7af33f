"""What uploads left is counted for as long as it takes, while every call is short."""

import threading
from pathlib import Path

import pytest

from artifacts.storing import Storing
from modelkeep.artifacts import BlobStore
from modelkeep.checkup import LeftOvers, Line, Status
from modelkeep.core.errors import Unavailable
from modelkeep.db import Database

FOUND = [Line("staging", Status.OK, "nothing")]


def test_a_long_count_outlives_the_calls(tmp_path: Path) -> None:
    """Calls end while the count goes on and share it; the one after its end gets what it found, the next a new one."""
    storing = Storing(f"sqlite:///{tmp_path / 'db'}", tmp_path / "store")
    begun, may_end, counted = threading.Event(), threading.Event(), []

    def look(_database: Database, blobs: BlobStore) -> list[Line]:
        counted.append(blobs)
        begun.set()
        may_end.wait()
        return FOUND

    left = LeftOvers(look)
    assert left.lines(storing.database, storing.blobs, 0.01) is None
    assert begun.wait(60)
    assert [left.lines(storing.database, storing.blobs, 0.01) for _ in range(2)] == [None] * 2
    assert counted == [storing.blobs]
    may_end.set()
    assert left.lines(storing.database, storing.blobs, 60) == FOUND
    assert left.lines(storing.database, storing.blobs, 60) == FOUND
    assert len(counted) == 2
    storing.close()


def test_a_failed_count_is_told_once(tmp_path: Path) -> None:
    """Whoever asked is told why a count failed, and the next call begins another."""
    storing = Storing(f"sqlite:///{tmp_path / 'db'}", tmp_path / "store")
    answers = [Unavailable("away"), None]

    def look(_database: Database, _blobs: BlobStore) -> list[Line]:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return FOUND

    left = LeftOvers(look)
    with pytest.raises(Unavailable):
        left.lines(storing.database, storing.blobs, 60)
    assert left.lines(storing.database, storing.blobs, 60) == FOUND
    storing.close()
