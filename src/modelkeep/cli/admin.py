"""`modelkeep admin`: what only somebody with access to the database may do."""

import json
from pathlib import Path

import typer

from modelkeep.access import replace_administrator_token
from modelkeep.bootstrap import open_database, require_schema
from modelkeep.cli.db import DATA, DATABASE, JSON
from modelkeep.config import Settings
from modelkeep.core.types import SYSTEM

app = typer.Typer(help="Work on the registry's own database, with the server stopped.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Work on the registry's own database; on SQLite with the server stopped."""


@app.command()
def token(
    data: Path = DATA,
    database: str = DATABASE,
    revoke_others: bool = typer.Option(False, help="Make every other token worthless, for when one leaked."),
    as_json: bool = JSON,
) -> None:
    """Make a new administrator token and show it once, for when the first was lost or leaked."""
    url = Settings(data=data, database=database).database_url
    require_schema(url)
    opened = open_database(url)
    try:
        new = opened.write_now(SYSTEM, lambda tx: replace_administrator_token(tx, revoke_others=revoke_others))
    finally:
        opened.close()
    typer.echo(json.dumps({"id": new.id, "token": new.text}) if as_json else f"export MLFLOW_TRACKING_TOKEN={new.text}")
