"""`modelkeep models`: list, show, retire and restore registered models of a running server."""

import json
from datetime import UTC, datetime
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.listing import moment
from modelkeep.cli.tables import print_table

app = typer.Typer(help="Registered models of a running server.", no_args_is_help=True)


@app.command("list")
def list_models(
    retired: bool = typer.Option(False, help="Those that were deleted and can be restored."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """List registered models."""
    client = Client(server, token, workspace)
    rows = list(_pages(client, "retired-models" if retired else "models"))
    if as_json:
        typer.echo(json.dumps(rows))
    elif retired:
        print_table(
            ("NAME", "ID", "RETIRED", "BY"),
            [[r["name"], r["id"], _day(r["retired_at"]), r["retired_by"]] for r in rows],
        )
    else:
        print_table(
            ("NAME", "VERSIONS UP TO", "UPDATED"),
            [[r["name"], str(r["last_version"]), _day(r["updated_at"])] for r in rows],
        )


@app.command()
def show(name: str, server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON) -> None:
    """Show a registered model and its versions with their digests."""
    client = Client(server, token, workspace)
    model = client.call("GET", "models", name)
    versions = list(_pages(client, "models", name, "versions"))
    if as_json:
        typer.echo(json.dumps({"model": model, "versions": versions}))
        return
    typer.echo(f"{model['name']}  (id {model['id']}, by {model['created_by']})")
    header = ("VERSION", "STAGE", "ALIASES", "DIGEST", "BY")
    print_table(
        header,
        [
            [str(v["version"]), v["stage"], ", ".join(v["aliases"]), v.get("digest") or v["origin"], v["created_by"]]
            for v in versions
        ],
    )


@app.command()
def retire(
    name: str, server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON
) -> None:
    """Take a registered model out of use; it can be restored for 30 days."""
    answer = Client(server, token, workspace).call("DELETE", "models", name)
    typer.echo(
        json.dumps(answer) if as_json else f"{name} is retired; `modelkeep models restore {name}` brings it back."
    )


@app.command()
def restore(
    name: str = typer.Argument(help="Its name, or its id where several of that name were retired."),
    new_name: str = typer.Option("", "--as", help="Restore under another name."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Bring a retired model back with all its versions, tags, aliases and stages."""
    body = {"new_name": new_name} if new_name else {}
    answer = Client(server, token, workspace).call("POST", "models", name, "restore", body=body)
    typer.echo(json.dumps(answer) if as_json else f"{answer['name']} is back.")


@app.command()
def inspect(
    name: str,
    version: int,
    again: bool = typer.Option(False, help="Have the files judged again; what was found before stands until then."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Show whether a version's files are safe to load, why not, and what they are made of."""
    method = "POST" if again else "GET"
    answer = Client(server, token, workspace).call(method, "models", name, "versions", str(version), "inspection")
    if as_json:
        typer.echo(json.dumps(answer))
        return
    typer.echo(f"{name} version {version}: {_judged(answer)}")
    findings = answer.get("findings", [])
    if findings:
        print_table(
            ("SEVERITY", "FILE", "FINDING"),
            [[f["severity"], " > ".join(filter(None, [f["file"], f.get("place")])), f["text"]] for f in findings],
        )
    kinds = answer.get("contents", {}).get("kinds", {})
    if kinds:
        print_table(("FILES", "KIND"), [[str(count), kind] for kind, count in sorted(kinds.items())])


@app.command()
def share(
    name: str,
    other: str = typer.Option(..., "--with", help="The workspace whose readers may read it."),
    until: str = typer.Option(..., help="The day (YYYY-MM-DD) or the moment (ISO 8601) when that ends; UTC."),
    reason: str = typer.Option("", help="Why, for whoever reviews it."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Let another workspace read a model for a while. Its people name this workspace to get at it."""
    body = {"workspace": other, "expires_at": moment(until), "reason": reason}
    answer = Client(server, token, workspace).call("POST", "models", name, "shares", body=body)
    ends = _day(answer["expires_at"])
    typer.echo(
        json.dumps(answer) if as_json else f"{name} can be read from {other} until {ends} (share {answer['id']})."
    )


@app.command()
def shares(
    name: str, server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON
) -> None:
    """List the workspaces that a model is shared with."""
    rows = Client(server, token, workspace).call("GET", "models", name, "shares")["items"]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    header = ("SHARE", "WITH", "UNTIL", "BY")
    ended = {True: " (over)", False: ""}
    print_table(
        header,
        [
            [str(r["id"]), r["workspace"], _day(r["expires_at"]) + ended[r.get("expired", False)], r["created_by"]]
            for r in rows
        ],
    )


@app.command()
def unshare(
    name: str, share: int, server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON
) -> None:
    """Share a model no more; the number is that of `modelkeep models shares`."""
    answer = Client(server, token, workspace).call("DELETE", "models", name, "shares", str(share))
    typer.echo(json.dumps(answer) if as_json else f"Share {share} of {name} is over.")


def _judged(answer: Any) -> str:
    if answer["state"] == "external":
        return "its files are not held here, so they are not inspected"
    if "verdict" not in answer:
        return "was reclaimed before it was inspected" if answer["state"] == "reclaimed" else "waits to be inspected"
    waiting = ", waits to be inspected again" if answer["state"] == "pending" else ""
    return f"{answer['verdict']} (rules {answer['rule_set']}, {_day(answer['inspected_at'])}{waiting})"


def _pages(client: Client, *segments: str) -> Any:
    cursor = ""
    while True:
        page = client.call("GET", *segments, **({"cursor": cursor} if cursor else {}))
        yield from page["items"]
        cursor = page.get("next_cursor") or ""
        if not cursor:
            return


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")
