"""`modelkeep admin role`: what roles there are, and who holds them."""

import json
from collections.abc import Callable
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client, Refused
from modelkeep.cli.listing import day, moment, pages
from modelkeep.cli.tables import print_table

app = typer.Typer(help="Roles, and who holds them.", no_args_is_help=True)

_EVERYWHERE = typer.Option(False, "--everywhere", help="In all workspaces.")
_KIND = typer.Option("*", help="What it is about: model, experiment, workspace, or * for all.")
_PATTERN = typer.Option("*", help="Which of them: *, the beginning of names and *, or id: and a lasting id.")
_MODEL = typer.Option("", help="One model, whatever it is called later.")
_EXPERIMENT = typer.Option("", help="One experiment, by id or name.")
_PRINCIPAL = typer.Argument(help="user/NAME, of a person or a service, or group/NAME.")
_UNTIL = typer.Option("", help="The day (YYYY-MM-DD) or the moment (ISO 8601) when it ends; UTC unless it says.")


@app.command("list")
def list_roles(server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON) -> None:
    """List the roles that can be given in a workspace."""
    rows = Client(server, token, workspace).call("GET", "roles")["items"]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    header = ("ROLE", "WORKSPACE", "DESCRIPTION")
    print_table(header, [[row["name"], row["workspace"], row.get("description") or ""] for row in rows])


