"""Verification and checkup of blobs in a bucket: every way in which an object can be wrong is found and named."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from artifacts.storing import ALICE, Storing
from modelkeep import artifacts, checkup
from modelkeep.artifacts import Content, Damaged, Place, Problem, Scope, Verified, WrongBlob
from modelkeep.artifacts.stores.s3.blobs import S3Blobs
from modelkeep.artifacts.stores.s3.names import SMALL
from modelkeep.checkup import Kind, Stage
from seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Bucket

FEW, MANY = os.urandom(100_000), os.urandom(SMALL + (2 << 20) + 7)
Spoil = Callable[[bytes], bytes | None]


class InBucket(Storing):
    """A registry whose bytes are in a bucket, and what the tests do to its objects behind its back."""

    def __init__(self, url: str, folder: Path, bucket: Bucket) -> None:
        super().__init__(url, folder)
        self.blobs.close()
        self.blobs = S3Blobs(bucket.settings)  # type: ignore[assignment]
        self.prefix = bucket.settings.prefix
        self.objects = S3Store(
            BUCKET,
            endpoint=bucket.endpoint,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    def keys(self, kind: str) -> list[str]:
        """The objects of one kind: `sha256` (small blobs), `named` (pointers) or `large`."""
        pages = obstore.list(self.objects, f"{self.prefix}{kind}/")
        return [found["path"] for page in pages for found in page]

    def spoil(self, kind: str, change: Spoil, key: str = "") -> str:
        """Change the only object of a kind (or this one); its key."""
        key = key or self.only_key(kind)
        data = change(bytes(obstore.get(self.objects, key).bytes()))
        if data is None:
            obstore.delete(self.objects, key)
        else:
            obstore.put(self.objects, key, data)
        return key

    def only_key(self, kind: str) -> str:
        """The one object of a kind."""
        (key,) = self.keys(kind)
        return key

    def verified(self, *, deep: bool = False) -> Verified:
        """What all calls together say."""
        total = Verified(following=Place())
        while total.following is not None:
            page = artifacts.verify_blobs(self.database, ALICE, self.blobs, Scope(), total.following, deep=deep)
            total.checked, total.size = total.checked + page.checked, total.size + page.size
            total.wrong, total.following = total.wrong + page.wrong, page.following
        return total

    def only_wrong(self, *, deep: bool = False) -> WrongBlob:
        """The one wrong blob."""
        (wrong,) = self.verified(deep=deep).wrong
        return wrong

    def disagreements(self) -> dict[Kind, list[str]]:
        """What a checkup of bytes and rows finds."""
        found: dict[Kind, list[str]] = {}
        following: tuple[str, int] | None = ("", 0)
        while following is not None:
            page = checkup.compare(self.database, ALICE, self.blobs, Stage.BYTES, following)
            for one in page.found:
                found.setdefault(one.kind, []).append(one.what)
            following = page.following
        return found


@pytest.fixture
def stored(tmp_path: Path, bucket: Bucket) -> Iterator[InBucket]:
    """An empty bucket with its database."""
    made = InBucket(f"sqlite:///{tmp_path / 'db'}", tmp_path / "unused", bucket)
    yield made
    made.close()


def flipped(data: bytes) -> bytes:
    """One bit of the middle changed."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def shorter(data: bytes) -> bytes:
    """All but the last byte."""
    return data[:-1]


def gone(_data: bytes) -> None:
    """No object at all."""


WRONG = pytest.mark.parametrize(
    ("spoil", "problem"),
    [(flipped, Problem.FLIPPED), (shorter, Problem.TRUNCATED), (gone, Problem.MISSING)],
    ids=["flipped", "truncated", "missing"],
)
SIZES = pytest.mark.parametrize(("kind", "data"), [("sha256", FEW), ("large", MANY)], ids=["small", "large"])


def test_a_sound_bucket_is_all_right(stored: InBucket) -> None:
    """Small and large objects are counted once with their bytes, and database and bucket agree."""
    for name, data in (("few", FEW), ("many", MANY), ("empty", b"")):
        stored.upload(name, data)
    for deep in (False, True):
        found = stored.verified(deep=deep)
        assert (found.checked, found.size, found.wrong) == (3, len(FEW) + len(MANY), [])
    assert stored.disagreements() == {}


@WRONG
@SIZES
@pytest.mark.parametrize("deep", [False, True], ids=["chunks", "deep"])
def test_a_wrong_object_is_named(
    stored: InBucket, kind: str, data: bytes, spoil: Spoil, problem: Problem, *, deep: bool
) -> None:
    """A flipped, truncated or missing object is reported as that with its holder, marked, and healed by an upload."""
    content = stored.upload("file", data)
    other = stored.upload("other", b"sound")
    stored.spoil(kind, spoil, next(key for key in stored.keys(kind) if not key.endswith(other.sha256)))
    wrong = stored.only_wrong(deep=deep)
    assert (wrong.sha256, wrong.size, wrong.is_certain) == (content.sha256, len(data), True)
    assert wrong.problem is problem
    assert [(holder.owner, holder.path) for holder in wrong.holders] == [("run/run-1", "file")]
    with pytest.raises(Damaged):
        stored.found("file")
    stored.upload("file", data)
    assert stored.verified().wrong == []
    assert stored.download("file") == data


def test_a_damaged_pointer_is_unreadable(stored: InBucket) -> None:
    """A large blob whose pointer is not what was written cannot be read, and is reported with its holder."""
    content = stored.upload("file", MANY)
    stored.spoil("named", flipped)
    wrong = stored.only_wrong()
    assert (wrong.sha256, wrong.problem, wrong.holders[0].path) == (content.sha256, Problem.UNREADABLE, "file")


def test_a_checkup_sees_both_directions(stored: InBucket) -> None:
    """Rows without objects, objects of another size, and objects without rows are each told by their digest."""
    lost, cut, known = (stored.upload(name, os.urandom(1000)) for name in ("lost", "cut", "known"))
    stored.spoil("sha256", gone, key_of(stored, lost))
    stored.spoil("sha256", shorter, key_of(stored, cut))
    lost_large = stored.upload("large", MANY)
    stored.spoil("named", gone)
    (body_of_lost_large,) = stored.keys("large")
    hollow = stored.upload("hollow", MANY[::-1])
    (body_of_hollow,) = {*stored.keys("large")} - {body_of_lost_large}
    stored.spoil("large", gone, body_of_hollow)
    stray = orphan(stored)
    found = stored.disagreements()
    assert {kind: len(what) for kind, what in found.items()} == {
        Kind.BYTES_MISSING: 2,
        Kind.BYTES_OTHER: 2,
        Kind.BYTES_UNKNOWN: 1,
    }
    told = " ".join(what for one in found.values() for what in one)
    assert all(name in told for name in (lost.sha256, cut.sha256, lost_large.sha256, hollow.sha256, stray))
    assert known.sha256 not in told


def key_of(stored: InBucket, content: Content) -> str:
    """The object of a small blob."""
    return next(key for key in stored.keys("sha256") if key.endswith(content.sha256))


def orphan(stored: InBucket) -> str:
    """Bytes in the bucket that no row knows; their name."""
    digests = artifacts.Digests()
    digests.update(b"nobody knows")
    name = digests.content().sha256
    with stored.blobs.begin() as staging:
        staging.write(b"nobody knows")
        staging.commit(name)
    return name
