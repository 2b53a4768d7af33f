"""`push` and `pull` against a real server: what goes in comes out, verified, and nothing is moved twice."""

import os
import socket
from pathlib import Path

import pytest

from cli.terminal import Terminal, files_in, write_files
from security.raw import Raw
from servers import free_port

REFUSED, USAGE, UNREACHABLE = 1, 2, 4
MIB = 1 << 20
FILES = {
    "MLmodel": b"flavors: {}\n",
    "empty": b"",
    "data/\u00fc & \U0001f600 %41+;.bin": b"name",
    "data/deep/er/twice": b"same bytes",
    "twice": b"same bytes",
    "weights.bin": os.urandom(3 * MIB + 17),
}


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A model's name that no other test has."""
    return request.node.name.replace("[", "-").replace("]", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files to be pushed."""
    return write_files(tmp_path / "folder", FILES)


def test_what_is_pushed_is_pulled(terminal: Terminal, folder: Path, model: str) -> None:
    """A folder registered by `push` comes back from `pull`, file by file, with the digest that both print."""
    made = terminal.json("push", folder, "--model", model, "--create")
    assert (made["version"], made["is_new"], made["files"], made["left_out"]) == (1, True, len(FILES), [])
    told = terminal.done("pull", f"models:/{model}/1", "copy")
    assert made["digest"] in told
    assert files_in(terminal.folder / "copy") == FILES


def test_the_second_pull_costs_no_transfer(terminal: Terminal, folder: Path, model: str) -> None:
    """A version in the cache is not fetched again, under whatever name it is asked for."""
    size = sum(len(content) for content in FILES.values())
    terminal.done("push", folder, "--model", model, "--create", "--alias", "champion")
    first = terminal.json("pull", f"models:/{model}/1", "one")
    second = terminal.json("pull", f"models:/{model}@champion", "two")
    third = terminal.json("pull", f"models:/{model}/latest", "three", "--link")
    assert first["fetched"] == size - len(FILES["twice"])
    assert [second["fetched"], third["fetched"]] == [0, 0]
    assert files_in(terminal.folder / "two") == files_in(terminal.folder / "three") == FILES
    kept = terminal.json("cache", "list")
    assert sum(file["size"] for file in kept["files"]) == first["fetched"]
    assert terminal.json("cache", "verify") == {"files": len(FILES) - 1, "damaged": []}
    assert terminal.json("cache", "clear")["freed"] == first["fetched"]
    assert terminal.json("pull", f"models:/{model}/1", "four")["fetched"] == first["fetched"]


def test_a_damaged_cache_is_never_believed(terminal: Terminal, folder: Path, model: str) -> None:
    """A file that was changed through a hard link to the cache is fetched anew by the next pull."""
    terminal.done("push", folder, "--model", model, "--create")
    terminal.done("pull", f"models:/{model}/1", "linked", "--link")
    spoiled = terminal.folder / "linked" / "MLmodel"
    spoiled.chmod(0o644)
    spoiled.write_bytes(b"flavors: []\n")
    assert terminal.json("pull", f"models:/{model}/1", "again")["fetched"] == len(FILES["MLmodel"])
    assert files_in(terminal.folder / "again") == FILES


def test_cache_verify_reports_damage(terminal: Terminal, folder: Path, model: str) -> None:
    """`cache verify` ends with code 1 and names what it forgets; after that all is well."""
    terminal.done("push", folder, "--model", model, "--create")
    terminal.done("pull", f"models:/{model}/1", "copy")
    spoiled = next(path for path in (terminal.cache / "blobs").rglob("*") if path.is_file() and path.stat().st_size)
    times = spoiled.stat()
    spoiled.chmod(0o644)
    spoiled.write_bytes(b"x" * times.st_size)
    os.utime(spoiled, ns=(times.st_atime_ns, times.st_mtime_ns))
    result = terminal.run("cache", "verify")
    assert result.returncode == REFUSED
    assert spoiled.name in result.stdout
    assert terminal.run("cache", "verify").returncode == 0


def test_an_unchanged_folder_makes_no_version(terminal: Terminal, folder: Path, model: str) -> None:
    """Pushing the files of the newest version again says so and registers nothing, unless it is forced to."""
    first = terminal.json("push", folder, "--model", model, "--create")
    again = terminal.json("push", folder, "--model", model, "--alias", "champion")
    assert (again["version"], again["is_new"], again["sent"]) == (1, False, 0)
    assert "nothing to do" in terminal.done("push", folder, "--model", model)
    forced = terminal.json("push", folder, "--model", model, "--force")
    assert (forced["version"], forced["is_new"], forced["digest"]) == (2, True, first["digest"])
    assert terminal.json("pull", f"models:/{model}@champion", "copy")["version"] == 1


def test_a_changed_folder_makes_the_next_version(terminal: Terminal, folder: Path, model: str) -> None:
    """A byte that differs, at the same size, is a new version; the old one stays as it was."""
    terminal.done("push", folder, "--model", model, "--create")
    (folder / "twice").write_bytes(b"same byteS")
    assert terminal.json("push", folder, "--model", model)["version"] == 2
    terminal.done("pull", f"models:/{model}/1", "old")
    terminal.done("pull", f"models:/{model}/2", "new")
    assert files_in(terminal.folder / "old") == FILES
    assert files_in(terminal.folder / "new") == FILES | {"twice": b"same byteS"}


def test_what_is_said_of_a_version_is_kept(terminal: Terminal, folder: Path, model: str) -> None:
    """Alias, description and tags arrive with the version."""
    said = ("--description", "why not", "--tag", "a=b", "--tag", "url=http://x?y=z", "--alias", "champion")
    terminal.done("push", folder, "--model", model, "--create", *said)
    (version,) = terminal.json("models", "show", model)["versions"]
    assert (version["description"], version["aliases"]) == ("why not", ["champion"])
    assert {key: version["tags"][key] for key in ("a", "url")} == {"a": "b", "url": "http://x?y=z"}


def test_a_model_is_only_made_if_asked_for(terminal: Terminal, folder: Path, model: str) -> None:
    """Without `--create` an unknown model is refused before anything is sent, with the remedy."""
    assert "--create" in terminal.stopped(REFUSED, "push", folder, "--model", model)


def test_what_is_left_out_is_said(terminal: Terminal, folder: Path, model: str) -> None:
    """`.git`, `__pycache__` and empty folders are left out with a note each, and nothing else is."""
    write_files(folder, {".git/config": b"x", "data/__pycache__/x.pyc": b"x", ".hidden": b"kept"})
    (folder / "hollow").mkdir()
    result = terminal.run("push", folder, "--model", model, "--create")
    assert result.returncode == 0, result
    assert [line.split()[1] for line in result.stderr.splitlines()] == [".git", "data/__pycache__", "hollow/"]
    terminal.done("pull", f"models:/{model}/1", "copy")
    assert files_in(terminal.folder / "copy") == FILES | {".hidden": b"kept"}


def test_links_are_refused_or_followed(terminal: Terminal, folder: Path, model: str) -> None:
    """A symbolic link is refused by name; with `--follow-links` what it points at is taken, to a file or a folder."""
    (folder / "to-file").symlink_to("MLmodel")
    (folder / "to-folder").symlink_to("data", target_is_directory=True)
    assert "to-file" in terminal.stopped(REFUSED, "push", folder, "--model", model, "--create")
    terminal.done("push", folder, "--model", model, "--create", "--follow-links")
    terminal.done("pull", f"models:/{model}/1", "copy")
    copied = files_in(terminal.folder / "copy")
    assert copied["to-file"] == FILES["MLmodel"]
    assert copied["to-folder/deep/er/twice"] == b"same bytes"


@pytest.mark.parametrize("kind", ["loop", "nowhere", "socket", "pipe", "backslash", "control", "surrogate"])
def test_what_no_version_can_hold_is_refused(
    terminal: Terminal, folder: Path, model: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to above itself or to nowhere, what is no file, and a name that no path may have are refused by name."""
    odd = folder / "odd"
    if kind == "loop":
        odd.symlink_to(folder, target_is_directory=True)
    elif kind == "nowhere":
        odd.symlink_to("nothing")
    elif kind == "socket":
        monkeypatch.chdir(folder)  # such an address is 108 bytes at most
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("odd")
    elif kind == "pipe":
        os.mkfifo(odd)
    else:
        name = {"backslash": "odd\\x", "control": "odd\x07", "surrogate": "odd\udcff"}[kind]
        (folder / name).write_bytes(b"x")
    assert "odd" in terminal.stopped(REFUSED, "push", folder, "--model", model, "--create", "--follow-links")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("push", "nothing", "--model", "m"), REFUSED, "nothing"),
        (("push", "hollow", "--model", "m"), REFUSED, "no files"),
        (("push", "hollow", "--model", "m", "--tag", "x"), USAGE, "KEY=VALUE"),
        (("pull", "models:/no-such/1", "new"), REFUSED, "no-such"),
        (("pull", "s3://bucket/x", "new"), REFUSED, "models:/NAME"),
        (("pull", "models:/no-such/1", "hollow/.."), REFUSED, "empty folder"),
    ],
    ids=["absent", "empty", "tag", "unknown", "elsewhere", "taken"],
)
def test_what_cannot_be_is_one_line(terminal: Terminal, arguments: tuple[str, ...], code: int, said: str) -> None:
    """A wrong folder, tag, URI or destination ends with its exit code and one line that says what to do."""
    (terminal.folder / "hollow").mkdir()
    assert said in terminal.stopped(code, *arguments)
    assert not (terminal.folder / "new").exists()


