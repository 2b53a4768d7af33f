"""Calls from the server to identity providers: few bytes, a short time, no redirects, no proxies, no private addresses.

An address is judged when the connection stands, by who really is at the other end: what a name means may change
between a look-up and the call. Private addresses are called only under names that the operator vouches for.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from modelkeep.config import is_loopback
from modelkeep.core.errors import Unavailable

LONGEST_S = 5.0
MOST_BYTES = 1024 * 1024
# What a provider answers to a form that it does not take.
_ITS_FAULT = frozenset({400, 401, 403})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a https or http address leads."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port, as the operator would write them."""
        usual = {"https": 443, "http": 80}[self.scheme]
        return self.host if self.port == usual else f"{self.host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must be the same for two addresses to be one site."""
        return self.scheme, self.host, self.port


def place_of(url: str) -> Place | None:
    """The parts of an address; None unless it is plain https, or http to this machine itself."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    plain = url.isascii() and url.isprintable() and not ({" ", "\\"} & set(url))
    if not plain or not host or "@" in parts.netloc or "#" in url or host.endswith("."):
        return None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        return None
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return Place(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target)


def is_public(address: str) -> bool:
    """Whether an address belongs to the Internet at large and to nothing of this machine or network."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(part.is_global and not part.is_multicast for part in (found, *_inside(found)))


def is_never_called(address: str) -> bool:
    """Whether no provider can be there whoever vouches for it: link-local, where clouds tell secrets, or nowhere."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    parts = (found, *_inside(found))
    return any(part.is_link_local or part.is_unspecified or part.is_multicast for part in parts)


_NAT64 = b"\x00\x64\xff\x9b" + bytes(8)


def _inside(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv6Address):
        yield from (found for found in (address.ipv4_mapped, address.sixtofour) if found is not None)
        if address.teredo is not None:
            yield address.teredo[1]
        if address.packed.startswith(_NAT64):
            yield IPv4Address(address.packed[12:])


class RefusedThere(Exception):
    """The other end understood what was sent, and refuses it."""


class Outbound:
    """Calls by any thread, of so many seconds. `vouched_for` are the `host[:port]` that may be at private addresses."""

    def __init__(self, vouched_for: frozenset[str] = frozenset(), longest_s: float = LONGEST_S) -> None:
        self.vouched_for = vouched_for
        self._longest_s = longest_s

    def get(self, place: Place) -> bytes:
        """What is at an address. Raises Unavailable, whatever is wrong with it."""
        return self._call(place, "GET", {}, None)

    def post(self, place: Place, fields: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        """The answer to a form. Raises Unavailable, and RefusedThere where the other end blames the form."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        return self._call(place, "POST", {**form, **headers}, urlencode(fields).encode())

    def _call(self, place: Place, method: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        # Loaded when somebody is called: many a registry calls nobody, and every start would wait for the library.
        calls: Any = importlib.import_module("modelkeep.access.signin.calls")
        is_vouched_for = place.authority in self.vouched_for
        try:
            answer: bytes = calls.call(place, method, headers, body, self._longest_s, is_vouched_for=is_vouched_for)
        except calls.NotCalled as error:
            if body is not None and error.status in _ITS_FAULT:
                raise RefusedThere(f"{place.authority} refuses it with status {error.status}") from error
            raise Unavailable(f"{place.authority} gives no answer that can be used: {error}.") from error
        return answer


def json_object(text: bytes) -> dict[str, object]:
    """The JSON object in an answer. Raises Unavailable."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable("The identity provider's answer is not JSON.") from error
    if not isinstance(found, dict):
        raise Unavailable("The identity provider's answer is not a JSON object.")
    return found
