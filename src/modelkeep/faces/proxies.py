"""From whom a request comes when proxies stand between: what those that are trusted say, and nobody else.

Of the name that was asked for and of who is signed in, no proxy is believed anything.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# Put beside the headers of a request; no client can send a header of this name.
SCHEME = b":scheme"

Pair = tuple[bytes, bytes]


class Proxies:
    """The proxies at these addresses and in these networks."""

    def __init__(self, places: Iterable[str]) -> None:
        self._networks = [ip_network(place, strict=False) for place in places]
        self.is_trusted = lru_cache(1024)(self._is_trusted)

    def origin(self, peer: str, headers: Iterable[Pair]) -> tuple[str, bool]:
        """The address of the client behind a peer, and whether it came over https."""
        if not self._networks or not self.is_trusted(peer):
            return peer, False
        pairs = list(headers)
        schemes = _values(pairs, b"x-forwarded-proto")
        return self._client(peer, _values(pairs, b"x-forwarded-for")), bool(schemes) and schemes[-1].lower() == "https"

    def _client(self, peer: str, hops: list[str]) -> str:
        """The nearest address that is no trusted proxy's; what stands before it, anybody could have written."""
        for hop in reversed(hops):
            address = _address_in(hop)
            if address is None:
                return peer
            peer = str(address)
            if not self.is_trusted(peer):
                return peer
        return peer

    def _is_trusted(self, address: str) -> bool:
        parsed = _address_in(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def _values(headers: Iterable[Pair], name: bytes) -> list[str]:
    """The members of a header that is a list, however many lines it has."""
    lines = (value.decode("latin-1") for found, value in headers if found == name)
    return [part.strip() for line in lines for part in line.split(",")]


def _address_in(hop: str) -> IPv4Address | IPv6Address | None:
    """The address of a hop, which may have a port: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        address = ip_address(hop.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
