"""What a URI of files stands for: a version by number, alias, stage or `latest`, a logged model, or files of a run."""

from typing import NamedTuple

from modelkeep.artifacts import (
    FilesAt,
    LoggedModel,
    ManifestFile,
    Run,
    Stored,
    Version,
    files_at,
    manifest_digest,
    parse_source,
    shown,
    stored_segments,
)
from modelkeep.catalog.service import get_version, get_version_by_alias, latest_versions
from modelkeep.catalog.views import VersionView
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.inspection import check_download
from modelkeep.promotion import LATEST
from modelkeep.runs import logged_model_head, run_head


class ResolvedFiles(NamedTuple):
    """Files with the digest of all of them; `root` is the path in the artifact namespace that theirs go below.

    `kind` is `version`, `logged_model` or `run`; `name` is the model's name, or the id of the logged model or run.
    """

    kind: str
    name: str
    version: int | None
    digest: str
    root: str
    files: list[ManifestFile]


def resolve_files(tx: Tx, uri: str) -> ResolvedFiles:
    """The files that `models:/NAME/3`, `/latest`, `/STAGE`, `@ALIAS`, `models:/m-<id>` or `runs:/<id>/path` stands for.

    Raises InvalidInput for any other URI, NotFound, and Conflict for a version whose files are not kept here.
    """
    try:
        parsed = parse_source(uri)
    except InvalidInput:
        raise _not_resolvable(uri) from None
    match parsed:
        case Version():
            return _of_version(tx, parsed)
        case LoggedModel():
            return _of_logged_model(tx, parsed)
        case Run():
            return _of_run(tx, parsed)
    raise _not_resolvable(uri)


def _of_version(tx: Tx, named: Version) -> ResolvedFiles:
    view = _named_version(tx, named)
    if view.digest is None:
        raise Conflict(
            f"Version {view.version} of '{view.name}' is external: the registry does not hold its files; "
            f"they are at '{shown(view.download_uri)}'."
        )
    check_download(tx, view.digest)
    found = _found(tx, view.download_uri, named.subpath)
    digest = manifest_digest(found.files) if named.subpath else view.digest
    return ResolvedFiles("version", view.name, view.version, digest, found.root, found.files)


def _named_version(tx: Tx, named: Version) -> VersionView:
    if named.by == "version":
        return get_version(tx, named.name, int(named.value))
    if named.by == "latest":
        return get_version_by_alias(tx, named.name, LATEST)
    if named.by == "alias":
        return get_version_by_alias(tx, named.name, named.value)
    of_stage = latest_versions(tx, named.name, [named.value])
    if not of_stage:
        raise NotFound(f"No version of '{named.name}' is in stage {named.value}.", "uri")
    return of_stage[0]


def _of_logged_model(tx: Tx, named: LoggedModel) -> ResolvedFiles:
    head = logged_model_head(tx, named.model_id)
    if head is None or head.deleted_at is not None:
        raise NotFound(f"Logged model with ID '{named.model_id}' not found.", "uri")
    found = _found(tx, head.artifact_uri, named.subpath)
    return ResolvedFiles("logged_model", named.model_id, None, manifest_digest(found.files), found.root, found.files)


def _of_run(tx: Tx, named: Run) -> ResolvedFiles:
    head = run_head(tx, named.run_id)
    if head is None:
        raise NotFound(f"Run with id={named.run_id} not found", "uri")
    found = _found(tx, head.artifact_uri, named.segments)
    return ResolvedFiles("run", named.run_id, None, manifest_digest(found.files), found.root, found.files)


def _found(tx: Tx, uri: str, below: tuple[str, ...]) -> FilesAt:
    source = parse_source(uri)
    if not isinstance(source, Stored):
        raise Conflict(f"These files are kept at '{shown(uri)}', which this server does not open; read them there.")
    found = files_at(tx, (*stored_segments(uri), *below))
    if not found.files:
        raise NotFound(
            f"No file is stored at '{shown('/'.join(below))}' there." if below else "It has no files.", "uri"
        )
    return found


def _not_resolvable(uri: str) -> InvalidInput:
    return InvalidInput(
        f"'{shown(uri)}' is none of models:/NAME/VERSION, models:/NAME@ALIAS, models:/NAME/STAGE, models:/NAME/latest, "
        "models:/m-ID and runs:/ID/PATH.",
        "uri",
    )
