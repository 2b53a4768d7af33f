"""`modelkeep pull`: copy the files that a URI stands for into a new folder, verified."""

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client
from modelkeep.cli.transfer.cache import Cache, boot_id, cache_folder
from modelkeep.cli.transfer.place import check_free
from modelkeep.cli.transfer.plan import read_plan
from modelkeep.cli.transfer.pulling import pull_plan
from modelkeep.cli.transfer.quick import report
from modelkeep.environment import environment


def pull(
    uri: str = typer.Argument(help="models:/NAME/3, models:/NAME@ALIAS, /STAGE, /latest, models:/m-ID, runs:/ID/PATH."),
    folder: str = typer.Argument(help="A folder that is absent or empty; it appears whole or not at all."),
    link: bool = typer.Option(False, "--link", help="Hard links to the cache's files, which must not be changed."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Copy a version's files into a new folder, verified.

    Files are kept in a cache (MODELKEEP_CACHE): the same bytes are fetched once, and a pull that was killed goes on.
    """
    client = Client(server, token, workspace)
    check_free(folder)
    plan = read_plan(uri, client.call("GET", "resolve", uri=uri))
    cache = Cache(cache_folder(environment()), boot_id())
    fetched = pull_plan(client.server, cache, plan, folder, link=link, shown=not as_json)
    typer.echo(report(plan, folder, fetched, as_json=as_json))
