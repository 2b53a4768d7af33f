"""The command line's connection to a running server: the native API with the caller's token."""

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import typer

SERVER = typer.Option(
    "http://127.0.0.1:5000", "--server", envvar=["MODELKEEP_URL", "MLFLOW_TRACKING_URI"], help="The server's address."
)
TOKEN = typer.Option("", "--token", envvar="MLFLOW_TRACKING_TOKEN", help="Your API token.", show_default=False)
WORKSPACE = typer.Option("", "--workspace", envvar="MLFLOW_WORKSPACE", help="The workspace, if not `default`.")

_TIMEOUT_S = 60


class Refused(Exception):
    """The server refused; the text is its explanation."""


class ServerGone(Exception):
    """The server does not answer."""


class Client:
    """Calls of the native API."""

    def __init__(self, server: str, token: str, workspace: str) -> None:
        if not server.startswith(("http://", "https://")):
            raise Refused(f"--server {server} is not an http:// or https:// address.")
        self._server = server.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if workspace:
            self._headers["X-MLFLOW-WORKSPACE"] = workspace

    def call(self, method: str, *segments: str, body: object = None, **query: str) -> Any:
        """The decoded answer of `/api/v1/<segments>`; `Refused` or `ServerGone`."""
        address = "/".join([f"{self._server}/api/v1", *(quote(one, safe="") for one in segments)])
        if query:
            address += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        headers, data = dict(self._headers), None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        try:
            with urlopen(Request(address, data, headers, method=method), timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return json.loads(answer.read() or b"{}")
        except HTTPError as error:
            raise Refused(_explanation(error)) from error
        except (URLError, OSError) as error:
            raise ServerGone(f"{self._server} does not answer: {getattr(error, 'reason', error)}.") from error


def _explanation(error: HTTPError) -> str:
    try:
        problem = json.loads(error.read())
    except ValueError:
        return f"The server answered {error.code}."
    return str(problem.get("detail") or problem.get("message") or f"The server answered {error.code}.")
