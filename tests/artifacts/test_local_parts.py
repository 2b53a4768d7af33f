"""Parts on a local disk: nothing planted in the folder leads out of it, and nothing is there by halves."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conformance.stored import write_part
from modelkeep.artifacts.blobs import Part
from modelkeep.artifacts.stores.local import LocalBlobs
from modelkeep.core.errors import Conflict, Corrupt, DomainError, InvalidInput, NotFound

UPLOAD = "0123456789abcdef" * 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalBlobs]:
    """An empty store below `tmp_path / "blobs"`."""
    with closing(LocalBlobs(tmp_path / "blobs")) as store:
        yield store


@pytest.mark.parametrize(
    "upload", ["", "..", "../" * 10, "A" * 32, "g" * 32, UPLOAD + "\n", UPLOAD + "0", "/etc", "\x00" * 32]
)
def test_hostile_names_are_refused(store: LocalBlobs, upload: str) -> None:
    """What is not 32 hex digits names no upload, whatever the call."""
    calls = (
        lambda: store.parts.begin(upload),
        lambda: write_part(store, upload, "", 1, [b"x"]),
        lambda: store.parts.join(upload, "", []),
        lambda: store.parts.abort(upload, ""),
    )
    for call in calls:
        with pytest.raises(InvalidInput):
            call()


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_numbers_out_of_range_are_refused(store: LocalBlobs, number: int) -> None:
    """Parts are numbered from 1 to 10,000."""
    store.parts.begin(UPLOAD)
    with pytest.raises(InvalidInput):
        write_part(store, UPLOAD, "", number, [b"x"])


def test_a_link_in_place_of_an_upload_is_not_followed(store: LocalBlobs, tmp_path: Path) -> None:
    """A symbolic link named as an upload is refused, and what it leads to stays as it is."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1").write_bytes(b"secret")
    (tmp_path / "blobs" / "parts" / UPLOAD).symlink_to(outside)
    calls = (
        lambda: write_part(store, UPLOAD, "", 1, [b"x"]),
        lambda: store.parts.join(UPLOAD, "", [Part(1, 6, "")]),
        lambda: store.parts.abort(UPLOAD, ""),
    )
    for call in calls:
        with pytest.raises(Corrupt):
            call()
    assert (outside / "1").read_bytes() == b"secret"
    assert list((tmp_path / "blobs" / "staging").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_planted_in_place_of_a_part_is_not_read(store: LocalBlobs, tmp_path: Path, kind: str) -> None:
    """A link, a folder or a pipe where a part should be is refused, without waiting, and makes no blob."""
    store.parts.begin(UPLOAD)
    place = tmp_path / "blobs" / "parts" / UPLOAD / "1"
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    {"link": lambda: place.symlink_to(secret), "folder": place.mkdir, "pipe": lambda: os.mkfifo(place)}[kind]()
    with pytest.raises(DomainError):
        store.parts.join(UPLOAD, "", [Part(1, 6, "")])
    assert list(store.digests()) == []


def test_a_part_exchanged_after_it_was_looked_at_is_noticed(store: LocalBlobs, tmp_path: Path) -> None:
    """Bytes of the right length that are not those that were acknowledged are noticed while they are read."""
    store.parts.begin(UPLOAD)
    parts = [write_part(store, UPLOAD, "", number, [b"right"]) for number in (1, 2)]
    joined = store.parts.join(UPLOAD, "", parts)
    (tmp_path / "blobs" / "parts" / UPLOAD / "2").write_bytes(b"wrong")
    assert joined.read_at(0, 5) == b"right"
    with pytest.raises(Conflict, match="Part 2"):
        joined.read_at(5, 5)
    joined.close()
    assert list((tmp_path / "blobs" / "staging").iterdir()) == []


def test_a_part_is_whole_or_not_there(store: LocalBlobs, tmp_path: Path) -> None:
    """A body that breaks off leaves what was there before, and nothing of itself."""
    store.parts.begin(UPLOAD)
    part = write_part(store, UPLOAD, "", 1, [b"first"])

    def breaking() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    for number in (1, 2):
        with pytest.raises(ConnectionResetError):
            write_part(store, UPLOAD, "", number, breaking())
    assert [path.name for path in (tmp_path / "blobs" / "parts" / UPLOAD).iterdir()] == ["1"]
    assert list((tmp_path / "blobs" / "staging").iterdir()) == []
    with closing(store.parts.join(UPLOAD, "", [part])) as joined:
        assert joined.read_at(0, 9) == b"first"


def test_a_part_that_comes_after_the_end_is_refused(store: LocalBlobs, tmp_path: Path) -> None:
    """A part whose upload is given up while it is being written is not kept."""
    store.parts.begin(UPLOAD)

    def giving_up() -> Iterator[bytes]:
        yield b"x"
        store.parts.abort(UPLOAD, "")

    with pytest.raises(NotFound):
        write_part(store, UPLOAD, "", 1, giving_up())
    assert list(store.parts.uploads()) == []
    assert list((tmp_path / "blobs" / "staging").iterdir()) == []


def test_only_the_server_can_read_parts(store: LocalBlobs, tmp_path: Path) -> None:
    """Folders are made 0700 and parts 0600, whatever the umask takes away or leaves."""
    old = os.umask(0o777)
    try:
        store.parts.begin(UPLOAD)
        write_part(store, UPLOAD, "", 1, [b"x"])
    finally:
        os.umask(old)
    folder = tmp_path / "blobs" / "parts" / UPLOAD
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "1").stat().st_mode) == 0o600
