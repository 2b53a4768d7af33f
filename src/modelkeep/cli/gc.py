"""`modelkeep gc`: what may be reclaimed and why, or with `--apply` reclaim it."""

import json
from collections.abc import Iterator
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.tables import bytes_text, print_table

_LISTED = 50
_GROUPS = {"run": "deleted runs", "logged_model": "deleted logged models"}
_STEPS = ("versions", "deleted_files", "trashed", "deleted")


def gc(
    apply: bool = typer.Option(False, "--apply", help="Do it. Without this, only say what would go."),
    older_than: int = typer.Option(30, help="Take what was deleted or retired before so many days."),
    trash_days: int = typer.Option(7, help="Delete what has been in the trash for so many days."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Reclaim storage: versions outside the retention rules, what was deleted long ago, bytes that nothing names."""
    client = Client(server, token, workspace)
    asked = {"older_than_days": older_than, "trash_days": trash_days}
    if apply:
        _print_done(_applied(client, asked), as_json)
    else:
        _print_items(_items(client, asked), as_json)


def _items(client: Client, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = client.call("POST", "gc", body={**asked, "cursor": cursor})
        yield from page.get("items", [])
        cursor = page.get("next_cursor") or ""
        if not cursor:
            return


def _applied(client: Client, asked: dict[str, Any]) -> dict[str, dict[str, int]]:
    """What all calls together did, until one says that nothing is left to do."""
    total = {step: {"count": 0, "bytes": 0} for step in _STEPS}
    cursor: str | None = ""
    while cursor is not None:
        answer = client.call("POST", "gc", body={**asked, "apply": True, "cursor": cursor})
        for step in _STEPS:
            for of in ("count", "bytes"):
                total[step][of] += answer[step][of]
        cursor = answer.get("next_cursor")
    return total


def _print_done(total: dict[str, dict[str, int]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(total))
        return
    print_table(
        ("DONE", "COUNT", "BYTES"),
        [
            [text, str(total[step]["count"]), bytes_text(total[step]["bytes"])]
            for step, text in (
                ("versions", "versions whose files were let go of"),
                ("deleted_files", "files of deleted runs and logged models"),
                ("trashed", "blobs put into the trash"),
                ("deleted", "blobs deleted from the trash"),
            )
        ],
    )


def _print_items(items: Iterator[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        # One a line, as they come: there may be very many.
        for item in items:
            typer.echo(json.dumps(item))
        return
    sums: dict[str, list[int]] = {}
    shown: list[list[str]] = []
    for item in items:
        found = sums.setdefault(_group(item), [0, 0])
        found[0] += 1
        found[1] += item["bytes"]
        if len(shown) < _LISTED:
            shown.append([_what(item), bytes_text(item["bytes"]), _why(item)])
    if not shown:
        typer.echo("Nothing may go.")
        return
    print_table(("WHAT", "BYTES", "WHY"), shown)
    count = sum(number for number, _ in sums.values())
    if count > len(shown):
        typer.echo(f"... and {count - len(shown)} more; --json lists all of them.")
    typer.echo("")
    print_table(("OF", "COUNT", "BYTES"), [[of, str(n), bytes_text(size)] for of, (n, size) in sorted(sums.items())])
    typer.echo("Nothing was changed; --apply does it.")


def _group(item: dict[str, Any]) -> str:
    if item["kind"] == "version":
        return f"model {item['name']}"
    return _GROUPS.get(item["kind"], "bytes that nothing names")


def _what(item: dict[str, Any]) -> str:
    if item["kind"] == "version":
        return f"{item['name']} version {item['version']}"
    if "sha256" in item:
        return f"{item['kind']} {item['sha256'][:16]}"
    return f"{item['kind'].replace('_', ' ')} {item['id']}"


def _why(item: dict[str, Any]) -> str:
    if "frees" in item and item["frees"] < item["bytes"]:
        return f"{item['reason']} ({bytes_text(item['frees'])} of it is named by nothing else)"
    return f"{item['reason']} (in the trash)" if "trashed_at" in item else str(item["reason"])
