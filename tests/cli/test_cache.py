"""The cache of pulls and the folders made of it: kept files are right and shared safely, folders appear whole."""

import hashlib
import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from faults.traced import QUICK_WHERE_IT_CAN, calls
from modelkeep.cli.refusals import Refused
from modelkeep.cli.transfer.cache import Cache, Kept, boot_id, cache_folder
from modelkeep.cli.transfer.place import check_free, place
from modelkeep.cli.transfer.plan import PlannedFile

ONE, TWO = b"one" * 1000, b"two"


def keep(cache: Cache, content: bytes) -> PlannedFile:
    """Bring some bytes into the cache, as a download does."""
    sha256 = hashlib.sha256(content).hexdigest()
    with cache.part(sha256) as part:
        os.pwrite(part, content, 0)
        cache.keep(sha256, part)
    return PlannedFile(f"folder/{sha256[:8]}.bin", len(content), sha256)


def has(cache: Cache, file: PlannedFile) -> bool:
    """Whether the cache has a file."""
    return cache.has(file.sha256, file.size)


def names(folder: str | Path) -> list[str]:
    """What a folder holds."""
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(str(tmp_path / "cache"))


def test_what_is_kept_is_there_and_sealed(cache: Cache) -> None:
    """A kept file is found under its hash and size, listed, and not to be written to."""
    file = keep(cache, ONE)
    assert has(cache, file)
    assert not cache.has(file.sha256, file.size + 1)
    file = keep(cache, ONE)
    assert list(cache.kept()) == [Kept(file.sha256, file.size)]
    assert stat.S_IMODE(Path(cache.path(file.sha256)).stat().st_mode) == 0o444
    assert names(f"{cache.folder}/parts") == []


def test_an_empty_cache_has_nothing(cache: Cache) -> None:
    """A cache that was never used lists nothing and has nothing to free."""
    assert not cache.has("a" * 64, 3)
    assert list(cache.kept()) == []
    assert cache.clear() == 0


def test_a_changed_file_is_noticed_before_it_is_used(cache: Cache) -> None:
    """A kept file whose bytes were changed, its size the same, is forgotten by the next who asks for it."""
    file = keep(cache, ONE)
    path = Path(cache.path(file.sha256))
    path.chmod(0o644)
    path.write_bytes(b"x" + ONE[1:])
    assert not has(cache, file)
    assert list(cache.kept()) == []


def test_a_touched_file_is_hashed_and_kept(cache: Cache) -> None:
    """A kept file that only looks changed is found to be right and is sealed again."""
    file = keep(cache, ONE)
    path = Path(cache.path(file.sha256))
    sealed = path.stat().st_mtime_ns
    os.utime(path)
    assert has(cache, file)
    assert path.stat().st_mtime_ns == sealed


class TestBoot:
    """A seal that nobody waited for the disk with."""

    def test_it_counts_until_the_machine_is_started_again(self, tmp_path: Path) -> None:
        """What a power loss left of a kept file is hashed before it is used, however well it is sealed."""
        before, after = Cache(str(tmp_path), boot="one"), Cache(str(tmp_path), boot="two")
        file = keep(before, ONE)
        path = Path(before.path(file.sha256))
        sealed = path.stat()
        path.chmod(0o644)
        path.write_bytes(bytes(len(ONE)))
        path.chmod(0o444)
        os.utime(path, ns=(sealed.st_atime_ns, sealed.st_mtime_ns))
        assert has(before, file)
        assert not has(after, file)
        assert list(after.kept()) == []

    def test_what_was_hashed_is_sealed_for_good(self, tmp_path: Path) -> None:
        """After the first hash in a later run of the machine, no other one has to hash the file again."""
        file = keep(Cache(str(tmp_path), boot="one"), ONE)
        path = Path(Cache(str(tmp_path)).path(file.sha256))
        assert has(Cache(str(tmp_path), boot="two"), file)
        sealed = path.stat().st_mtime_ns
        assert all(has(Cache(str(tmp_path), boot=boot), file) for boot in ("one", "three", ""))
        assert path.stat().st_mtime_ns == sealed

    def test_this_machine_says_which_run_it_is(self) -> None:
        """The system's name of its run is there, and the same each time."""
        assert len(boot_id()) == 36
        assert boot_id() == boot_id()


class TestOrder:
    """What is durable before what, read from the system calls."""

    pytestmark = QUICK_WHERE_IT_CAN

    def test_bytes_are_on_the_disk_before_the_seal(self, tmp_path: Path) -> None:
        """A file is synced before it gets the time that says that it need not be hashed: no power loss parts them."""
        program = f"""
import os
from modelkeep.cli.transfer.cache import Cache
with (cache := Cache({str(tmp_path)!r})).part("a" * 64) as part:
    os.pwrite(part, b"bytes", 0)
    cache.keep("a" * 64, part)
"""
        trace = tmp_path / "trace"
        subprocess.run(["strace", "-f", "-y", "-o", trace, sys.executable, "-c", program], check=True, timeout=60)
        done = [call.name for call in calls(trace) if "a" * 64 in call.arguments]
        assert done.index("pwrite64") < done.index("fsync") < done.index("utimensat")
        assert done.index("rename") < done.index("utimensat")


