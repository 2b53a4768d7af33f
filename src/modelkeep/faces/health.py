"""Operations about the server itself: is it alive, is it ready, what is it, how does it do."""

from typing import Any

import msgspec

from modelkeep import __version__
from modelkeep.access import Permission
from modelkeep.artifacts import count_damaged, gives_part_links, in_thread
from modelkeep.core.errors import DomainError, Unavailable
from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.mlflow.wire import MLFLOW
from modelkeep.faces.operations import PUBLIC, Exchange, Mode, NoInput, Operation, Reply

# What GET /version answers: the newest MLflow whose client is served completely; clients compare it with their own.
MLFLOW_VERSION = "3.17.2"

_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]
_JSON = [(b"content-type", b"application/json")]


class PlainFace:
    """Answers in plain text or ready-made bytes; refusals as the MLflow face words them."""

    name = "plain"

    def parse(self, operation: Operation, *_rest: Any) -> Any:
        """These operations take nothing."""
        return operation.request()

    def render(self, operation: Operation, result: Any) -> Reply:
        """Bytes or text as they are, anything else as JSON."""
        if isinstance(result, str):
            return Reply(operation.status, list(_TEXT), result.encode())
        if isinstance(result, bytes):
            return Reply(operation.status, list(_JSON), result)
        return Reply(operation.status, list(_JSON), msgspec.json.encode(result))

    def refuse(self, error: DomainError, request_id: str) -> Reply:
        """MLflow's error object."""
        return MLFLOW.refuse(error, request_id)

    def fail(self, request_id: str) -> Reply:
        """MLflow's error object."""
        return MLFLOW.fail(request_id)


PLAIN = PlainFace()


class Readiness(msgspec.Struct):
    """What `/ready` answers: `ok` for each part that was tried."""

    database: str
    storage: str


async def health(_exchange: Exchange) -> str:
    """The process answers."""
    return "OK"


async def ready(exchange: Exchange) -> Readiness:
    """The database answers a query and the store takes, keeps and returns bytes; 503 otherwise."""
    try:
        await exchange.app.check_ready()
    except DomainError as error:
        raise Unavailable(f"Not ready: {error.message}") from error
    except OSError as error:
        raise Unavailable(f"Not ready: the artifact store does not take bytes ({error.strerror}).") from error
    return Readiness("ok", "ok")


async def version(_exchange: Exchange) -> str:
    """The MLflow version whose wire is spoken here."""
    return MLFLOW_VERSION


class ServerVersion(msgspec.Struct):
    """This program's own version and the MLflow wire it speaks."""

    modelkeep: str
    mlflow: str


async def server_version(_exchange: Exchange) -> ServerVersion:
    """This program's version."""
    return ServerVersion(__version__, MLFLOW_VERSION)


class ServerInfo(msgspec.Struct):
    """What MLflow's newer clients ask first."""

    store_type: str = "SqlStore"
    workspaces_enabled: bool = True
    multipart_uploads_enabled: bool = False
    multipart_downloads_enabled: bool = False


async def server_info(exchange: Exchange) -> ServerInfo:
    """What this server offers of MLflow's optional parts.

    Uploads in parts are recommended where parts go around the server; a file that passes through it is faster whole.
    Downloads by links are not: who goes around the server is not told when a byte is wrong.
    """
    app = exchange.app
    direct = app.settings.direct_links and await in_thread(lambda: gives_part_links(app.blobs))
    return ServerInfo(multipart_uploads_enabled=direct)


def _operation(name: str, path: str, run: Any, summary: str, answer: Any, **options: Any) -> Operation:
    routes = options.pop("routes", (("GET", path),))
    permission = options.pop("permission", PUBLIC)
    return Operation(f"server.{name}", PLAIN, routes, NoInput, run, Mode.STREAM, permission, summary, answer, **options)


def operations(log: AccessLog) -> list[Operation]:
    """The server's own operations; `/metrics` shows what `log` counted."""

    async def metrics(exchange: Exchange) -> Reply:
        damaged = await exchange.app.read_quickly(exchange.caller, count_damaged)
        shown = log.exposition(damage_found=exchange.app.damage_found, damaged=damaged)
        return Reply(200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")], shown)

    info = tuple(("GET", f"/{prefix}/3.0/mlflow/server-info") for prefix in ("api", "ajax-api"))
    return [
        _operation("health", "/health", health, "Whether the process answers", str),
        _operation("ready", "/ready", ready, "Whether database and storage work", Readiness),
        _operation("version", "/version", version, "The MLflow version whose wire is spoken", str),
        _operation(
            "own_version",
            "/api/v1/version",
            server_version,
            "This program's version",
            ServerVersion,
            permission=Permission.SERVER_READ,
        ),
        _operation("info", "", server_info, "Which optional parts are offered", ServerInfo, routes=info),
        _operation("metrics", "/metrics", metrics, "Prometheus metrics", str, permission=Permission.SERVER_READ),
    ]
