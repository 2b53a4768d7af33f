"""`modelkeep serve`: run the registry in the foreground."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
import uvicorn

from modelkeep.access import NewToken
from modelkeep.app import App
from modelkeep.bootstrap import build, build_worker
from modelkeep.cli.connection import Connection
from modelkeep.config import Settings, environment, listed, oidc_settings
from modelkeep.core.errors import Unavailable
from modelkeep.faces.access_log import configure_logging
from modelkeep.faces.http import HttpFace
from modelkeep.faces.table import build_http

_DRAIN_S = 30
_BACKLOG = 2048
# Where this machine's clients find a server that listens on every address; those names are no Host that it answers to.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound

_AUDIT_KEY = typer.Option(
    None, envvar="MODELKEEP_AUDIT_KEY", help="File of the key that signs the audit log, if not DATA/audit-key."
)
_AUDIT_COPY = typer.Option(
    [],
    envvar="MODELKEEP_AUDIT_COPIES",
    help="Where checkpoints of the audit log go as well: a file, s3://BUCKET/PREFIX or https://HOST/PATH.",
)
_AUDIT_PRIVATE = typer.Option(
    False, envvar="MODELKEEP_AUDIT_PRIVATE_COPIES", help="Let such an https address be inside a private network."
)

_AUDIT_SINK = typer.Option(
    "",
    envvar="MODELKEEP_AUDIT_SINK",
    help="Send entries of the audit log on to syslog+tcp://HOST:PORT, syslog+udp://HOST:PORT or file:///PATH.",
)


def serve(
    host: str = typer.Option("127.0.0.1", envvar="MODELKEEP_HOST", help="Address to listen on."),
    port: int = typer.Option(5000, envvar="MODELKEEP_PORT", help="Port to listen on."),
    data: Path = typer.Option(
        Path("modelkeep-data"), envvar="MODELKEEP_DATA", help="Folder for database and artifacts."
    ),
    database: str = typer.Option("", envvar="MODELKEEP_DATABASE", help="sqlite:///PATH or postgresql+psycopg://..."),
    artifacts: str = typer.Option("", envvar="MODELKEEP_ARTIFACTS", help="file://DIR or s3://BUCKET/PREFIX."),
    auth: str = typer.Option("token", envvar="MODELKEEP_AUTH", help="token, or none (loopback only)."),
    allowed_hosts: str = typer.Option(
        "", envvar="MODELKEEP_ALLOWED_HOSTS", help="Further Host names to answer to, separated by commas."
    ),
    public_url: str = typer.Option("", envvar="MODELKEEP_PUBLIC_URL", help="Where clients reach this server."),
    direct_links: bool = typer.Option(
        True, envvar="MODELKEEP_DIRECT_LINKS", help="Let clients send parts of files straight to an object store."
    ),
    direct_downloads: bool = typer.Option(
        False,
        envvar="MODELKEEP_DIRECT_DOWNLOADS",
        help="Let clients that ask for links download straight from an object store; nothing checks those bytes.",
    ),
    oidc_issuer: str = typer.Option("", envvar="MODELKEEP_OIDC_ISSUER", help="Where people sign in: https://HOST."),
    oidc_client_id: str = typer.Option("", envvar="MODELKEEP_OIDC_CLIENT_ID", help="What that calls this registry."),
    rate_limit: float = typer.Option(
        500.0,
        envvar="MODELKEEP_RATE_LIMIT",
        help="Requests a second that one caller may make in the long run; 0: as many as they like.",
    ),
    rate_burst: int = typer.Option(
        2000, envvar="MODELKEEP_RATE_BURST", help="How many requests one caller may make at once."
    ),
    trusted_proxies: str = typer.Option(
        "",
        envvar="MODELKEEP_TRUSTED_PROXIES",
        help="Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas.",
    ),
    issuer_hosts: str = typer.Option(
        "",
        envvar="MODELKEEP_ISSUER_HOSTS",
        help="HOST or HOST:PORT of issuers' keys that are elsewhere than the issuer, or in a private network.",
    ),
    audit_key: Path | None = _AUDIT_KEY,
    audit_copy: list[str] = _AUDIT_COPY,
    audit_private_copies: bool = _AUDIT_PRIVATE,
    audit_sink: str = _AUDIT_SINK,
) -> None:
    """Run the registry in the foreground until SIGTERM or SIGINT."""
    settings = Settings(
        host,
        port,
        data,
        database,
        artifacts,
        auth,
        listed(allowed_hosts),
        public_url,
        direct_links,
        direct_downloads,
        audit_key=audit_key,
        audit_copies=tuple(audit_copy),
        audit_private_copies=audit_private_copies,
        audit_sink=audit_sink,
        oidc=oidc_settings(oidc_issuer, oidc_client_id, environment()),
        issuer_hosts=listed(issuer_hosts.lower()),
        rate_limit=rate_limit,
        rate_burst=rate_burst,
        trusted_proxies=listed(trusted_proxies),
    )
    _run(settings)


class GracefulServer(uvicorn.Server):
    """Finishes requests in progress at the first SIGTERM or SIGINT and then returns; a second one hurries it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the two signals here and do not raise them again afterwards, so that the exit code is 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def end(self) -> None:
        """Begin to drain at the first signal, of either kind, and stop draining at the second."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _run(settings: Settings) -> None:
    configure_logging()
    listener = _listen(settings.host, settings.port)
    app, first_token = build(settings)
    http = build_http(app)
    _greet(settings, listener.getsockname()[1], first_token)
    server = _web_server(http)
    _settle_memory()
    _take_all_descriptors()
    worker = build_worker(app)
    worker.start()
    try:
        server.run(sockets=[listener])
    finally:
        worker.stop()
        _close(app)


def _web_server(http: HttpFace) -> GracefulServer:
    return GracefulServer(
        uvicorn.Config(
            http,
            loop="uvloop",
            http=Connection,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_DRAIN_S,
        )
    )


def _take_all_descriptors() -> None:
    """Let the process open as many files as it may: a client that downloads takes three of them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _settle_memory() -> None:
    """Keep the garbage collector off what lives as long as the process, and from running within a page of results."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise Unavailable(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    listener.listen(_BACKLOG)
    return listener


def _greet(settings: Settings, port: int, first_token: NewToken | None) -> None:
    """Say where clients find the server, and show the first token: the only time it is known."""
    host = _ANY.get(settings.host, settings.host)
    url = settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    typer.echo(f"Modelkeep listens on {url}")
    if settings.auth == "none":
        typer.secho("  --auth none: everybody on this machine may do everything.", fg="red", bold=True)
    if first_token is not None:
        typer.echo("  This is the administrator's token. It is shown once; only its hash is kept.")
    typer.echo(f"export MLFLOW_TRACKING_URI={url}")
    if first_token is not None:
        typer.echo(f"export MLFLOW_TRACKING_TOKEN={first_token.text}")
    elif settings.auth == "token":
        typer.echo("export MLFLOW_TRACKING_TOKEN=...   # the token of the first start; lost: modelkeep admin recover")
    sys.stdout.flush()


def _close(app: App) -> None:
    app.close()
    sys.stderr.flush()
