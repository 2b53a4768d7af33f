"""What the store of blobs on a local disk must do besides: modes, durability, planted files, full disks."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import secrets
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conformance.stored import ABSENT, files, get, put, sha256_of
from modelkeep.artifacts.blobs import BLOCK, blob_key
from modelkeep.artifacts.stores.local import FSYNC_FAILED_EXIT, SWEEP_LIMIT, LocalBlobs
from modelkeep.core.errors import Corrupt, NotFound, StorageFull, Unavailable


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBlobs]:
    """An empty store on the local disk, below `tmp_path / "blobs"`."""
    with closing(LocalBlobs(tmp_path / "blobs")) as store:
        yield store


def _place(root: Path, sha256: str) -> Path:
    return root.joinpath(*blob_key(sha256))


def test_modes(tmp_path: Path) -> None:
    """Whatever the umask, every folder made is 0700 and every file 0600."""
    for umask in (0o000, 0o022, 0o277):
        root = tmp_path / f"{umask:o}" / "data" / "blobs"
        before = os.umask(umask)
        try:
            with closing(LocalBlobs(root)) as store:
                blob = put(store, b"abc")
                with store.begin() as staging:
                    staging.write(b"d")
                    made = [root.parent.parent, *root.parent.parent.rglob("*")]
        finally:
            os.umask(before)
        assert _place(root, blob) in made
        for path in (path for path in made if path.exists()):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_sweep_of_dead_writers(local: LocalBlobs, tmp_path: Path) -> None:
    """What a killed writer left is swept when it is old enough, and not before."""
    writer = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(str(tmp_path / "blobs"),))
    writer.start()
    writer.join()
    assert writer.exitcode == -9
    assert len(files(tmp_path)) == 1
    assert (local.left_over(3600), local.sweep_staging(3600)) == (0, 0)
    assert (local.left_over(0), len(files(tmp_path))) == (1, 1)
    assert local.sweep_staging(0) == 1
    assert files(tmp_path) == []


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
    assert get(local, sha256) == b"slow"


def _write_when_told(root: str, there: multiprocessing.connection.Connection) -> None:
    with LocalBlobs(Path(root)).begin() as staging:
        staging.write(b"slow")
        there.send("begun")
        there.recv()
        staging.commit(sha256_of(b"slow"))
        there.send(sha256_of(b"slow"))


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
    blob = put(local, b"abc")
    staged = tmp_path / "blobs" / "staging" / secrets.token_hex(16)
    os.link(_place(tmp_path / "blobs", blob), staged)
    assert get(local, blob) == b"abc"
    assert local.sweep_staging(-10) == 1
    assert get(local, blob) == b"abc"


@pytest.mark.parametrize("plant", ["symlink", "hard link", "folder", "pipe"])
def test_planted_blob(local: LocalBlobs, tmp_path: Path, plant: str) -> None:
    """Something else under a blob's name is refused as corrupt, is never read, and is not overwritten by a commit."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"canary")
    blob = put(local, b"canar!")
    place = _place(tmp_path / "blobs", blob)
    place.unlink()
    {
        "symlink": lambda: place.symlink_to(secret),
        "hard link": lambda: os.link(secret, place),
        "folder": place.mkdir,
        "pipe": lambda: os.mkfifo(place),
    }[plant]()
    with pytest.raises(Corrupt):
        local.open(blob)
    if plant != "hard link":
        for use in (local.size, local.exists, lambda _: put(local, b"canar!")):
            with pytest.raises(Corrupt):
                use(blob)
    assert secret.read_bytes() == b"canary"


@pytest.mark.parametrize("depth", [1, 2])
def test_planted_folder_link(local: LocalBlobs, tmp_path: Path, depth: int) -> None:
    """A symbolic link in place of a folder above a blob is not followed, neither by readers nor by writers."""
    blob = put(local, b"abc")
    folder = _place(tmp_path / "blobs", blob).parents[depth - 1]
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    with closing(LocalBlobs(tmp_path / "blobs")) as fresh:
        for store in (local, fresh):
            for use in (store.open, store.size, store.delete, lambda _, store=store: put(store, b"abc")):
                with pytest.raises(Corrupt):
                    use(blob)
    assert len(files(tmp_path / "outside")) == 1
    assert files(tmp_path / "blobs" / "staging") == []


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
        blob = put(store, b"abc")
        assert _place(tmp_path / "one", blob).read_bytes() == b"abc"
        assert list((tmp_path / "two").iterdir()) == []


def test_damaged_size(local: LocalBlobs, tmp_path: Path) -> None:
    """Bytes whose stored copy has another size are not said to be stored, and the damaged copy is kept as it is."""
    blob = put(local, b"abc")
    place = _place(tmp_path / "blobs", blob)
    place.write_bytes(b"ab")
    with pytest.raises(Corrupt):
        put(local, b"abc")
    assert place.read_bytes() == b"ab"
    assert files(tmp_path / "blobs" / "staging") == []


