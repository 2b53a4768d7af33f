"""Small files that no thread is needed for: those that memory holds, on a disk of this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.storing import Storing
from modelkeep.artifacts.stores.disk import is_on_local_disk

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 22 0:41 / /srv/models rw,relatime shared:5 - nfs4 files:/models rw
32 31 254:1 / /srv/models/local rw - xfs /dev/vdb rw
33 22 0:50 / /mnt/shared rw - ext4 /dev/vdc rw
34 33 0:51 / /mnt/shared rw - fuse.sshfs host:/ rw
"""


def held(place: Path) -> bool:
    """Whether memory holds the beginning of a file, as far as its file system tells."""
    with place.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except OSError:
            return False


def test_a_blob_that_memory_holds_is_at_hand(quick: Storing) -> None:
    """Its bytes are given at once, and only if the blob has the size that is asked for."""
    content = quick.upload("x", b"some weights")
    is_told = held(quick.place(content)) and is_on_local_disk(quick.folder, Path("/proc/self/mountinfo"))
    assert quick.blobs.at_hand(content.sha256, 12) == (b"some weights" if is_told else None)
    assert quick.blobs.at_hand(content.sha256, 11) is None


def test_what_the_disk_would_have_to_be_asked_for_is_left_to_a_thread(quick: Storing) -> None:
    """Bytes that memory let go of are read all the same, and never are fewer or others given."""
    data = os.urandom(200_000)
    content = quick.upload("x", data)
    with quick.place(content).open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    is_held = held(quick.place(content))
    assert quick.blobs.at_hand(content.sha256, len(data)) in ((data, None) if is_held else (None,))
    assert quick.download("x") == data


def absent(place: Path) -> None:
    """Nothing is there."""
    place.unlink()


def link(place: Path) -> None:
    """A symbolic link to other bytes is there."""
    place.rename(place.with_name("else"))
    place.symlink_to("else")


def second_name(place: Path) -> None:
    """The file has another name, through which it could be changed."""
    place.with_name("else").hardlink_to(place)


def folder(place: Path) -> None:
    """A folder is there."""
    place.unlink()
    place.mkdir()


@pytest.mark.parametrize("change", [absent, link, second_name, folder])
def test_what_is_no_plain_file_is_not_at_hand(quick: Storing, change: Callable[[Path], None]) -> None:
    """A blob that is missing or was tampered with is left to a thread, which says what is wrong."""
    content = quick.upload("x", b"some weights")
    change(quick.place(content))
    assert quick.blobs.at_hand(content.sha256, 12) is None


@pytest.mark.parametrize(
    ("folder", "is_local"),
    [
        ("/var/lib", True),
        ("/srv/models", False),
        ("/srv/models/deep/down", False),
        ("/srv/models/local/x", True),
        ("/srv/models2", True),
        ("/mnt/shared/x", False),
    ],
)
def test_folders_of_other_machines_are_told_apart(tmp_path: Path, folder: str, is_local: bool) -> None:
    """By the mount that lies deepest, and of several at one place on top."""
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert is_on_local_disk(Path(folder), tmp_path / "mountinfo") is is_local


def test_where_mounts_cannot_be_told_nothing_is_local(tmp_path: Path) -> None:
    """Without a table of mounts, every folder may be another machine's."""
    assert not is_on_local_disk(tmp_path, tmp_path / "absent")
