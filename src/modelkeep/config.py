"""Every setting, read once, checked against each other; a contradiction refuses to start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from modelkeep.core.errors import BadSetting as BadSetting
from modelkeep.environment import environment as environment

_FASTEST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """Where people sign in. Each field names its environment variable."""

    # MODELKEEP_OIDC_ISSUER
    issuer: str
    # MODELKEEP_OIDC_CLIENT_ID
    client_id: str
    # MODELKEEP_OIDC_CLIENT_SECRET, or MODELKEEP_OIDC_CLIENT_SECRET_FILE; empty for a public client
    client_secret: str = field(default="", repr=False)
    # MODELKEEP_OIDC_SCOPE
    scope: str = "openid profile email"
    # MODELKEEP_OIDC_GROUPS_CLAIM
    groups_claim: str = "groups"
    # MODELKEEP_OIDC_GROUPS: `theirs=ours`, separated by commas; empty means that groups have the same names
    groups: tuple[tuple[str, str], ...] = ()
    # MODELKEEP_OIDC_DOMAINS: whose verified email addresses may come in, separated by commas; empty means anybody's
    domains: tuple[str, ...] = ()


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
    # MODELKEEP_AUDIT_KEY: file of the key that signs the audit log; None means <data>/audit-key, made if there is none
    audit_key: Path | None = None
    # MODELKEEP_AUDIT_COPIES: places that checkpoints are sent to, separated by blanks
    audit_copies: tuple[str, ...] = ()
    # MODELKEEP_AUDIT_PRIVATE_COPIES: whether such a place at an https address may be inside a private network
    audit_private_copies: bool = False
    # MODELKEEP_AUDIT_SINK: where entries are sent on to, as soon as they have their place; empty means nowhere
    audit_sink: str = ""
    # MODELKEEP_OIDC_ISSUER and the others of OidcSettings: where people sign in, if not here
    oidc: OidcSettings | None = None
    # MODELKEEP_ISSUER_HOSTS: HOST or HOST:PORT, separated by commas, that an issuer's document may name beside its own
    # site, and that may be at private addresses
    issuer_hosts: tuple[str, ...] = ()
    # MODELKEEP_RATE_LIMIT: requests a second that one caller may make in the long run; 0 is without a limit
    rate_limit: float = 500.0
    # MODELKEEP_RATE_BURST: how many of them may come at once
    rate_burst: int = 2000
    # MODELKEEP_TRUSTED_PROXIES: addresses and networks, separated by commas, whose X-Forwarded-For and -Proto hold
    trusted_proxies: tuple[str, ...] = ()

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
        if self.oidc is not None and self.auth == "none":
            raise BadSetting("--oidc-issuer is of no use with --auth none, where nobody signs in.")
        if not 0 <= self.rate_limit <= _FASTEST or not 1 <= self.rate_burst <= _FASTEST:
            raise BadSetting(
                f"--rate-limit is between 0 (no limit) and {_FASTEST}, --rate-burst between 1 and {_FASTEST}."
            )
        for place in self.trusted_proxies:
            _check_network(place)
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


def oidc_settings(issuer: str, client_id: str, variables: Mapping[str, str]) -> OidcSettings | None:
    """Where people sign in, by options and environment; None where that is here. Raises BadSetting."""
    if not issuer:
        return None
    host = _host_of(issuer)
    if not host or (issuer.startswith("http://") and not is_loopback(host)) or set("?#@") & set(issuer):
        raise BadSetting(f"--oidc-issuer is https://HOST or https://HOST/PATH, not {issuer!r}.")
    if not client_id:
        raise BadSetting("--oidc-issuer needs --oidc-client-id: what the provider calls this registry.")
    scope = variables.get("MODELKEEP_OIDC_SCOPE", "") or "openid profile email"
    if "openid" not in scope.split():
        raise BadSetting("MODELKEEP_OIDC_SCOPE has the word `openid` among others.")
    return OidcSettings(
        issuer,
        client_id,
        _client_secret(variables),
        scope,
        variables.get("MODELKEEP_OIDC_GROUPS_CLAIM", "") or "groups",
        tuple(_group_pair(pair) for pair in listed(variables.get("MODELKEEP_OIDC_GROUPS", ""))),
        tuple(domain.lower() for domain in listed(variables.get("MODELKEEP_OIDC_DOMAINS", ""))),
    )


def listed(text: str) -> tuple[str, ...]:
    """What is written in a setting, separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _client_secret(variables: Mapping[str, str]) -> str:
    path = variables.get("MODELKEEP_OIDC_CLIENT_SECRET_FILE", "")
    if not path:
        return variables.get("MODELKEEP_OIDC_CLIENT_SECRET", "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"MODELKEEP_OIDC_CLIENT_SECRET_FILE cannot be read: {path!r}.") from error


def _group_pair(pair: str) -> tuple[str, str]:
    theirs, _, ours = pair.partition("=")
    if not theirs.strip() or not ours.strip():
        raise BadSetting(f"MODELKEEP_OIDC_GROUPS is `theirs=ours`, separated by commas; {pair!r} is none.")
    return theirs.strip(), ours.strip()


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


def _check_network(place: str) -> None:
    try:
        ip_network(place, strict=False)
    except ValueError as error:
        raise BadSetting(
            f"MODELKEEP_TRUSTED_PROXIES has addresses and networks, as 10.0.0.7 or 10.0.0.0/24; {place!r} is neither."
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
