"""What is particular to browsers: cookies, and requests that a page of another site makes them send.

A browser adds a session's cookie to whatever any page makes it send. So what changes something has to come from a page
of ours, by what the browser itself says, and with a token that only pages of ours can know.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from modelkeep.access import csrf_token
from modelkeep.config import Settings, is_loopback
from modelkeep.core.errors import Conflict, Forbidden
from modelkeep.faces.guard import name_of
from modelkeep.faces.operations import Reply
from modelkeep.faces.proxies import SCHEME

# The prefix makes browsers take them from this very host only, over a connection that nobody else can write to.
SESSION_COOKIE = "__Host-modelkeep"
FLOW_COOKIE = "__Host-modelkeep-sign-in"
Header = tuple[bytes, bytes]
_CHALLENGE = b"www-authenticate"


def without_window(headers: Mapping[bytes, bytes], refused: Reply) -> Reply:
    """A refusal as browsers get it: where one is asked for a password, it opens a window of its own over our pages."""
    if refused.status == 401 and b"sec-fetch-mode" in headers:
        others = [header for header in refused.headers if header[0] != _CHALLENGE]
        refused.headers = [*others, (_CHALLENGE, b'Bearer realm="modelkeep"')]
    return refused


def session_secret(headers: Mapping[bytes, bytes]) -> str:
    """The secret of the session that the browser says it has; empty where there is none that could be believed."""
    return cookie_in(headers, SESSION_COOKIE)


def cookie_in(headers: Mapping[bytes, bytes], name: str) -> str:
    """A cookie's value; empty where it is absent, or there several times."""
    parts = headers.get(b"cookie", b"").decode("latin-1").split(";")
    values = [value for found, _, value in (part.strip().partition("=") for part in parts) if found == name]
    return values[0] if len(values) == 1 and values[0].isascii() else ""


def set_cookie(name: str, value: str, seconds: int) -> Header:
    """The header that gives the browser a cookie; with no time to live, takes it back."""
    text = f"{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"
    return b"set-cookie", text.encode()


def drop_cookie(name: str) -> Header:
    """The header that takes a cookie back."""
    return set_cookie(name, "", 0)


def own_address(headers: Mapping[bytes, bytes], settings: Settings) -> str:
    """Where the browser has this server: the public address, or that of the Host header."""
    return settings.public_url.rstrip("/") or _asked_address(headers)


def check_secure(headers: Mapping[bytes, bytes], settings: Settings) -> None:
    """Refuse to sign a browser in where others could read along. Raises Conflict."""
    if settings.public_url.startswith("https://") or headers.get(SCHEME) == b"https":
        return
    if is_loopback(name_of(headers.get(b"host", b""))):
        return
    raise Conflict(
        "Browsers sign in over https only: put a proxy with TLS before the server and set --public-url to its https:// "
        "address, or open it as localhost. Tokens work meanwhile."
    )


def check_page(headers: Mapping[bytes, bytes], secret: str, settings: Settings) -> None:
    """Refuse what a session's cookie came with unless a page of ours sent it. Raises Forbidden."""
    check_origin(headers, settings)
    if not {b"origin", b"sec-fetch-site"} & headers.keys():
        raise Forbidden("A request with a session's cookie says by Origin or Sec-Fetch-Site which page it comes from.")
    given = headers.get(b"x-csrf-token", b"")
    if not hmac.compare_digest(given, csrf_token(secret).encode()):
        raise Forbidden("The X-CSRF-Token header is missing or of another session; GET /api/v1/me/session gives it.")


def check_origin(headers: Mapping[bytes, bytes], settings: Settings) -> None:
    """Refuse what the browser says comes from a page that is not of this very site. Raises Forbidden."""
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1").lower() not in _own_origins(headers, settings):
        raise Forbidden("Cross-origin request blocked: the Origin header names another site.")
    if headers.get(b"sec-fetch-site", b"same-origin") not in {b"same-origin", b"none"}:
        raise Forbidden("Cross-origin request blocked: it comes from a page of another site.")


def _own_origins(headers: Mapping[bytes, bytes], settings: Settings) -> set[str]:
    public = urlsplit(settings.public_url)
    if public.scheme == "https":
        return {f"https://{public.netloc.lower()}"}
    return {_asked_address(headers)}


def _asked_address(headers: Mapping[bytes, bytes]) -> str:
    """This server's address as the request has it."""
    return f"{headers.get(SCHEME, b'http').decode()}://{headers.get(b'host', b'').decode('latin-1').lower()}"
