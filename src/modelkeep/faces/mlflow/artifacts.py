"""Artifacts on MLflow's wire: the upload and download proxy, listings, and the links that pages use."""

from collections.abc import AsyncIterator

from modelkeep.access import Permission
from modelkeep.artifacts import (
    Entry,
    delete_files,
    folder_segments,
    list_folder,
    parse_path,
    store_file,
    stored_segments,
)
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.core.names import missing_value
from modelkeep.core.types import Piece
from modelkeep.db import Tx
from modelkeep.faces.files import declared_sha256, declared_size, send_at
from modelkeep.faces.mlflow.artifact_messages import (
    ArtifactPath,
    FileInfo,
    ListArtifacts,
    ListArtifactsAnswer,
    ListLoggedModelArtifacts,
    ListOwnedArtifactsAnswer,
    ListRunArtifacts,
    LoggedModelFile,
    RunFile,
    UploadRunFile,
    VersionFile,
    full_path,
)
from modelkeep.faces.mlflow.versions import version_number
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, routes
from modelkeep.faces.operations import Exchange, Mode, Operation, Reply
from modelkeep.models import get_version
from modelkeep.runs import logged_model_head, run_head

_UPLOAD_LIMIT = 10 * 1024 * 1024


async def upload(exchange: Exchange) -> None:
    """Take the body as a file; it is there, whole and durable, or nothing has changed."""
    await _store(exchange, _proxied(exchange.request), exchange.body, declared_size(exchange.headers))


async def download(exchange: Exchange) -> Reply:
    """A file."""
    segments = _proxied(exchange.request)
    return await send_at(exchange, lambda _tx: segments)


def delete(tx: Tx, request: ArtifactPath) -> None:
    """Remove a file or folder; one that is absent is fine."""
    delete_files(tx, _proxied(request))


def list_artifacts(tx: Tx, request: ListArtifacts) -> ListArtifactsAnswer:
    """A folder's entries."""
    entries = list_folder(tx, parse_path(request.path or ""))
    return ListArtifactsAnswer(files=_listed(entries, ()))


def list_run_artifacts(tx: Tx, request: ListRunArtifacts) -> ListOwnedArtifactsAnswer:
    """The entries of a folder of a run."""
    return _owned(tx, _run_uri(tx, request.run_id or request.run_uuid), request.path)


def list_logged_model_artifacts(tx: Tx, request: ListLoggedModelArtifacts) -> ListOwnedArtifactsAnswer:
    """The entries of a folder of a logged model."""
    return _owned(tx, _logged_model_uri(tx, request.model_id or ""), request.artifact_directory_path)


async def download_of_run(exchange: Exchange) -> Reply:
    """A file of a run, deleted or not."""
    request: RunFile = exchange.request
    if not request.path:
        raise missing_value("path")
    run_id = request.run_id or request.run_uuid
    return await send_at(exchange, lambda tx: folder_segments(_run_uri(tx, run_id), request.path))


async def download_of_version(exchange: Exchange) -> Reply:
    """A file of a registered version, as it was frozen."""
    request: VersionFile = exchange.request
    return await send_at(exchange, lambda tx: folder_segments(_version_uri(tx, request), request.path))


async def download_of_logged_model(exchange: Exchange) -> Reply:
    """A file of a logged model."""
    request: LoggedModelFile = exchange.request
    path = request.artifact_file_path
    return await send_at(exchange, lambda tx: folder_segments(_logged_model_uri(tx, request.model_id or ""), path))


async def upload_to_run(exchange: Exchange) -> None:
    """Take a small body as a file of a run."""
    request: UploadRunFile = exchange.request
    if not request.run_uuid:
        raise InvalidInput("Request must specify run_uuid.", "run_uuid")
    if not request.path:
        raise InvalidInput("Request must specify path.", "path")
    data = await _small_body(exchange)
    segments = await exchange.app.read_quickly(
        exchange.caller, lambda tx: folder_segments(_run_uri(tx, request.run_uuid), request.path)
    )
    await _store(exchange, segments, _once(data), len(data))


def _proxied(request: ArtifactPath) -> tuple[str, ...]:
    return full_path(request.artifact_path)


async def _store(
    exchange: Exchange, segments: tuple[str, ...], chunks: AsyncIterator[Piece], declared: int | None
) -> None:
    app, sha256 = exchange.app, declared_sha256(exchange.headers)
    await store_file(app.database, exchange.caller, app.blobs, segments, chunks, declared, sha256=sha256)


async def _small_body(exchange: Exchange) -> bytes:
    declared = declared_size(exchange.headers)
    data = bytearray()
    if declared is None or declared <= _UPLOAD_LIMIT:
        async for chunk in exchange.body:
            data += chunk
            if len(data) > _UPLOAD_LIMIT:
                break
    if len(data) > _UPLOAD_LIMIT or (declared or 0) > _UPLOAD_LIMIT:
        raise InvalidInput("Artifact size is too large. Max size is 10MB.")
    if not data:
        raise InvalidInput("Request must specify data.")
    return bytes(data)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _run_uri(tx: Tx, run_id: str | None) -> str:
    if not run_id:
        raise missing_value("run_id")
    found = run_head(tx, run_id)
    if found is None:
        raise NotFound(f"Run with id={run_id} not found")
    return str(found.artifact_uri)


