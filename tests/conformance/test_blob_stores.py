"""What every blob store must do, and below it what the one on a local disk must do besides.

A further store joins by adding its factory to `STORES`.
"""

import hashlib
import multiprocessing
import multiprocessing.connection
import os
import secrets
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelkeep.artifacts.blobs import BLOCK, Blob, BlobStore
from modelkeep.artifacts.local import FSYNC_FAILED_EXIT, SWEEP_LIMIT, LocalBlobs, blob_key
from modelkeep.core.errors import Corrupt, InvalidInput, NotFound, StorageFull, Unavailable

Factory = Callable[[Path], BlobStore]
STORES: dict[str, Factory] = {"local": lambda folder: LocalBlobs(folder / "blobs")}
ABSENT = "0" * 64
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


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """An empty store of each kind."""
    return STORES[request.param](tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBlobs]:
    """An empty store on the local disk, below `tmp_path / "blobs"`."""
    with closing(LocalBlobs(tmp_path / "blobs")) as store:
        yield store


def _put(store: BlobStore, data: bytes, chunk: int = 300_000) -> Blob:
    with store.begin() as staging:
        for at in range(0, len(data), chunk):
            staging.write(memoryview(data)[at : at + chunk])
        return staging.commit()


def _get(store: BlobStore, sha256: str) -> bytes:
    with closing(store.open(sha256)) as reader:
        return reader.read_at(0, reader.size)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]


def _place(root: Path, sha256: str) -> Path:
    return root.joinpath(*blob_key(sha256))


