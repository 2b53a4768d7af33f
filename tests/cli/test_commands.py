"""The commands as an operator types them: output for people and programs, exit codes, one line where it goes wrong."""

import io
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from modelkeep import __version__, cli
from modelkeep.bootstrap import require_schema
from security.raw import Raw
from servers import PROGRAM, RunningServer, clean_environment, free_port

REFUSED, USAGE, SCHEMA, UNREACHABLE = 1, 2, 3, 4


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without colours and without settings from outside.

    `serve` sets up logging and signals, so it gets a process of its own; the others are called where the tests are.
    """
    command = [*map(str, arguments)]
    settings = clean_environment({"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"} | environment)
    if command[:1] == ["serve"]:
        program = [str(PROGRAM), *command]
        return subprocess.run(program, capture_output=True, text=True, timeout=120, env=settings, check=False)
    before = dict(os.environ)
    output, errors = io.StringIO(), io.StringIO()
    try:
        os.environ.clear()
        os.environ.update(settings)
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            cli.main(command)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return subprocess.CompletedProcess(command, int(ended.value.code or 0), output.getvalue(), errors.getvalue())


def done(*arguments: str | Path, **environment: str) -> str:
    """What a command prints that must succeed and say nothing on standard error."""
    result = run(*arguments, **environment)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


def stopped(code: int, *arguments: str | Path, **environment: str) -> str:
    """The one line on standard error of a command that must end with this code and print nothing else."""
    result = run(*arguments, **environment)
    assert result.returncode == code, result
    assert result.stdout == "", result
    assert result.stderr.startswith("modelkeep: "), result
    assert len(result.stderr.splitlines()) == 1, result
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a model `churn` of three versions, one of them in Production, and a workspace `blue`."""
    with RunningServer(tmp_path_factory.mktemp("commands") / "data") as running:
        with Raw(running.port, running.token) as raw:
            raw.json("POST", "/api/v1/workspaces", {"name": "blue"})
            raw.json("POST", "/api/v1/models", {"name": "churn", "description": "who leaves"})
            for number in range(3):
                version = {"name": "churn", "source": f"s3://bucket/{number}"}
                raw.json("POST", "/api/2.0/mlflow/model-versions/create", version)
            raw.json("POST", "/api/v1/models/churn/versions/2/moves", {"stage": "Production"})
            raw.json("PUT", "/api/v1/models/churn/aliases/champion", {"version": 2})
        yield running


@pytest.fixture
def access(server: RunningServer) -> dict[str, str]:
    """The environment of somebody who may use the server."""
    return {"MODELKEEP_URL": server.url, "MLFLOW_TRACKING_TOKEN": server.token or ""}


