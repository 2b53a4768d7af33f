"""`modelkeep admin group`: groups and who is in them."""

import json

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, Client
from modelkeep.cli.listing import day, pages
from modelkeep.cli.tables import print_table

app = typer.Typer(help="Groups and who is in them.", no_args_is_help=True)

_DESCRIPTION = typer.Option(None, help="What the group is for.")


@app.command("list")
def list_groups(server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """List groups."""
    rows = list(pages(Client(server, token, ""), "groups"))
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
    description: str | None = _DESCRIPTION,
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Make a group."""
    answer = Client(server, token, "").call("POST", "groups", body={"name": name, "description": description})
    typer.echo(json.dumps(answer) if as_json else f"{name} is made.")


@app.command()
def describe(name: str, description: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Give a group another description."""
    answer = Client(server, token, "").call("PATCH", "groups", name, body={"description": description or None})
    typer.echo(json.dumps(answer) if as_json else f"{name} is described.")


@app.command()
def rename(name: str, new_name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Give a group another name. Who is in it and what it may do stays.

    An identity provider finds groups by name: change it there too, or in MODELKEEP_OIDC_GROUPS.
    """
    answer = Client(server, token, "").call("POST", "groups", name, "rename", body={"new_name": new_name})
    typer.echo(json.dumps(answer) if as_json else f"{name} is {new_name} now.")


@app.command()
def delete(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Delete a group, and with it what it may do; a later one of the same name is another."""
    answer = Client(server, token, "").call("DELETE", "groups", name)
    typer.echo(json.dumps(answer) if as_json else f"{name} is deleted.")


@app.command()
def members(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """List who is in a group, and who says so."""
    rows = list(pages(Client(server, token, ""), "groups", name, "members"))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    print_table(
        ("NAME", "KIND", "DISPLAY NAME", "PUT THERE BY"),
        [[row["name"], row["kind"], row.get("display_name") or "", ", ".join(row["sources"])] for row in rows],
    )


@app.command()
def add(name: str, member: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Put a person or service into a group."""
    answer = Client(server, token, "").call("PUT", "groups", name, "members", member)
    typer.echo(json.dumps(answer) if as_json else f"{member} is in {name}.")


@app.command()
def remove(name: str, member: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Take a person or service out of a group."""
    answer = Client(server, token, "").call("DELETE", "groups", name, "members", member)
    typer.echo(json.dumps(answer) if as_json else f"{member} is not in {name}.")
