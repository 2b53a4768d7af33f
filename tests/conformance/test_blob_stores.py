"""What every blob store must do, on the local disk and in S3 alike.

A further store joins by adding its fixture to `STORES`.
"""

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from conformance.stored import ABSENT, Place, files, get, put, s3_place, sha256_of, write_part
from modelkeep.artifacts.blobs import BLOCK, BlobStore, Part
from modelkeep.artifacts.stores.local import LocalBlobs
from modelkeep.artifacts.stores.s3.blobs import S3Blobs
from modelkeep.core.errors import Conflict, Corrupt, InvalidInput, NotFound
from seaweed import Bucket

STORES = ["local", "s3"]
# From here on S3 keeps a blob in another way.
LARGE = 8 * BLOCK
SMALLEST_PART = 5 * BLOCK
UPLOAD = "0123456789abcdef" * 2
HOSTILE_DIGESTS = [
    "",
    "a",
    "0" * 63,
    "0" * 65,
    "A" * 64,
    "g" * 64,
    "0" * 64 + "\n",
    "../" * 21 + "x",
    "/etc/passwd",
    "..",
    "\x00" * 64,
    "\u0660" * 64,
    "sha256:" + "0" * 64,
]


@pytest.fixture
def local_place(tmp_path: Path) -> Place:
    """A store on the local disk."""
    return Place(LocalBlobs(tmp_path / "blobs"), lambda: [str(path) for path in files(tmp_path)])


