"""`modelkeep usage`: what a workspace holds, and which models most of it."""

import json
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.tables import bytes_text, counted, print_table


def usage(
    models: int = typer.Option(20, min=1, max=1000, help="How many of the largest models to show."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Show what the workspace holds, and which models hold most of it."""
    answer = Client(server, token, workspace).call("GET", "usage", limit=str(models))
    if as_json:
        typer.echo(json.dumps(answer))
        return
    print_table(("STORAGE", "BYTES"), _lines(answer["workspace"]))
    if answer["models"]:
        typer.echo("")
        print_table(
            ("MODEL", "VERSIONS", "FILES", "BYTES", "STORED"),
            [
                [
                    one["name"],
                    str(one["versions"]),
                    str(one["files"]),
                    bytes_text(one["logical_bytes"]),
                    bytes_text(one["stored_bytes"]),
                ]
                for one in answer["models"]
            ],
        )


def _lines(held: dict[str, Any]) -> list[list[str]]:
    lines = [
        ["files of runs and logged models", held["tree_bytes"]],
        [f"files of {counted(held['versions'], 'version')}", held["version_bytes"]],
        ["kept in the store, each byte once", held["stored_bytes"]],
        ["may be reclaimed", held["reclaimable_bytes"]],
    ]
    if "quota_bytes" in held:
        lines.append(["quota", held["quota_bytes"]])
    if "store" in held:
        lines.append(["the whole store, all workspaces", held["store"]["bytes"]])
        lines.append(["of that in the trash", held["store"]["trash_bytes"]])
    return [[text, bytes_text(size)] for text, size in lines]