def test_truncated_while_reading(local: LocalBlobs, tmp_path: Path) -> None:
    """A blob that shrinks under a reader is reported, not served short."""
    blob = put(local, b"a" * 5000)
    with closing(local.open(blob)) as reader:
        os.truncate(_place(tmp_path / "blobs", blob), 1000)
        assert reader.read_at(0, 1000) == b"a" * 1000
        with pytest.raises(Corrupt):
            reader.read_at(0, 5000)


def test_foreign_files_are_not_blobs(local: LocalBlobs, tmp_path: Path) -> None:
    """Files that the store did not name are not listed."""
    blob = put(local, b"abc")
    place = _place(tmp_path / "blobs", blob)
    (place.parent / "notes.txt").touch()
    (place.parent / ABSENT).touch()
    (tmp_path / "blobs" / "sha256" / "lost+found").mkdir()
    assert list(local.digests()) == [blob]


def test_removed_root(local: LocalBlobs, tmp_path: Path) -> None:
    """A store whose folder was removed below it does not claim that blobs never existed, and makes nothing anew."""
    blob = put(local, b"abc")
    shutil.rmtree(tmp_path / "blobs")
    for use in (
        lambda: local.open(blob),
        lambda: put(local, b"abc"),
        local.check,
        lambda: list(local.digests()),
    ):
        with pytest.raises(Unavailable):
            use()
    assert list(tmp_path.iterdir()) == []


def _open_below(folder: Path) -> list[str]:
    """What this process has open there; what it has open elsewhere comes and goes with other tests."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(entry.readlink()))
    return sorted(one for one in found if one.startswith((str(folder), "/etc/passwd")))


def test_no_descriptor_leaks(local: LocalBlobs, tmp_path: Path) -> None:
    """No call, refused ones included, leaves a file open."""
    blob = put(local, b"abc")
    planted = put(local, b"def")
    _place(tmp_path / "blobs", planted).unlink()
    _place(tmp_path / "blobs", planted).symlink_to("/etc/passwd")
    before = _open_below(tmp_path)
    for _ in range(3):
        local.check()
        local.sweep_staging(0)
        local.begin().abort()
        assert put(local, b"abc") == blob
        assert get(local, blob) == b"abc"
        assert local.exists(blob)
        assert list(local.digests()) == sorted([blob, planted])
        for refused in (lambda: local.open(ABSENT), lambda: local.open(planted), lambda: put(local, b"def")):
            with pytest.raises((NotFound, Corrupt)):
                refused()
    assert _open_below(tmp_path) == before


def test_file_size_limit(tmp_path: Path) -> None:
    """A write over the process's file-size limit is StorageFull, leaves nothing, and the next smaller one succeeds."""
    script = """
        import resource, sys
        from pathlib import Path
        from modelkeep.artifacts.stores.local import LocalBlobs
        from modelkeep.core.errors import StorageFull
        store = LocalBlobs(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for size in (200_000, 50_000):
            staging = store.begin()
            try:
                staging.write(bytes(size))
                staging.commit("0" * 64)
                print(store.size("0" * 64))
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
        first = put(store, os.urandom(BLOCK))
        for _ in range(3):
            with pytest.raises(StorageFull):
                put(store, os.urandom(4 * BLOCK))
            assert files(small_disk) == [_place(small_disk / "blobs", first)]
        filler = small_disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
        with pytest.raises(StorageFull):
            store.check()
        assert len(get(store, first)) == BLOCK
        assert store.sweep_staging(-10) == 0
        filler.unlink()
        store.check()
        second = put(store, os.urandom(BLOCK))
        assert list(store.digests()) == sorted([first, second])


ONE_COMMIT = """
    import sys
    from pathlib import Path
    from modelkeep.artifacts.stores.local import LocalBlobs
    from modelkeep.core.errors import DomainError
    store = LocalBlobs(Path(sys.argv[1]))
    with store.begin() as staging:
        try:
            staging.write(b"abc")
            staging.commit("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
            print("acknowledged")
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
            assert get(store, put(store, b"abc")) == b"abc"
            assert len(files(root)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inject", "code"),
    [
        ("write:error=ENOSPC:when=1", "storage_full"),
        ("write:error=EDQUOT:when=1", "storage_full"),
        ("write:error=EIO:when=1", "unavailable"),
        ("linkat:error=ENOSPC:when=1", "storage_full"),
        ("linkat:error=EPERM:when=1", "unavailable"),
        ("fsync:error=ENOSPC:when=4", "storage_full"),
    ],
)
def test_failed_calls(tmp_path: Path, inject: str, code: str) -> None:
    """A call that fails during an upload gives the domain's error and leaves neither a staged file nor a blob."""
    LocalBlobs(tmp_path / "blobs").close()
    done = _python(ONE_COMMIT, tmp_path / "blobs", "strace", "-f", "-o", "/dev/null", "-e", f"inject={inject}")
    assert done.stdout.split() == [code], done
    assert files(tmp_path / "blobs") == []
