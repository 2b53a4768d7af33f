"""The tree of RFC 6962 as its definition reads, slow and plain: what the product's tree is compared with."""

import hashlib
from collections.abc import Mapping, Sequence

from modelkeep.audit import log

# The entries of the tree of eight leaves that Certificate Transparency's own implementations are tested with, and its
# roots by size.
KNOWN = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH of hashes of leaves (RFC 6962, 2.1)."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + root(leaves[:half]) + root(leaves[half:])).digest()


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of a leaf (RFC 6962, 2.1.1)."""
    if len(leaves) == 1:
        return []
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    if index < half:
        return [*path(index, leaves[:half]), root(leaves[half:])]
    return [*path(index - half, leaves[half:]), root(leaves[:half])]


def proof(old: int, leaves: Sequence[bytes], *, known: bool = True) -> list[bytes]:
    """SUBPROOF (RFC 6962, 2.1.2); `known` while the old tree's root is what the asker has."""
    if old == len(leaves):
        return [] if known else [root(leaves)]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    if old <= half:
        return [*proof(old, leaves[:half], known=known), root(leaves[half:])]
    return [*proof(old - half, leaves[half:], known=False), root(leaves[:half])]


def tiles(leaves: Sequence[bytes], cuts: Sequence[int] = ()) -> dict[log.Place, bytes]:
    """The tiles of a tree that grew in steps that end at `cuts`."""
    found: dict[log.Place, bytes] = {}
    size = 0
    for end in [*cuts, len(leaves)]:
        begun: Mapping[log.Place, bytes] = {place: found[place] for place in log.edge(size)}
        found.update(log.append(size, begun, leaves[size:end]))
        size = end
    return found
