"""`modelkeep admin role`, `modelkeep access` and `modelkeep models share` as an administrator types them."""

import pytest

from cli.terminal import Terminal
from security.raw import Raw
from servers import RunningServer


@pytest.fixture(scope="module", autouse=True)
def registry(running: RunningServer) -> None:
    """People, a workspace, and models in the default one."""
    with Raw(running.port, running.token) as raw:
        for path, fields in (
            ("users", {"name": "ada"}),
            ("users", {"name": "bob"}),
            ("groups", {"name": "ml"}),
            ("workspaces", {"name": "partners"}),
            ("models", {"name": "clf"}),
            ("models", {"name": "fraud"}),
        ):
            assert raw.json("POST", f"/api/v1/{path}", fields).status == 201


def test_a_role_is_made_given_and_taken_back(terminal: Terminal) -> None:
    """A role made on the terminal shows what it allows and who holds it, until it is taken back and deleted."""
    terminal.done("admin", "role", "create", "releaser", "--description", "Moves aliases.")
    terminal.done("admin", "role", "allow", "releaser", "read", "alias", "--kind", "model", "--aliases", "champ*")
    terminal.done("admin", "role", "deny", "releaser", "delete", "--model", "clf")
    said = terminal.done(
        "admin", "role", "assign", "user/ada", "releaser", "--until", "2999-01-31", "--reason", "on call"
    )
    assert said.startswith("user/ada: releaser on everything in workspace default, until 2999-01-31 00:00")

    shown = terminal.done("admin", "role", "show", "releaser")
    assert "allows alias, read on model *, aliases champ*" in shown
    assert "denies delete on model id:" in shown
    assert "user/ada" in shown
    held = terminal.json("admin", "role", "assignments", "--principal", "user/ada")
    assert [row["reason"] for row in held] == ["on call"]

    first = terminal.json("admin", "role", "show", "releaser")["role"]["permissions"][0]
    terminal.done("admin", "role", "remove", "releaser", str(first["id"]))
    terminal.done("admin", "role", "unassign", str(held[0]["id"]))
    terminal.done("admin", "role", "delete", "releaser")
    assert terminal.run("admin", "role", "show", "releaser").returncode == 1


def test_built_in_roles_are_shown_with_their_verbs(terminal: Terminal) -> None:
    """The list has the roles of every registry, and each shows what it allows."""
    assert {row["name"] for row in terminal.json("admin", "role", "list")} >= {"viewer", "manager", "auditor"}
    assert "Approves moves" in terminal.done("admin", "role", "list")
    shown = terminal.done("admin", "role", "show", "viewer")
    assert "built in" in shown
    assert "allows download, read" in shown


def test_a_decision_explains_itself(terminal: Terminal) -> None:
    """What somebody may do is said with the role and assignment, what they may not with who can grant it."""
    given = terminal.json("admin", "role", "assign", "user/ada", "viewer", "--model", "clf")

    allowed = terminal.done("access", "explain", "ada", "read", "model/clf")
    assert allowed.startswith("ada may read model/clf: allowed by role 'viewer'.")
    assert f"by assignment {given['id']}" in allowed
    refused = terminal.done("access", "explain", "ada", "edit", "model/clf")
    assert refused.splitlines() == [
        "ada may not edit model/clf: no role allows it.",
        "  can grant it: admin",
    ]
    assert terminal.json("access", "explain", "ada", "read", "model/fraud")["allowed"] is False
    unmade = terminal.done("access", "explain", "ada", "read", "model/unmade")
    assert "No model 'unmade' is there, as far as you may know" in unmade
    wrong = terminal.run("access", "explain", "ada", "fly", "model/clf")
    assert (wrong.returncode, "'verb' is one of" in wrong.stderr) == (1, True)


def test_rights_and_reviews_are_listed(terminal: Terminal) -> None:
    """All that somebody holds, and all who may do something on a model, are listed with what allows it."""
    terminal.done("admin", "role", "assign", "user/bob", "contributor")
    terminal.done("admin", "role", "assign", "user/bob", "viewer", "--model", "fraud", "--deny")

    shown = terminal.done("access", "show", "bob")
    assert "role 'contributor'" in shown
    assert "not download, read" in shown
    found = {row["name"]: row["verbs"] for row in terminal.json("access", "review", "model/clf")}
    assert found["bob"]["edit"] == "allowed by role 'contributor'"
    assert "read" not in {row["name"]: row["verbs"] for row in terminal.json("access", "review", "model/fraud")}["bob"]
    assert "bob" in terminal.done("access", "review", "model/clf")
    assert terminal.json("access", "show")["user"] == "admin"


def test_a_model_is_shared_for_a_while(terminal: Terminal) -> None:
    """A share is made with an end, listed, and taken back by its number."""
    said = terminal.done("models", "share", "clf", "--with", "partners", "--until", "2999-01-31T12:00")
    assert said.startswith("clf can be read from partners until 2999-01-31 12:00 (share ")
    (row,) = terminal.json("models", "shares", "clf")
    assert row["workspace"] == "partners"
    assert "partners" in terminal.done("models", "shares", "clf")

    terminal.done("models", "unshare", "clf", str(row["id"]))
    assert terminal.json("models", "shares", "clf") == []
    past = terminal.run("models", "share", "clf", "--with", "partners", "--until", "2001-01-31")
    assert (past.returncode, "passed already" in past.stderr) == (1, True)
    never = terminal.run("models", "share", "clf", "--with", "partners", "--until", "never")
    assert (never.returncode, "neither a day" in never.stderr) == (1, True)
