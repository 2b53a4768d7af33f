"""The tree: known roots, every proof of every small tree, and trees that grow in any steps, against the definition."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import naive
from modelkeep.audit import log

LEAVES = [log.leaf_hash(b"%d" % number) for number in range(1000)]
MOST = 70


def reader(tiles: dict[log.Place, bytes]) -> log.ReadTile:
    """What reads a tile."""
    return lambda level, number: tiles[level, number]


def test_known_roots() -> None:
    """The trees that implementations of RFC 6962 are compared by have their known roots, and so has the empty one."""
    leaves = [log.leaf_hash(entry) for entry in naive.KNOWN]
    read = reader(naive.tiles(leaves))
    assert [log.root(size, read).hex() for size in range(9)] == naive.KNOWN_ROOTS


@given(st.lists(st.integers(0, 1000), max_size=8), st.integers(0, 1000))
def test_tiles_and_roots_do_not_depend_on_the_steps(cuts: list[int], size: int) -> None:
    """However a tree grew, its tiles are the same, and the root of each of its beginnings is that of the definition."""
    leaves = LEAVES[:size]
    steps = sorted(min(cut, size) for cut in cuts)
    tiles = naive.tiles(leaves, steps)
    assert tiles == naive.tiles(leaves)
    for old in {*steps, size}:
        assert log.root(old, reader(tiles)) == naive.root(leaves[:old])


def test_tiles_lie_as_the_format_says() -> None:
    """Tile (0, n) has the leaves from 256 n on, tile (1, 0) the roots of full tiles; no other tile is there."""
    tiles = naive.tiles(LEAVES)
    assert set(tiles) == {(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)}
    assert tiles[0, 1] == b"".join(LEAVES[256:512])
    assert tiles[0, 3] == b"".join(LEAVES[768:])
    assert tiles[1, 0] == b"".join(naive.root(LEAVES[start : start + 256]) for start in (0, 256, 512))
    assert [log.tile_width(1000, *place) for place in ((0, 0), (0, 3), (0, 4), (1, 0), (2, 0))] == [256, 232, 0, 3, 0]


def test_a_third_level_of_tiles() -> None:
    """A tree of more than 65,536 leaves has a tile of the third level, and right roots on both sides of its making."""
    leaves = [log.leaf_hash(b"%d" % number) for number in range(65_800)]
    tiles = naive.tiles(leaves, [65_535, 65_536, 65_700])
    assert tiles[2, 0] == naive.root(leaves[:65_536])
    for size in (65_535, 65_536, 65_537, 65_800):
        assert log.root(size, reader(tiles)) == naive.root(leaves[:size])
    proof = log.consistency_proof(65_535, 65_800, reader(tiles))
    assert proof == naive.proof(65_535, leaves)


@pytest.mark.parametrize("size", range(1, MOST), ids=str)
def test_every_proof_of_small_trees(size: int) -> None:
    """Every inclusion and consistency proof is that of the definition and is accepted; none is for another place."""
    leaves = LEAVES[:size]
    read = reader(naive.tiles(leaves))
    root = log.root(size, read)
    for index in range(size):
        proof = log.inclusion_proof(index, size, read)
        assert proof == naive.path(index, leaves)
        places = [one for one in range(size + 1) if log.includes(root, size, one, leaves[index], proof)]
        assert places == [index]
        assert not log.includes(root, size, index, leaves[index], [*proof, leaves[0]])
        assert not proof or not log.includes(root, size, index, leaves[index], proof[:-1])
    for old in range(size + 1):
        proof = log.consistency_proof(old, size, read)
        old_root = log.root(old, read)
        assert proof == (naive.proof(old, leaves) if old else [])
        assert log.is_consistent(old_root, old, root, size, proof)
        assert not log.is_consistent(old_root, old, root, size, [*proof, root])
        assert not proof or not log.is_consistent(old_root, old, root, size, proof[:-1])


@given(st.integers(2, 1000), st.data())
def test_a_proof_changed_in_one_byte_is_refused(size: int, data: st.DataObject) -> None:
    """No proof is accepted once a bit of it, of the leaf or of a root is another."""
    read = reader(naive.tiles(LEAVES[:size]))
    root = log.root(size, read)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    proof = log.inclusion_proof(index, size, read)
    place, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    assert log.includes(root, size, index, LEAVES[index], proof)
    assert not log.includes(root, size, index, LEAVES[index], flipped(proof, place, bit))
    assert not log.includes(root, size, index, flipped([LEAVES[index]], 0, bit)[0], proof)
    proof, old_root = log.consistency_proof(old, size, read), log.root(old, read)
    assert log.is_consistent(old_root, old, root, size, proof)
    for at in range(len(proof)):
        assert not log.is_consistent(old_root, old, root, size, flipped(proof, at, bit))
    assert not log.is_consistent(flipped([old_root], 0, bit)[0], old, root, size, proof)
    assert not log.is_consistent(old_root, old, flipped([root], 0, bit)[0], size, proof)


def flipped(hashes: list[bytes], place: int, bit: int) -> list[bytes]:
    """The same hashes but for one bit of one of them."""
    changed = bytearray(hashes[place])
    changed[bit // 8] ^= 1 << bit % 8
    return [*hashes[:place], bytes(changed), *hashes[place + 1 :]]


def test_what_cannot_be_proven_is_refused() -> None:
    """Proofs of leaves or trees that are not there, and tiles of a wrong width, raise ValueError."""
    read = reader(naive.tiles(LEAVES[:5]))
    for index in (-1, 5):
        with pytest.raises(ValueError, match="no leaf"):
            log.inclusion_proof(index, 5, read)
    with pytest.raises(ValueError, match="does not begin"):
        log.consistency_proof(6, 5, read)
    with pytest.raises(ValueError, match="tile 0/0 has 1 hashes, not 5"):
        log.append(5, {(0, 0): LEAVES[0]}, LEAVES[:1])
    with pytest.raises(ValueError, match="too short"):
        log.root(5, lambda _level, _number: LEAVES[0] * 3)
    assert not log.includes(LEAVES[0], 0, 0, LEAVES[0], [])
    assert not log.is_consistent(LEAVES[0], 3, LEAVES[0], 2, [])
    assert not log.is_consistent(LEAVES[0], 3, LEAVES[1], 4, [])
    assert log.root(0, read) == hashlib.sha256().digest()