def test_version_is_one_line() -> None:
    """`--version` prints the program's name and version."""
    assert done("--version") == f"modelkeep {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("serve", "db", "models", "admin")),
        (("serve",), ("--host", "--port", "--data", "--database", "--auth", "127.0.0.1")),
        (("db",), ("check", "upgrade")),
        (("db", "upgrade"), ("--backup", "--json")),
        (("models",), ("list", "show", "retire", "restore")),
        (("models", "restore"), ("--as", "--workspace", "--json")),
        (("admin",), ("user", "service", "group", "token", "whoami", "password", "recover")),
        (("admin", "token"), ("list", "create", "revoke")),
    ],
)
def test_help_names_what_there_is(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Every level has a help text that names its commands or options."""
    text = done(*arguments, "--help")
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("arguments", [("nonsense",), ("db", "nonsense"), ("models", "show"), ("serve", "--port", "x")])
def test_wrong_usage_has_its_own_exit_code(arguments: tuple[str, ...]) -> None:
    """An unknown command, a missing argument or a value of the wrong kind ends with code 2 and says what is wrong."""
    result = run(*arguments)
    assert result.returncode == USAGE
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_db_check_tells_empty_from_current(tmp_path: Path, server: RunningServer) -> None:
    """`db check` answers for a folder without a database and for one in use, in words and in JSON."""
    assert "is empty" in done("db", "check", "--data", tmp_path / "none")
    empty = json.loads(done("db", "check", "--data", tmp_path / "none", "--json"))
    assert (empty["state"], empty["found"]) == ("empty", "")
    assert "is up to date" in done("db", "check", "--data", server.data)
    current = json.loads(done("db", "check", "--data", server.data, "--json"))
    assert current["found"] == current["needed"]
    assert current["state"] == "current"


def test_db_upgrade_makes_and_keeps_a_schema(tmp_path: Path) -> None:
    """`db upgrade` makes the schema of an empty database, and a second time changes nothing."""
    first = json.loads(done("db", "upgrade", "--data", tmp_path, "--json"))
    assert first["state"] == "current"
    assert json.loads(done("db", "upgrade", "--data", tmp_path, "--json")) == first


def test_db_upgrade_backs_up_first(tmp_path: Path) -> None:
    """`--backup` leaves a whole copy of the database, and never writes over a file."""
    done("db", "upgrade", "--data", tmp_path)
    copy = tmp_path / "copy.db"
    done("db", "upgrade", "--data", tmp_path, "--backup", copy)
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    assert str(copy) in stopped(USAGE, "db", "upgrade", "--data", tmp_path, "--backup", copy)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A data folder whose database a later program has upgraded."""
    done("db", "upgrade", "--data", tmp_path)
    with closing(sqlite3.connect(tmp_path / "modelkeep.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    return tmp_path


def test_a_newer_database_is_left_alone(newer: Path) -> None:
    """`db check` ends with code 3, `db upgrade` refuses, and the server and `admin recover` do not start on it."""
    before = (newer / "modelkeep.db").read_bytes()
    checked = run("db", "check", "--data", newer)
    assert checked.returncode == SCHEMA
    assert "newer" in checked.stdout
    assert "newer" in stopped(USAGE, "db", "upgrade", "--data", newer)
    assert "9999" in stopped(SCHEMA, "serve", "--data", newer, "--port", "0")
    assert "9999" in stopped(SCHEMA, "admin", "recover", "--data", newer)
    assert (newer / "modelkeep.db").read_bytes() == before


def test_admin_recover_needs_the_server_stopped(server: RunningServer) -> None:
    """On SQLite a second process is refused with what to do, and nothing is made."""
    assert "in use by another modelkeep process" in stopped(REFUSED, "admin", "recover", "--data", server.data)


def test_admin_recover_makes_no_registry(tmp_path: Path) -> None:
    """In a folder that no server has used it says where it looked and what to name, and leaves nothing behind."""
    told = stopped(USAGE, "admin", "recover", "--data", tmp_path / "mistyped")
    assert (str(tmp_path / "mistyped") in told, "--data" in told, "--database" in told) == (True, True, True)
    assert list(tmp_path.iterdir()) == []


def test_admin_recover_makes_a_good_token(tmp_path: Path) -> None:
    """The recovered token is shown once, as a line for the shell or as JSON, and signs in."""
    (tmp_path / "data").mkdir()
    require_schema(f"sqlite:///{tmp_path / 'data' / 'modelkeep.db'}")
    line = done("admin", "recover", "--data", tmp_path / "data")
    assert line.startswith("export MLFLOW_TRACKING_TOKEN=mk_")
    made = json.loads(done("admin", "recover", "--data", tmp_path / "data", "--json"))
    with RunningServer(tmp_path / "data") as server:
        assert server.token is None
        for token in (line.strip().partition("=")[2], made["token"]):
            assert json.loads(done("models", "list", "--json", "--server", server.url, "--token", token)) == []


def test_models_list_for_people_and_programs(access: dict[str, str]) -> None:
    """`models list` shows a line for each model, and in JSON the same as the API."""
    text = done("models", "list", **access)
    assert "NAME" in text.splitlines()[0]
    assert any(line.split()[:2] == ["churn", "3"] for line in text.splitlines()), text
    (model,) = json.loads(done("models", "list", "--json", **access))
    assert (model["name"], model["last_version"], model["aliases"]) == ("churn", 3, {"champion": 2})


def test_models_list_reads_every_page(server: RunningServer, access: dict[str, str]) -> None:
    """A list longer than a page of the API is shown whole."""
    blue = [(b"X-MLFLOW-WORKSPACE", b"blue")]
    names = [f"m{number:03}" for number in range(120)]
    with Raw(server.port, server.token) as raw:
        for name in names:
            assert raw.json("POST", "/api/v1/models", {"name": name}, blue).status == 201
    found = json.loads(done("models", "list", "--json", "--workspace", "blue", **access))
    assert [model["name"] for model in found] == names


def test_models_show_has_every_version(access: dict[str, str]) -> None:
    """`models show` shows versions with stage and aliases, the newest first, in words and in JSON."""
    text = done("models", "show", "churn", **access)
    assert text.startswith("churn  (id ")
    line = next(line for line in text.splitlines() if line.strip().startswith("2 "))
    assert "Production" in line
    assert "champion" in line
    shown: dict[str, Any] = json.loads(done("models", "show", "churn", "--json", **access))
    assert shown["model"]["description"] == "who leaves"
    assert [version["version"] for version in shown["versions"]] == [3, 2, 1]


def test_a_model_is_retired_and_brought_back(server: RunningServer, access: dict[str, str]) -> None:
    """`retire` takes a model out of the list and into that of retired ones; `restore` brings it back."""
    with Raw(server.port, server.token) as raw:
        raw.json("POST", "/api/v1/models", {"name": "old one"})
    assert "models restore old one" in done("models", "retire", "old one", **access)
    assert "old one" not in done("models", "list", **access)
    (retired,) = json.loads(done("models", "list", "--retired", "--json", **access))
    assert retired["name"] == "old one"
    assert "old one" in done("models", "list", "--retired", **access)
    assert done("models", "restore", "old one", "--as", "new one", **access) == "new one is back.\n"
    assert json.loads(done("models", "retire", "new one", "--json", **access)) == {}
    assert json.loads(done("models", "restore", retired["id"], "--json", **access))["name"] == "new one"
    done("models", "retire", "new one", **access)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("show", "no-such-model"),
        ("show", "../churn"),
        ("retire", "churn/versions/1"),
        ("restore", "\u00fc?#%"),
        ("show", "-x"),
    ],
)
def test_an_unknown_model_is_refused_in_one_line(access: dict[str, str], command: str, name: str) -> None:
    """A name that no model has, whatever its characters, ends with code 1 and the server's explanation."""
    assert stopped(REFUSED, "models", command, "--", name, **access)


def test_a_wrong_token_or_none_is_refused(server: RunningServer) -> None:
    """Without a good token the command ends with code 1 and says what to set."""
    for token in ("", "mk_wrong"):
        line = stopped(REFUSED, "models", "list", "--server", server.url, "--token", token)
        assert "MLFLOW_TRACKING_TOKEN" in line


def test_an_unknown_workspace_is_refused(access: dict[str, str]) -> None:
    """A workspace that is not there is named in the refusal."""
    assert "no-such" in stopped(REFUSED, "models", "list", "--workspace", "no-such", **access)


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_a_server_that_is_not_there_has_its_own_exit_code(address: str) -> None:
    """Nobody at the address ends with code 4 and names the address."""
    url = address.format(port=free_port())
    assert url in stopped(UNREACHABLE, "models", "list", "--server", url)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1", "127.0.0.1:5000", "sqlite:///x.db"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    """The command opens http and https addresses only."""
    assert address in stopped(REFUSED, "models", "list", "--server", address)


def test_a_taken_port_is_one_line(server: RunningServer, tmp_path: Path) -> None:
    """A second server on the same port ends at once and makes no data folder."""
    line = stopped(REFUSED, "serve", "--data", tmp_path / "data", "--port", str(server.port))
    assert f"127.0.0.1:{server.port}" in line
    assert not (tmp_path / "data").exists()
