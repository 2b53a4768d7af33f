"""Every setting, read once, checked against each other; a contradiction refuses to start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from modelkeep.core.errors import BadSetting as BadSetting
from modelkeep.environment import environment as environment


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
    # MODELKEEP_DIRECT_LINKS: whether clients may be sent to the object store itself, which they then have to reach
    direct_links: bool = True
    # MODELKEEP_DIRECT_DOWNLOADS: whether downloads by link may come from the object store itself, which checks nothing
    direct_downloads: bool = False

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
        if self.artifacts and not self.artifacts.startswith(("file://", "s3://")):
            raise BadSetting("--artifacts is file://DIR or s3://BUCKET/PREFIX.")

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


_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9._=-]+)*)/?")
_PATH_STYLES = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class S3Settings:
    """A place in an S3 bucket, and how to get there. Each field names its environment variables."""

    bucket: str
    # Empty, or it ends with a slash.
    prefix: str
    # MODELKEEP_S3_ACCESS_KEY, AWS_ACCESS_KEY_ID
    access_key: str
    # MODELKEEP_S3_SECRET_KEY, AWS_SECRET_ACCESS_KEY
    secret_key: str = field(repr=False)
    # AWS_SESSION_TOKEN
    session_token: str = field(default="", repr=False)
    # MODELKEEP_S3_REGION, AWS_REGION, AWS_DEFAULT_REGION
    region: str = "us-east-1"
    # MODELKEEP_S3_ENDPOINT, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL: empty means that of Amazon in the region
    endpoint: str = ""
    # MODELKEEP_S3_PATH_STYLE: true | false; empty means true where an endpoint is given
    path_style: bool = False
    # MODELKEEP_S3_CA, AWS_CA_BUNDLE: file of certificates to trust besides the system's
    ca: Path | None = None

    @property
    def address(self) -> str:
        """The endpoint, without the bucket."""
        return self.endpoint or f"https://s3.{self.region}.amazonaws.com"


def s3_settings(url: str, variables: Mapping[str, str]) -> S3Settings:
    """What `s3://BUCKET/PREFIX` means in this environment. Raises BadSetting."""
    found = _BUCKET.fullmatch(url)
    if found is None or {"", ".", ".."} & set(found[2].split("/")[1:]):
        raise BadSetting(
            "--artifacts s3://BUCKET/PREFIX has a bucket of a-z 0-9 . - and a prefix of A-Z a-z 0-9 . _ = -"
        )
    endpoint = _first(variables, "MODELKEEP_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL").rstrip("/")
    if endpoint and not _host_of(endpoint):
        raise BadSetting(f"MODELKEEP_S3_ENDPOINT is http://HOST or https://HOST, not {endpoint!r}.")
    path_style = variables.get("MODELKEEP_S3_PATH_STYLE", "").lower() or ("true" if endpoint else "false")
    if path_style not in _PATH_STYLES:
        raise BadSetting(f"MODELKEEP_S3_PATH_STYLE is 'true' or 'false', not {path_style!r}.")
    ca = _first(variables, "MODELKEEP_S3_CA", "AWS_CA_BUNDLE")
    if ca and not Path(ca).is_file():
        raise BadSetting(f"MODELKEEP_S3_CA names a file of certificates; {ca!r} is none.")
    access_key = _first(variables, "MODELKEEP_S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID")
    secret_key = _first(variables, "MODELKEEP_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        raise BadSetting("--artifacts s3:// needs MODELKEEP_S3_ACCESS_KEY and MODELKEEP_S3_SECRET_KEY.")
    return S3Settings(
        found[1],
        f"{found[2][1:]}/" if found[2] else "",
        access_key,
        secret_key,
        variables.get("AWS_SESSION_TOKEN", ""),
        _first(variables, "MODELKEEP_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        endpoint,
        _PATH_STYLES[path_style],
        Path(ca) if ca else None,
    )


def _first(variables: Mapping[str, str], *names: str) -> str:
    """The first of these variables that is set and not empty."""
    return next((variables[name] for name in names if variables.get(name)), "")


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