# Every store


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_round_trip(store: BlobStore, size: int) -> None:
    """Bytes come back as they went in, by the name that their SHA-256 gives them."""
    data = os.urandom(size)
    blob = _put(store, data)
    assert blob == Blob(hashlib.sha256(data).hexdigest(), size)
    assert _get(store, blob.sha256) == data
    assert store.size(blob.sha256) == size
    assert store.exists(blob.sha256)


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
    with closing(store.open(_put(store, data).sha256)) as reader:
        assert reader.read_at(offset, length) == data[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_negative_ranges(store: BlobStore, offset: int, length: int) -> None:
    """A range that is none is refused, not read from the end."""
    with closing(store.open(_put(store, b"abc").sha256)) as reader, pytest.raises(ValueError, match="range"):
        reader.read_at(offset, length)


def test_same_bytes_twice(store: BlobStore) -> None:
    """The same bytes stored again are one blob."""
    assert _put(store, b"same", chunk=1) == _put(store, b"same", chunk=4)
    assert list(store.digests()) == [hashlib.sha256(b"same").hexdigest()]


def test_same_bytes_at_once(store: BlobStore) -> None:
    """Threads that commit the same bytes at the same moment all succeed and leave one readable blob."""
    data = [os.urandom(70_000) for _ in range(5)]
    results: list[Blob] = []

    def commit_all(barrier: threading.Barrier) -> None:
        for one in data:
            with store.begin() as staging:
                staging.write(one)
                barrier.wait()
                results.append(staging.commit())
            assert _get(store, results[-1].sha256)

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=commit_all, args=(barrier,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert list(store.digests()) == sorted(hashlib.sha256(one).hexdigest() for one in data)
    assert all(_get(store, hashlib.sha256(one).hexdigest()) == one for one in data)


def test_invisible_before_commit(store: BlobStore) -> None:
    """Bytes that are not committed are not a blob, and the writer can see what it has so far."""
    with store.begin() as staging:
        staging.write(b"ab")
        staging.write(b"c")
        assert staging.so_far() == Blob(hashlib.sha256(b"abc").hexdigest(), 3)
        assert not store.exists(staging.so_far().sha256)
    assert list(store.digests()) == []


def test_abort(store: BlobStore, tmp_path: Path) -> None:
    """An aborted upload leaves nothing, may be aborted again, and takes nothing more."""
    staging = store.begin()
    staging.write(b"abc")
    staging.abort()
    staging.abort()
    assert _files(tmp_path) == []
    for use in (lambda: staging.write(b"d"), staging.commit):
        with pytest.raises(ValueError, match="aborted"):
            use()
    assert not store.exists(hashlib.sha256(b"abc").hexdigest())


def test_abort_after_commit(store: BlobStore) -> None:
    """Aborting what was committed changes nothing, and a second commit is refused."""
    staging = store.begin()
    staging.write(b"abc")
    blob = staging.commit()
    staging.abort()
    with pytest.raises(ValueError, match="committed"):
        staging.commit()
    assert _get(store, blob.sha256) == b"abc"


def test_absent(store: BlobStore) -> None:
    """A blob that is not there is NotFound to readers, and deleting it is fine."""
    for use in (store.open, store.size):
        with pytest.raises(NotFound):
            use(ABSENT)
    assert not store.exists(ABSENT)
    store.delete(ABSENT)


def test_delete_while_reading(store: BlobStore) -> None:
    """A reader opened before a deletion reads to the end; later ones find nothing; the bytes can be stored again."""
    data = os.urandom(2 * BLOCK)
    sha256 = _put(store, data).sha256
    with closing(store.open(sha256)) as reader:
        store.delete(sha256)
        assert not store.exists(sha256)
        assert reader.read_at(0, reader.size) == data
    assert list(store.digests()) == []
    assert _put(store, data).sha256 == sha256
    assert _get(store, sha256) == data


def test_closed_reader(store: BlobStore) -> None:
    """A closed reader may be closed again and reads no more, whatever file its number belongs to by then."""
    reader = store.open(_put(store, b"abc").sha256)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="open"):
        reader.read_at(0, 1)


def test_digests_are_complete_and_sorted(store: BlobStore) -> None:
    """Every blob is named once, in order."""
    names = {_put(store, str(n).encode()).sha256 for n in range(60)}
    assert list(store.digests()) == sorted(names)


@pytest.mark.parametrize("sha256", HOSTILE_DIGESTS, ids=ascii)
def test_hostile_digest(store: BlobStore, sha256: str) -> None:
    """A name that is not 64 lower-case hex digits is refused by every call."""
    for use in (store.open, store.exists, store.size, store.delete):
        with pytest.raises(InvalidInput):
            use(sha256)


def test_sweep_spares_the_living(store: BlobStore, tmp_path: Path) -> None:
    """A sweep of any age touches neither blobs nor an upload that is still going on."""
    kept = _put(store, b"kept")
    staging = store.begin()
    staging.write(b"abc")
    assert store.sweep_staging(-10) == 0
    assert _get(store, staging.commit().sha256) == b"abc"
    assert _get(store, kept.sha256) == b"kept"


def test_check(store: BlobStore, tmp_path: Path) -> None:
    """A healthy store passes its check, which leaves nothing behind."""
    store.check()
    assert _files(tmp_path) == []
    assert list(store.digests()) == []


# The local disk


def test_modes(tmp_path: Path) -> None:
    """Whatever the umask, every folder made is 0700 and every file 0600."""
    for umask in (0o000, 0o022, 0o277):
        root = tmp_path / f"{umask:o}" / "data" / "blobs"
        before = os.umask(umask)
        try:
            with closing(LocalBlobs(root)) as store:
                blob = _put(store, b"abc")
                with store.begin() as staging:
                    staging.write(b"d")
                    made = [root.parent.parent, *root.parent.parent.rglob("*")]
        finally:
            os.umask(before)
        assert _place(root, blob.sha256) in made
        for path in (path for path in made if path.exists()):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_sweep_of_dead_writers(local: LocalBlobs, tmp_path: Path) -> None:
    """What a killed writer left is swept when it is old enough, and not before."""
    writer = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(str(tmp_path / "blobs"),))
    writer.start()
    writer.join()
    assert writer.exitcode == -9
    assert len(_files(tmp_path)) == 1
    assert local.sweep_staging(3600) == 0
    assert local.sweep_staging(0) == 1
    assert _files(tmp_path) == []


