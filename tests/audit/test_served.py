"""The log as the server and the command line show it: proofs, tiles, verification, export, and keys that change."""

import base64
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.terminal import Terminal, files_in
from faces.mlflow.wire import Wire
from modelkeep.audit import log, notes
from modelkeep.audit.offline import entries_of
from servers import PROGRAM, RunningServer, clean_environment

LIMIT_S = 60


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose log has its first checkpoint and one of everything, so that it signs nothing by itself."""
    with RunningServer(tmp_path_factory.mktemp("audit") / "data") as server:
        wire = native(server)
        until(lambda: wire.get("audit").ok()["signed"])
        for number in range(3):
            assert wire.post("models", name=f"m{number}").status == 201
        state = until(lambda: (found := wire.get("audit").ok())["waiting"] == 0 and found)
        assert state["size"] == state["placed"] == state["end"] > state["signed"]
        have_all_signed(server)
        yield server


def have_all_signed(server: RunningServer) -> None:
    """Make the newest checkpoint as old as one has to be for the next, and wait for that."""
    with closing(sqlite3.connect(server.data / "modelkeep.db", timeout=30)) as database, database:
        database.execute("UPDATE audit_checkpoints SET at = 0")
    wire = native(server)
    until(lambda: (found := wire.get("audit").ok())["waiting"] == 0 and found["signed"] == found["size"])


@pytest.fixture
def terminal(running: RunningServer, tmp_path: Path) -> Terminal:
    """Where commands are typed."""
    return Terminal(running, tmp_path)


def native(server: RunningServer) -> Wire:
    """The native API of a server."""
    return Wire(server.url, server.token).under("/api/v1/")


def until(found: Callable[[], Any]) -> Any:
    """What is found, once it is."""
    deadline = time.monotonic() + LIMIT_S
    while not (value := found()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.05)
    return value


def signed_head(wire: Wire) -> notes.Checkpoint:
    """What the newest checkpoint says, by the key that the server names."""
    keys = [notes.read_verifier(text) for text in wire.get("audit/keys").ok()["keys"]]
    answer = wire.get("audit/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return notes.read_checkpoint(notes.open_note(answer.body.decode(), keys))


def test_a_question_that_fits_nothing_by_mistake_is_refused(running: RunningServer) -> None:
    """A name without its kind and an unknown outcome are refused with what there is; a day is its beginning in UTC."""
    wire = native(running)
    assert "model/NAME" in wire.get("journal", resource="m0").json["detail"]
    assert wire.get("journal", outcome="denied").json["detail"] == "'outcome' is one of done, refused."
    assert "2026-01-31" in wire.get("journal", since="yesterday").json["detail"]

    assert wire.get("journal", since="2026-01-31", resource="model/m0").ok() == (
        wire.get("journal", since="2026-01-31T00:00:00Z", resource="model/m0").ok()
    )
    assert wire.get("journal", since="2999-01-31").ok()["items"] == []
    assert wire.get("as-of", resource="model/m0", at="2999-01-31").ok()["exists"] is True


def test_now_is_a_moment(running: RunningServer, terminal: Terminal) -> None:
    """`now` is taken wherever a moment is: what is so is what was so now, and no entry is behind it."""
    wire = native(running)
    past = wire.get("as-of", resource="model/m0", at="now").ok()
    assert past["exists"] is True
    assert wire.get("as-of", resource="model/m0", at=str(past["at"])).ok() == past
    assert wire.get("journal", resource="model/m0", until="now").ok()["items"] != []
    assert wire.get("journal", since="now").ok()["items"] == []
    assert "was there at" in terminal.done("audit", "as-of", "model/m0", "now")


@pytest.mark.parametrize("at", ["", "yesterday", "Now", "2026-11-22T10:00", "2026-13-01", "9" * 18, "-1"])
def test_what_is_no_moment_is_refused_with_those_that_are(running: RunningServer, at: str) -> None:
    """A time that cannot be read, lacks its zone, or is in no calendar is refused, and the message shows the forms."""
    answer = native(running).get("as-of", resource="model/m0", at=at)
    assert answer.status == 400, answer
    for form in ("'at'", "now", "2026-01-31", "2026-01-31T12:00:00Z", "ms since 1970"):
        assert form in answer.body.decode()


def test_an_entry_is_proven_to_be_in_the_signed_log(running: RunningServer) -> None:
    """The proof of an entry leads from its text to the root that is signed; its text is the journal's entry."""
    wire = native(running)
    head = signed_head(wire)
    for seq in range(head.size):
        found = wire.get(f"audit/entries/{seq}").ok()
        proof = [base64.b64decode(one) for one in found["proof"]]
        assert found["size"] == head.size
        assert log.includes(head.root, head.size, seq, log.leaf_hash(found["entry"].encode()), proof)
        assert base64.b64decode(found["leaf"]) == log.leaf_hash(found["entry"].encode())
    listed = wire.get("journal", limit=1000).ok()["items"]
    entry = json.loads(wire.get("audit/entries/0").ok()["entry"])
    (row,) = [one for one in listed if one["seq"] == 0]
    assert (row["id"], row["kind"], row["at"]) == (entry["id"], entry["kind"], entry["at"])
    assert sorted(one["seq"] for one in listed) == list(range(len(listed)))


