"""The command line: one module for each group of commands, and here the way into all of them."""

import gc
import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors become one line on standard error and an exit code."""
    _commands().main(arguments)


@cache
def _commands() -> Any:
    """The module of all commands, which imports the whole program.

    Nothing of that is ever thrown away, so the garbage collector rests meanwhile and leaves it alone afterwards: to
    look through it again and again would take a tenth of the start.
    """
    gc.disable()
    try:
        return importlib.import_module("modelkeep.cli.commands")
    finally:
        gc.freeze()
        gc.enable()
