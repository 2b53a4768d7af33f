"""A pull with nothing loaded that it can spare, which for files that are in the cache is most of the command.

Whatever is out of the ordinary, in the arguments or on the way, is left to the full command.
"""

import importlib
import json
import socket
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from modelkeep.cli.tables import counted
from modelkeep.cli.transfer.cache import Cache, boot_id, cache_folder
from modelkeep.cli.transfer.place import check_free, place
from modelkeep.cli.transfer.plan import Plan, read_plan
from modelkeep.environment import environment

_TIMEOUT_S = 10
_FLAGS = {"--json", "--link"}
_VALUES = {"--server": "server", "--token": "token", "--workspace": "workspace"}
_DEFAULT_SERVER = "http://127.0.0.1:5000"


class Asked(NamedTuple):
    """A pull's arguments."""

    uri: str
    folder: str
    flags: set[str]
    values: dict[str, str]


class Place(NamedTuple):
    """Where the server is, and who asks."""

    address: str
    token: str
    workspace: str


def pulled(arguments: list[str]) -> bool:
    """Whether the pull was done; if not, nothing was. Raises Refused, ServerGone or OSError."""
    asked = _read(arguments)
    if asked is None:
        return False
    variables = environment()
    server = _server(asked, variables)
    answer = _resolve(server, asked.uri)
    if answer is None:
        return False
    plan = read_plan(asked.uri, answer)
    check_free(asked.folder)
    fetched = _made(server, Cache(cache_folder(variables), boot_id()), plan, asked)
    sys.stdout.write(report(plan, asked.folder, fetched, as_json="--json" in asked.flags) + "\n")
    return True


def _made(server: Place, cache: Cache, plan: Plan, asked: Asked) -> int:
    """Make the folder; how many bytes came from the server for it."""
    link = "--link" in asked.flags
    if all(cache.has(file.sha256, file.size) for file in plan.files):
        try:
            place(cache, plan.files, asked.folder, link=link)
            return 0
        except FileNotFoundError:  # somebody clears the cache
            pass
    # Only now, as to load all that this needs takes as long as the rest.
    pulling = importlib.import_module("modelkeep.cli.transfer.pulling")
    wire = importlib.import_module("modelkeep.cli.wire").Server(*server)
    shown = "--json" not in asked.flags
    return int(pulling.pull_plan(wire, cache, plan, asked.folder, link=link, shown=shown))


def report(plan: Plan, folder: str, fetched: int, *, as_json: bool) -> str:
    """What is told of a pull that is done; `fetched` bytes came from the server."""
    if as_json:
        told = {"uri": plan.uri, "kind": plan.kind, "name": plan.name, "version": plan.version, "digest": plan.digest}
        counts = {"files": len(plan.files), "size": plan.size, "fetched": fetched}
        return json.dumps(told | counts | {"folder": folder})
    origin = "all of it from the cache" if not fetched else f"{fetched} of {plan.size} bytes fetched"
    return f"{plan.shown} is in {folder}: {counted(len(plan.files), 'file')}, {origin}.\n{plan.digest}"


def _read(arguments: list[str]) -> Asked | None:
    """The arguments, if they are but the usual ones."""
    places: list[str] = []
    asked = Asked("", "", set(), {})
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument in _FLAGS:
            asked.flags.add(argument)
        elif name in _VALUES:
            given = value if equals else next(rest, None)
            if given is None:
                return None
            asked.values[_VALUES[name]] = given
        elif argument.startswith("-"):
            return None
        else:
            places.append(argument)
    return asked._replace(uri=places[0], folder=places[1]) if len(places) == 2 else None


def _server(asked: Asked, variables: Mapping[str, str]) -> Place:
    address = asked.values.get("server") or variables.get("MODELKEEP_URL") or variables.get("MLFLOW_TRACKING_URI")
    token = asked.values.get("token") or variables.get("MLFLOW_TRACKING_TOKEN") or ""
    workspace = asked.values.get("workspace") or variables.get("MLFLOW_WORKSPACE") or ""
    return Place(address or _DEFAULT_SERVER, token, workspace)


def _resolve(server: Place, uri: str) -> Any:
    host, slash, prefix = server.address.removeprefix("http://").partition("/")
    name, colon, port = host.rpartition(":")
    if "://" in host or not colon or not port.isdecimal() or not name.replace(".", "").replace("-", "").isalnum():
        return None
    target = f"{slash}{prefix}".rstrip("/") + "/api/v1/resolve?uri=" + _escaped(uri)
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Accept: application/json", "Connection: close"]
    if server.token:
        lines.append(f"Authorization: Bearer {server.token}")
    if server.workspace:
        lines.append(f"X-MLFLOW-WORKSPACE: {server.workspace}")
    if any("\r" in line or "\n" in line or not line.isascii() for line in lines):
        return None
    return _answered(name, int(port), "\r\n".join([*lines, "", ""]).encode())


def _escaped(text: str) -> str:
    """A text for the query; all of it is escaped, which every server undoes."""
    return "".join(f"%{byte:02X}" for byte in text.encode(errors="replace"))


def _answered(host: str, port: int, request: bytes) -> Any:
    """The JSON of a plain 200, or None."""
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                head, body = _split(stream.read())
        if not head.startswith(b"http/1.1 200 ") or b"\ncontent-length: %d\r" % len(body) not in head:
            return None
        return json.loads(body)
    except (OSError, ValueError):
        return None


def _split(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.lower() + b"\r\n", body
