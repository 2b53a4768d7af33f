"""The Merkle tree over the log: its hashes, the tiles that they lie in, and the proofs that are read from tiles.

Hashes and proofs are those of RFC 6962 (section 2.1; the checks are RFC 9162, 2.1.3.2 and 2.1.4.2). A tile is a row of
up to 256 hashes: the tile `(level, number)` has those of the subtrees of 256**level leaves, from number * 256 on.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

WIDTH = 256
HASH = 32
_HEIGHT = 8
EMPTY_ROOT = sha256().digest()

# A tile's place, and whoever knows what lies there: the hashes one behind the other, at least those that are asked for.
Place = tuple[int, int]
ReadTile = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees as one."""
    return sha256(b"\x01" + left + right).digest()


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes of equal subtrees, at least one."""
    row = list(hashes)
    while len(row) > 1:
        paired = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        row = paired + row[len(paired) * 2 :]
    return row[0]


def tile_width(size: int, level: int, number: int) -> int:
    """How many hashes that tile has in a tree of this size."""
    return max(0, min(WIDTH, (size >> (_HEIGHT * level)) - number * WIDTH))


def edge(size: int) -> list[Place]:
    """The tiles of a tree of this size that are begun and not full: what the next leaf has to be put to."""
    places = []
    level = 0
    while size >> (_HEIGHT * level):
        count = size >> (_HEIGHT * level)
        if count % WIDTH:
            places.append((level, count // WIDTH))
        level += 1
    return places


def append(size: int, begun: Mapping[Place, bytes], leaves: Sequence[bytes]) -> dict[Place, bytes]:
    """The tiles that change when these hashes of leaves come to a tree of this size, as they then are.

    `begun` are the tiles of its `edge`. Raises ValueError where one of them has another width than it should.
    """
    changed: dict[Place, bytes] = {}
    level, new = 0, list(leaves)
    while new:
        count = size >> (_HEIGHT * level)
        number, width = divmod(count, WIDTH)
        row = split(begun.get((level, number), b"") if width else b"")
        if len(row) != width:
            raise ValueError(f"tile {level}/{number} has {len(row)} hashes, not {width}")
        row += new
        new = []
        for start in range(0, len(row), WIDTH):
            tile = row[start : start + WIDTH]
            changed[level, number + start // WIDTH] = b"".join(tile)
            if len(tile) == WIDTH:
                new.append(tree_hash(tile))
        level += 1
    return changed


def split(hashes: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [hashes[start : start + HASH] for start in range(0, len(hashes), HASH)]


def root(size: int, read: ReadTile) -> bytes:
    """The root of the tree's first `size` leaves."""
    return _range(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: ReadTile) -> list[bytes]:
    """What proves that a leaf is in the tree of this size. Raises ValueError if it is not below the size."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _half(end - start)
        if index < middle:
            proof.append(_range(middle, end, read))
            end = middle
        else:
            proof.append(_range(start, middle, read))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: ReadTile) -> list[bytes]:
    """What proves that the tree of the new size begins with that of the old one. Raises ValueError if old > new."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} does not begin with one of {old}")
    if old in {0, new}:
        return []
    proof = []
    start, end = 0, new
    while end != old:
        middle = start + _half(end - start)
        if old <= middle:
            proof.append(_range(middle, end, read))
            end = middle
        else:
            proof.append(_range(start, middle, read))
            start = middle
    # Where the old tree is one whole subtree of the new one, its root is known to whoever asks.
    return ([_range(start, end, read)] if start else []) + proof[::-1]


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree with this root and size has the leaf at this index."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old_root: bytes, old: int, new_root: bytes, new: int, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of the new root and size begins with that of the old ones."""
    if not 0 <= old <= new or old in {0, new}:
        return not proof and (old == 0 or (old == new and old_root == new_root))
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    found_old = found_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            found_old, found_new = node_hash(sibling, found_old), node_hash(sibling, found_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found_new = node_hash(found_new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found_old == old_root and found_new == new_root


def _half(count: int) -> int:
    """The largest power of two below a count of two or more."""
    return 1 << (count - 1).bit_length() - 1


def _range(start: int, end: int, read: ReadTile) -> bytes:
    """The hash over leaves `start` to `end`, where `start` is a multiple of a power of two that is not below it."""
    count = end - start
    if count & (count - 1) == 0:
        return _subtree(start, count.bit_length() - 1, read)
    middle = start + _half(count)
    return node_hash(_range(start, middle, read), _range(middle, end, read))


def _subtree(start: int, height: int, read: ReadTile) -> bytes:
    """The hash of the whole subtree of 2**height leaves from `start` on."""
    level, within = divmod(height, _HEIGHT)
    first = start >> (_HEIGHT * level)
    offset, count = first % WIDTH, 1 << within
    hashes = split(read(level, first // WIDTH))[offset : offset + count]
    if len(hashes) != count or len(hashes[-1]) != HASH:
        raise ValueError(f"tile {level}/{first // WIDTH} is too short")
    return tree_hash(hashes)