@pytest.fixture
def s3_store_place(bucket: Bucket) -> Place:
    """A store in S3."""
    return s3_place(bucket)


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty store of each kind, with a way to look behind it."""
    found: Place = request.getfixturevalue({"local": "local_place", "s3": "s3_store_place"}[request.param])
    with closing(found.store):
        yield found


@pytest.fixture
def store(place: Place) -> BlobStore:
    """An empty store of each kind."""
    return place.store


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7, LARGE, LARGE + 1, 2 * LARGE + 5])
def test_round_trip(store: BlobStore, size: int) -> None:
    """Bytes come back as they went in, by the name that their SHA-256 gives them."""
    data = os.urandom(size)
    sha256 = put(store, data)
    assert get(store, sha256) == data
    assert store.size(sha256) == size
    assert store.exists(sha256)
    assert list(store.digests()) == [sha256]


@pytest.mark.parametrize("size", [2 * BLOCK + 5, LARGE + BLOCK + 5])
@pytest.mark.parametrize("step", [BLOCK, 3 * BLOCK, 700_001])
def test_read_in_order(store: BlobStore, size: int, step: int) -> None:
    """A reader that goes from block to block gets every byte once."""
    data = os.urandom(size)
    with closing(store.open(put(store, data))) as reader:
        assert reader.size == size
        assert b"".join(reader.read_at(at, step) for at in range(0, size, step)) == data


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 0),
        (0, 1),
        (1, 1),
        (BLOCK - 1, 2),
        (BLOCK, 5),
        (0, 2 * BLOCK + 5),
        (5, 2 * BLOCK),
        (2 * BLOCK + 4, 1),
        (2 * BLOCK + 4, 9),
        (2 * BLOCK + 5, 1),
        (1 << 60, 1),
        (0, 1 << 60),
    ],
)
def test_ranges(store: BlobStore, offset: int, length: int) -> None:
    """A range is what slicing the bytes gives: shorter at the end of the blob, empty beyond it."""
    data = os.urandom(2 * BLOCK + 5)
    with closing(store.open(put(store, data))) as reader:
        assert reader.read_at(offset, length) == data[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_negative_ranges(store: BlobStore, offset: int, length: int) -> None:
    """A range that is none is refused, not read from the end."""
    with closing(store.open(put(store, b"abc"))) as reader, pytest.raises(ValueError, match="range"):
        reader.read_at(offset, length)


def test_one_reader_for_many_threads(store: BlobStore) -> None:
    """Threads that read different parts of one reader at once all get theirs."""
    data = os.urandom(LARGE + 5 * BLOCK)
    with closing(store.open(put(store, data))) as reader, ThreadPoolExecutor(4) as threads:

        def is_right(at: int) -> bool:
            return reader.read_at(at, BLOCK) == data[at : at + BLOCK]

        forwards = range(0, len(data), BLOCK)
        pairs = zip(forwards, reversed(forwards), strict=True)
        assert all(threads.map(is_right, [at for pair in pairs for at in pair]))


def test_same_bytes_twice(place: Place) -> None:
    """The same bytes stored again, in other pieces, are one blob, and nothing of the second copy is left."""
    for data in (b"same", os.urandom(LARGE + 1)):
        before = len(place.everything())
        put(place.store, data, chunk=BLOCK)
        kept = place.everything()
        put(place.store, data, chunk=BLOCK // 2 + 1)
        assert place.everything() == kept
        assert len(kept) - before <= 2
        assert get(place.store, sha256_of(data)) == data


@pytest.mark.parametrize("size", [70_000, LARGE + 70_000])
def test_same_bytes_at_once(place: Place, size: int) -> None:
    """Threads that commit the same bytes at the same moment all succeed and leave one readable blob."""
    store, data = place.store, [os.urandom(size) for _ in range(3)]
    barrier = threading.Barrier(4)

    def commit_all(_thread: int) -> None:
        for one in data:
            with store.begin() as staging:
                staging.write(one)
                barrier.wait()
                staging.commit(sha256_of(one))
            assert get(store, sha256_of(one)) == one

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(commit_all, range(4)))
    assert list(store.digests()) == sorted(map(sha256_of, data))
    assert all(get(store, sha256_of(one)) == one for one in data)
    assert store.sweep_staging(-10) == 0


def test_invisible_before_commit(store: BlobStore) -> None:
    """Bytes that are not committed are not a blob."""
    for data in (b"abc", os.urandom(2 * LARGE)):
        with store.begin() as staging:
            staging.write(data)
            assert not store.exists(sha256_of(data))
        assert list(store.digests()) == []


@pytest.mark.parametrize("size", [3, LARGE + 1, 3 * LARGE])
def test_abort(place: Place, size: int) -> None:
    """An aborted upload leaves nothing, may be aborted again, and takes nothing more."""
    data = os.urandom(size)
    staging = place.store.begin()
    staging.write(data)
    staging.abort()
    staging.abort()
    assert place.everything() == []
    for use in (lambda: staging.write(b"d"), lambda: staging.commit(sha256_of(data))):
        with pytest.raises(ValueError, match="aborted"):
            use()
    assert not place.store.exists(sha256_of(data))


@pytest.mark.parametrize("size", [3, LARGE + 1])
def test_commit_again(place: Place, size: int) -> None:
    """Until it is left, a staging brings back what was deleted meanwhile; a blob that is there stays as it is."""
    data, other = os.urandom(size), os.urandom(10)
    sha256 = sha256_of(data)
    put(place.store, other)
    put(place.store, data)
    with place.store.begin() as staging:
        staging.write(data)
        staging.commit(sha256)
        staging.commit(sha256)
        place.store.delete(sha256)
        assert not place.store.exists(sha256)
        staging.commit(sha256)
        assert get(place.store, sha256) == data
    assert get(place.store, sha256) == data
    place.store.delete(sha256)
    assert list(place.store.digests()) == [sha256_of(other)]
    assert len(place.everything()) == 1


@pytest.mark.parametrize("size", [3, LARGE + 1])
def test_replace(place: Place, size: int) -> None:
    """Replacing exchanges the bytes under a name at once; without it, what is there stays."""
    data, damaged = os.urandom(size), os.urandom(size)
    sha256 = sha256_of(data)
    for _ in range(2):
        with place.store.begin() as staging:
            staging.write(damaged)
            staging.commit(sha256, replace=True)
        put(place.store, data)
        assert get(place.store, sha256) == damaged
        put(place.store, data, replace=True)
        assert get(place.store, sha256) == data
    place.store.sweep_staging(-10)
    assert get(place.store, sha256) == data
    place.store.delete(sha256)
    assert place.everything() == []


@pytest.mark.parametrize("size", [3, LARGE + 2])
def test_other_size(place: Place, size: int) -> None:
    """Bytes are not taken for stored where their name holds others of another size; replacing heals that."""
    data = os.urandom(size)
    with place.store.begin() as staging:
        staging.write(data[:-1])
        staging.commit(sha256_of(data))
    with pytest.raises(Corrupt):
        put(place.store, data)
    put(place.store, data, replace=True)
    assert get(place.store, sha256_of(data)) == data


def test_abort_after_commit(store: BlobStore) -> None:
    """Aborting what was committed changes nothing, and a commit after that is refused."""
    staging = store.begin()
    staging.write(b"abc")
    staging.commit(sha256_of(b"abc"))
    staging.abort()
    with pytest.raises(ValueError, match="committed"):
        staging.commit(sha256_of(b"abc"))
    assert get(store, sha256_of(b"abc")) == b"abc"


def test_absent(store: BlobStore) -> None:
    """A blob that is not there is NotFound to readers, and deleting it is fine."""
    for use in (store.open, store.size):
        with pytest.raises(NotFound):
            use(ABSENT)
    assert not store.exists(ABSENT)
    store.delete(ABSENT)


@pytest.mark.parametrize("size", [BLOCK, 2 * BLOCK, LARGE + 2])
def test_delete_while_reading(place: Place, size: int) -> None:
    """A reader that was there before a deletion gives right bytes or says that they are gone; later ones find nothing.

    The bytes can be stored again.
    """
    store, data = place.store, os.urandom(size)
    sha256 = put(store, data)
    with closing(store.open(sha256)) as reader:
        store.delete(sha256)
        assert not store.exists(sha256)
        try:
            assert reader.read_at(0, reader.size) == data
        except NotFound:
            assert isinstance(store, S3Blobs)
            assert size > BLOCK
    assert place.everything() == []
    assert put(store, data) == sha256
    assert get(store, sha256) == data


def test_closed_reader(store: BlobStore) -> None:
    """A closed reader may be closed again and reads no more, whatever file its number belongs to by then."""
    reader = store.open(put(store, b"abc"))
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="open"):
        reader.read_at(0, 1)


def test_digests_are_complete_and_sorted(store: BlobStore) -> None:
    """Every blob is named once, in order, of whatever size, and from behind any of them on those that follow."""
    names = {put(store, str(n).encode()) for n in range(40)} | {put(store, os.urandom(LARGE + 1)) for _ in range(2)}
    ordered = sorted(names)
    assert list(store.digests()) == ordered
    for at in (0, 20, len(ordered) - 2, len(ordered) - 1):
        assert list(store.digests(ordered[at])) == ordered[at + 1 :]
    assert list(store.digests(ABSENT)) == ordered
    assert list(store.digests("f" * 64)) == []


@pytest.mark.parametrize("sha256", HOSTILE_DIGESTS, ids=ascii)
def test_hostile_digest(store: BlobStore, sha256: str) -> None:
    """A name that is not 64 lower-case hex digits is refused by every call."""
    staging = store.begin()
    staging.write(b"abc")
    uses: list[Callable[[str], object]] = [store.open, store.exists, store.size, store.delete, staging.commit]
    for use in uses:
        with pytest.raises(InvalidInput):
            use(sha256)


def test_sweep_spares_the_living(place: Place) -> None:
    """A sweep of any age touches neither blobs nor an upload that is still going on."""
    kept, slow = os.urandom(LARGE + 1), os.urandom(2 * LARGE + 1)
    put(place.store, b"kept")
    put(place.store, kept)
    with place.store.begin() as staging:
        staging.write(slow)
        assert (place.store.left_over(-10), place.store.sweep_staging(-10)) == (0, 0)
        staging.commit(sha256_of(slow))
        assert place.store.sweep_staging(-10) == 0
    assert place.store.sweep_staging(-10) == 0
    for data in (b"kept", kept, slow):
        assert get(place.store, sha256_of(data)) == data


def test_check(place: Place) -> None:
    """A healthy store passes its check, which leaves nothing behind."""
    place.store.check()
    assert place.everything() == []
    assert list(place.store.digests()) == []


def test_link(store: BlobStore) -> None:
    """Where a store gives links, one gets the bytes, as a file to save and nothing to show, and no other blob."""
    for data in (b"<html>", os.urandom(LARGE + 1)):
        link = store.link(put(store, data), "a b.html", 60)
        if link is None:
            assert isinstance(store, LocalBlobs)
            return
        with urllib.request.urlopen(urllib.request.Request(link.url, headers=link.headers)) as answer:
            assert answer.read() == data
            assert answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["content-type"] == "application/octet-stream"
        for other in (link.url.replace("a%20b", "c%20d"), link.url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(other)
    with pytest.raises(NotFound):
        store.link(ABSENT, "a", 60)


# Uploads in parts


def _joined(store: BlobStore, handle: str, parts: list[Part]) -> bytes:
    joined = store.parts.join(UPLOAD, handle, parts)
    with closing(joined):
        return b"".join(joined.read_at(at, BLOCK) for at in range(0, joined.size, BLOCK))


@pytest.mark.parametrize("sizes", [[7], [SMALLEST_PART, 1], [SMALLEST_PART, SMALLEST_PART + 3, 3 * BLOCK]])
def test_parts(place: Place, sizes: list[int]) -> None:
    """Parts sent in any order, in pieces, and again, are joined by their numbers, read, and get a name."""
    store, data = place.store, [os.urandom(size) for size in sizes]
    handle = store.parts.begin(UPLOAD)
    parts = {}
    for number in reversed(range(1, len(sizes) + 1)):
        body = data[number - 1]
        write_part(store, UPLOAD, handle, number, [b"other" * 1_200_000])
        parts[number] = write_part(store, UPLOAD, handle, number, [body[:3], body[3:]])
        assert parts[number][:2] == (number, len(body))
    whole = b"".join(data)
    assert list(store.digests()) == []
    joined = store.parts.join(UPLOAD, handle, sorted(parts.values()))
    assert joined.size == len(whole)
    assert b"".join(joined.read_at(at, BLOCK) for at in range(0, len(whole), BLOCK)) == whole
    joined.commit(sha256_of(whole))
    joined.commit(sha256_of(whole))
    joined.abort()
    joined.abort()
    assert get(store, sha256_of(whole)) == whole
    assert list(store.parts.uploads()) == []
    assert store.sweep_staging(-10) == 0
    store.delete(sha256_of(whole))
    assert place.everything() == []


def test_the_bytes_of_a_part(store: BlobStore) -> None:
    """A store gives out a part before it is joined exactly as it was sent, or not at all; never an absent one."""
    handle = store.parts.begin(UPLOAD)
    data = os.urandom(SMALLEST_PART)
    part = write_part(store, UPLOAD, handle, 1, [data])
    with suppress(NotFound):
        assert b"".join(store.parts.blocks(UPLOAD, handle, part)) == data
    with pytest.raises(NotFound):
        list(store.parts.blocks(UPLOAD, handle, Part(2, len(data), part.etag)))
    store.parts.abort(UPLOAD, handle)


def test_parts_joined_twice(place: Place) -> None:
    """Whoever puts an upload together may break off: another one finds the same bytes."""
    store, data = place.store, os.urandom(SMALLEST_PART + 4 * BLOCK)
    handle = store.parts.begin(UPLOAD)
    parts = [write_part(store, UPLOAD, handle, 1, [data[:SMALLEST_PART]])]
    parts.append(write_part(store, UPLOAD, handle, 2, [data[SMALLEST_PART:]]))
    assert _joined(store, handle, parts) == data
    assert _joined(store, handle, parts) == data
    joined = store.parts.join(UPLOAD, handle, parts)
    joined.commit(sha256_of(data))
    joined.abort()
    assert get(store, sha256_of(data)) == data


def test_parts_that_are_already_stored(place: Place) -> None:
    """Joined bytes that the store holds under their name stay one blob; replacing exchanges it."""
    store, data = place.store, os.urandom(LARGE + 5)
    put(store, data)
    before = place.everything()
    for replace in (False, True):
        handle = store.parts.begin(UPLOAD)
        joined = store.parts.join(UPLOAD, handle, [write_part(store, UPLOAD, handle, 1, [data])])
        joined.commit(sha256_of(data), replace=replace)
        joined.abort()
        store.sweep_staging(-10)
        assert len(place.everything()) == len(before)
        assert get(store, sha256_of(data)) == data


def test_parts_that_are_not_there(place: Place) -> None:
    """Joining a part that was never sent is NotFound, one that is another Conflict, and nothing is lost by that."""
    store, data = place.store, os.urandom(100)
    handle = store.parts.begin(UPLOAD)
    part = write_part(store, UPLOAD, handle, 1, [data])
    with pytest.raises(NotFound):
        store.parts.join(UPLOAD, handle, [part, Part(2, 5, part.etag)])
    with pytest.raises(Conflict):
        _joined(store, handle, [part._replace(etag="0" * len(part.etag))])
    assert _joined(store, handle, [part]) == data


def test_parts_given_up(place: Place) -> None:
    """Given up, an upload leaves nothing, whether its handle is known or not; giving up again is fine."""
    store = place.store
    for known in (True, False):
        handle = store.parts.begin(UPLOAD)
        part = write_part(store, UPLOAD, handle, 1, [b"abc"])
        assert [upload for upload, _ in store.parts.uploads()] == [UPLOAD]
        assert all(-60 < age < 60 for _, age in store.parts.uploads())
        store.parts.abort(UPLOAD, handle if known else "")
        store.parts.abort(UPLOAD, handle if known else "")
        assert list(store.parts.uploads()) == []
        assert place.everything() == []
        with pytest.raises(NotFound):
            write_part(store, UPLOAD, handle, 2, [b"abc"])
        with pytest.raises(NotFound):
            store.parts.join(UPLOAD, handle, [part])


def test_parts_whose_body_breaks_off(place: Place) -> None:
    """A part whose body ends in an error is not a part, and the one that was there before stays."""
    store = place.store
    handle = store.parts.begin(UPLOAD)
    part = write_part(store, UPLOAD, handle, 1, [b"first"])

    def broken() -> Iterator[bytes]:
        yield b"second"
        raise InvalidInput("the client went away")

    with pytest.raises(InvalidInput):
        write_part(store, UPLOAD, handle, 1, broken())
    assert _joined(store, handle, [part]) == b"first"


def test_parts_sent_directly(place: Place) -> None:
    """Where a store takes parts from clients, a link takes one part, of one number; what came is joined by its tag."""
    store, data = place.store, [os.urandom(SMALLEST_PART), os.urandom(9)]
    handle = store.parts.begin(UPLOAD)
    parts = []
    for number, body in enumerate(data, 1):
        link = store.parts.link(UPLOAD, handle, number, 60)
        if link is None:
            assert isinstance(store, LocalBlobs)
            return
        with pytest.raises(urllib.error.HTTPError, match="403"):
            _send(link.url.replace(f"partNumber={number}", "partNumber=7"), body)
        parts.append(Part(number, -1, _send(link.url, body)))
    assert _joined(store, handle, parts) == b"".join(data)


def _send(url: str, body: bytes) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, body, method="PUT")) as answer:
        return str(answer.headers["etag"])


@pytest.mark.parametrize("upload", ["", "a", "../" * 11, "0" * 31, "A" * 32, "put-" + "0" * 32])
def test_hostile_uploads(store: BlobStore, upload: str) -> None:
    """A name of an upload that is not 32 lower-case hex digits is refused by every call."""
    uses: list[Callable[[], object]] = [
        lambda: store.parts.begin(upload),
        lambda: write_part(store, upload, "", 1, [b"a"]),
        lambda: store.parts.join(upload, "", []),
        lambda: store.parts.abort(upload, ""),
    ]
    for use in uses:
        with pytest.raises(InvalidInput):
            use()
