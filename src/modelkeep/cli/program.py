"""The commands by name. One is loaded when it runs: together they would take a second to start."""

import gc
import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from modelkeep import __version__
from modelkeep.cli.reason import reason as given_reason


class Command(NamedTuple):
    """Where a command is: the module's `app` if it is a group, else its function of that name."""

    module: str
    help: str


COMMANDS = {
    "serve": Command("serve", "Run the registry in the foreground until SIGTERM or SIGINT."),
    "pull": Command("pull", "Copy a version's files into a new folder, verified."),
    "push": Command("push", "Register a folder as a new version."),
    "cache": Command("cache", "The files that `pull` keeps on this machine."),
    "models": Command("models", "Registered models of a running server."),
    "usage": Command("usage", "What a workspace holds, and which models most of it."),
    "artifacts": Command("artifacts", "The stored bytes: whether they still are what they were."),
    "doctor": Command("doctor", "Whether every part works, and database and store agree."),
    "audit": Command("audit", "The log of everything that was done: whether it is what it was."),
    "gc": Command("gc", "Reclaim storage: say what may go and why, or let it go."),
    "db": Command("db", "Compare and upgrade the database's schema."),
    "access": Command("access", "Who may do what, and why."),
    "admin": Command("admin", "People, services, groups, roles and tokens; and the way back in for who has none."),
}

_PLAIN: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}


def load(name: str) -> Any:
    """The command of that name, ready to run."""
    module = _imported(f"modelkeep.cli.{COMMANDS[name].module}")
    parent = typer.Typer(**_PLAIN)
    parent.callback()(_nothing)
    if hasattr(module, "app"):
        parent.add_typer(module.app, name=name)
    else:
        parent.command(name)(getattr(module, name))
    group = typer.main.get_group(parent)
    return group.commands[name]


def _imported(name: str) -> Any:
    """A module and all it imports.

    Nothing of that is ever thrown away, so the garbage collector rests meanwhile and leaves it alone afterwards: to
    look through it again and again would take a tenth of the start.
    """
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


class LazyGroup(TyperGroup):
    """A group whose commands are loaded when they are called for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as the library calls it
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command, loaded now; None where there is none of that name."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The names with their help, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])


def _nothing() -> None:
    pass


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"modelkeep {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="modelkeep",
    help="A self-hosted model registry that speaks MLflow and can prove what it says.",
    no_args_is_help=True,
    cls=LazyGroup,
    **_PLAIN,
)


@app.callback()
def options(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
    reason: str = typer.Option(
        "", envvar="MODELKEEP_REASON", help="Why: kept in the audit log with whatever the command changes."
    ),
) -> None:
    """A self-hosted model registry that speaks MLflow and can prove what it says."""
    given_reason.set(reason)
