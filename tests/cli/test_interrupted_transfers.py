"""Transfers that are killed, that lose their server, or meet each other: they go on, and nothing is ever wrong."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cli.terminal import Terminal, files_in, write_files
from servers import PROGRAM

MIB = 1 << 20
PIECE = 16 * MIB
LARGE = 7 * PIECE


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder with a file that is moved in parts, and small ones."""
    block = os.urandom(MIB)
    content = b"".join(number.to_bytes(4, "big") + block[4:] for number in range(LARGE // MIB))
    return write_files(tmp_path / "folder", {"large.bin": content, "a": b"a", "z/small": b"z" * 1000})


def lines(path: Path) -> int:
    """How many pieces are noted in a file, if it is there."""
    try:
        return path.read_text().count("\n")
    except FileNotFoundError:
        return 0


def test_a_killed_pull_goes_on_where_it_stopped(terminal: Terminal, large: Path) -> None:
    """After SIGKILL in the middle nothing is at the destination; the next pull fetches only what is missing."""
    terminal.done("push", large, "--model", "pulled", "--create")
    parts = terminal.cache / "parts"

    def has_begun() -> bool:
        return any(lines(path) >= 2 for path in parts.glob("*.done"))

    assert terminal.killed(has_begun, "pull", "models:/pulled/1", "copy")
    assert not (terminal.folder / "copy").exists()
    done = terminal.json("pull", "models:/pulled/1", "copy")
    assert 0 < done["fetched"] <= LARGE + 1001 - 2 * PIECE
    assert files_in(terminal.folder / "copy") == files_in(large)
    assert list(parts.iterdir()) == []
    assert {path.name for path in terminal.folder.iterdir()} == {"cache", "copy", "folder"}


@pytest.mark.slow
def test_a_part_with_wrong_bytes_is_thrown_away(terminal: Terminal, large: Path) -> None:
    """What a killed pull left is believed only as far as the hash goes: a wrong part is refused, then fetched anew."""
    terminal.done("push", large, "--model", "spoiled", "--create")
    parts = terminal.cache / "parts"
    assert terminal.killed(
        lambda: any(lines(path) >= 2 for path in parts.glob("*.done")), "pull", "models:/spoiled/1", "copy"
    )
    (part,) = [path for path in parts.iterdir() if not path.suffix]
    with part.open("r+b") as file:
        file.write(b"x" * LARGE)
    assert "large.bin" in terminal.stopped(1, "pull", "models:/spoiled/1", "copy")
    assert not (terminal.folder / "copy").exists()
    terminal.done("pull", "models:/spoiled/1", "copy")
    assert files_in(terminal.folder / "copy") == files_in(large)


def test_a_killed_push_goes_on_where_it_stopped(terminal: Terminal, large: Path) -> None:
    """After SIGKILL twice in the middle no version is there; the third push sends only what is missing."""
    terminal.done("push", write_files(terminal.folder / "first", {"f": b"f"}), "--model", "pushed", "--create")
    states = terminal.cache / "pushes"
    before = part_count(terminal)
    for more in (1, 2):
        assert terminal.killed(
            lambda more=more: part_count(terminal) >= before + more, "push", large, "--model", "pushed"
        )
        assert len(list(states.glob("*.json"))) == 1
    assert [version["version"] for version in terminal.json("models", "show", "pushed")["versions"]] == [1]
    done = terminal.json("push", large, "--model", "pushed")
    assert (done["version"], done["is_new"]) == (2, True)
    assert done["sent"] <= LARGE + 1001 - 2 * PIECE
    assert list(states.iterdir()) == []
    terminal.done("pull", "models:/pushed/2", "copy")
    assert files_in(terminal.folder / "copy") == files_in(large)


def part_count(terminal: Terminal) -> int:
    """How many parts of uploads the server has acknowledged."""
    return terminal.server.stderr_path.read_text().count('"operation":"uploads.put_part","status":200')


@pytest.mark.slow
def test_a_push_after_a_change_sends_what_the_folder_has_now(terminal: Terminal, large: Path) -> None:
    """A folder that changed after a push of it was killed is registered as it is now, with nothing of what it was."""
    terminal.done("push", write_files(terminal.folder / "first", {"f": b"f"}), "--model", "changed", "--create")
    before = part_count(terminal)
    assert terminal.killed(lambda: part_count(terminal) > before, "push", large, "--model", "changed")
    (large / "a").unlink()
    write_files(large, {"b": b"new", "z/small": b"Z" * 1000})
    with (large / "large.bin").open("r+b") as file:
        file.write(b"other")
        file.truncate(LARGE - 5)
    terminal.done("push", large, "--model", "changed")
    terminal.done("pull", "models:/changed/2", "copy")
    assert files_in(terminal.folder / "copy") == files_in(large)


@pytest.mark.slow
def test_two_pushes_of_a_folder_do_not_mix(terminal: Terminal, large: Path) -> None:
    """While a folder is being pushed, a second push of it is refused and the first is not disturbed."""
    terminal.done("push", write_files(terminal.folder / "first", {"f": b"f"}), "--model", "twice", "--create")
    with subprocess.Popen([PROGRAM, "push", large, "--model", "twice"], env=terminal.environment) as first:
        while not list((terminal.cache / "pushes").glob("*.lock")):
            time.sleep(0.001)
        second = terminal.run("push", large, "--model", "twice")
        assert first.wait(60) == 0
    assert second.returncode == 0 or "Another process" in second.stderr
    assert [version["version"] for version in terminal.json("models", "show", "twice")["versions"]] == [2, 1]


@pytest.mark.slow
def test_pulls_at_once_share_the_cache(terminal: Terminal, large: Path) -> None:
    """Four processes that pull the same version at once all get it, and together fetch it once."""
    size = sum(map(len, files_in(large).values()))
    terminal.done("push", large, "--model", "shared", "--create")
    told = []

    def pull(number: int) -> None:
        told.append(terminal.json("pull", "models:/shared/1", f"copy-{number}"))

    pulls = [threading.Thread(target=pull, args=(number,)) for number in range(4)]
    for thread in pulls:
        thread.start()
    for thread in pulls:
        thread.join()
    assert sum(done["fetched"] for done in told) == size
    for number in range(4):
        assert files_in(terminal.folder / f"copy-{number}") == files_in(large)


@pytest.mark.slow
def test_a_restarted_server_is_waited_for(terminal: Terminal, large: Path) -> None:
    """A server that is killed and comes back in the middle of a push and of a pull costs time, not the transfer."""
    terminal.done("push", write_files(terminal.folder / "first", {"f": b"f"}), "--model", "restarted", "--create")
    before = part_count(terminal)

    def restart_when(begun) -> threading.Thread:
        def restart() -> None:
            while not begun():
                time.sleep(0.002)
            terminal.server.kill()
            terminal.server.start()

        thread = threading.Thread(target=restart)
        thread.start()
        return thread

    restarting = restart_when(lambda: part_count(terminal) > before)
    assert terminal.json("push", large, "--model", "restarted")["version"] == 2
    restarting.join()
    restarting = restart_when(lambda: any(lines(path) for path in (terminal.cache / "parts").glob("*.done")))
    terminal.done("pull", "models:/restarted/2", "copy")
    restarting.join()
    assert files_in(terminal.folder / "copy") == files_in(large)
