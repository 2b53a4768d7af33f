"""The command line's connection to a running server: the native API with the caller's token."""

from typing import Any
from urllib.parse import quote

import typer

from modelkeep.cli.reason import reason
from modelkeep.cli.refusals import Refused, ServerGone
from modelkeep.cli.wire import Server

__all__ = ["JSON", "SERVER", "TOKEN", "WORKSPACE", "Client", "Refused", "ServerGone"]

SERVER = typer.Option(
    "http://127.0.0.1:5000", "--server", envvar=["MODELKEEP_URL", "MLFLOW_TRACKING_URI"], help="The server's address."
)
TOKEN = typer.Option("", "--token", envvar="MLFLOW_TRACKING_TOKEN", help="Your API token.", show_default=False)
WORKSPACE = typer.Option("", "--workspace", envvar="MLFLOW_WORKSPACE", help="The workspace, if not `default`.")
JSON = typer.Option(False, "--json", help="Answer in JSON.")


class Client:
    """Calls of the native API."""

    def __init__(self, server: str, token: str, workspace: str) -> None:
        self.server = Server(server, token, workspace, reason.get())
        self.workspace = workspace

    def call(self, method: str, *segments: str, body: object = None, **query: str) -> Any:
        """The decoded answer of `/api/v1/<segments>`; `Refused` or `ServerGone`."""
        target = "/".join(["/api/v1", *(quote(one, safe="") for one in segments)])
        if query:
            target += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return self.server.json(method, target, body)
