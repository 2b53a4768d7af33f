"""What every request must be before anything looks at it: addressed to us, from a page of ours, of a sane size."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from modelkeep.core.errors import Forbidden, InvalidInput

_LONGEST_URL = 64 * 1024


class Guard:
    """Host and Origin checks, against DNS rebinding and pages of other sites (CVE-2025-14279, CVE-2023-43472)."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._known: dict[bytes, bool] = {}

    def check(self, headers: Mapping[bytes, bytes], raw_path: bytes, query: bytes) -> None:
        """`Forbidden` for a foreign Host or Origin, `InvalidInput` for an address that is no address."""
        if not self._is_ours(headers.get(b"host", b"")):
            raise Forbidden(
                "Invalid Host header: this server does not answer to that name (see MODELKEEP_ALLOWED_HOSTS)."
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._is_our_origin(origin):
            raise Forbidden("Cross-origin request blocked: the Origin header names another site.")
        if headers.get(b"sec-fetch-site") == b"cross-site" and not _comes_back(headers, raw_path):
            raise Forbidden("Cross-origin request blocked: it comes from a page of another site.")
        if len(raw_path) + len(query) > _LONGEST_URL:
            raise InvalidInput("The address is too long.")
        if not raw_path.startswith(b"/"):
            raise InvalidInput("Invalid path: it must begin with a slash.")

    def _is_ours(self, host: bytes) -> bool:
        known = self._known.get(host)
        if known is None:
            known = name_of(host) in self._hosts
            if len(self._known) < 1000:
                self._known[host] = known
        return known

    def _is_our_origin(self, origin: bytes) -> bool:
        scheme, _, host = origin.partition(b"://")
        return scheme in {b"http", b"https"} and name_of(host) in self._hosts


def _comes_back(headers: Mapping[bytes, bytes], raw_path: bytes) -> bool:
    """Whether a browser arrives from the identity provider that we sent it to, as if its user had clicked a link."""
    return raw_path == b"/oidc/callback" and headers.get(b"sec-fetch-mode") == b"navigate"


def name_of(host: bytes) -> str:
    """The name in a Host header, lower case and without its port; empty where it is not a plain `name[:port]`."""
    try:
        parts = urlsplit("//" + host.decode("ascii"))
        plain = not (parts.path or parts.query or parts.fragment or parts.username is not None)
        return (parts.hostname or "").lower() if plain and (parts.port is None or parts.port >= 0) else ""
    except ValueError:
        return ""