@app.command()
def create(
    name: str,
    description: str = typer.Option("", help="What it is for."),
    everywhere: bool = _EVERYWHERE,
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Make a role. It allows nothing until `modelkeep admin role allow` says what."""
    body = {"name": name, "description": description or None, "everywhere": everywhere}
    answer = Client(server, token, workspace).call("POST", "roles", body=body)
    _say(answer, f"The role {name} is made; it allows nothing yet.", as_json)


@app.command()
def show(name: str, server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON) -> None:
    """Show what a role allows and denies, and who holds it in the workspace."""
    client = Client(server, token, workspace)
    role = _role(client, name)
    holders = list(pages(client, "assignments", role_id=str(role["id"])))
    if as_json:
        typer.echo(json.dumps({"role": role, "assignments": holders}))
        return
    typer.echo(f"{role['name']}  (workspace {role['workspace']}{', built in' if role['built_in'] else ''})")
    if role["built_in"]:
        typer.echo(f"  allows {', '.join(role['verbs'])}")
    for one in role.get("permissions") or []:
        typer.echo(f"  [{one['id']}] {_permission(one)}")
    if holders:
        print_assignments(holders)


def _saying(effect: str) -> Callable[..., None]:
    """The command by which a role allows verbs, or denies them."""

    def say(
        role: str,
        verbs: list[str],
        kind: str = _KIND,
        pattern: str = _PATTERN,
        model: str = _MODEL,
        experiment: str = _EXPERIMENT,
        aliases: str = typer.Option("*", help="The aliases that the verb alias is for: *, a beginning and *, or one."),
        server: str = SERVER,
        token: str = TOKEN,
        workspace: str = WORKSPACE,
        as_json: bool = JSON,
    ) -> None:
        what = {"kind": kind, "pattern": pattern, "model": model, "experiment": experiment, "aliases": aliases}
        _add(Client(server, token, workspace), role, what | {"verbs": verbs, "effect": effect}, as_json)

    return say


app.command("allow", help="Let a role allow verbs (such as read, edit, alias) on things.")(_saying("allow"))
app.command("deny", help="Let a role deny verbs on things. Whatever else allows them, what is denied stays denied.")(
    _saying("deny")
)


@app.command()
def remove(
    role: str,
    permission: int = typer.Argument(help="The number that `modelkeep admin role show` has in brackets."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Take a permission from a role."""
    client = Client(server, token, workspace)
    answer = client.call("DELETE", "roles", str(_role(client, role)["id"]), "permissions", str(permission))
    _say(answer, f"The role {role} has one permission less.", as_json)


@app.command()
def delete(
    name: str, server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON
) -> None:
    """Delete a role. Whoever held it loses what it allowed."""
    client = Client(server, token, workspace)
    answer = client.call("DELETE", "roles", str(_role(client, name)["id"]))
    _say(answer, f"The role {name} is deleted.", as_json)


@app.command()
def assign(
    principal: str = _PRINCIPAL,
    role: str = typer.Argument(),
    everywhere: bool = _EVERYWHERE,
    kind: str = _KIND,
    pattern: str = _PATTERN,
    model: str = _MODEL,
    experiment: str = _EXPERIMENT,
    denied: bool = typer.Option(False, "--deny", help="Deny what the role would allow."),
    until: str = _UNTIL,
    reason: str = typer.Option("", help="Why, for whoever reviews it."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Give somebody a role in a workspace, or on part of it."""
    body: dict[str, Any] = {"principal": principal, "role": role, "effect": "deny" if denied else "allow"}
    body |= {"kind": kind, "pattern": pattern, "model": model, "experiment": experiment, "reason": reason}
    body |= {"workspace": "*"} if everywhere else {}
    body |= {"expires_at": moment(until)} if until else {}
    answer = Client(server, token, workspace).call("POST", "assignments", body=body)
    _say(answer, f"{principal}: {_assignment(answer)} (assignment {answer['id']}).", as_json)


@app.command()
def unassign(
    assignment: int = typer.Argument(help="Its number, as `modelkeep admin role show` or `assignments` has it."),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Take a role back."""
    client = Client(server, token, "")
    _say(client.call("DELETE", "assignments", str(assignment)), f"Assignment {assignment} is taken back.", as_json)


@app.command("assignments")
def list_assignments(
    principal: str = typer.Option("", help="Those of user/NAME or group/NAME."),
    everywhere: bool = _EVERYWHERE,
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """List who holds which role in a workspace."""
    query = {"principal": principal} if principal else {}
    query |= {"workspace": "*"} if everywhere else {}
    rows = list(pages(Client(server, token, workspace), "assignments", **query))
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        print_assignments(rows)


def print_assignments(rows: list[dict[str, Any]]) -> None:
    """Print who holds which role on what."""
    header = ("ID", "WHO", "ROLE", "WORKSPACE", "ON", "UNTIL")
    print_table(header, [_columns(row) for row in rows])


def _columns(row: dict[str, Any]) -> list[str]:
    role = row["role"] if row["effect"] == "allow" else f"not {row['role']}"
    ended = " (over)" if row.get("expired") else ""
    return [str(row["id"]), row["principal"], role, row["workspace"], _on(row), day(row.get("expires_at")) + ended]


def _add(client: Client, role: str, permission: dict[str, Any], as_json: bool) -> None:
    answer = client.call("POST", "roles", str(_role(client, role)["id"]), "permissions", body=permission)
    _say(answer, f"The role {role} {_permission(answer)}.", as_json)


def _role(client: Client, name: str) -> dict[str, Any]:
    """The role of this name: the workspace's own before one known everywhere."""
    found = [row for row in client.call("GET", "roles")["items"] if row["name"] == name]
    if not found:
        raise Refused(f"No role has the name '{name}' here; `modelkeep admin role list` shows those that there are.")
    return min(found, key=lambda row: row["workspace"] == "*")


def _permission(row: dict[str, Any]) -> str:
    aliases = "" if row["aliases"] == "*" else f", aliases {row['aliases']}"
    word = "allows" if row["effect"] == "allow" else "denies"
    return f"{word} {', '.join(row['verbs'])} on {_on(row)}{aliases}"


def _assignment(row: dict[str, Any]) -> str:
    where = "all workspaces" if row["workspace"] == "*" else f"workspace {row['workspace']}"
    word = "" if row["effect"] == "allow" else "not "
    until = f", until {day(row['expires_at'])}" if row.get("expires_at") else ""
    return f"{word}{row['role']} on {_on(row)} in {where}{until}"


def _on(row: dict[str, Any]) -> str:
    if row["kind"] == row["pattern"] == "*":
        return "everything"
    return f"{'any kind' if row['kind'] == '*' else row['kind']} {row['pattern']}"


def _say(answer: Any, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(answer) if as_json else text)
