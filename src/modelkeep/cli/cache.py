"""`modelkeep cache`: the files that pulls keep on this machine."""

import json

import typer

from modelkeep.cli.client import JSON
from modelkeep.cli.refusals import REFUSED
from modelkeep.cli.tables import counted
from modelkeep.cli.transfer.cache import Cache, boot_id, cache_folder
from modelkeep.environment import environment

app = typer.Typer(help="The files that `pull` keeps on this machine.", no_args_is_help=True)


@app.command("list")
def list_files(as_json: bool = JSON) -> None:
    """List the kept files by their SHA-256."""
    cache = _cache()
    files = list(cache.kept())
    if as_json:
        typer.echo(json.dumps({"folder": cache.folder, "files": [file._asdict() for file in files]}))
        return
    for file in files:
        typer.echo(f"{file.sha256}  {file.size}")
    size = sum(file.size for file in files)
    typer.echo(f"{counted(len(files), 'file')}, {counted(size, 'byte')} in {cache.folder}")


@app.command()
def clear(as_json: bool = JSON) -> None:
    """Forget every kept file, and what killed pulls have begun."""
    cache = _cache()
    freed = cache.clear()
    typer.echo(json.dumps({"freed": freed}) if as_json else f"{counted(freed, 'byte')} freed in {cache.folder}")


@app.command()
def verify(as_json: bool = JSON) -> None:
    """Hash every kept file; what is damaged is forgotten, and the exit code is 1."""
    cache = _cache()
    files = list(cache.kept())
    damaged = [file.sha256 for file in files if not cache.verify(file.sha256)]
    if as_json:
        typer.echo(json.dumps({"files": len(files), "damaged": damaged}))
    else:
        for sha256 in damaged:
            typer.echo(f"{sha256} was damaged and is forgotten")
        typer.echo(f"{counted(len(files), 'file')} hashed")
    if damaged:
        raise typer.Exit(REFUSED)


def _cache() -> Cache:
    return Cache(cache_folder(environment()), boot_id())