def _die_while_writing(root: str) -> None:
    LocalBlobs(Path(root)).begin().write(b"unfinished")
    os.kill(os.getpid(), 9)


def test_sweep_spares_other_processes(local: LocalBlobs, tmp_path: Path) -> None:
    """A sweep in one process leaves a live upload of another alone."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    writer = context.Process(target=_write_when_told, args=(str(tmp_path / "blobs"), there))
    writer.start()
    assert here.recv() == "begun"
    assert local.sweep_staging(-10) == 0
    here.send("commit")
    sha256 = here.recv()
    writer.join()
    assert _get(local, sha256) == b"slow"


def _write_when_told(root: str, there: multiprocessing.connection.Connection) -> None:
    with LocalBlobs(Path(root)).begin() as staging:
        staging.write(b"slow")
        there.send("begun")
        there.recv()
        there.send(staging.commit().sha256)


def test_sweep_is_bounded(local: LocalBlobs, tmp_path: Path) -> None:
    """One sweep removes a bounded number of pieces, the next ones the rest, and what is not a staged file stays."""
    staging = tmp_path / "blobs" / "staging"
    for n in range(SWEEP_LIMIT + 5):
        (staging / f"{n:032x}").touch()
    (staging / "README").touch()
    (staging / ("a" * 32)).mkdir()
    (staging / ("b" * 32)).symlink_to(staging / "README")
    assert [local.sweep_staging(-10) for _ in range(3)] == [SWEEP_LIMIT, 5, 0]
    assert {path.name for path in staging.iterdir()} == {"README", "a" * 32, "b" * 32}


def test_crash_between_link_and_unlink(local: LocalBlobs, tmp_path: Path) -> None:
    """A blob whose staged name outlived a crash is readable, and the sweep removes only that name."""
    blob = _put(local, b"abc")
    staged = tmp_path / "blobs" / "staging" / secrets.token_hex(16)
    os.link(_place(tmp_path / "blobs", blob.sha256), staged)
    assert _get(local, blob.sha256) == b"abc"
    assert local.sweep_staging(-10) == 1
    assert _get(local, blob.sha256) == b"abc"


@pytest.mark.parametrize("plant", ["symlink", "hard link", "folder", "pipe"])
def test_planted_blob(local: LocalBlobs, tmp_path: Path, plant: str) -> None:
    """Something else under a blob's name is refused as corrupt, is never read, and is not overwritten by a commit."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"canary")
    blob = _put(local, b"canar!")
    place = _place(tmp_path / "blobs", blob.sha256)
    place.unlink()
    {
        "symlink": lambda: place.symlink_to(secret),
        "hard link": lambda: os.link(secret, place),
        "folder": place.mkdir,
        "pipe": lambda: os.mkfifo(place),
    }[plant]()
    with pytest.raises(Corrupt):
        local.open(blob.sha256)
    if plant != "hard link":
        for use in (local.size, local.exists, lambda _: _put(local, b"canar!")):
            with pytest.raises(Corrupt):
                use(blob.sha256)
    assert secret.read_bytes() == b"canary"


@pytest.mark.parametrize("depth", [1, 2])
def test_planted_folder_link(local: LocalBlobs, tmp_path: Path, depth: int) -> None:
    """A symbolic link in place of a folder above a blob is not followed, neither by readers nor by writers."""
    blob = _put(local, b"abc")
    folder = _place(tmp_path / "blobs", blob.sha256).parents[depth - 1]
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    with closing(LocalBlobs(tmp_path / "blobs")) as fresh:
        for store in (local, fresh):
            for use in (store.open, store.size, store.delete, lambda _, store=store: _put(store, b"abc")):
                with pytest.raises(Corrupt):
                    use(blob.sha256)
    assert len(_files(tmp_path / "outside")) == 1
    assert _files(tmp_path / "blobs" / "staging") == []