def test_verify_finds_what_a_disk_does(cache: Cache) -> None:
    """Hashing finds a wrong byte even where size and times are as they were."""
    file, other = keep(cache, ONE), keep(cache, TWO)
    path = Path(cache.path(file.sha256))
    times = path.stat()
    path.chmod(0o644)
    path.write_bytes(ONE[:-1] + b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert has(cache, file)
    assert not cache.verify(file.sha256)
    assert cache.verify(other.sha256)
    assert list(cache.kept()) == [Kept(other.sha256, other.size)]


def test_clearing_spares_a_part_in_use(cache: Cache) -> None:
    """`clear` frees files and what killed pulls left, and not the part that somebody is writing to."""
    keep(cache, ONE)
    with cache.part("b" * 64) as left:
        os.pwrite(left, b"left", 0)
    with cache.part("c" * 64) as part:
        os.pwrite(part, b"busy", 0)
        assert cache.clear() >= len(ONE)
        assert names(f"{cache.folder}/parts") == ["c" * 64]
    assert list(cache.kept()) == []


def count_under_lock(folder: str, times: int) -> None:
    """Raise the number in a part again and again."""
    for _ in range(times):
        with Cache(folder).part("d" * 64) as part:
            number = int(os.pread(part, 20, 0) or b"0")
            os.pwrite(part, b"%d" % (number + 1), 0)


def test_a_part_belongs_to_one_process_at_a_time(cache: Cache) -> None:
    """Processes that want the same file wait for each other: no one's writing is lost."""
    workers = [
        multiprocessing.get_context("fork").Process(target=count_under_lock, args=(cache.folder, 50)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with cache.part("d" * 64) as part:
        assert os.pread(part, 20, 0) == b"200"


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"MODELKEEP_CACHE": "/x/y", "HOME": "/h"}, "/x/y"),
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/modelkeep"),
        ({"HOME": "/h"}, "/h/.cache/modelkeep"),
    ],
)
def test_where_the_cache_is(environment: dict[str, str], folder: str) -> None:
    """MODELKEEP_CACHE decides, then the user's folder for caches."""
    assert cache_folder(environment) == folder


@pytest.mark.parametrize("link", [False, True], ids=["copied", "linked"])
def test_a_folder_is_made_of_kept_files(cache: Cache, tmp_path: Path, link: bool) -> None:
    """Every file is in its place with its bytes; a copy may be changed without the cache changing."""
    files = [keep(cache, ONE)._replace(path="a/b/one"), keep(cache, TWO)._replace(path="two"), keep(cache, b"")]
    place(cache, files, str(tmp_path / "new" / "folder"), link=link)
    folder = tmp_path / "new" / "folder"
    assert (folder / "a/b/one").read_bytes() == ONE
    assert (folder / "two").read_bytes() == TWO
    assert (folder / "two").samefile(cache.path(files[1].sha256)) == link
    if not link:
        (folder / "two").write_bytes(b"mine")
        assert has(cache, files[1])


def test_a_folder_appears_whole_or_not_at_all(cache: Cache, tmp_path: Path) -> None:
    """Where one file is missing, neither the folder nor anything beside it is left."""
    file = keep(cache, ONE)
    before = names(tmp_path)
    with pytest.raises(FileNotFoundError):
        place(cache, [file, PlannedFile("z", 1, "e" * 64)], str(tmp_path / "folder"), link=False)
    assert names(tmp_path) == before


def test_a_folder_with_something_in_it_is_left_alone(cache: Cache, tmp_path: Path) -> None:
    """A folder that is not empty is refused, before and while the files are placed; an empty one is taken."""
    file = keep(cache, ONE)
    full, empty, plain = tmp_path / "full", tmp_path / "empty", tmp_path / "plain"
    full.mkdir()
    (full / "mine").write_text("mine")
    empty.mkdir()
    plain.write_text("a file")
    for taken in (full, plain):
        with pytest.raises(Refused, match=taken.name):
            check_free(str(taken))
        with pytest.raises(Refused, match=taken.name):
            place(cache, [file], str(taken), link=False)
    assert names(full) == ["mine"]
    check_free(str(empty))
    place(cache, [file], str(empty), link=False)
    assert (empty / file.path).read_bytes() == ONE


def test_a_file_that_would_be_a_folder_too_is_refused(cache: Cache, tmp_path: Path) -> None:
    """Files of which one lies in the other make no folder."""
    one, two = keep(cache, ONE)._replace(path="a"), keep(cache, TWO)._replace(path="a/b")
    with pytest.raises(Refused):
        place(cache, [one, two], str(tmp_path / "folder"), link=False)
    assert not (tmp_path / "folder").exists()
