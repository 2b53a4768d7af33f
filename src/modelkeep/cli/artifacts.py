"""`modelkeep artifacts`: whether the stored bytes still are what they were."""

import json
import time
from collections.abc import Iterator
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.tables import bytes_text, counted, print_table
from modelkeep.cli.transfer.progress import progress_bar

app = typer.Typer(help="The stored bytes of a running server.", no_args_is_help=True)

# A call reads for some seconds from a disk, but the store may be far away and slow.
_PATIENCE_S = 600.0
_HOLDERS_SHOWN = 3


@app.command()
def verify(
    of: str = typer.Argument("", metavar="[MODEL[/VERSION]]", help="Only what this model or version is made of."),
    everything: bool = typer.Option(False, "--all", help="Everything that the store holds, of all workspaces."),
    deep: bool = typer.Option(False, help="By SHA-256 alone, also where quicker hashes are kept."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Rehash stored blobs and report each that is missing or wrong, with what it belongs to; exit code 1 if any is."""
    if bool(of) == everything:
        raise typer.BadParameter("say MODEL, MODEL/VERSION or --all")
    began = time.monotonic()
    total = _verified(Client(server, token, workspace), _scope(of) | {"deep": deep}, as_json)
    if as_json:
        typer.echo(json.dumps(total))
    else:
        _print_total(total, time.monotonic() - began)
    raise typer.Exit(1 if total["wrong"] else 0)


def _scope(of: str) -> dict[str, Any]:
    if not of:
        return {}
    name, slash, version = of.rpartition("/")
    if not slash:
        return {"model": of}
    if not version.isascii() or not version.isdecimal():
        raise typer.BadParameter(f"{version!r} is no version number: say MODEL or MODEL/VERSION")
    return {"model": name, "version": int(version)}


def _verified(client: Client, asked: dict[str, Any], as_json: bool) -> dict[str, Any]:
    pages = _pages(client, asked)
    page = next(pages)
    total: dict[str, Any] = {"checked": page["checked"], "bytes": page["bytes"], "wrong": page["wrong"]}
    with progress_bar("verifying", page["total"]["bytes"], shown=not as_json) as progress:
        progress(page["bytes"])
        for page in pages:
            progress(page["bytes"])
            for part in total:
                total[part] += page[part]
    return total


def _pages(client: Client, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = client.server.json("POST", "/api/v1/artifacts/verify", {**asked, "cursor": cursor}, _PATIENCE_S)
        yield page
        cursor = page.get("next_cursor") or ""
        if not cursor:
            return


def _print_total(total: dict[str, Any], seconds: float) -> None:
    wrong = total["wrong"]
    if wrong:
        print_table(
            ("PROBLEM", "BLOB", "BYTES", "WHY", "HELD BY"),
            [
                [one["problem"], one["sha256"][:16], bytes_text(one["size"]), one["detail"], _held_by(one["holders"])]
                for one in wrong
            ],
        )
        if any(one["certain"] for one in wrong):
            typer.echo("They are not served. Uploading the right bytes again, to any path, heals them.")
        if not all(one["certain"] for one in wrong):
            typer.echo("What could only not be read this time is served still: see to the store, and verify again.")
    found = f"{len(wrong)} wrong" if wrong else "all right"
    rate = bytes_text(int(total["bytes"] / max(seconds, 0.001)))
    typer.echo(f"{counted(total['checked'], 'blob')}, {bytes_text(total['bytes'])} verified at {rate}/s: {found}.")


def _held_by(holders: list[dict[str, Any]]) -> str:
    if not holders:
        return "nothing"
    more = len(holders) - _HOLDERS_SHOWN
    return "\n".join([*map(_holder, holders[:_HOLDERS_SHOWN]), *([f"and {more} more"] if more > 0 else [])])


def _holder(one: dict[str, Any]) -> str:
    where = f" ({one['workspace']})" if one.get("workspace", "default") != "default" else ""
    if "model" in one:
        return f"{one['model']} version {one['version']}: {one['path']}{where}"
    kind, key = next((name, one[f"{name}_id"]) for name in ("run", "logged_model", "push") if f"{name}_id" in one)
    return f"{kind.replace('_', ' ')} {key}: {one['path']}{where}"