def test_the_log_is_proven_to_have_only_grown(running: RunningServer) -> None:
    """From each earlier size a proof leads to the newest checkpoint, or to any later size."""
    wire = native(running)
    head = signed_head(wire)
    tile = wire.get(f"audit/tile/0/000.p/{head.size}").body
    for old in range(1, head.size + 1):
        root = log.root(old, lambda *_: tile)
        found = wire.get("audit/consistency", old=old).ok()
        assert found["new"] == head.size
        assert log.is_consistent(root, old, head.root, head.size, [base64.b64decode(one) for one in found["proof"]])
    assert wire.get("audit/consistency", old=1, new=2).ok()["new"] == 2


def test_tiles_have_the_hashes_of_the_entries(running: RunningServer) -> None:
    """A bundle's entries hash to the tile of the same place, at each width up to the log's size and no further."""
    wire = native(running)
    size = wire.get("audit").ok()["size"]
    for width in (1, size):
        entries = entries_of(wire.get(f"audit/tile/entries/000.p/{width}").body)
        assert [log.leaf_hash(entry) for entry in entries] == log.split(wire.get(f"audit/tile/0/000.p/{width}").body)
        assert len(entries) == width
    answer = wire.get("audit/tile/0/000.p/1")
    assert answer.headers["content-type"] == "application/octet-stream"
    for path in (f"0/000.p/{size + 1}", "0/000", "0/001", "1/000.p/1", f"entries/000.p/{size + 1}", "entries/000"):
        assert wire.get(f"audit/tile/{path}").status == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "0/0",
        "0/00",
        "0/0000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/x000/000",
        "0/001/000",
        "00/000",
        "64/000",
        "-1/000",
        "entries/x/000",
        "hashes/000",
        "0/000.p",
        "0/" + "x001/" * 50 + "000",
        "0/" + "x999/" * 6 + "999",
        "63/000.p/1",
        "0/%D9%A0%D9%A0%D9%A0",
    ],
)
def test_a_tile_has_one_name(running: RunningServer, path: str) -> None:
    """Whatever is not a tile's path in its one form is not found."""
    assert native(running).get(f"audit/tile/{path}").status == 404


@pytest.fixture
def unsigned(running: RunningServer) -> Iterator[dict[str, Any]]:
    """The state of the log with an entry that is not signed yet, as the newest checkpoint is but a moment old."""
    wire = native(running)

    def found() -> dict[str, Any] | None:
        state: dict[str, Any] = wire.get("audit").ok()
        if state["waiting"]:
            return None
        if state["signed"] < state["size"]:
            return state
        assert wire.post("models", name=f"unsigned-{state['size']}").status == 201
        return None

    yield until(found)
    have_all_signed(running)


def test_what_cannot_be_shown_is_refused_with_the_reason(running: RunningServer, unsigned: dict[str, Any]) -> None:
    """Places and sizes that are not there, or not signed yet, are refused, and so are those that are no numbers."""
    wire, state = native(running), unsigned
    last = state["size"] - 1
    assert (answer := wire.get(f"audit/entries/{last}")).status == 409
    assert "is not signed yet" in answer.json["detail"]
    assert wire.get(f"audit/entries/{state['size']}").status == 404
    assert wire.get("audit/entries/9223372036854775807").status == 404
    for bad in ("-1", "x", "1.5", "9223372036854775808"):
        assert wire.get(f"audit/entries/{bad}").status == 400, bad
    assert wire.get("audit/consistency").status == 400
    assert wire.get("audit/consistency", old=3, new=2).status == 400
    assert wire.get("audit/consistency", old=1, new=state["size"] + 1).status == 404
    assert wire.get("audit/checkpoints", limit=0).status == 400


