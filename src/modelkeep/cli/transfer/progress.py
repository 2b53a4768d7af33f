"""A progress bar with rate and time left, where somebody sees it; nothing is loaded for it elsewhere."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told of bytes as they move, by any number of threads."""

    def __call__(self, count: int) -> None:
        """So many bytes more; less than nothing where some have to move again."""


def _nobody_looks(count: int) -> None:
    pass


@contextmanager
def progress_bar(what: str, total: int, *, shown: bool) -> Iterator[Progress]:
    """A bar on standard error for `total` bytes, if it is a terminal and `shown` is wanted."""
    if not shown or not sys.stderr.isatty():
        yield _nobody_looks
        return
    rich = importlib.import_module("rich.progress")
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    console = importlib.import_module("rich.console").Console(stderr=True)
    with rich.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
