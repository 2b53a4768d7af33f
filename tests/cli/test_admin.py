"""`modelkeep admin` against a running server: people, services, groups and tokens, as somebody types it."""

import subprocess
from dataclasses import replace

import pytest

from cli.terminal import Terminal
from servers import PROGRAM

PASSWORD = "plum-tractor-9-lake"


def typed(terminal: Terminal, text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command that reads a text."""
    return subprocess.run(
        [str(PROGRAM), *arguments],
        input=text,
        env=terminal.environment,
        cwd=terminal.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def as_token(terminal: Terminal, token: str) -> Terminal:
    """The same terminal, signed in by another token."""
    return replace(terminal, variables={"MLFLOW_TRACKING_TOKEN": token})


def test_a_person_from_the_first_day_to_the_last(terminal: Terminal) -> None:
    """Made, given a password, shown, disabled, enabled and deleted."""
    made = terminal.json("admin", "user", "create", "ann", "--display-name", "Ann")
    assert (made["name"], made["has_password"], made["disabled"]) == ("ann", False, False)
    assert typed(terminal, PASSWORD + "\n", "admin", "user", "password", "ann", "--password-stdin").returncode == 0
    shown = terminal.done("admin", "user", "show", "ann")
    assert ("password: yes" in shown, made["id"] in shown) == (True, True)
    terminal.done("admin", "user", "disable", "ann")
    assert terminal.json("admin", "user", "show", "ann")["disabled"] is True
    terminal.done("admin", "user", "enable", "ann")
    listed = terminal.json("admin", "user", "list")
    assert [(row["name"], row["disabled"]) for row in listed if row["name"] == "ann"] == [("ann", False)]
    terminal.done("admin", "user", "delete", "ann")
    assert "no person named 'ann'" in terminal.run("admin", "user", "show", "ann").stderr


def test_people_services_and_groups_under_other_names(terminal: Terminal) -> None:
    """Renamed, each is found under the new name with the id that it had; a name that is taken is refused."""
    for kind in ("user", "service", "group"):
        made = terminal.json("admin", kind, "create", f"old-{kind}")
        assert (
            terminal.done("admin", kind, "rename", f"old-{kind}", f"new-{kind}") == f"old-{kind} is new-{kind} now.\n"
        )
        listed = {row["name"]: row["id"] for row in terminal.json("admin", kind, "list")}
        assert (listed[f"new-{kind}"], f"old-{kind}" in listed) == (made["id"], False)
    taken = terminal.run("admin", "user", "rename", "new-user", "new-service")
    assert (taken.returncode, "'new-service' is taken" in taken.stderr) == (1, True)
    told = terminal.done("audit", "search", "--kind", "user.renamed")
    assert "user/new-user" in told
    for kind in ("service", "group", "user"):
        terminal.done("admin", kind, "delete", f"new-{kind}")


def test_a_workspace_is_made_and_listed(terminal: Terminal) -> None:
    """A workspace is made with what it is for, and is in the list."""
    assert "--workspace blue" in terminal.done("admin", "workspace", "create", "blue", "--description", "The blue team")
    (row,) = [row for row in terminal.json("admin", "workspace", "list") if row["name"] == "blue"]
    assert row["description"] == "The blue team"
    assert "The blue team" in terminal.done("admin", "workspace", "list")
    assert "already" in terminal.run("admin", "workspace", "create", "blue").stderr


def test_a_refusal_says_what_to_do(terminal: Terminal) -> None:
    """Who names no principal, no role or another's service is told what there is and who can do it."""
    terminal.done("admin", "user", "create", "eva")
    terminal.done("admin", "service", "create", "evas-bot", "--owner", "eva")
    for arguments, word in (
        (("role", "assign", "eva", "viewer"), "write user/NAME for a person or a service, or group/NAME"),
        (("role", "assign", "user/eva", "viewr"), "There are viewer, contributor"),
        (("role", "show", "viewr"), "modelkeep admin role list"),
        (("token", "create", "t", "--service", "evas-bot"), "an administrator, with 'owner'"),
    ):
        refused = terminal.run("admin", *arguments)
        assert (refused.returncode, word in refused.stderr) == (1, True), refused.stderr
    names = ("evas-bot", "no-bot")
    told = [terminal.run("admin", "token", "create", "t", "--service", name).stderr for name in names]
    assert told[0].replace(names[0], "X") == told[1].replace(names[1], "X")


def test_a_password_is_never_an_argument(terminal: Terminal) -> None:
    """Nobody at the keyboard and none on standard input is refused; a weak one is refused with the reason."""
    made = typed(terminal, PASSWORD + "\n", "admin", "user", "create", "ben", "--password-stdin", "--json")
    assert '"has_password": true' in made.stdout
    assert "--password-stdin" in typed(terminal, "", "admin", "user", "password", "ben").stderr
    assert "at least 12" in typed(terminal, "short\n", "admin", "user", "password", "ben", "--password-stdin").stderr
    assert terminal.run("admin", "user", "password", "ben", "--password", PASSWORD).returncode == 2


def test_ones_own_password(terminal: Terminal) -> None:
    """Two lines, the present one and the new one, change one's own password."""
    typed(terminal, PASSWORD + "\n", "admin", "user", "create", "own", "--password-stdin")
    token = terminal.json("admin", "token", "create", "t", "--owner", "own")["token"]
    mine = as_token(terminal, token)
    changed = typed(mine, f"{PASSWORD}\nanother-{PASSWORD}\n", "admin", "password", "--password-stdin")
    assert changed.stdout == "Your password is changed.\n"
    again = typed(mine, f"{PASSWORD}\nthird-{PASSWORD}\n", "admin", "password", "--password-stdin")
    assert "not your present password" in again.stderr


def test_a_service_has_an_owner(terminal: Terminal) -> None:
    """A service belongs to who makes it unless somebody else is named; handed over, it works with the new owner."""
    terminal.done("admin", "user", "create", "cid")
    assert terminal.json("admin", "service", "create", "bot")["owner"] == "admin"
    assert terminal.done("admin", "service", "hand-over", "bot", "cid") == "cid answers for bot.\n"
    terminal.done("admin", "user", "disable", "cid")
    assert "owner disabled or gone" in terminal.done("admin", "service", "list")
    terminal.done("admin", "service", "disable", "bot")
    terminal.done("admin", "service", "enable", "bot")
    assert terminal.json("admin", "service", "show", "bot")["works"] is False
    terminal.done("admin", "service", "delete", "bot")
    assert "bot" not in [row["name"] for row in terminal.json("admin", "service", "list")]


def test_a_group_and_who_is_in_it(terminal: Terminal) -> None:
    """Made, described, joined, left and deleted."""
    terminal.done("admin", "group", "create", "team", "--description", "All of us")
    terminal.done("admin", "group", "describe", "team", "Some of us")
    terminal.done("admin", "group", "add", "team", "admin")
    assert "admin" in terminal.done("admin", "group", "members", "team")
    assert "team" in terminal.done("admin", "whoami")
    terminal.done("admin", "group", "remove", "team", "admin")
    assert terminal.json("admin", "group", "members", "team") == []
    assert [row["description"] for row in terminal.json("admin", "group", "list")] == ["Some of us"]
    terminal.done("admin", "group", "delete", "team")
    assert "no group named 'team'" in terminal.run("admin", "group", "delete", "team").stderr


def test_tokens_are_made_listed_and_revoked(terminal: Terminal) -> None:
    """A token works until it is revoked by its owner or by an administrator; the list says which works."""
    line = terminal.done("admin", "token", "create", "laptop", "--only-verb", "read")
    assert line.startswith("export MLFLOW_TRACKING_TOKEN=mk_")
    token = line.strip().partition("=")[2]
    limited = as_token(terminal, token)
    assert limited.done("admin", "whoami") == "admin, signed in by token 'laptop'\n  verbs: read\n"
    assert "laptop" in terminal.done("admin", "token", "list")
    limited.done("admin", "token", "revoke", token[:19])
    assert "not authenticated" in limited.run("admin", "whoami").stderr

    terminal.done("admin", "user", "create", "dan")
    made = terminal.json("admin", "token", "create", "his", "--owner", "dan", "--never-expires")
    assert "expires_at" not in made
    assert [row["name"] for row in terminal.json("admin", "token", "list", "--owner", "dan")] == ["his"]
    terminal.done("admin", "token", "revoke", made["id"])
    states = {row["name"]: row["state"] for row in terminal.json("admin", "token", "list", "--everybody")}
    assert (states["laptop"], states["his"], states["first start"]) == ("revoked", "revoked", "good")


def test_all_tokens_since_a_moment(terminal: Terminal) -> None:
    """In an emergency all tokens go, but the one that is used."""
    token = terminal.json("admin", "token", "create", "leaked")["token"]
    assert terminal.json("admin", "token", "revoke", "--all", "--since", "2001-02-03T04:05")["revoked"] >= 1
    assert as_token(terminal, token).run("admin", "whoami").returncode == 1
    assert terminal.run("admin", "whoami").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("revoke",), "Name the token"),
        (("revoke", "mk_0", "--all"), "Name the token"),
        (("revoke", "mk_0", "--since", "2026-01-01"), "Name the token"),
        (("revoke", "--all", "--since", "yesterday"), "--since is a day"),
        (("create", "x", "--service", "a", "--owner", "b"), "not both"),
        (("create", "x", "--never-expires"), "--owner"),
        (("create", "x", "--days", "400"), "1 to 365"),
        (("create", "x", "--only-verb", "fly"), "no verb"),
        (("revoke", "mk_0"), "no token"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(terminal: Terminal, arguments: tuple[str, ...], words: str) -> None:
    """A senseless or impossible wish ends with code 1 and says what is wrong."""
    result = terminal.run("admin", "token", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
