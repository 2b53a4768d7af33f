"""`modelkeep admin`: people, services, groups and tokens of a running registry, and a way back in without any."""

import importlib
from pathlib import Path

import typer

from modelkeep.cli import admin_groups, admin_issuers, admin_people, admin_roles, admin_tokens, admin_workspaces
from modelkeep.cli.client import JSON

app = typer.Typer(help="Who may sign in to a registry.", no_args_is_help=True)
app.add_typer(admin_people.users, name="user")
app.add_typer(admin_people.services, name="service")
app.add_typer(admin_groups.app, name="group")
app.add_typer(admin_tokens.app, name="token")
app.add_typer(admin_roles.app, name="role")
app.add_typer(admin_workspaces.app, name="workspace")
app.add_typer(admin_issuers.app, name="issuer")
app.command("whoami")(admin_people.who_am_i)
app.command("password")(admin_people.change_own_password)


@app.callback()
def group() -> None:
    """Who may sign in to a registry."""


@app.command()
def recover(
    data: Path = typer.Option(Path("modelkeep-data"), envvar="MODELKEEP_DATA", help="The server's data folder."),
    database: str = typer.Option(
        "", envvar="MODELKEEP_DATABASE", help="The database, if it is not in the data folder."
    ),
    revoke_others: bool = typer.Option(False, help="Make every other token worthless, for when one leaked."),
    as_json: bool = JSON,
) -> None:
    """Make an administrator's token and show it once, for when the first was lost or leaked.

    It works on the registry's own database: on SQLite with the server stopped.
    """
    # The database's part of the program takes longer to load than all of the rest here.
    importlib.import_module("modelkeep.cli.recovery").recover(data, database, revoke_others, as_json)
