"""`modelkeep admin issuer`: whose signed tokens are exchanged for short ones of ours, and who people are elsewhere."""

import json
from pathlib import Path
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, Client, Refused
from modelkeep.cli.listing import day, pages
from modelkeep.cli.tables import print_table

app = typer.Typer(help="Trusted issuers: CI jobs and pods sign in without a secret.", no_args_is_help=True)


@app.command()
def trust(
    name: str,
    issuer: str = typer.Option(..., help="The https address that its tokens name as `iss`."),
    audience: str = typer.Option(..., help="What the tokens must be made for, such as this server's address."),
    service: str = typer.Option(..., help="The service that they speak for."),
    claim: list[str] = typer.Option(..., help="NAME=VALUE; VALUE may end in :* or /* and fits what goes on there."),
    keys: Path | None = typer.Option(None, help="File with the issuer's JWK set, where the server cannot reach it."),
    only_workspace: list[str] = typer.Option([], help="All it can reach; may be given several times."),
    only_verb: list[str] = typer.Option([], help="All it can do: read, download, register, ...; several times."),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Exchange an issuer's tokens that have these claims for short ones of a service."""
    asked: dict[str, Any] = {"name": name, "issuer": issuer, "audience": audience, "service": service}
    asked |= {"claims": dict(_claim(text) for text in claim)}
    asked |= {"keys": keys.read_text()} if keys else {}
    asked |= {"workspaces": only_workspace} if only_workspace else {}
    asked |= {"verbs": only_verb} if only_verb else {}
    answer = Client(server, token, "").call("POST", "issuers", body=asked)
    typer.echo(json.dumps(answer) if as_json else f"Tokens of {issuer} with these claims speak for {service}.")


@app.command("list")
def list_issuers(server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """List the trusted issuers."""
    rows = list(pages(Client(server, token, ""), "issuers"))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    plain = ("name", "issuer", "audience", "service")
    print_table(
        ("NAME", "ISSUER", "AUDIENCE", "SERVICE", "CLAIMS", "LIMITED TO", "SINCE"),
        [[*(row[of] for of in plain), _claims(row), _limits(row), day(row["created_at"])] for row in rows],
    )


@app.command()
def drop(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Trust an issuer no more; short tokens made before end by themselves within a quarter of an hour."""
    Client(server, token, "").call("DELETE", "issuers", name)
    typer.echo(json.dumps({"dropped": name}) if as_json else f"{name} is trusted no more.")


@app.command()
def link(
    name: str,
    issuer: str = typer.Option(..., help="The provider's address."),
    subject: str = typer.Option(..., help="What the provider calls this person (`sub`)."),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Let somebody sign in through the identity provider as the person that they are here."""
    body = {"issuer": issuer, "subject": subject}
    Client(server, token, "").call("POST", "users", name, "logins", body=body)
    typer.echo(json.dumps({"linked": name}) if as_json else f"{subject} at {issuer} is {name}.")


def _claim(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise Refused(f"--claim is NAME=VALUE, not {text!r}.")
    return name, value


def _claims(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(row["claims"].items()))


def _limits(row: dict[str, Any]) -> str:
    return ", ".join([*row.get("workspaces", []), *row.get("verbs", [])]) or "nothing"
