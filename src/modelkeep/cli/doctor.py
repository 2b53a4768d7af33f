"""`modelkeep doctor`: whether every part of a running registry works, and whether database and store agree."""

import json
from collections.abc import Iterator
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.db.clock import now_ms

_EXAMPLES = 5
_CLOCKS_APART_MS = 60_000
_COLOURS = {"ok": "green", "warn": "yellow", "bad": "red"}


def doctor(server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON) -> None:
    """Look at every part, and compare database and store; exit code 1 if anything is bad."""
    lines: list[dict[str, Any]] = []
    compared = 0
    for page in _pages(Client(server, token, workspace)):
        if not lines:
            lines += _clocks(page["now"])
        compared += page["compared"]
        for line in page["lines"]:
            _add(lines, line)
    if not any(line["name"] == "agreement" for line in lines):
        lines.append({"name": "agreement", "status": "ok", "text": f"database and store agree ({compared} compared)"})
    if as_json:
        typer.echo(json.dumps({"lines": lines, "compared": compared}))
    else:
        _print(lines)
    raise typer.Exit(1 if any(line["status"] == "bad" for line in lines) else 0)


def _pages(client: Client) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = client.call("POST", "doctor", body={"cursor": cursor})
        yield page
        cursor = page.get("next_cursor") or ""
        if not cursor:
            return


def _clocks(server_now: int) -> list[dict[str, Any]]:
    apart = abs(now_ms() - server_now)
    if apart <= _CLOCKS_APART_MS:
        return []
    text = f"the server's and this machine's are {apart // 1000} s apart"
    return [{"name": "clock", "status": "warn", "text": text, "remedy": "Set the clocks of both (NTP)."}]


def _add(lines: list[dict[str, Any]], line: dict[str, Any]) -> None:
    """Add a line, or to the line that says the same of things on an earlier page."""
    for known in lines:
        if "count" in line and (known["name"], known["text"]) == (line["name"], line["text"]):
            known["count"] += line["count"]
            known["examples"] += line["examples"]
            return
    lines.append(line)


def _print(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        status = typer.style(f"{line['status']:<5}", fg=_COLOURS[line["status"]])
        count = f": {line['count']}" if "count" in line else ""
        typer.echo(f"{status}{line['name']:<11}{line['text']}{count}")
        for example in line.get("examples", [])[:_EXAMPLES]:
            typer.echo(f"{'':<18}{example}")
        if line.get("remedy"):
            typer.echo(f"{'':<16}{line['remedy']}")
