"""`modelkeep admin token`: make, list and revoke API tokens."""

import json
from datetime import UTC, datetime
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, Client, Refused
from modelkeep.cli.listing import day, pages
from modelkeep.cli.tables import counted, print_table
from modelkeep.cli.wire import Missing

app = typer.Typer(help="API tokens.", no_args_is_help=True)

_EVERYBODY = typer.Option(False, "--everybody", help="All tokens of the registry, for administrators.")


@app.command("list")
def list_tokens(
    owner: str = typer.Option("", help="Those of this person and their services; for administrators."),
    everybody: bool = _EVERYBODY,
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """List your tokens and those of the services that you answer for."""
    client = Client(server, token, "")
    if owner:
        rows = list(pages(client, "tokens", owner=owner))
    else:
        rows = list(pages(client, "tokens") if everybody else pages(client, "me", "tokens"))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    header = ("PREFIX", "NAME", "OWNER", "STATE", "EXPIRES", "LAST USED", "LIMITED TO")
    print_table(
        header,
        [
            [
                row["prefix"],
                row["name"],
                row["owner"],
                row["state"].replace("_", " "),
                day(row.get("expires_at"), "never"),
                day(row.get("last_used_at"), "never"),
                _limits(row),
            ]
            for row in rows
        ],
    )


@app.command()
def create(
    name: str,
    service: str = typer.Option("", help="For this service that you answer for."),
    owner: str = typer.Option("", help="For this person or service; for administrators."),
    days: int | None = typer.Option(None, help="How long it lives; 90 days unless said, at most 365."),
    never_expires: bool = typer.Option(False, help="It lives until it is revoked; for administrators, with --owner."),
    only_workspace: list[str] = typer.Option([], help="All it can reach; may be given several times."),
    only_verb: list[str] = typer.Option([], help="All it can do: read, download, register, ...; several times."),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Make a token and show it once."""
    if service and owner:
        raise Refused("A token is for a service of yours (--service), or for anybody (--owner); not both.")
    if never_expires and not owner:
        raise Refused("Only an administrator makes tokens without an end: name whom it is for with --owner.")
    body: dict[str, Any] = {"name": name, "days": days}
    body |= {"workspaces": only_workspace or None, "verbs": only_verb or None}
    client = Client(server, token, "")
    if owner:
        answer = client.call("POST", "tokens", body=body | {"owner": owner, "never": never_expires})
    else:
        answer = client.call("POST", "me", "tokens", body=body | {"service": service or None})
    typer.echo(json.dumps(answer) if as_json else f"export MLFLOW_TRACKING_TOKEN={answer['token']}")


@app.command()
def revoke(
    token_id: str = typer.Argument("", help="Its id or prefix, as `list` shows it."),
    everything: bool = typer.Option(False, "--all", help="All tokens of the registry, for when one leaked."),
    since: str = typer.Option("", help="With --all: only those made since then, as 2026-11-22 or 2026-11-22T09:30."),
    own_too: bool = typer.Option(False, help="With --all: also the token that you send with this."),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Revoke a token, or in an emergency all of them. It holds everywhere within a second."""
    if everything == bool(token_id) or (since and not everything):
        raise Refused("Name the token to revoke, or say --all, if you like with --since.")
    client = Client(server, token, "")
    if everything:
        body = {"since": _moment(since) if since else 0, "keep_own": not own_too}
        answer = client.call("POST", "token-revocations", body=body)
        typer.echo(json.dumps(answer) if as_json else f"{counted(answer['revoked'], 'token')} revoked.")
        return
    answer = _revoked(client, token_id.removeprefix("mk_"))
    typer.echo(json.dumps(answer) if as_json else f"{token_id} is revoked.")


def _revoked(client: Client, token_id: str) -> Any:
    """Revoke one's own token, or else, as an administrator, somebody's."""
    try:
        return client.call("DELETE", "me", "tokens", token_id)
    except Missing:
        return client.call("DELETE", "tokens", token_id)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"--since is a day or a time in UTC, as 2026-11-22 or 2026-11-22T09:30, not {text!r}.") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _limits(row: dict[str, Any]) -> str:
    parts = [f"workspace {name}" for name in row.get("workspaces") or []] + list(row.get("verbs") or [])
    return ", ".join(parts)
