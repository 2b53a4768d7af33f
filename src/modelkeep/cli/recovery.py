"""The way back in for somebody who can open the registry's database."""

import json
from pathlib import Path

import typer

from modelkeep.access import replace_administrator_token
from modelkeep.bootstrap import dispatch, open_database, prepare, require_schema
from modelkeep.config import Settings
from modelkeep.core.errors import BadSetting
from modelkeep.core.types import SYSTEM
from modelkeep.db import Tx
from modelkeep.db.migrate import SchemaState, check


def recover(data: Path, database: str, revoke_others: bool, as_json: bool) -> None:
    """Make an administrator's token and print it. Raises BadSetting where there is no registry."""
    url = Settings(data=data, database=database).database_url
    if check(url).state is SchemaState.EMPTY:
        place = f"The database of --database '{database.rpartition('@')[2]}'" if database else f"The folder {data}"
        raise BadSetting(
            f"{place} holds no registry, so that a token from it would be worth nothing. Name the server's data folder "
            "with --data, or its database with --database."
        )
    require_schema(url)
    opened = open_database(url, (dispatch,))

    def replace(tx: Tx) -> tuple[str, str]:
        prepare(tx)
        new = replace_administrator_token(tx, revoke_others=revoke_others)
        return new.id, new.text

    try:
        token_id, text = opened.write_now(SYSTEM, replace)
    finally:
        opened.close()
    typer.echo(json.dumps({"id": token_id, "token": text}) if as_json else f"export MLFLOW_TRACKING_TOKEN={text}")