@pytest.mark.parametrize("name", ["staging", "sha256"])
def test_planted_top_link(tmp_path: Path, name: str) -> None:
    """A store whose own folders are links to elsewhere does not start."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(Corrupt):
        LocalBlobs(tmp_path / "blobs")
    assert list((tmp_path / "outside").iterdir()) == []


def test_linked_root(tmp_path: Path) -> None:
    """A root reached through a link is resolved once: turning the link elsewhere moves nothing."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    with closing(LocalBlobs(tmp_path / "link")) as store:
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(tmp_path / "two")
        blob = _put(store, b"abc")
        assert _place(tmp_path / "one", blob.sha256).read_bytes() == b"abc"
        assert list((tmp_path / "two").iterdir()) == []


def test_damaged_size(local: LocalBlobs, tmp_path: Path) -> None:
    """Bytes whose stored copy has another size are not said to be stored, and the damaged copy is kept as it is."""
    blob = _put(local, b"abc")
    place = _place(tmp_path / "blobs", blob.sha256)
    place.write_bytes(b"ab")
    with pytest.raises(Corrupt):
        _put(local, b"abc")
    assert place.read_bytes() == b"ab"
    assert _files(tmp_path / "blobs" / "staging") == []


def test_truncated_while_reading(local: LocalBlobs, tmp_path: Path) -> None:
    """A blob that shrinks under a reader is reported, not served short."""
    blob = _put(local, b"a" * 5000)
    with closing(local.open(blob.sha256)) as reader:
        os.truncate(_place(tmp_path / "blobs", blob.sha256), 1000)
        assert reader.read_at(0, 1000) == b"a" * 1000
        with pytest.raises(Corrupt):
            reader.read_at(0, 5000)


def test_foreign_files_are_not_blobs(local: LocalBlobs, tmp_path: Path) -> None:
    """Files that the store did not name are not listed."""
    blob = _put(local, b"abc")
    place = _place(tmp_path / "blobs", blob.sha256)
    (place.parent / "notes.txt").touch()
    (place.parent / ABSENT).touch()
    (tmp_path / "blobs" / "sha256" / "lost+found").mkdir()
    assert list(local.digests()) == [blob.sha256]


def test_removed_root(local: LocalBlobs, tmp_path: Path) -> None:
    """A store whose folder was removed below it does not claim that blobs never existed, and makes nothing anew."""
    blob = _put(local, b"abc")
    shutil.rmtree(tmp_path / "blobs")
    for use in (
        lambda: local.open(blob.sha256),
        lambda: _put(local, b"abc"),
        local.check,
        lambda: list(local.digests()),
    ):
        with pytest.raises(Unavailable):
            use()
    assert list(tmp_path.iterdir()) == []


def _open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_no_descriptor_leaks(local: LocalBlobs, tmp_path: Path) -> None:
    """No call, refused ones included, leaves a file open."""
    blob = _put(local, b"abc")
    planted = _put(local, b"def").sha256
    _place(tmp_path / "blobs", planted).unlink()
    _place(tmp_path / "blobs", planted).symlink_to("/etc/passwd")
    before = _open_files()
    for _ in range(3):
        local.check()
        local.sweep_staging(0)
        local.begin().abort()
        assert _put(local, b"abc") == blob
        assert _get(local, blob.sha256) == b"abc"
        assert local.exists(blob.sha256)
        assert list(local.digests()) == sorted([blob.sha256, planted])
        for refused in (lambda: local.open(ABSENT), lambda: local.open(planted), lambda: _put(local, b"def")):
            with pytest.raises((NotFound, Corrupt)):
                refused()
    assert _open_files() == before


