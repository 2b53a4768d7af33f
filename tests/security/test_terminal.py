"""Names cannot command the terminal of who reads them: in logs, tables, messages (WB-12)."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.cli.terminal import harmless
from modelkeep.faces.access_log import line_of
from security.raw import Raw
from servers import PROGRAM, RunningServer, clean_environment

# Clears the screen, renames the window, turns text round, begins a new line, and what some terminals take for ESC [.
ATTACKS = ["\x1b[2J", "\x1b]0;owned\x07", "\u202egpj.exe", "\r\nmodelkeep: all is well", "\x9b2J", "\x7f\x08", "\u2028"]
HIDDEN = "\x1b\x07\x08\r\x7f\x9b\u202e\u2028\u2066"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server."""
    with RunningServer(tmp_path_factory.mktemp("terminal") / "data") as running:
        yield running


def ran(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command against the server."""
    environment = clean_environment({"MLFLOW_TRACKING_URI": server.url, "MLFLOW_TRACKING_TOKEN": server.token or ""})
    command = [str(PROGRAM), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_WB_12_no_command_prints_what_a_terminal_obeys(server: RunningServer, attack: str) -> None:
    """A model's name and description are shown with their control characters written out; as JSON they are whole."""
    name = f"model {attack.replace('/', '')}"
    with Raw(server.port, server.token) as raw:
        made = raw.json("POST", "/api/2.0/mlflow/registered-models/create", {"name": name, "description": attack})
    if made.status != 200:
        assert made.status == 400
        return
    for arguments in (["models", "list"], ["models", "show", name], ["models", "show", f"no {name}"]):
        done = ran(server, *arguments)
        assert not set(HIDDEN) & set(done.stdout + done.stderr), (arguments, done)
        assert not any(line.startswith("modelkeep: all") for line in (done.stdout + done.stderr).splitlines())
    listed = json.loads(ran(server, "models", "list", "--json").stdout)
    assert name in [model["name"] for model in listed]


def test_a_name_with_brackets_is_no_markup(server: RunningServer) -> None:
    """A table shows a name in brackets as it is."""
    with Raw(server.port, server.token) as raw:
        for name in ("[bold]x", "[*slash]", "x[]"):
            assert raw.json("POST", "/api/v1/models", {"name": name}).status == 201
    done = ran(server, "models", "list")
    assert done.returncode == 0, done
    assert all(name in done.stdout for name in ("[bold]x", "[*slash]", "x[]"))


def test_WB_12_a_request_writes_one_line_into_the_log(server: RunningServer, tmp_path: Path) -> None:
    """Whatever is asked for, by whatever header, the log's lines stay one a request, in JSON, and are plain text."""
    before = server.stderr_path.read_text().count("\n")
    with Raw(server.port, server.token) as raw:
        for attack in ATTACKS:
            escaped = "".join(f"%{byte:02x}" for byte in attack.encode())
            raw.request("GET", f"/api/v1/models/{escaped}?{escaped}={escaped}", headers=[(b"User-Agent", b"\x9b2J")])
            raw.request(
                "GET", "/api/v1/models", headers=[(b"X-MLFLOW-WORKSPACE", attack.encode().replace(b"\r\n", b""))]
            )
    lines = server.stderr_path.read_text().splitlines()[before:]
    assert len(lines) >= len(ATTACKS)
    for line in lines:
        assert isinstance(json.loads(line), dict)
        assert line.isprintable()


@given(st.text(st.characters(max_codepoint=0x2100)))
def test_WB_12_what_is_written_out_is_harmless_and_means_the_same(text: str) -> None:
    """No control character but tab and newline is left, and a JSON document still says what it said."""
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in harmless(text) if one not in "\t\n")
    assert not set(HIDDEN) & set(harmless(text))
    assert json.loads(harmless(json.dumps(text, ensure_ascii=False))) == text


@given(st.dictionaries(st.text(), st.text() | st.integers(), max_size=4))
def test_WB_12_a_log_line_is_printable_json(entry: dict[str, Any]) -> None:
    """Any entry is one line that a terminal only shows, and says what it said."""
    line = line_of(entry)
    assert "\n" not in line
    assert not set(HIDDEN) & set(line)
    assert json.loads(line) == entry
