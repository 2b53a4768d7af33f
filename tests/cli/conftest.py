"""A server for the tests of a module, and a terminal with an empty cache for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Terminal
from servers import RunningServer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of the module's own."""
    with RunningServer(tmp_path_factory.mktemp("terminal") / "data") as server:
        yield server


@pytest.fixture
def terminal(running: RunningServer, tmp_path: Path) -> Terminal:
    """Where somebody types commands for the first time."""
    return Terminal(running, tmp_path)
