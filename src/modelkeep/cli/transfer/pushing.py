"""A push from beginning to end: what the folder holds, whether that is new, the files, and the version made of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from modelkeep.cli.client import Client
from modelkeep.cli.refusals import Refused
from modelkeep.cli.transfer.folder import LocalFile, Scan, hash_of, scan
from modelkeep.cli.transfer.plan import Plan, read_plan
from modelkeep.cli.transfer.progress import progress_bar
from modelkeep.cli.transfer.state import PushState, push_state
from modelkeep.cli.transfer.upload import Arrived, Uploads
from modelkeep.cli.wire import Missing
from modelkeep.core.manifests import manifest_digest


class Wanted(NamedTuple):
    """What shall become of a folder."""

    folder: Path
    model: str
    alias: str = ""
    description: str | None = None
    tags: dict[str, str] = {}  # noqa: RUF012 - never changed
    create: bool = False
    force: bool = False
    follow_links: bool = False


class Pushed(NamedTuple):
    """The version that has the folder's files, and whether it was made now."""

    name: str
    version: int
    digest: str
    is_new: bool
    files: int
    size: int
    sent: int


def push(client: Client, cache: Path, wanted: Wanted, found: Scan, *, shown: bool) -> Pushed:
    """Register a folder, unless the newest version has exactly these files. Raises Refused, ServerGone or OSError."""
    _check_model(client, wanted)
    latest = _latest(client, wanted.model)
    hashes: dict[str, str] = {}
    if latest is not None and _looks_like(found.files, latest):
        hashes = _hashed(found.files)
        if _digest(found.files, hashes) == latest.digest and not wanted.force:
            return _outcome(client, wanted, found, (latest.version or 0, latest.digest), None)
    whose = (client.server.address, client.workspace, wanted.model, str(wanted.folder.resolve()))
    with push_state(cache, *whose) as state:
        uploads = _upload(client, state, found, hashes, shown=shown)
        digest = _digest(found.files, uploads.hashes)
        version = _register(client, wanted, state, digest)
        state.forget()
    return _outcome(client, wanted, found, (version, digest), uploads)


def scan_folder(wanted: Wanted) -> Scan:
    """What the folder holds. Raises Refused."""
    return scan(wanted.folder, follow_links=wanted.follow_links)


def _check_model(client: Client, wanted: Wanted) -> None:
    try:
        client.call("GET", "models", wanted.model)
    except Missing:
        if not wanted.create:
            raise Refused(f"There is no model '{wanted.model}'; --create makes it.") from None


def _latest(client: Client, model: str) -> Plan | None:
    """The newest version, if the registry holds its files."""
    uri = f"models:/{model}/latest"
    try:
        return read_plan(uri, client.call("GET", "resolve", uri=uri))
    except Refused:
        return None


def _looks_like(files: list[LocalFile], latest: Plan) -> bool:
    return [(file.path, file.size) for file in files] == [(file.path, file.size) for file in sorted(latest.files)]


def _hashed(files: list[LocalFile]) -> dict[str, str]:
    with ThreadPoolExecutor(thread_name_prefix="hash") as threads:
        return dict(zip((file.path for file in files), threads.map(hash_of, files), strict=True))


def _digest(files: list[LocalFile], hashes: dict[str, str]) -> str:
    return manifest_digest((file.path, file.size, hashes[file.path]) for file in files)


def _upload(client: Client, state: PushState, found: Scan, hashes: dict[str, str], *, shown: bool) -> Uploads:
    arrived = _arrived(client, state)
    root = client.call("GET", "pushes", state.push_id or "")["path"]
    with progress_bar("push", sum(file.size for file in found.files), shown=shown) as progress:
        uploads = Uploads(client.server, root, state, progress)
        uploads.send(found.files, arrived, hashes)
    return uploads


def _arrived(client: Client, state: PushState) -> Arrived:
    """What a push that was killed has sent; without one, a new one is opened."""
    if state.push_id is not None:
        try:
            items = client.call("GET", "pushes", state.push_id, "files")["items"]
        except Missing:
            pass
        else:
            return {item["path"]: (item["size"], item["sha256"]) for item in items}
    state.begin(client.call("POST", "pushes")["id"])
    return {}


def _register(client: Client, wanted: Wanted, state: PushState, digest: str) -> int:
    source = client.call("GET", "pushes", state.push_id or "")["source"]
    body: dict[str, Any] = {"source": source, "digest": digest, "tags": wanted.tags, "create_model": wanted.create}
    if wanted.description is not None:
        body["description"] = wanted.description
    return int(client.call("POST", "models", wanted.model, "versions", body=body)["version"])


def _outcome(client: Client, wanted: Wanted, found: Scan, version: tuple[int, str], uploads: Uploads | None) -> Pushed:
    number, digest = version
    if wanted.alias:
        _set_alias(client, wanted, number)
    size = sum(file.size for file in found.files)
    sent = uploads.sent if uploads else 0
    return Pushed(wanted.model, number, digest, uploads is not None, len(found.files), size, sent)


def _set_alias(client: Client, wanted: Wanted, number: int) -> None:
    try:
        client.call("PUT", "models", wanted.model, "aliases", wanted.alias, body={"version": number})
    except Refused as error:
        raise Refused(f"Version {number} is registered, but has not the alias '{wanted.alias}': {error}") from error
