"""A look at a file on the native API, safe to show on a page: text as plain text, images drawn anew.

Never the file's own bytes as what they claim to be: whatever they hold, a browser gets text or pixels.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from modelkeep import catalog, inspection
from modelkeep.access import Permission
from modelkeep.artifacts import FileBody, StoredFile, folder_segments
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.faces.native.messages import VersionNumber
from modelkeep.faces.native.wire import NATIVE, Request, routes
from modelkeep.faces.operations import Exchange, Mode, Operation, Reply
from modelkeep.inspection import LONGEST_IMAGE, LONGEST_TEXT, Turns
from modelkeep.runs import run_head

FilePath = Annotated[str, Meta(min_length=1, max_length=4096)]
Found = tuple[StoredFile, tuple[str, ...]]
_TURNS = Turns()


class PreviewVersionFile(Request):
    """A file of a version."""

    name: str
    version: VersionNumber
    path: FilePath


class PreviewRunFile(Request):
    """A file of a run."""

    run_id: str
    path: FilePath


async def preview_of_version(exchange: Exchange) -> Reply:
    """A look at a file of a version."""
    return await _preview(exchange, lambda tx: _in_version(tx, exchange.request))


async def preview_of_run(exchange: Exchange) -> Reply:
    """A look at a file of a run."""
    return await _preview(exchange, lambda tx: _in_run(tx, exchange.request))


def _in_version(tx: Tx, request: PreviewVersionFile) -> Found:
    view = catalog.get_any_version(tx, request.name, request.version)
    if view.digest is None:
        raise Conflict(f"Version {view.version} of '{view.name}' is external: the registry does not hold its files.")
    return _found(tx, folder_segments(view.download_uri, request.path))


def _in_run(tx: Tx, request: PreviewRunFile) -> Found:
    head = run_head(tx, request.run_id)
    if head is None:
        raise NotFound(f"Run with id={request.run_id} not found", "run_id")
    return _found(tx, folder_segments(head.artifact_uri, request.path))


def _found(tx: Tx, segments: tuple[str, ...]) -> Found:
    return inspection.find_file(tx, segments), segments


async def _preview(exchange: Exchange, find: Callable[[Tx], Found]) -> Reply:
    file, segments = await exchange.app.read_quickly(exchange.caller, find)
    if exchange.method != "HEAD":
        await exchange.app.note_download(exchange.caller, segments, file.sha256, "preview")
    head = await _beginning(exchange, file, LONGEST_TEXT)
    if not inspection.is_image(head):
        shown = await asyncio.to_thread(inspection.shown_text, head, file.size)
        cut = [(b"x-preview-cut", b"the first %d of %d bytes" % (len(head), file.size))] if shown.is_cut else []
        return Reply(200, [(b"content-type", b"text/plain; charset=utf-8"), *cut], shown.text)
    if file.size > LONGEST_IMAGE:
        raise InvalidInput(
            f"This image has more than the {LONGEST_IMAGE} bytes that can be shown. Download it.", "path"
        )
    async with _TURNS.turn():
        drawn = await inspection.draw_anew(await _beginning(exchange, file, file.size))
    return Reply(200, [(b"content-type", b"image/png")], drawn)


async def _beginning(exchange: Exchange, file: StoredFile, most: int) -> bytes:
    body = await exchange.app.open_file(exchange.caller, file, 0, min(most, file.size))
    if not isinstance(body, FileBody):
        return body
    try:
        return b"".join([block async for block in body.chunks()])
    finally:
        body.close()


OPERATIONS: list[Operation] = [
    Operation(
        "versions.preview",
        NATIVE,
        routes("GET", "models/{name}/versions/{version}/preview"),
        PreviewVersionFile,
        preview_of_version,
        Mode.STREAM,
        Permission.ARTIFACT_READ,
        "A look at a file of a version: plain text, or an image drawn anew, at most 1 MiB",
        bytes,
    ),
    Operation(
        "runs.preview",
        NATIVE,
        routes("GET", "runs/{run_id}/preview"),
        PreviewRunFile,
        preview_of_run,
        Mode.STREAM,
        Permission.ARTIFACT_READ,
        "A look at a file of a run: plain text, or an image drawn anew, at most 1 MiB",
        bytes,
    ),
]