def _logged_model_uri(tx: Tx, model_id: str) -> str:
    found = logged_model_head(tx, model_id)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"Logged model with ID '{model_id}' not found.")
    return str(found.artifact_uri)


def _version_uri(tx: Tx, request: VersionFile) -> str:
    version = get_version(tx, request.name or "", version_number(request.version))
    stored_segments(version.download_uri)
    if version.digest is None:
        # Who may read the version may not for that read what else lies where its files would be.
        raise Conflict(
            f"Version {version.version} of '{version.name}' is external: the registry does not hold its files."
        )
    return str(version.download_uri)


def _owned(tx: Tx, uri: str, path: str | None) -> ListOwnedArtifactsAnswer:
    inside = parse_path(path or "")
    entries = list_folder(tx, folder_segments(uri, path))
    return ListOwnedArtifactsAnswer(root_uri=uri, files=_listed(entries, inside))


def _listed(entries: list[Entry], folder: tuple[str, ...]) -> list[FileInfo] | None:
    prefix = "".join(f"{name}/" for name in folder)
    return [FileInfo(path=prefix + e.name, is_dir=e.is_dir, file_size=e.size or None) for e in entries] or None


_PROXY = "2.0/mlflow-artifacts/artifacts"
_FILE = f"{_PROXY}/{{artifact_path:path}}"
_LOGGED_MODEL = "2.0/mlflow/logged-models/{model_id}/artifacts"
_READ, _WRITE = Permission.ARTIFACT_READ, Permission.ARTIFACT_WRITE

OPERATIONS: list[Operation] = [
    Operation(
        "artifacts.list",
        MLFLOW,
        routes("GET", _PROXY),
        ListArtifacts,
        list_artifacts,
        Mode.READ,
        Permission.ARTIFACT_LIST,
        "List a folder of the artifact store",
        ListArtifactsAnswer,
    ),
    Operation(
        "artifacts.download",
        MLFLOW,
        routes("GET", _FILE),
        ArtifactPath,
        download,
        Mode.STREAM,
        _READ,
        "Download a file",
        bytes,
    ),
    Operation(
        "artifacts.upload",
        MLFLOW,
        routes("PUT", _FILE),
        ArtifactPath,
        upload,
        Mode.STREAM,
        _WRITE,
        "Upload a file",
        Empty,
    ),
    Operation(
        "artifacts.delete",
        MLFLOW,
        routes("DELETE", _FILE),
        ArtifactPath,
        delete,
        Mode.WRITE,
        Permission.ARTIFACT_DELETE,
        "Delete a file or folder",
        Empty,
    ),
    Operation(
        "artifacts.list_of_run",
        MLFLOW,
        routes("GET", "2.0/mlflow/artifacts/list"),
        ListRunArtifacts,
        list_run_artifacts,
        Mode.READ,
        Permission.ARTIFACT_LIST,
        "List a folder of a run",
        ListOwnedArtifactsAnswer,
    ),
    Operation(
        "artifacts.list_of_logged_model",
        MLFLOW,
        routes("GET", f"{_LOGGED_MODEL}/directories"),
        ListLoggedModelArtifacts,
        list_logged_model_artifacts,
        Mode.READ,
        Permission.ARTIFACT_LIST,
        "List a folder of a logged model",
        ListOwnedArtifactsAnswer,
    ),
    Operation(
        "artifacts.download_of_run",
        MLFLOW,
        (("GET", "/get-artifact"),),
        RunFile,
        download_of_run,
        Mode.STREAM,
        _READ,
        "Download a file of a run",
        bytes,
    ),
    Operation(
        "artifacts.download_of_version",
        MLFLOW,
        (("GET", "/model-versions/get-artifact"),),
        VersionFile,
        download_of_version,
        Mode.STREAM,
        _READ,
        "Download a file of a registered version",
        bytes,
    ),
    Operation(
        "artifacts.download_of_logged_model",
        MLFLOW,
        (("GET", f"/ajax-api/{_LOGGED_MODEL}/files"),),
        LoggedModelFile,
        download_of_logged_model,
        Mode.STREAM,
        _READ,
        "Download a file of a logged model",
        bytes,
    ),
    Operation(
        "artifacts.upload_to_run",
        MLFLOW,
        (("POST", "/ajax-api/2.0/mlflow/upload-artifact"),),
        UploadRunFile,
        upload_to_run,
        Mode.STREAM,
        _WRITE,
        "Upload a file of up to 10 MB to a run",
        Empty,
    ),
]
