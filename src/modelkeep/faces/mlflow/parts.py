"""Uploads in parts and download links on MLflow's wire.

Parts go to wherever the answer to `create` says: straight to an object store, or with a signed link to this server.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

from modelkeep.access import Permission
from modelkeep.artifacts import (
    ABANDONED_AFTER_S,
    Link,
    Said,
    StoredFile,
    Upload,
    abort_upload,
    begin_upload,
    complete_upload,
    gives_part_links,
    in_thread,
    parse_path,
    part_link,
    plan_of_parts,
)
from modelkeep.core.errors import InvalidInput
from modelkeep.faces.links import check_linkable, signed_urls
from modelkeep.faces.mlflow.artifact_messages import ArtifactPath, full_path
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Exchange, Mode, Operation
from modelkeep.inspection import find_file

_FILE_LINK_S = 3600
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


class CreateParts(Message):
    """A file to be uploaded: the folder that it goes to, its path on the client, and in how many parts it comes."""

    required = ("artifact_path", "path", "num_parts")
    artifact_path: str | None = None
    path: str | None = None
    num_parts: int | None = None


class PartCredential(Message):
    """Where to PUT a part, and with which headers."""

    url: str | None = None
    part_number: int | None = None
    headers: dict[str, str] | None = None


class CreatePartsAnswer(Message):
    """The upload, and where its parts go."""

    upload_id: str | None = None
    credentials: list[PartCredential] | None = None


class UploadedPart(Message):
    """A part that was sent, and the ETag that its receiver answered."""

    part_number: int | None = None
    etag: str | None = None
    url: str | None = None


class CompleteParts(Message):
    """An upload whose parts were all sent."""

    required = ("artifact_path", "path", "upload_id", "parts")
    artifact_path: str | None = None
    path: str | None = None
    upload_id: str | None = None
    parts: list[UploadedPart] | None = None


class AbortParts(Message):
    """An upload to be given up."""

    required = ("artifact_path", "path", "upload_id")
    artifact_path: str | None = None
    path: str | None = None
    upload_id: str | None = None


class DownloadLink(Message):
    """Where to GET a file, with which headers, and how long it is."""

    url: str | None = None
    headers: dict[str, str] | None = None
    file_size: int | None = None


async def create_parts(exchange: Exchange) -> CreatePartsAnswer:
    """Begin an upload in parts."""
    request: CreateParts = exchange.request
    plan = plan_of_parts(request.num_parts or 0)
    app, target = exchange.app, _target(request)
    if not await in_thread(lambda: _goes_direct(exchange)):
        check_linkable(exchange)
    upload = await begin_upload(app.database, exchange.caller, app.blobs, target, plan)
    links = await _part_links(exchange, upload)
    numbered = enumerate(links, 1)
    return CreatePartsAnswer(
        upload_id=upload.id,
        credentials=[PartCredential(url=link.url, part_number=at, headers=link.headers) for at, link in numbered],
    )


async def complete_parts(exchange: Exchange) -> None:
    """Make the parts the file."""
    request: CompleteParts = exchange.request
    said = Said("/".join(_target(request)), tags=_tags(request.parts or []))
    await complete_upload(exchange.app.database, exchange.caller, exchange.app.blobs, request.upload_id or "", said)


async def abort_parts(exchange: Exchange) -> None:
    """Give an upload up."""
    request: AbortParts = exchange.request
    path = "/".join(_target(request))
    await abort_upload(exchange.app.database, exchange.caller, exchange.app.blobs, request.upload_id or "", path)


async def download_link(exchange: Exchange) -> DownloadLink:
    """Where a file can be fetched without a token, in ranges and several at once."""
    request: ArtifactPath = exchange.request
    segments = full_path(request.artifact_path)
    file = await exchange.app.read_quickly(exchange.caller, lambda tx: find_file(tx, segments))
    await exchange.app.note_download(exchange.caller, segments, file.sha256, "link")
    link = await _file_link(exchange, file)
    return DownloadLink(url=link.url, headers=link.headers, file_size=file.size)


def _goes_direct(exchange: Exchange) -> bool:
    """Whether parts are sent straight to the store."""
    return exchange.app.settings.direct_links and gives_part_links(exchange.app.blobs)


async def _part_links(exchange: Exchange, upload: Upload) -> list[Link]:
    numbers = range(1, upload.plan.parts + 1)
    if exchange.app.settings.direct_links:
        direct = await in_thread(lambda: _direct_part_links(exchange, upload, numbers))
        if direct:
            return direct
    paths = [f"/api/v1/signed/uploads/{upload.id}/parts/{number}" for number in numbers]
    return [Link(url, {}) for url in await signed_urls(exchange, "PUT", paths, int(ABANDONED_AFTER_S))]


def _direct_part_links(exchange: Exchange, upload: Upload, numbers: Sequence[int]) -> list[Link]:
    """Links into the store for all of these parts; none where it gives none."""
    links = []
    for number in numbers:
        link = part_link(exchange.app.blobs, upload, number)
        if link is None:
            return []
        links.append(link)
    return links


async def _file_link(exchange: Exchange, file: StoredFile) -> Link:
    if exchange.app.settings.direct_downloads:
        link = await in_thread(lambda: exchange.app.blobs.link(file.sha256, file.name, _FILE_LINK_S))
        if link is not None:
            return link
    # To the blob, not to the path: a file that is replaced meanwhile is not fetched half old and half new.
    path = f"/api/v1/signed/blobs/{file.sha256}/{file.size}/{file.name}"
    (url,) = await signed_urls(exchange, "GET", [path], _FILE_LINK_S)
    return Link(url, {})


def _target(request: CreateParts | CompleteParts | AbortParts) -> tuple[str, ...]:
    """The full path of the file: its name on the client, in the folder that it goes to. Raises InvalidInput."""
    path = request.path or ""
    name = (PureWindowsPath if _WINDOWS_PATH.match(path) else PurePosixPath)(path).name
    if not name:
        raise InvalidInput("Invalid path: it does not end with the name of a file.", "path")
    return parse_path("/".join((*full_path(request.artifact_path), name)))


def _tags(parts: Sequence[UploadedPart]) -> dict[int, str]:
    """What the client says that the tag of each part is. Raises InvalidInput."""
    tags: dict[int, str] = {}
    for part in parts:
        if part.part_number is None or not part.etag:
            raise InvalidInput("Each of the parts needs a part_number and an etag.", "parts")
        if part.part_number in tags:
            raise InvalidInput(f"Part {part.part_number} is given more than once.", "parts")
        tags[part.part_number] = part.etag.strip('"')
    return tags


_MPU = "2.0/mlflow-artifacts/mpu"
_WRITE = Permission.ARTIFACT_WRITE

OPERATIONS: list[Operation] = [
    Operation(
        "artifacts.create_parts",
        MLFLOW,
        routes("POST", f"{_MPU}/create/{{artifact_path:path}}"),
        CreateParts,
        create_parts,
        Mode.STEPS,
        _WRITE,
        "Begin to upload a file in parts",
        CreatePartsAnswer,
    ),
    Operation(
        "artifacts.complete_parts",
        MLFLOW,
        routes("POST", f"{_MPU}/complete/{{artifact_path:path}}"),
        CompleteParts,
        complete_parts,
        Mode.STEPS,
        _WRITE,
        "Make the uploaded parts a file",
        Empty,
    ),
    Operation(
        "artifacts.abort_parts",
        MLFLOW,
        routes("POST", f"{_MPU}/abort/{{artifact_path:path}}"),
        AbortParts,
        abort_parts,
        Mode.STEPS,
        _WRITE,
        "Give up an upload in parts",
        Empty,
    ),
    Operation(
        "artifacts.download_link",
        MLFLOW,
        routes("GET", "2.0/mlflow-artifacts/presigned/{artifact_path:path}"),
        ArtifactPath,
        download_link,
        Mode.STEPS,
        Permission.ARTIFACT_READ,
        "Where a file can be downloaded without a token, for an hour",
        DownloadLink,
    ),
]
