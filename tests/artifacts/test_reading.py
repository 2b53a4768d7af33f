"""Files read back: every block checked before it leaves, whatever became of the stored bytes."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from artifacts.storing import ALICE, Storing
from modelkeep.artifacts import CHUNK, Content, Damaged, Guard, GuardedBlobs, open_file
from modelkeep.core.errors import Corrupt

TINY, SMALL, LARGE = b"tiny", os.urandom(100_000), os.urandom(3 * CHUNK + 17)
SIZES = pytest.mark.parametrize("data", [TINY, SMALL, LARGE], ids=["tiny", "small", "large"])


def flip(path: Path, at: int) -> None:
    """Change one bit of a stored byte."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@SIZES
def test_bytes_come_back(quick: Storing, data: bytes) -> None:
    """What was stored in pieces is read back, whole and from any place to any other."""
    quick.upload("x", *(data[at : at + 70_001] for at in range(0, len(data), 70_001)))
    places = sorted({0, 1, len(data) // 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, len(data) - 1, len(data)})
    for start in places:
        for end in places:
            if start <= end <= len(data):
                assert quick.download("x", start, end) == data[start:end], (start, end)


def test_an_empty_file_comes_back(quick: Storing) -> None:
    """A file without a byte is one."""
    quick.upload("x")
    assert quick.download("x") == b""


@SIZES
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_flipped_bit_is_found(quick: Storing, data: bytes, part: float) -> None:
    """One flipped bit, wherever it is, is an error that names the blob, and is noted."""
    content = quick.upload("x", data)
    flip(quick.place(content), int((len(data) - 1) * part))
    with pytest.raises(Damaged) as caught:
        quick.download("x")
    assert caught.value.sha256 == content.sha256
    assert [error.sha256 for error in quick.damage] == [content.sha256]


def test_a_range_is_checked_like_the_whole(quick: Storing) -> None:
    """A range of a chunk with a flipped bit is an error even if that bit is not in it; other chunks are served."""
    content = quick.upload("x", LARGE)
    flip(quick.place(content), CHUNK + 5)
    with pytest.raises(Damaged):
        quick.download("x", CHUNK + 100, CHUNK + 101)
    assert quick.download("x", 2 * CHUNK, 2 * CHUNK + 9) == LARGE[2 * CHUNK : 2 * CHUNK + 9]


def remove(path: Path) -> None:
    """Take the blob away."""
    path.unlink()


def shorten(path: Path) -> None:
    """Take its last byte."""
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    """Give it one more."""
    with path.open("ab") as file:
        file.write(b"\x00")


def plant_link(path: Path) -> None:
    """Put a symbolic link to a file in its place."""
    path.unlink()
    path.symlink_to("/etc/passwd")


def plant_pipe(path: Path) -> None:
    """Put a pipe that nobody writes to in its place."""
    path.unlink()
    os.mkfifo(path)


def plant_folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


def give_second_name(path: Path) -> None:
    """Give the blob another name, through which it could be changed."""
    os.link(path, path.with_name("other"))


@SIZES
@pytest.mark.parametrize(
    "change",
    [remove, shorten, lengthen, plant_link, plant_pipe, plant_folder, give_second_name],
    ids=lambda change: change.__name__,
)
def test_what_is_not_what_was_stored_is_not_served(quick: Storing, data: bytes, change: Callable[[Path], None]) -> None:
    """A blob that is gone, of another size, or something else than our file, is an error at once, and is noted."""
    content = quick.upload("x", data)
    change(quick.place(content))
    with pytest.raises(Damaged):
        quick.download("x")
    assert len(quick.damage) == 1


def test_a_linked_folder_is_not_followed(quick: Storing, tmp_path: Path) -> None:
    """A folder of the store that became a link to elsewhere is not read through."""
    content = quick.upload("x", SMALL)
    shard = quick.place(content).parent
    shard.rename(tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Corrupt):
        quick.download("x")


def stored_without_chunks(storing: Storing) -> Content:
    """A large blob from before chunks had digests."""
    content = storing.upload("x", LARGE)
    storing.forget_chunks()
    assert storing.found("x").chunks is None
    return content


def test_a_blob_without_chunks_gets_them(storing: Storing) -> None:
    """A large blob whose chunks have no digests is hashed whole before it is served, and has them afterwards."""
    content = stored_without_chunks(storing)
    assert storing.download("x", CHUNK, CHUNK + 3) == LARGE[CHUNK : CHUNK + 3]
    assert storing.found("x").chunks == content.chunks
    assert storing.download("x") == LARGE


def test_many_readers_of_a_blob_without_chunks_hash_it_once(storing: Storing) -> None:
    """Ranges of a blob without digests of its chunks that are asked for together wait for one hashing of all of it."""
    storing.upload("large", os.urandom(12 * CHUNK))
    storing.forget_chunks()
    file = storing.found("large")
    counted = f"one-flight-{os.urandom(4).hex()}"
    store = GuardedBlobs(storing.blobs, Guard(counted))

    async def noted(_error: Damaged) -> None:
        raise AssertionError("the blob is sound")

    async def all_ranges() -> None:
        starts = [number * CHUNK for number in range(12)]
        ranges = [open_file(storing.database, ALICE, store, file, at, at + 9, noted) for at in starts]
        assert [len(data) for data in await asyncio.gather(*ranges) if isinstance(data, bytes)] == [9] * 12

    asyncio.run(all_ranges())
    labels = {"store": counted, "call": "open", "outcome": "ok"}
    assert REGISTRY.get_sample_value("modelkeep_blob_calls_total", labels) == 1 + 12  # the hashing, and each range
    assert storing.found("large").chunks is not None


def test_a_damaged_blob_without_chunks_gets_none(storing: Storing) -> None:
    """A flipped bit in such a blob is found before any range of it is served, and no digests are kept of it."""
    content = stored_without_chunks(storing)
    flip(storing.place(content), 3 * CHUNK)
    with pytest.raises(Damaged):
        storing.download("x", 0, 10)
    assert storing.found("x").chunks is None
    assert [error.sha256 for error in storing.damage] == [content.sha256]
