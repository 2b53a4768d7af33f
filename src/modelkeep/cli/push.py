"""`modelkeep push`: register a folder as a new version."""

import json
from pathlib import Path

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.tables import counted
from modelkeep.cli.transfer.cache import cache_folder
from modelkeep.cli.transfer.pushing import Pushed, Wanted, scan_folder
from modelkeep.cli.transfer.pushing import push as push_folder
from modelkeep.core.errors import BadSetting
from modelkeep.environment import environment


def push(
    folder: Path = typer.Argument(help="A folder of files, with an MLmodel among them or not."),
    model: str = typer.Option(..., help="The registered model that gets a new version."),
    alias: str = typer.Option("", help="An alias that shall point at the version."),
    description: str | None = typer.Option(None, help="What to say of the version."),
    tag: list[str] = typer.Option([], help="KEY=VALUE; any number of times."),
    create: bool = typer.Option(False, "--create", help="Make the model if it is not there."),
    force: bool = typer.Option(False, "--force", help="A new version even if the newest has exactly these files."),
    follow_links: bool = typer.Option(False, "--follow-links", help="Take what symbolic links point at."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Register a folder as a new version, unless the newest version has exactly these files.

    A push that was killed goes on where it stopped when it is started again.
    """
    tags = dict(map(_tag, tag))
    wanted = Wanted(folder, model, alias, description, tags, create, force, follow_links)
    found = scan_folder(wanted)
    if not as_json:
        for line in found.left_out:
            typer.echo(f"note: {line}", err=True)
    client = Client(server, token, workspace)
    pushed = push_folder(client, Path(cache_folder(environment())), wanted, found, shown=not as_json)
    typer.echo(json.dumps(pushed._asdict() | {"left_out": found.left_out}) if as_json else _told(pushed))


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadSetting(f"--tag is KEY=VALUE, not '{text}'.")
    return key, value


def _told(pushed: Pushed) -> str:
    if pushed.is_new:
        amount = f"{counted(pushed.files, 'file')}, {counted(pushed.size, 'byte')}"
        what = f"{pushed.name} version {pushed.version} is registered: {amount}."
    else:
        what = f"{pushed.name} version {pushed.version} has exactly these files: nothing to do (--force makes another)."
    return f"{what}\n{pushed.digest}"
