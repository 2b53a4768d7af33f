"""The command line. Here is only what every command needs; `program` has the commands, each loaded when it runs."""

import importlib
import sys
from collections.abc import Sequence

from modelkeep.cli.refusals import REFUSED, SCHEMA, UNREACHABLE, USAGE, Refused, ServerGone
from modelkeep.cli.terminal import harmless, protect
from modelkeep.core.errors import BadSetting, DomainError, WrongSchema


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors become one line on standard error and an exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(given)
    except BadSetting as error:
        _stop(error, USAGE)
    except WrongSchema as error:
        _stop(error, SCHEMA)
    except ServerGone as error:
        _stop(error, UNREACHABLE)
    except (Refused, DomainError, OSError) as error:
        _stop(error, REFUSED)


def _run(given: list[str]) -> None:
    protect()
    # What is in the cache already is there before the parts of the full program are even loaded.
    if given[:1] == ["pull"] and importlib.import_module("modelkeep.cli.transfer.quick").pulled(given[1:]):
        sys.exit(0)
    importlib.import_module("modelkeep.cli.program").app(given)


def _stop(error: Exception, code: int) -> None:
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    sys.stderr.write(f"{red}modelkeep: {harmless(str(error))}{plain}\n")
    sys.exit(code)