def test_nobody_reads_the_log_without_a_token(running: RunningServer) -> None:
    """Every part of the log asks who calls."""
    stranger = Wire(running.url, None).under("/api/v1/")
    for path in ("", "/keys", "/checkpoint", "/checkpoints", "/entries/0", "/consistency?old=1", "/tile/0/000.p/1"):
        assert stranger.get(f"audit{path}").status == 401, path


def test_verify_export_and_verify_elsewhere(terminal: Terminal) -> None:
    """The running log is right; its copy is fetched once, and is right without Modelkeep, by a note that was kept."""
    told = terminal.json("audit", "verify")
    assert (told["ok"], told["findings"], told["waiting"]) == (True, [], 0)
    assert "Not proven" in terminal.done("audit", "verify")
    note, key = terminal.folder / "note.txt", terminal.done("audit", "keys").split()[0]
    note.write_text(terminal.done("audit", "checkpoint"))
    assert terminal.json("audit", "verify", "--checkpoint", note, "--key", key)["outside"] == 1
    first, second = (terminal.json("audit", "export", terminal.folder / "copy") for _ in range(2))
    assert (first["size"], first["fetched"], second["fetched"]) == (told["signed"], 2, 0)
    assert set(files_in(terminal.folder / "copy")) == {
        "checkpoint",
        "checkpoints",
        "keys",
        f"tile/0/000.p/{told['signed']}",
        f"tile/entries/000.p/{told['signed']}",
    }
    program = terminal.folder / "verify_audit.py"
    program.write_text(terminal.done("audit", "verifier"))
    command = [sys.executable, "-I", program, terminal.folder / "copy", "--checkpoint", note, "--key", key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Every entry is as it was signed. 1 checkpoint from outside agrees.\n")


def test_a_changed_row_is_found_by_the_command(running: RunningServer, terminal: Terminal) -> None:
    """Who changed a row in the database file is told on, with exit code 1, until it is put back."""

    def set_actor(text: str) -> str:
        with closing(sqlite3.connect(running.data / "modelkeep.db", timeout=30)) as database, database:
            (was,) = database.execute("SELECT actor FROM journal WHERE seq = 1").fetchone()
            database.execute("UPDATE journal SET actor = ? WHERE seq = 1", [text])
            return str(was)

    was = set_actor("mallory")
    try:
        found = terminal.run("audit", "verify")
    finally:
        set_actor(was)
    assert (found.returncode, found.stderr) == (1, "")
    assert "WRONG changed entry: 1 is not what was logged" in found.stdout
    assert terminal.json("audit", "verify")["ok"] is True


def test_what_is_no_key_or_note_is_refused_in_a_line(terminal: Terminal) -> None:
    """A key that is none, and a file that is not there, stop the command; a file of something else is a finding."""
    assert "is none" in terminal.stopped(1, "audit", "verify", "--key", "x")
    assert "No such file" in terminal.stopped(1, "audit", "verify", "--checkpoint", "absent")
    (terminal.folder / "other").write_text("hello\n")
    found = terminal.run("audit", "verify", "--checkpoint", "other")
    assert found.returncode == 1
    assert "WRONG changed checkpoint: other has something in it" in found.stdout


def test_a_key_of_the_operator_s_and_one_that_takes_over(tmp_path: Path) -> None:
    """A server signs with the key file that it is given; after a new key took over, both keys' checkpoints count."""
    key = tmp_path / "keys" / "log.key"
    made = command("audit", "new-key", key, "--name", "example.com/models")
    assert made.stdout.startswith("example.com/models+")
    notes_file = tmp_path / "notes"
    with RunningServer(
        tmp_path / "data", arguments=["--audit-key", str(key), "--audit-copy", str(notes_file)]
    ) as server:
        wire = native(server)
        until(lambda: wire.get("audit").ok()["signed"])
        until(notes_file.exists)
        assert not (server.data / "audit-key").exists()
        server.stop()
        took_over = command("audit", "new-key", key, "--json")
        server.start()
        keys = wire.get("audit/keys").ok()
        assert keys == {"origin": "example.com/models", "keys": json.loads(took_over.stdout)["keys"]}
        assert keys["keys"][1] == made.stdout.strip()
        told = Terminal(server, tmp_path).json("audit", "verify", "--checkpoint", notes_file)
        assert (told["ok"], told["outside"]) == (True, 1)


def test_a_key_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """A key that was named is never made by itself, for a wrong path would make another log."""
    done = command("serve", "--data", tmp_path / "data", "--audit-key", tmp_path / "absent", code=2)
    assert "modelkeep audit new-key FILE" in done.stderr


def command(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command that ends with this code."""
    done = subprocess.run(
        [str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == code, done
    return done
