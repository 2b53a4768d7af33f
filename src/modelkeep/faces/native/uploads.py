"""Uploads in parts on the native API: begun, sent part by part, gone on with after a break, completed.

Also the places that signed links lead to, which MLflow's clients call without a token.
"""

from typing import Annotated, Any

from msgspec import Meta

from modelkeep.access import Permission
from modelkeep.artifacts import (
    Part,
    PartBody,
    Said,
    Upload,
    abort_upload,
    begin_upload,
    complete_upload,
    file_of_blob,
    get_upload,
    parse_path,
    plan_of_size,
    receive_part,
    upload_parts,
)
from modelkeep.db import Tx
from modelkeep.faces.files import declared_sha256, declared_size, send_found
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Exchange, Mode, Operation, Reply, Signed

Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Number = Annotated[int, Meta(ge=1, le=10_000)]


class BeginUpload(Request):
    """A file to be uploaded: its full path, its size, and how long each part but the last is."""

    path: str
    size: Size
    part_size: Size | None = None


class OneUpload(Request):
    """A call about an upload."""

    id: str


class OnePart(Request):
    """A part of an upload; its bytes are the body."""

    id: str
    number: Number


class SignedPart(Request):
    """A part of an upload, by a link."""

    id: str
    number: Number
    link: str


class SignedBlob(Request):
    """A file, by a link."""

    sha256: str
    size: Size
    name: str
    link: str


class CompleteUpload(Request):
    """An upload whose parts were all sent, and what the SHA-256 of the file must be."""

    id: str
    sha256: str | None = None


class PartAnswer(Answer):
    """A part that is there."""

    number: int
    size: int
    etag: str


class UploadAnswer(Answer):
    """An upload: `parts` of `part_size` bytes, the last maybe shorter. `state` is open, completing or done."""

    id: str
    path: str
    state: str
    parts: int
    created_at: int
    updated_at: int
    size: int | None = None
    part_size: int | None = None
    sha256: str | None = None


class UploadProgressAnswer(UploadAnswer, kw_only=True):
    """An upload with the parts that are there."""

    received: list[PartAnswer]


class FileStoredAnswer(Answer):
    """The file that an upload became."""

    path: str
    size: int
    sha256: str


async def begin(exchange: Exchange) -> UploadAnswer:
    """Begin an upload."""
    request: BeginUpload = exchange.request
    app, plan = exchange.app, plan_of_size(request.size, request.part_size)
    upload = await begin_upload(app.database, exchange.caller, app.blobs, parse_path(request.path), plan)
    return UploadAnswer(**_described(upload))


def show(tx: Tx, request: OneUpload) -> UploadProgressAnswer:
    """How far an upload has come."""
    upload = get_upload(tx, request.id)
    received = [PartAnswer(number=number, size=size, etag=etag) for number, size, etag in upload_parts(tx, upload.id)]
    return UploadProgressAnswer(**_described(upload), received=received)


async def put_part(exchange: Exchange) -> Reply:
    """Take the body as a part."""
    request: OnePart | SignedPart = exchange.request
    sha256 = declared_sha256(exchange.headers)
    body = PartBody(exchange.body, declared_size(exchange.headers), None if sha256 is None else bytes.fromhex(sha256))
    app = exchange.app
    part = await receive_part(app.database, exchange.caller, app.blobs, request.id, request.number, body)
    return _part_reply(part)


async def complete(exchange: Exchange) -> FileStoredAnswer:
    """Make the parts the file."""
    request: CompleteUpload = exchange.request
    app, said = exchange.app, Said(sha256=request.sha256)
    done = await complete_upload(app.database, exchange.caller, app.blobs, request.id, said)
    return FileStoredAnswer(path=done.path, size=done.size, sha256=done.sha256)


async def abort(exchange: Exchange) -> None:
    """Give an upload up."""
    await abort_upload(exchange.app.database, exchange.caller, exchange.app.blobs, exchange.request.id)


async def send_blob(exchange: Exchange) -> Reply:
    """The file that a link was made for, even if another one is at its path by now."""
    request: SignedBlob = exchange.request
    return await send_found(exchange, lambda tx: file_of_blob(tx, request.name, request.sha256, request.size))


def _described(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "path": upload.path,
        "state": upload.state,
        **upload.plan._asdict(),
        "created_at": upload.created_at,
        "updated_at": upload.updated_at,
        "sha256": upload.sha256,
    }


def _part_reply(part: Part) -> Reply:
    reply = NATIVE.render(_PUT_PART, PartAnswer(number=part.number, size=part.size, etag=part.etag))
    reply.headers.append((b"etag", f'"{part.etag}"'.encode()))
    return reply


_ONE = "uploads/{id}"
_WRITE = Permission.ARTIFACT_WRITE

_PUT_PART = Operation(
    "uploads.put_part",
    NATIVE,
    routes("PUT", f"{_ONE}/parts/{{number}}"),
    OnePart,
    put_part,
    Mode.STREAM,
    _WRITE,
    "Send a part of an upload; the same number again replaces it",
    PartAnswer,
)

OPERATIONS: list[Operation] = [
    Operation(
        "uploads.begin",
        NATIVE,
        routes("POST", "uploads"),
        BeginUpload,
        begin,
        Mode.STEPS,
        _WRITE,
        "Begin to upload a file in parts",
        UploadAnswer,
        status=201,
    ),
    Operation(
        "uploads.show",
        NATIVE,
        routes("GET", _ONE),
        OneUpload,
        show,
        Mode.READ,
        Permission.ARTIFACT_READ,
        "How far an upload has come",
        UploadProgressAnswer,
    ),
    _PUT_PART,
    Operation(
        "uploads.complete",
        NATIVE,
        routes("POST", f"{_ONE}/complete"),
        CompleteUpload,
        complete,
        Mode.STEPS,
        _WRITE,
        "Make the uploaded parts a file",
        FileStoredAnswer,
    ),
    Operation(
        "uploads.abort",
        NATIVE,
        routes("DELETE", _ONE),
        OneUpload,
        abort,
        Mode.STEPS,
        _WRITE,
        "Give up an upload",
        status=204,
    ),
    Operation(
        "uploads.put_signed_part",
        NATIVE,
        routes("PUT", "signed/uploads/{id}/parts/{number}"),
        SignedPart,
        put_part,
        Mode.STREAM,
        Signed(_WRITE),
        "Send a part of an upload by a signed link",
        PartAnswer,
    ),
    Operation(
        "artifacts.download_signed",
        NATIVE,
        routes("GET", "signed/blobs/{sha256}/{size}/{name}"),
        SignedBlob,
        send_blob,
        Mode.STREAM,
        Signed(Permission.ARTIFACT_READ),
        "Download a file by a signed link",
        bytes,
    ),
]