def test_file_size_limit(tmp_path: Path) -> None:
    """A write over the process's file-size limit is StorageFull, leaves nothing, and the next smaller one succeeds."""
    script = """
        import resource, sys
        from pathlib import Path
        from modelkeep.artifacts.local import LocalBlobs
        from modelkeep.core.errors import StorageFull
        store = LocalBlobs(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for size in (200_000, 50_000):
            staging = store.begin()
            try:
                staging.write(bytes(size))
                print(staging.commit().size)
            except StorageFull:
                print("full", len(list(Path(sys.argv[1], "staging").iterdir())))
    """
    done = _python(script, tmp_path / "blobs")
    assert done.stdout.split() == ["full", "0", "50000"], done.stderr


def _python(script: str, root: Path, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-B", "-c", textwrap.dedent(script), str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_full_disk(small_disk: Path) -> None:
    """On a full disk writes are StorageFull and leave nothing, reads go on, and space that is freed is used at once."""
    with closing(LocalBlobs(small_disk / "blobs")) as store:
        first = _put(store, os.urandom(BLOCK))
        for _ in range(3):
            with pytest.raises(StorageFull):
                _put(store, os.urandom(4 * BLOCK))
            assert _files(small_disk) == [_place(small_disk / "blobs", first.sha256)]
        filler = small_disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
        with pytest.raises(StorageFull):
            store.check()
        assert len(_get(store, first.sha256)) == BLOCK
        assert store.sweep_staging(-10) == 0
        filler.unlink()
        store.check()
        second = _put(store, os.urandom(BLOCK))
        assert list(store.digests()) == sorted([first.sha256, second.sha256])


ONE_COMMIT = """
    import sys
    from pathlib import Path
    from modelkeep.artifacts.local import LocalBlobs
    from modelkeep.core.errors import DomainError
    store = LocalBlobs(Path(sys.argv[1]))
    with store.begin() as staging:
        try:
            staging.write(b"abc")
            print("acknowledged", staging.commit().sha256)
        except DomainError as error:
            print(error.code)
"""


def _fsyncs(root: Path) -> int:
    """How many fsyncs a start and one commit make; they are the ones to fail, each in turn."""
    root.parent.mkdir()
    log = root.parent / "strace.log"
    done = _python(ONE_COMMIT, root, "strace", "-f", "-o", str(log), "-e", "trace=fsync")
    assert "acknowledged" in done.stdout, done.stderr
    return log.read_text().count("fsync(")


@pytest.mark.slow
def test_failed_fsync_ends_the_process(tmp_path: Path) -> None:
    """Whichever fsync fails, the process ends with one line and without an acknowledgement; a restart works."""
    count = _fsyncs(tmp_path / "count" / "blobs")
    assert count >= 6
    for nth in range(1, count + 1):
        root = tmp_path / str(nth) / "blobs"
        inject = f"inject=fsync:error=EIO:when={nth}"
        done = _python(ONE_COMMIT, root, "strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", inject)
        assert done.returncode == FSYNC_FAILED_EXIT, (nth, done)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert "fsync failed" in done.stderr
        with closing(LocalBlobs(root)) as store:
            store.sweep_staging(-10)
            assert _get(store, _put(store, b"abc").sha256) == b"abc"
            assert len(_files(root)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inject", "code"),
    [
        ("write:error=ENOSPC:when=1", "storage_full"),
        ("write:error=EDQUOT:when=1", "storage_full"),
        ("write:error=EIO:when=1", "unavailable"),
        ("linkat:error=ENOSPC:when=1", "storage_full"),
        ("linkat:error=EPERM:when=1", "unavailable"),
        ("fsync:error=ENOSPC:when=5", "storage_full"),
    ],
)
def test_failed_calls(tmp_path: Path, inject: str, code: str) -> None:
    """A call that fails during an upload gives the domain's error and leaves neither a staged file nor a blob."""
    LocalBlobs(tmp_path / "blobs").close()
    done = _python(ONE_COMMIT, tmp_path / "blobs", "strace", "-f", "-o", "/dev/null", "-e", f"inject={inject}")
    assert done.stdout.split() == [code], done
    assert _files(tmp_path / "blobs") == []
