"""Beginnings of uploads that are hashed ahead: never other hashes than those of the parts that are put together."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conformance.stored import write_part
from modelkeep.artifacts.blobs import Part
from modelkeep.artifacts.digests import Digests
from modelkeep.artifacts.stores.local import LocalBlobs
from modelkeep.artifacts.uploads.ahead import Beginning, Beginnings
from modelkeep.artifacts.uploads.service import Upload, UploadPlan

SIZE = (1 << 20) + 7
DATA = os.urandom(4 * SIZE)
UPLOAD = Upload("0123456789abcdef" * 2, "0/run/artifacts/x", UploadPlan(4), "open", "", 0, 0, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalBlobs]:
    """A store with an upload of no parts."""
    with closing(LocalBlobs(tmp_path / "blobs")) as store:
        store.parts.begin(UPLOAD.id)
        yield store


def sent(store: LocalBlobs, number: int, data: bytes | None = None) -> Part:
    """A part, those bytes of DATA unless others are given."""
    body = DATA[(number - 1) * SIZE : number * SIZE] if data is None else data
    return write_part(store, UPLOAD.id, "", number, [body])


def hashed(store: LocalBlobs, come: list[Part], joined: list[Part], size: int) -> Digests:
    """What is known of an upload some time after its parts came: at last the hashes of so many bytes."""
    for wait in (0.1, 0.5, 2, 5, 10):
        beginning = Beginning(store, UPLOAD)
        for part in come:
            beginning.add(part)
        time.sleep(wait)
        digests = beginning.end(joined)
        assert digests.content().sha256 == hashlib.sha256(DATA[: digests.size]).hexdigest()
        if digests.size == size:
            break
    return digests


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 1, 4, 3)])
def test_parts_in_any_order_are_hashed_in_theirs(store: LocalBlobs, order: tuple[int, ...]) -> None:
    """However the parts come, the hashes are those of the whole file, chunk by chunk."""
    parts = {number: sent(store, number) for number in order}
    found = hashed(store, list(parts.values()), sorted(parts.values()), len(DATA))
    whole = Digests()
    whole.update(DATA)
    assert found.content() == whole.content()


def test_only_what_has_no_gap_before_it_is_hashed(store: LocalBlobs) -> None:
    """Of parts 1, 2 and 4 the first two are known."""
    parts = [sent(store, number) for number in (1, 2, 4)]
    assert hashed(store, parts, [*parts[:2], sent(store, 3), parts[2]], 2 * SIZE).size == 2 * SIZE


def test_other_parts_than_those_hashed_are_not_taken_for_them(store: LocalBlobs) -> None:
    """Where a part was sent again, even to another process, nothing is known."""
    first, second = sent(store, 1), sent(store, 2)
    beginning = Beginning(store, UPLOAD)
    assert beginning.add(first)
    again = sent(store, 1, os.urandom(SIZE))
    assert not beginning.add(again)
    assert beginning.end([again, second]).size == 0


def test_damaged_parts_are_not_hashed(store: LocalBlobs, tmp_path: Path) -> None:
    """Bytes that are not those that were acknowledged give no hash, nor does what follows them."""
    parts = [sent(store, 1), sent(store, 2)]
    place = tmp_path / "blobs" / "parts" / UPLOAD.id / "1"
    place.write_bytes(os.urandom(SIZE))
    beginning = Beginning(store, UPLOAD)
    for part in parts:
        beginning.add(part)
    time.sleep(0.5)
    assert beginning.end(parts).size == 0


def test_beginnings_are_forgotten_when_they_are_taken_or_too_many(store: LocalBlobs) -> None:
    """One that completes gets what is known, once; of more uploads than are remembered, the oldest is forgotten."""
    known = Beginnings()
    part = sent(store, 1)
    for number in range(65):
        known.add(store, UPLOAD._replace(id=f"{number:032x}"), part)
    assert known.take(f"{0:032x}") is None
    assert known.take(f"{64:032x}") is not None
    assert known.take(f"{64:032x}") is None
