"""All commands and what they share: options, exit codes, and one line where something goes wrong."""

import sys
from collections.abc import Sequence

import typer

from modelkeep import __version__
from modelkeep.bootstrap import WrongSchema
from modelkeep.cli import admin, db, models
from modelkeep.cli.client import Refused, ServerGone
from modelkeep.cli.serve import serve
from modelkeep.config import BadSetting
from modelkeep.core.errors import DomainError

# Exit codes: 0 done, 1 refused, 2 wrong usage or settings, 3 the database's schema, 4 the server does not answer.
REFUSED, USAGE, SCHEMA, UNREACHABLE = 1, 2, 3, 4

app = typer.Typer(
    name="modelkeep",
    help="A self-hosted model registry that speaks MLflow and can prove what it says.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serve)
app.add_typer(db.app, name="db")
app.add_typer(models.app, name="models")
app.add_typer(admin.app, name="admin")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"modelkeep {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """A self-hosted model registry that speaks MLflow and can prove what it says."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors become one line on standard error and an exit code."""
    try:
        app(arguments)
    except BadSetting as error:
        _stop(error, USAGE)
    except WrongSchema as error:
        _stop(error, SCHEMA)
    except ServerGone as error:
        _stop(error, UNREACHABLE)
    except (Refused, DomainError, OSError) as error:
        _stop(error, REFUSED)


def _stop(error: Exception, code: int) -> None:
    typer.secho(f"modelkeep: {error}", fg="red", err=True)
    sys.exit(code)
