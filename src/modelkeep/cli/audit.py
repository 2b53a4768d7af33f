"""`modelkeep audit`: verify the log of a running server, take a copy of it, and what verifies such a copy elsewhere."""

import json
from pathlib import Path

import typer

from modelkeep.audit import keys as key_files
from modelkeep.audit.live import verify_live
from modelkeep.audit.single_file import verifier_text
from modelkeep.cli import audit_entries
from modelkeep.cli.audit_log import OnlineLog, export_log
from modelkeep.cli.client import JSON, SERVER, TOKEN, WORKSPACE, Client, Refused
from modelkeep.cli.tables import counted

app = typer.Typer(help="The log of everything that was done: whether it is what it was.", no_args_is_help=True)
app.command()(audit_entries.log)
app.command()(audit_entries.search)
app.command("as-of")(audit_entries.as_of)
app.command("export-entries")(audit_entries.export_entries)
app.command()(audit_entries.downloads)

CHECKPOINT = typer.Option([], "--checkpoint", help="File of checkpoints that were kept elsewhere; may be repeated.")
KEY = typer.Option([], "--key", help="Public key that you trust, as `audit keys` shows it; may be repeated.")


@app.command()
def verify(
    checkpoint: list[Path] = CHECKPOINT,
    key: list[str] = KEY,
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Compute the log anew from the journal's rows and compare it with what was signed; exit code 1 if it differs."""
    log = OnlineLog(Client(server, token, workspace))
    try:
        with log.reading_straight():
            report = verify_live(log, key or log.keys, [(str(path), path.read_text()) for path in checkpoint])
    except ValueError as error:
        raise Refused(f"A key or file of checkpoints is none: {error}.") from error
    typer.echo(json.dumps(report.fields() | {"waiting": log.waiting}) if as_json else "\n".join(report.lines()))
    raise typer.Exit(1 if report.findings else 0)


@app.command()
def export(
    folder: Path = typer.Argument(help="Where it is written to; what is there already is not fetched again."),
    server: str = SERVER,
    token: str = TOKEN,
    workspace: str = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Write the log to a folder as tlog-tiles lays it out, with checkpoints and public keys."""
    size, fetched = export_log(OnlineLog(Client(server, token, workspace)), folder)
    told = f"{counted(size, 'entry', 'entries')}, {counted(fetched, 'file')} fetched"
    typer.echo(json.dumps({"size": size, "fetched": fetched}) if as_json else told)


@app.command()
def checkpoint(server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON) -> None:
    """Print the newest signed checkpoint. Keep it where nobody who runs the server can change it."""
    note = (OnlineLog(Client(server, token, workspace)).read("checkpoint") or b"").decode()
    if not note:
        raise Refused("Nothing is signed yet: the first checkpoint follows the first entry within a minute.")
    typer.echo(json.dumps({"checkpoint": note}) if as_json else note, nl=as_json)


@app.command()
def keys(server: str = SERVER, token: str = TOKEN, workspace: str = WORKSPACE, as_json: bool = JSON) -> None:
    """Print the public keys that sign the log, the one in use first."""
    found = OnlineLog(Client(server, token, workspace)).keys
    typer.echo(json.dumps({"keys": found}) if as_json else "\n".join(found))


@app.command()
def verifier() -> None:
    """Print a program of one file that verifies an exported log where Modelkeep is not installed."""
    typer.echo(verifier_text(), nl=False)


@app.command("new-key")
def new_key(
    file: Path = typer.Argument(help="The key file. If it is there, a new key of the same name takes over."),
    name: str = typer.Option("modelkeep", help="What the log is called, if the file is new."),
    as_json: bool = JSON,
) -> None:
    """Make the key that signs the log, or have a new one take over; for servers that are started afterwards."""
    if file.exists():
        key_files.write_over(file, key_files.replaced(key_files.load_keys(file)))
    else:
        key_files.write_new(file, [key_files.new_key(name)])
    public = [verifier.text for verifier in key_files.load_keys(file).verifiers]
    typer.echo(json.dumps({"keys": public}) if as_json else "\n".join(public))
