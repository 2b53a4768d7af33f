"""Work that takes long: on threads of its own, and refused where they are all taken."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.app import LONG_WORKS, App
from modelkeep.bootstrap import build
from modelkeep.config import Settings
from modelkeep.core.errors import Unavailable

LONG = 60.0


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A registry without a server."""
    data = tmp_path / "data"
    made, _ = build(Settings("127.0.0.1", 5000, data, f"sqlite:///{tmp_path / 'db'}", f"file://{data}", "token"))
    yield made
    made.close()


def test_readiness_is_told_while_long_work_takes_all_its_threads(app: App) -> None:
    """With every thread for long work taken, one more is refused, the check of readiness answers, and then room is."""
    end, begun = threading.Event(), threading.Barrier(LONG_WORKS + 1)

    def long() -> bool:
        begun.wait(LONG)
        return end.wait(LONG)

    async def crowd() -> None:
        works = [asyncio.ensure_future(app.at_length(long)) for _ in range(LONG_WORKS)]
        await asyncio.to_thread(begun.wait, LONG)
        with pytest.raises(Unavailable, match="try again"):
            await app.at_length(lambda: True)
        await app.check_ready()
        end.set()
        assert await asyncio.gather(*works) == [True] * LONG_WORKS
        assert await app.at_length(lambda: True)

    asyncio.run(crowd())
