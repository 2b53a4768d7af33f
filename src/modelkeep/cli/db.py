"""`modelkeep db`: compare the database's schema with this program's, and upgrade it."""

import json
from pathlib import Path

import typer

from modelkeep import tables
from modelkeep.cli.client import JSON
from modelkeep.config import BadSetting, Settings
from modelkeep.db import migrate
from modelkeep.db.migrate import SchemaReport, SchemaState

app = typer.Typer(help="Compare and upgrade the database's schema.", no_args_is_help=True)

DATA = typer.Option(Path("modelkeep-data"), envvar="MODELKEEP_DATA", help="The server's data folder.")
DATABASE = typer.Option("", envvar="MODELKEEP_DATABASE", help="The database, if it is not in the data folder.")

_SCHEMA_EXIT = 3
_WORDS = {
    SchemaState.EMPTY: "is empty; `modelkeep serve` will make the schema",
    SchemaState.CURRENT: "is up to date",
    SchemaState.OLDER: "is older than this program: run `modelkeep db upgrade --backup FILE`",
    SchemaState.NEWER: "is newer than this program: run the newer modelkeep",
}


@app.command()
def check(data: Path = DATA, database: str = DATABASE, as_json: bool = JSON) -> None:
    """Say whether this program can use the database; exit code 3 if not."""
    report = migrate.check(_url(data, database))
    _print(report, as_json)
    if report.state in {SchemaState.OLDER, SchemaState.NEWER}:
        raise typer.Exit(_SCHEMA_EXIT)


@app.command()
def upgrade(
    data: Path = DATA,
    database: str = DATABASE,
    backup: Path | None = typer.Option(None, help="Copy a SQLite database to this new file first."),
    as_json: bool = JSON,
) -> None:
    """Bring the database up to this program's schema. Stop the servers first."""
    url = _url(data, database)
    if backup is not None and not url.startswith("sqlite:///"):
        raise BadSetting("--backup copies SQLite files; back PostgreSQL up with pg_dump.")
    if backup is not None and backup.exists():
        raise BadSetting(f"--backup {backup} is there already; name a new file.")
    if migrate.check(url).state is SchemaState.NEWER:
        raise BadSetting("The database's schema is newer than this program; nothing was changed.")
    _print(migrate.upgrade(url, backup), as_json)


def _url(data: Path, database: str) -> str:
    return Settings(data=data, database=database).database_url


def _print(report: SchemaReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"state": report.state.value, "found": report.found, "needed": report.needed}))
    else:
        typer.echo(f"The database {_WORDS[report.state]} (schema {report.found or 'none'}, needed {report.needed}).")


__all__ = ["JSON", "app", "tables"]
