"""`modelkeep admin workspace`: the workspaces that teams are kept apart by."""

import json

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, Client
from modelkeep.cli.listing import day
from modelkeep.cli.tables import print_table

app = typer.Typer(help="Workspaces, which know nothing of one another.", no_args_is_help=True)


@app.command("list")
def list_workspaces(server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """List the workspaces that you may read in."""
    rows = Client(server, token, "").call("GET", "workspaces")["items"]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    print_table(
        ("NAME", "DESCRIPTION", "SINCE"),
        [[row["name"], row.get("description") or "", day(row["created_at"])] for row in rows],
    )


@app.command()
def create(
    name: str,
    description: str | None = typer.Option(None, help="What it is for."),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Make a workspace. Nobody but administrators holds a role there until `modelkeep admin role assign` gives one."""
    answer = Client(server, token, "").call("POST", "workspaces", body={"name": name, "description": description})
    said = f"The workspace {name} is made; `modelkeep admin role assign --workspace {name}` lets people in."
    typer.echo(json.dumps(answer) if as_json else said)
