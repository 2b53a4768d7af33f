"""Artifacts on MLflow's wire: the upload and download proxy, listings, and the links that pages use."""

from collections.abc import AsyncIterator

from modelkeep.access import Permission
from modelkeep.artifacts import (
    Entry,
    check_writable,
    delete_files,
    find_file,
    folder_segments,
    list_folder,
    parse_path,
    put_file,
    receive,
    shown,
)
from modelkeep.core.errors import InvalidInput, NotFound, NotOffered
from modelkeep.core.names import missing_value
from modelkeep.db import Tx
from modelkeep.faces.files import send_found
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
)
from modelkeep.faces.mlflow.versions import version_number
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, routes
from modelkeep.faces.operations import Exchange, Mode, Operation, Reply
from modelkeep.models import get_version
from modelkeep.runs import logged_model_head, run_head

_UPLOAD_LIMIT = 10 * 1024 * 1024


async def upload(exchange: Exchange) -> None:
    """Take the body as a file; it is there, whole and durable, or nothing has changed."""
    await _store(exchange, _proxied(exchange.request), exchange.body, _declared(exchange))


async def download(exchange: Exchange) -> Reply:
    """A file."""
    segments = _proxied(exchange.request)
    return await send_found(exchange, lambda tx: find_file(tx, segments))


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
    return await send_found(exchange, lambda tx: find_file(tx, folder_segments(_run_uri(tx, run_id), request.path)))


async def download_of_version(exchange: Exchange) -> Reply:
    """A file of a registered version, as it was frozen."""
    request: VersionFile = exchange.request
    return await send_found(
        exchange, lambda tx: find_file(tx, folder_segments(_version_uri(tx, request), request.path))
    )


async def download_of_logged_model(exchange: Exchange) -> Reply:
    """A file of a logged model."""
    request: LoggedModelFile = exchange.request
    path = request.artifact_file_path
    return await send_found(
        exchange, lambda tx: find_file(tx, folder_segments(_logged_model_uri(tx, request.model_id or ""), path))
    )


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


def decline_parts(_tx: Tx, _request: ArtifactPath) -> None:
    """Uploads in parts are not offered; the client sends the file whole."""
    raise NotOffered("Multipart upload is not supported for the current artifact repository")


def decline_links(_tx: Tx, _request: ArtifactPath) -> None:
    """Links that go around the server are not offered; the client goes through it."""
    raise NotOffered("Presigned URLs are not supported for the current artifact repository")


def _proxied(request: ArtifactPath) -> tuple[str, ...]:
    path = request.artifact_path or ""
    # Routing made one slash of many, so these come from encoded ones: what they begin is an absolute path.
    if "//" in path or path.endswith("/"):
        raise InvalidInput(f"Invalid path: '{shown(path)}' (a name may not hold '/', percent-encoded or not)", "path")
    return parse_path(path)


async def _store(
    exchange: Exchange, segments: tuple[str, ...], chunks: AsyncIterator[bytes], declared: int | None
) -> None:
    app, caller = exchange.app, exchange.caller
    await app.read_quickly(caller, lambda tx: check_writable(tx, segments))
    blob = await receive(app.blobs, chunks, declared)
    await app.write(caller, lambda tx: put_file(tx, segments, blob))


def _declared(exchange: Exchange) -> int | None:
    text = exchange.headers.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit():
        raise InvalidInput("Invalid Content-Length.")
    return int(text)


async def _small_body(exchange: Exchange) -> bytes:
    declared = _declared(exchange)
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
    return str(get_version(tx, request.name or "", version_number(request.version)).download_uri)


def _owned(tx: Tx, uri: str, path: str | None) -> ListOwnedArtifactsAnswer:
    inside = parse_path(path or "")
    entries = list_folder(tx, folder_segments(uri, path))
    return ListOwnedArtifactsAnswer(root_uri=uri, files=_listed(entries, inside))


def _listed(entries: list[Entry], folder: tuple[str, ...]) -> list[FileInfo] | None:
    prefix = "".join(f"{name}/" for name in folder)
    return [FileInfo(path=prefix + e.name, is_dir=e.is_dir, file_size=e.size or None) for e in entries] or None


_PROXY = "2.0/mlflow-artifacts/artifacts"
_FILE = f"{_PROXY}/{{artifact_path:path}}"
_MPU = "2.0/mlflow-artifacts/mpu"
_PARTS = tuple(
    route
    for step in ("create", "complete", "abort")
    for route in routes("POST", f"{_MPU}/{step}/{{artifact_path:path}}")
)
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
        _READ,
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
        _WRITE,
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
        _READ,
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
        _READ,
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
    Operation(
        "artifacts.upload_parts",
        MLFLOW,
        _PARTS,
        ArtifactPath,
        decline_parts,
        Mode.QUICK,
        _WRITE,
        "Not offered: upload a file in parts",
    ),
    Operation(
        "artifacts.download_link",
        MLFLOW,
        routes("GET", "2.0/mlflow-artifacts/presigned/{artifact_path:path}"),
        ArtifactPath,
        decline_links,
        Mode.QUICK,
        _READ,
        "Not offered: a link to download a file from elsewhere",
    ),
]
