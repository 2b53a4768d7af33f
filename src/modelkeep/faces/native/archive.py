"""A whole version as one tar stream: reproducible byte for byte, every file checked before its bytes leave."""

from collections.abc import Sequence

from modelkeep import artifacts, catalog, inspection
from modelkeep.access import Permission
from modelkeep.artifacts import Archive, ManifestFile
from modelkeep.core.errors import Conflict
from modelkeep.db import Tx
from modelkeep.faces.files import is_known
from modelkeep.faces.native.versions import OneVersion
from modelkeep.faces.native.wire import NATIVE, routes
from modelkeep.faces.operations import Exchange, Mode, Operation, Reply


async def send_archive(exchange: Exchange) -> Reply:
    """All files of a version, by path, in a tar."""
    request: OneVersion = exchange.request
    view, files = await exchange.app.read(exchange.caller, lambda tx: _files(tx, request))
    archive = Archive(files, lambda file: _open(exchange, file))
    name = f"{view.name}-{view.version}.tar"
    etag = f'"tar-{view.digest}"'.encode()
    headers = [
        (b"content-type", b"application/x-tar"),
        (b"content-disposition", artifacts.content_disposition(name).encode()),
        (b"etag", etag),
    ]
    if is_known(exchange.headers, etag):
        return Reply(304, headers)
    if exchange.method == "HEAD":
        return Reply(200, [*headers, (b"content-length", b"%d" % archive.size)])
    segments = artifacts.stored_segments(view.download_uri)
    await exchange.app.note_download(exchange.caller, segments, view.digest or "", "archive")
    await archive.begin()
    return Reply(200, headers, archive)


def _files(tx: Tx, request: OneVersion) -> tuple[catalog.VersionView, Sequence[ManifestFile]]:
    view = catalog.get_any_version(tx, request.name, request.version)
    if view.digest is None:
        raise Conflict(f"Version {view.version} of '{view.name}' is external: the registry does not hold its files.")
    inspection.check_download(tx, view.digest)
    return view, artifacts.files_at(tx, artifacts.stored_segments(view.download_uri)).files


async def _open(exchange: Exchange, file: ManifestFile) -> artifacts.FileBody | bytes:
    name = file.path.rpartition("/")[2]
    found = await exchange.app.read_quickly(
        exchange.caller, lambda tx: artifacts.file_of_blob(tx, name, file.sha256, file.size)
    )
    return await exchange.app.open_file(exchange.caller, found, 0, file.size)


OPERATIONS: list[Operation] = [
    Operation(
        "versions.archive",
        NATIVE,
        routes("GET", "models/{name}/versions/{version}/archive"),
        OneVersion,
        send_archive,
        Mode.STREAM,
        Permission.ARTIFACT_READ,
        "All files of a version as one tar, the same bytes each time",
        bytes,
    )
]
