"""Model versions on the native API: listed and shown with their digests and files, moved, retired and restored."""

from modelkeep import artifacts, catalog, models, promotion
from modelkeep.access import Permission
from modelkeep.core.errors import Conflict
from modelkeep.db import Tx
from modelkeep.faces.native.messages import (
    Cursor,
    ManifestAnswer,
    PageSize,
    VersionAnswer,
    VersionNumber,
    VersionPage,
    manifest_answer,
    version_answer,
)
from modelkeep.faces.native.wire import NATIVE, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation


class ListVersions(Request):
    """A page of a model's versions."""

    name: str
    limit: PageSize = 100
    cursor: Cursor = ""
    retired: bool = False


class ListRetiredVersions(Request):
    """A page of the versions of a retired model, which is named by its id."""

    model_id: str
    limit: PageSize = 100
    cursor: Cursor = ""


class OneVersion(Request):
    """A call about a version."""

    name: str
    version: VersionNumber


class MoveVersion(Request):
    """A stage that a version shall come to."""

    name: str
    version: VersionNumber
    stage: str
    archive_existing: bool = False


def list_versions(tx: Tx, request: ListVersions) -> VersionPage:
    """A model's versions, the newest first; with `retired`, those that are out of use as well."""
    before = read_cursor(request.cursor, int)[0] if request.cursor else None
    found = catalog.list_versions(tx, request.name, before, request.limit + 1, with_retired=request.retired)
    return _page(found, request.limit)


def list_retired_versions(tx: Tx, request: ListRetiredVersions) -> VersionPage:
    """The versions of a retired model, the newest first."""
    before = read_cursor(request.cursor, int)[0] if request.cursor else None
    return _page(catalog.list_retired_versions(tx, request.model_id, before, request.limit + 1), request.limit)


def _page(found: list[catalog.VersionView], limit: int) -> VersionPage:
    page = found[:limit]
    more = write_cursor(page[-1].version) if len(found) > len(page) else None
    return VersionPage(items=[version_answer(view) for view in page], next_cursor=more)


def show_version(tx: Tx, request: OneVersion) -> VersionAnswer:
    """A version, in use or retired."""
    return version_answer(catalog.get_any_version(tx, request.name, request.version))


def show_manifest(tx: Tx, request: OneVersion) -> ManifestAnswer:
    """The files of a version that the registry holds."""
    view = catalog.get_any_version(tx, request.name, request.version)
    if view.digest is None:
        raise Conflict(f"Version {view.version} of '{view.name}' is external: the registry does not hold its files.")
    return manifest_answer(view.digest, artifacts.manifest_files(tx, view.digest))


def move_version(tx: Tx, request: MoveVersion) -> VersionAnswer:
    """Bring a version to a stage."""
    promotion.move(tx, request.name, request.version, request.stage, archive_existing=request.archive_existing)
    return version_answer(catalog.get_version(tx, request.name, request.version))


def retire_version(tx: Tx, request: OneVersion) -> None:
    """Take a version out of use."""
    models.retire_version(tx, request.name, request.version)


def restore_version(tx: Tx, request: OneVersion) -> VersionAnswer:
    """Bring a retired version back."""
    models.restore_version(tx, request.name, request.version)
    return version_answer(catalog.get_version(tx, request.name, request.version))


_VERSION = "models/{name}/versions/{version}"

OPERATIONS: list[Operation] = [
    Operation(
        "versions.list",
        NATIVE,
        routes("GET", "models/{name}/versions"),
        ListVersions,
        list_versions,
        Mode.READ,
        Permission.MODEL_READ,
        "A model's versions, the newest first",
        VersionPage,
    ),
    Operation(
        "versions.list_retired",
        NATIVE,
        routes("GET", "retired-models/{model_id}/versions"),
        ListRetiredVersions,
        list_retired_versions,
        Mode.READ,
        Permission.MODEL_READ,
        "The versions of a retired model",
        VersionPage,
    ),
    Operation(
        "versions.show",
        NATIVE,
        routes("GET", _VERSION),
        OneVersion,
        show_version,
        Mode.QUICK,
        Permission.MODEL_READ,
        "A version with its digest",
        VersionAnswer,
    ),
    Operation(
        "versions.manifest",
        NATIVE,
        routes("GET", f"{_VERSION}/manifest"),
        OneVersion,
        show_manifest,
        Mode.READ,
        Permission.MODEL_READ,
        "Every file of a version with its size and hash",
        ManifestAnswer,
    ),
    Operation(
        "versions.move",
        NATIVE,
        routes("POST", f"{_VERSION}/moves"),
        MoveVersion,
        move_version,
        Mode.WRITE,
        Permission.VERSION_MOVE,
        "Bring a version to a stage",
        VersionAnswer,
    ),
    Operation(
        "versions.retire",
        NATIVE,
        routes("DELETE", _VERSION),
        OneVersion,
        retire_version,
        Mode.WRITE,
        Permission.MODEL_RETIRE,
        "Take a version out of use; it can be restored for 30 days",
        status=204,
    ),
    Operation(
        "versions.restore",
        NATIVE,
        routes("POST", f"{_VERSION}/restore"),
        OneVersion,
        restore_version,
        Mode.WRITE,
        Permission.MODEL_RETIRE,
        "Bring a retired version back",
        VersionAnswer,
    ),
]
