"""What a version's source leads to: files that the store holds and can freeze, or a place that it only records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from modelkeep import artifacts, runs
from modelkeep.artifacts import (
    External,
    Local,
    LoggedModel,
    Manifest,
    Run,
    Source,
    Stored,
    Version,
    append_to_uri,
    local_refusal,
    parse_source,
)
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.models.versions import check_has_files, get_version

_FOREIGN_FILE = re.compile(r"file://(?!localhost/|127\.0\.0\.1/)[^/]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a source leads: a place, its frozen files if the store holds them, and the run behind it if known."""

    uri: str
    manifest: Manifest | None = None
    run_id: str | None = None


def resolve(tx: Tx, source: str, *, prompt: bool = False, logged_model_id: str | None = None) -> Resolved:
    """Look a source up and freeze what it names.

    Raises InvalidInput for a local or malformed one, NotFound for a version, run or logged model that is not there.
    """
    parsed = parse_source(source)
    match parsed:
        case External():
            return Resolved(source)
        case Stored():
            return _at(tx, source, parsed, ())
        case Version():
            return _of_version(tx, parsed, source)
        case LoggedModel():
            return _of_logged_model(tx, parsed)
        case Run():
            return _of_run(tx, parsed)
        case Local():
            raise _refusal(source, prompt=prompt, model_id=bool(logged_model_id))


def _refusal(source: str, *, prompt: bool, model_id: bool) -> InvalidInput:
    if _FOREIGN_FILE.match(source) and not prompt:
        return InvalidInput(f"Invalid model version source: '{source}' is not a valid remote uri.", "source")
    return local_refusal(source, prompt=prompt, model_id=model_id)


def _at(tx: Tx, uri: str, parsed: Source, subpath: Sequence[str], run_id: str | None = None) -> Resolved:
    """The files at a place and a path below it. A place on a named host may be another server's: not looked up."""
    if isinstance(parsed, Stored) and not parsed.host:
        return Resolved(
            append_to_uri(uri, *(quote(name) for name in subpath)),
            artifacts.freeze(tx, (*parsed.segments, *subpath)),
            run_id,
        )
    return Resolved(append_to_uri(uri, *subpath), None, run_id)


def _of_version(tx: Tx, named: Version, source: str) -> Resolved:
    if named.by != "version":
        raise InvalidInput(f"Invalid model version source: '{source}'. Name the version by its number.", "source")
    version = get_version(tx, named.name, int(named.value))
    check_has_files(tx, version.model_id, named.name, version.version)
    if version.origin == "stored" and not named.subpath:
        return Resolved(version.download_uri, Manifest(digest=version.digest, files=version.files, size=version.size))
    if version.origin == "stored":
        return _at(tx, version.download_uri, parse_source(version.download_uri), named.subpath)
    return Resolved(append_to_uri(version.download_uri, *named.subpath))


def _of_logged_model(tx: Tx, named: LoggedModel) -> Resolved:
    head = runs.logged_model_head(tx, named.model_id)
    if head is None or head.deleted_at is not None:
        raise NotFound(f"Logged model with ID '{named.model_id}' not found.", "source")
    return _at(tx, head.artifact_uri, parse_source(head.artifact_uri), named.subpath, head.source_run_id)


def _of_run(tx: Tx, named: Run) -> Resolved:
    head = runs.run_head(tx, named.run_id)
    if head is None:
        raise NotFound(f"Run with id={named.run_id} not found", "source")
    return _at(tx, head.artifact_uri, parse_source(head.artifact_uri), named.segments, named.run_id)