def test_an_option_without_its_value_is_refused(terminal: Terminal, folder: Path, model: str) -> None:
    """A pull whose last option lacks what should follow it is not done with something else instead."""
    terminal.done("push", folder, "--model", model, "--create")
    assert "workspace" in terminal.run("pull", f"models:/{model}/1", "new", "--workspace").stderr
    assert not (terminal.folder / "new").exists()


@pytest.mark.parametrize("command", ["pull", "push"])
def test_no_server_has_its_own_exit_code(terminal: Terminal, folder: Path, command: str) -> None:
    """Nobody at the address ends with code 4 and leaves nothing."""
    terminal.variables["MODELKEEP_URL"] = f"http://127.0.0.1:{free_port()}"
    arguments = ("models:/m/1", "new") if command == "pull" else (folder, "--model", "m", "--create")
    assert "does not answer" in terminal.stopped(UNREACHABLE, command, *arguments)
    assert not (terminal.folder / "new").exists()


def test_a_wrong_token_is_refused(terminal: Terminal, folder: Path) -> None:
    """Without a good token both commands end with code 1 and say what to set."""
    terminal.variables["MLFLOW_TRACKING_TOKEN"] = "mk_wrong"
    for arguments in (("pull", "models:/m/1", "new"), ("push", folder, "--model", "m", "--create")):
        assert "MLFLOW_TRACKING_TOKEN" in terminal.stopped(REFUSED, *arguments)


def test_workspaces_are_kept_apart(terminal: Terminal, folder: Path, model: str) -> None:
    """What is pushed into a workspace is pulled from there, and is not in another one, cached or not."""
    terminal.done("push", folder, "--model", model, "--create")
    terminal.done("pull", f"models:/{model}/1", "copy")
    result = terminal.run("pull", f"models:/{model}/1", "other", "--workspace", "no-such")
    assert (result.returncode, "no-such" in result.stderr) == (REFUSED, True)


def test_an_external_version_cannot_be_pulled(terminal: Terminal, folder: Path, model: str) -> None:
    """A version whose files the registry does not hold is refused with where they are."""
    terminal.done("push", folder, "--model", model, "--create")
    with Raw(terminal.server.port, terminal.server.token) as raw:
        raw.json("POST", f"/api/v1/models/{model}/versions", {"source": "s3://bucket/there"})
    assert "s3://bucket/there" in terminal.stopped(REFUSED, "pull", f"models:/{model}/2", "new")
