"""`modelkeep admin user` and `modelkeep admin service`: who there is, and who can sign in."""

import json
import sys
from typing import Any

import typer

from modelkeep.cli.client import JSON, SERVER, TOKEN, Client, Refused
from modelkeep.cli.listing import day, pages
from modelkeep.cli.tables import print_table

users = typer.Typer(help="People who sign in.", no_args_is_help=True)
services = typer.Typer(
    help="Programs that sign in with tokens, and the people that answer for them.", no_args_is_help=True
)

_DISPLAY_NAME = typer.Option(None, "--display-name", help="What people are shown.")
_FROM_STDIN = typer.Option(False, "--password-stdin", help="Read the password from standard input.")


@users.command("list")
def list_users(server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """List people."""
    rows = list(pages(Client(server, token, ""), "users"))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    header = ("NAME", "DISPLAY NAME", "SINCE", "PASSWORD", "STATE")
    print_table(
        header,
        [
            [row["name"], row.get("display_name") or "", day(row["created_at"]), _yes(row["has_password"]), _state(row)]
            for row in rows
        ],
    )


@users.command("create")
def create_user(
    name: str,
    display_name: str | None = _DISPLAY_NAME,
    with_password: bool = typer.Option(False, help="Ask for a password that they can sign in with."),
    password_stdin: bool = _FROM_STDIN,
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Make a person. Without a password they sign in with tokens, or at your identity provider."""
    body = {"name": name, "display_name": display_name}
    if with_password or password_stdin:
        body["password"] = read_password(password_stdin)
    _say(Client(server, token, "").call("POST", "users", body=body), f"{name} is made.", as_json)


@users.command("show")
def show_user(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Show a person."""
    _show(Client(server, token, "").call("GET", "users", name), as_json)


@users.command("password")
def set_password(
    name: str,
    password_stdin: bool = _FROM_STDIN,
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Give a person a password; they are signed out everywhere."""
    body = {"password": read_password(password_stdin)}
    answer = Client(server, token, "").call("PUT", "users", name, "password", body=body)
    _say(answer, f"{name} has another password.", as_json)


@users.command("rename")
def rename_user(name: str, new_name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Give a person another name. Groups, roles, tokens and the password stay theirs; old entries keep the old name."""
    _rename("user", name, new_name, Client(server, token, ""), as_json)


@users.command("disable")
def disable_user(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Let a person, and the services that they answer for, not sign in any more."""
    _disable("user", name, Client(server, token, ""), as_json)


@users.command("enable")
def enable_user(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Let a person sign in again, with the tokens and the password that they had."""
    _enable("user", name, Client(server, token, ""), as_json)


@users.command("delete")
def delete_user(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Delete a person for good. The services that they answer for stop working until somebody else does."""
    _say(Client(server, token, "").call("DELETE", "users", name), f"{name} is deleted.", as_json)


@services.command("list")
def list_services(server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """List services."""
    rows = list(pages(Client(server, token, ""), "services"))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    header = ("NAME", "DISPLAY NAME", "OWNER", "SINCE", "STATE")
    print_table(
        header,
        [
            [row["name"], row.get("display_name") or "", row["owner"], day(row["created_at"]), _state(row)]
            for row in rows
        ],
    )


@services.command("create")
def create_service(
    name: str,
    owner: str | None = typer.Option(None, help="The person that answers for it, if not you."),
    display_name: str | None = _DISPLAY_NAME,
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Make a service."""
    body = {"name": name, "display_name": display_name, "owner": owner}
    answer = Client(server, token, "").call("POST", "services", body=body)
    _say(answer, f"{name} is made; {answer['owner']} answers for it.", as_json)


@services.command("show")
def show_service(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Show a service."""
    _show(Client(server, token, "").call("GET", "services", name), as_json)


@services.command("hand-over")
def hand_over(name: str, owner: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Have another person answer for a service."""
    answer = Client(server, token, "").call("PATCH", "services", name, body={"owner": owner})
    _say(answer, f"{owner} answers for {name}.", as_json)


@services.command("rename")
def rename_service(name: str, new_name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Give a service another name. Groups, roles and tokens stay its own; old entries keep the old name."""
    _rename("service", name, new_name, Client(server, token, ""), as_json)


@services.command("disable")
def disable_service(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Let a service not sign in any more."""
    _disable("service", name, Client(server, token, ""), as_json)


@services.command("enable")
def enable_service(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Let a service sign in again, with the tokens that it had."""
    _enable("service", name, Client(server, token, ""), as_json)


@services.command("delete")
def delete_service(name: str, server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Delete a service for good."""
    _say(Client(server, token, "").call("DELETE", "services", name), f"{name} is deleted.", as_json)


def who_am_i(server: str = SERVER, token: str = TOKEN, as_json: bool = JSON) -> None:
    """Show who you are to the server, and how you signed in."""
    me = Client(server, token, "").call("GET", "me")
    if as_json:
        typer.echo(json.dumps(me))
        return
    by = f"{me['signed_in_by']} '{me['token_name']}'" if "token_name" in me else me["signed_in_by"]
    typer.echo(f"{me['name']}, signed in by {by}")
    for label in ("groups", "workspaces", "verbs"):
        if me.get(label):
            typer.echo(f"  {label}: {', '.join(me[label])}")


def change_own_password(
    password_stdin: bool = typer.Option(
        False, "--password-stdin", help="Read the present password and the new one from two lines of standard input."
    ),
    server: str = SERVER,
    token: str = TOKEN,
    as_json: bool = JSON,
) -> None:
    """Change your own password; you are signed out everywhere, but your tokens stay."""
    present = read_password(password_stdin, "Present password", twice=False)
    body = {"present": present, "new": read_password(password_stdin, "New password")}
    _say(Client(server, token, "").call("POST", "me", "password", body=body), "Your password is changed.", as_json)


def read_password(from_stdin: bool, asked: str = "Password", *, twice: bool = True) -> str:
    """A password from standard input, or typed twice; never from the command line, which everybody here can see."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Refused("There is nobody here to type a password; send it with --password-stdin.")
    return str(typer.prompt(asked, hide_input=True, confirmation_prompt=twice, err=True))


def _show(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
        return
    typer.echo(f"{answer['name']}  (id {answer['id']}, since {day(answer['created_at'])}, {_state(answer)})")
    lines = {
        "display name": answer.get("display_name"),
        "owner": answer.get("owner"),
        "password": _yes(answer["has_password"]) if "has_password" in answer else None,
        "groups": ", ".join(answer.get("groups") or []),
    }
    for label, text in lines.items():
        if text:
            typer.echo(f"  {label}: {text}")


def _disable(kind: str, name: str, client: Client, as_json: bool) -> None:
    answer = client.call("PATCH", f"{kind}s", name, body={"disabled": True})
    _say(answer, f"{name} is disabled; `modelkeep admin {kind} enable {name}` undoes it.", as_json)


def _enable(kind: str, name: str, client: Client, as_json: bool) -> None:
    answer = client.call("PATCH", f"{kind}s", name, body={"disabled": False})
    _say(answer, f"{name} can sign in.", as_json)


def _rename(kind: str, name: str, new_name: str, client: Client, as_json: bool) -> None:
    answer = client.call("POST", f"{kind}s", name, "rename", body={"new_name": new_name})
    _say(answer, f"{name} is {new_name} now.", as_json)


def _say(answer: Any, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(answer) if as_json else text)


def _state(row: dict[str, Any]) -> str:
    if row["disabled"]:
        return "disabled"
    return "enabled" if row.get("works", True) else "owner disabled or gone"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
