"""What `modelkeep audit` shows of entries: searched, exported, and the past that they tell."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.listing import day, pages
from modelkeep.cli.tables import counted, print_table

_ACTOR = typer.Option("", help="Who: the name of a person or service.")
_RESOURCE = typer.Option("", help="What: model/NAME, model/NAME/version/N, experiment/NAME, user/NAME, run/ID...")
_KIND = typer.Option("", help="How the kind of entry begins, such as model_version or access.refused.")
_OUTCOME = typer.Option("", help="done or refused.")
_SINCE = typer.Option("", help="From this day (2026-01-31) or moment (2026-01-31T12:00:00Z, now) on; UTC.")
_UNTIL = typer.Option("", help="Before this day or moment.")
_TOKEN_ID = typer.Option("", help="By which token: its id.")
_REQUEST = typer.Option("", "--request", help="In which request: its id.")
_EVERYWHERE = typer.Option(False, "--everywhere", help="In all workspaces.")
_LIMIT = typer.Option(50, min=1, help="How many, at most.")
_BLOCK = 64 * 1024


def search(
    actor: str = _ACTOR,
    resource: str = _RESOURCE,
    kind: str = _KIND,
    outcome: str = _OUTCOME,
    since: str = _SINCE,
    until: str = _UNTIL,
    token_id: str = _TOKEN_ID,
    request: str = _REQUEST,
    everywhere: bool = _EVERYWHERE,
    limit: int = _LIMIT,
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Show the newest entries that fit all that is given."""
    chosen = _chosen(actor, resource, kind, outcome, since, until, token_id, request, everywhere)
    client = Client(server, token, workspace)
    _show(islice(pages(client, "journal", limit=str(min(limit, 1000)), **chosen), limit), as_json)


def log(
    limit: int = _LIMIT, server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON
) -> None:
    """Show what was done and refused last."""
    client = Client(server, token, workspace)
    _show(islice(pages(client, "journal", limit=str(min(limit, 1000))), limit), as_json)


def export_entries(
    file: Path = typer.Argument(help="Where to; `-` is the standard output."),
    form: str = typer.Option("jsonl", "--format", help="jsonl or csv."),
    actor: str = _ACTOR,
    resource: str = _RESOURCE,
    kind: str = _KIND,
    outcome: str = _OUTCOME,
    since: str = _SINCE,
    until: str = _UNTIL,
    token_id: str = _TOKEN_ID,
    request: str = _REQUEST,
    everywhere: bool = _EVERYWHERE,
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Write all entries that fit to a file, the oldest first."""
    chosen = _chosen(actor, resource, kind, outcome, since, until, token_id, request, everywhere)
    target = f"/api/v1/journal/export?{urlencode({'format': form, **chosen})}"
    to_output = str(file) == "-"
    size = 0
    out = sys.stdout.buffer if to_output else file.open("wb")
    with Client(server, token, workspace).server.request("GET", target) as answer, out:
        while block := answer.read(_BLOCK):
            size += out.write(block)
    if not to_output:
        typer.echo(json.dumps({"bytes": size}) if as_json else f"{file} has {counted(size, 'byte')}.")


def as_of(
    resource: str = typer.Argument(
        help="model/NAME[/alias/ALIAS | /version/N], workspace/NAME, user/NAME, group/NAME."
    ),
    at: str = typer.Argument(help="The moment: now, 2026-01-31T12:00:00Z, or 2026-01-31 for the day's start in UTC."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Show what a thing was at a moment, and who made it so."""
    past = Client(server, token, workspace).call("GET", "as-of", resource=resource, at=at)
    if as_json:
        typer.echo(json.dumps(past))
        return
    typer.echo(f"{past['resource']}: {'was there' if past['exists'] else 'was not there'} at {day(past['at'])}")
    print_table(("WHAT", "VALUE", "SINCE", "BY", "ENTRY"), [_fact(one) for one in past["facts"]])


def downloads(
    name: str = typer.Argument("default", help="The workspace."),
    on: bool | None = typer.Option(None, "--on/--off", help="Say so; without it, show what was said."),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Show or say whether downloads in a workspace are entries."""
    client = Client(server, token, "")
    method, body = ("GET", None) if on is None else ("PUT", {"downloads": on})
    answer = client.call(method, "workspaces", name, "audit", body=body)
    are = "are" if answer["downloads"] else "are not"
    typer.echo(json.dumps(answer) if as_json else f"Downloads in {name} {are} entries of the audit log.")


def _chosen(*values: str | bool) -> dict[str, str]:
    names = ("actor", "resource", "kind", "outcome", "since", "until", "token_id", "request_id", "everywhere")
    given = zip(names, values, strict=True)
    return {name: "true" if value is True else str(value) for name, value in given if value}


def _show(found: Iterator[dict[str, Any]], as_json: bool) -> None:
    rows = list(found)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    print_table(
        ("ENTRY", "AT", "WHO", "KIND", "WHAT", "REASON"),
        [[str(r["id"]), day(r["at"]), r["actor"], r["kind"], _what(r), r.get("reason", "")] for r in rows],
    )


def _what(entry: dict[str, Any]) -> str:
    """What an entry is about, by the name that it had then, as `--resource` takes it; of a refusal the verb, too."""
    resource, data = entry["resource"], entry["data"]
    name, version = data.get("name"), data.get("version")
    kind = resource.partition("/")[0]
    if kind == "registered-model" and name:
        return f"model/{name}"
    if kind == "model-version" and name and version:
        return f"model/{name}/version/{version}"
    if kind in ("user", "group") and (name or "principal_name" in data):
        return str(data.get("principal_name") or f"{kind}/{name}")
    return f"{data['verb']} on {resource}" if entry["outcome"] == "refused" and "verb" in data else str(resource)


def _fact(fact: dict[str, Any]) -> list[str]:
    by = fact.get("by") or {}
    value = fact["value"] if isinstance(fact["value"], str) else json.dumps(fact["value"])
    what = " ".join(filter(None, [fact["what"], fact.get("key")]))
    return [what, value, day(by.get("at")), by.get("actor", ""), str(by.get("id", ""))]
