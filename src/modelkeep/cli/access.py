"""`modelkeep access`: why something is allowed or not, what somebody may do, and who may do what on a thing."""

import json
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.listing import pages
from modelkeep.cli.tables import print_table

app = typer.Typer(help="Who may do what, and why.", no_args_is_help=True)

_RESOURCE = typer.Argument(help="model/NAME, experiment/NAME, workspace/NAME or server.")


@app.command()
def explain(
    user: str = typer.Argument(help="A person or service."),
    verb: str = typer.Argument(help="Such as read, download, register, edit, alias, delete or manage."),
    resource: str = _RESOURCE,
    alias: str = typer.Option("", help="The alias of the model that would move."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Say whether somebody may do something, why, and who could let them."""
    query = {"user": user, "verb": verb, "resource": resource} | ({"alias": alias} if alias else {})
    answer = Client(server, token, workspace).call("GET", "access", "explain", **query)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    may = "may" if answer["allowed"] else "may not"
    typer.echo(f"{user} {may} {verb} {resource}: {answer['because']}.")
    if grant := answer.get("grant"):
        typer.echo(f"  by assignment {grant['assignment_id']}, on {_on(grant)}")
    if not answer["allowed"]:
        typer.echo(f"  can grant it: {', '.join(answer['who_can_grant']) or 'an administrator'}")
    if not answer["exists"]:
        kind, _, name = resource.partition("/")
        typer.echo(f"  No {kind} '{name}' is there, as far as you may know: so it would be with one of that name.")
    if not answer["can_sign_in"]:
        typer.echo(f"  {user} cannot sign in at present.")


@app.command()
def show(
    user: str = typer.Argument("", help="A person or service, if not you."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Show all that somebody was given, and where it comes from."""
    query = {"user": user} if user else {}
    answer = Client(server, token, workspace).call("GET", "access", "effective", **query)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    if not answer["can_sign_in"]:
        typer.echo(f"{answer['user']} cannot sign in at present.")
    header = ("WHAT", "ON", "FROM", "ASSIGNMENT")
    print_table(
        header, [[_verbs(one), _on(one), one["because"], str(one["assignment_id"])] for one in answer["grants"]]
    )


@app.command()
def review(
    resource: str = _RESOURCE,
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """List who may do what on a thing, and why."""
    rows = list(pages(Client(server, token, workspace), "access", "review", resource=resource))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    print_table(
        ("WHO", "KIND", "MAY", "WHY"),
        [[row["name"], row["kind"], ", ".join(row["verbs"]), _why(row["verbs"].values())] for row in rows],
    )


def _why(reasons: Any) -> str:
    return "; ".join(dict.fromkeys(reason.removeprefix("allowed by ") for reason in reasons))


def _verbs(grant: dict[str, Any]) -> str:
    word = "" if grant["effect"] == "allow" else "not "
    return word + ", ".join(grant["verbs"])


def _on(grant: dict[str, Any]) -> str:
    where = "all workspaces" if grant["workspace"] == "*" else f"workspace {grant['workspace']}"
    if grant["kind"] == grant["pattern"] == "*":
        return f"everything in {where}"
    aliases = "" if grant["aliases"] == "*" else f", aliases {grant['aliases']}"
    return f"{'any kind' if grant['kind'] == '*' else grant['kind']} {grant['pattern']}{aliases} in {where}"
