"""Every setting, read once, checked against each other; a contradiction refuses to start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit


class BadSetting(Exception):
    """A setting that cannot be, or two that contradict each other; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this server runs. Each field names its environment variable."""

    # MODELKEEP_HOST
    host: str = "127.0.0.1"
    # MODELKEEP_PORT
    port: int = 5000
    # MODELKEEP_DATA
    data: Path = Path("modelkeep-data")
    # MODELKEEP_DATABASE: empty means sqlite:///<data>/modelkeep.db
    database: str = ""
    # MODELKEEP_ARTIFACTS: empty means file://<data>
    artifacts: str = ""
    # MODELKEEP_AUTH: token | none
    auth: str = "token"
    # MODELKEEP_ALLOWED_HOSTS: further Host names that clients may use, separated by commas
    allowed_hosts: tuple[str, ...] = ()
    # MODELKEEP_PUBLIC_URL: where clients reach the server, if not at http://host:port
    public_url: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot work or would not be safe."""
        if self.auth not in {"token", "none"}:
            raise BadSetting(f"--auth is 'token' or 'none', not {self.auth!r}.")
        if not 0 <= self.port <= 65535:
            raise BadSetting(f"--port is between 0 and 65535, not {self.port}.")
        if self.auth == "none" and not is_loopback(self.host):
            raise BadSetting(
                f"--auth none lets everybody do everything, so it only listens on loopback, not on {self.host}. "
                "Use --auth token, or --host 127.0.0.1."
            )
        if self.database and not self.database.startswith(("sqlite:///", "postgresql+psycopg://", "postgresql://")):
            raise BadSetting("--database is sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME.")
        if self.public_url and not _host_of(self.public_url):
            raise BadSetting(f"--public-url is http://HOST or https://HOST, not {self.public_url!r}.")
        if self.artifacts and not self.artifacts.startswith("file://"):
            raise BadSetting("--artifacts is file://DIR.")

    @property
    def database_url(self) -> str:
        """Where metadata is kept."""
        return self.database or f"sqlite:///{self.data / 'modelkeep.db'}"

    @property
    def artifacts_url(self) -> str:
        """Where bytes are kept."""
        return self.artifacts or f"file://{self.data.absolute()}"

    @property
    def hosts(self) -> frozenset[str]:
        """The Host names this server answers to, lower case and without a port."""
        known = {"localhost", "127.0.0.1", "::1", *(name.lower() for name in self.allowed_hosts)}
        if self.public_url:
            known.add(_host_of(self.public_url))
        if self.host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            known.add(self.host.lower())
        return frozenset(known)


def _host_of(url: str) -> str:
    """The host of an http or https address, lower case; empty where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return (parts.hostname or "").lower() if parts.scheme in {"http", "https"} else ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def environment() -> Mapping[str, str]:
    """The process's environment; the one place that reads it."""
    return os.environ
