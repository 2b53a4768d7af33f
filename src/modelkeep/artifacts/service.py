"""Use cases of artifacts: the trees that clients write to, what is frozen from them, and what a path names.

Paths arrive as the segments that `parse_path` made of them. A tree is found by the longest known root of a path; roots
end in a segment `artifacts`, or are `registered/<model id>/<number>`, so nothing else of a path is looked up.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from modelkeep.artifacts import store
from modelkeep.artifacts.deletion.service import keep_manifest_files
from modelkeep.artifacts.digests import Chunks, Content
from modelkeep.artifacts.events import ArtifactsDeleted, ArtifactStored
from modelkeep.artifacts.integrity.damage import check_sound, known_damage, note_replaced
from modelkeep.artifacts.rules import Stored, parse_source
from modelkeep.core.errors import Conflict, Corrupt, InvalidInput, NotFound
from modelkeep.core.manifests import manifest_digest
from modelkeep.core.paths import parse_path, shown
from modelkeep.core.types import DEFAULT_WORKSPACE
from modelkeep.db import Tx

_SCHEME = "mlflow-artifacts:/"
_REGISTERED = "registered"
_WORKSPACES = "workspaces"
_ROOT_NAME = "artifacts"


class StoredFile(NamedTuple):
    """A file: its name, the blob that it is, and the digests of that blob's chunks if they are known.

    `manifest` is the digest of the registered version that it was found in; `seen` tells the blob's bytes from those
    that were there before, and may come after (`note_damage`).
    """

    name: str
    sha256: str
    size: int
    chunks: Chunks | None = None
    manifest: str | None = None
    seen: int | None = None


class Naming(Enum):
    """What became of giving a path to bytes that were committed to the store."""

    DONE = "done"
    # The store may have deleted the bytes since they were committed: commit them again.
    AGAIN = "again"
    # What the store holds is damaged: commit again, replacing it, and say that it is healed.
    DAMAGED = "damaged"


class Entry(NamedTuple):
    """What a folder holds: a file with its size, or a folder."""

    name: str
    is_dir: bool
    size: int


class Manifest(NamedTuple):
    """A frozen list of files: its digest, how many they are, and their bytes together."""

    digest: str
    files: int
    size: int


class ManifestFile(NamedTuple):
    """A line of a manifest."""

    path: str
    size: int
    sha256: str


def prepare_artifacts(tx: Tx) -> None:
    """What every artifact store's records have from the start."""
    store.prepare_epoch(tx)


def artifact_uri(tx: Tx, *segments: str) -> str:
    """The address of a place in this workspace's part of the namespace. Segments are ids, not clients' texts."""
    return _SCHEME + "/".join((*_home(tx), *segments))


def stored_segments(uri: str) -> tuple[str, ...]:
    """The path that an artifact URI names; `InvalidInput` if its files are not kept here."""
    source = parse_source(uri)
    if not isinstance(source, Stored):
        raise InvalidInput(
            f"These artifacts are kept at '{shown(uri)}', which this server does not open; read them there."
        )
    return source.segments


def folder_segments(uri: str, path: str | None) -> tuple[str, ...]:
    """The full path of a client's path below an artifact root. Raises InvalidInput."""
    return (*stored_segments(uri), *parse_path(path or ""))


def open_tree(tx: Tx, uri: str, owner: str) -> None:
    """Make the writable tree of a run (`run/<id>`) or logged model (`logged-model/<id>`) at its artifact URI.

    Nothing happens where the URI is not in our namespace or in its part for registered versions: such files are kept
    elsewhere, or nowhere. Raises Conflict if another owner's tree has this root.
    """
    segments = _own_segments(uri)
    if segments and segments[-1] == _ROOT_NAME and not _is_registered(segments):
        _insert_tree(tx, "/".join(segments), owner, None)


def publish(tx: Tx, model_id: str, version: int, digest: str) -> str:
    """Make the read-only tree that serves exactly the files of a manifest, and keep their bytes; its URI.

    Raises Conflict if it exists, or if the bytes of a file were reclaimed since they were looked at.
    """
    number = str(version)
    root = "/".join((*_home(tx), _REGISTERED, model_id, number))
    _insert_tree(tx, root, f"version/{model_id}/{number}", digest)
    keep_manifest_files(tx, digest)
    return _SCHEME + root


def freeze(tx: Tx, segments: Sequence[str]) -> Manifest | None:
    """Write down what stands under a path now: a tree, a folder or file in it, or a published version.

    A single file is frozen under its own name. None if nothing is stored there. Whoever keeps the manifest publishes it
    in the same transaction: until then its bytes are not kept. Raises NotFound for a version that was reclaimed.
    """
    tree = store.tree_at(tx, _roots(segments)) if tx.caller.finds_source else None
    if tree is None:
        return None
    _refuse_released(tree, segments)
    inside = _inside(tree, segments)
    if tree.digest is not None and not inside:
        return _known_manifest(tx, tree.digest)
    files = _files_of(tx, tree, segments).files
    if not files:
        return None
    frozen = Manifest(manifest_digest(files), len(files), sum(size for _, size, _ in files))
    store.keep_manifest(tx, frozen.digest, files, frozen.files, frozen.size)
    return frozen


class FilesAt(NamedTuple):
    """Files and the path in the namespace that they lie below."""

    root: str
    files: list[ManifestFile]


def owner_of(tx: Tx, segments: Sequence[str]) -> str | None:
    """Whose files a path is about: `run/<id>`, `logged-model/<id>`, `version/<model id>/<number>` or `push/<id>`."""
    tree = store.tree_at(tx, _roots(segments))
    return None if tree is None else str(tree.owner)


def files_at(tx: Tx, segments: Sequence[str]) -> FilesAt:
    """What stands under a path now, as `freeze` would write it down; no files if nothing is stored there.

    Raises NotFound for a version that was reclaimed.
    """
    tree = store.tree_at(tx, _roots(segments))
    if tree is None:
        return FilesAt("/".join(segments), [])
    _refuse_released(tree, segments)
    return _files_of(tx, tree, segments)


def manifest_files(tx: Tx, digest: str) -> list[ManifestFile]:
    """The files of a manifest by path; none for an unknown digest.

    Manifests are shared by all workspaces: take the digest from a version that the caller may see.
    """
    return [ManifestFile(row.path, row.size, row.sha256) for row in store.manifest_files_of(tx, digest)]


def find_file(tx: Tx, segments: Sequence[str]) -> StoredFile:
    """The file at a path. Raises NotFound, also for folders, and Damaged where the bytes are known to be."""
    path = "/".join(segments)
    row = store.file_at(tx, _roots(segments), path)
    if row is not None:
        _refuse_released(row, segments)
    if row is None or row.sha256 is None:
        raise NotFound(f"No such artifact: '{shown(path)}'")
    if row.corrupt_at is not None:
        raise known_damage(segments[-1], row.sha256)
    chunks = Chunks(row.length, row.digests) if row.digests is not None else None
    return StoredFile(segments[-1], row.sha256, row.size, chunks, row.manifest, row.sound_at)


def file_of_blob(tx: Tx, name: str, sha256: str, size: int) -> StoredFile:
    """A line of a manifest as a file to be read. Raises Damaged for bytes that are known not to be what they were."""
    seen = check_sound(tx, name, sha256)
    return StoredFile(name, sha256, size, store.chunks_of(tx, sha256), seen=seen)


def keep_chunks(tx: Tx, content: Content) -> None:
    """Write down the digests of a blob's chunks, if it has any and they are not there."""
    if content.chunks is not None:
        store.keep_chunks(tx, content.sha256, content.chunks)


def list_folder(tx: Tx, segments: Sequence[str]) -> list[Entry]:
    """What a folder holds, by name; nothing for a file, or where no tree is."""
    tree = store.tree_at(tx, _roots(segments))
    if tree is None:
        return []
    _refuse_released(tree, segments)
    inside = _inside(tree, segments)
    skipped = len(inside) + 1 if inside else 0
    entries: dict[str, Entry] = {}
    for row in store.files_under(tx, tree, inside):
        name, deeper, _ = row.path[skipped:].partition("/")
        entries.setdefault(name, Entry(name, bool(deeper), 0 if deeper else row.size))
    return sorted(entries.values())


def check_writable(tx: Tx, segments: Sequence[str]) -> int | None:
    """Refuse a path that no file could be stored at, before its bytes are taken. Raises NotFound or Conflict.

    Gives the workspace's quota in bytes, if it has one (`within_quota` holds an upload to it).
    """
    tree = _checked_tree(segments, store.tree_and_quota_at(tx, _roots(segments)))
    return None if tree.quota is None else int(tree.quota)


def deletion_epoch(tx: Tx) -> int:
    """A number that rises whenever blobs are deleted; read it before bytes are committed, and give it to `put_file`."""
    return store.epoch(tx)


def put_file(tx: Tx, segments: Sequence[str], content: Content, epoch: int, *, healed: bool = False) -> Naming:
    """Let a path of a run's or logged model's tree name bytes that were committed; an earlier file is replaced.

    `epoch` was read before the commit; with `healed` it replaced what the store held. If the answer is another than
    DONE, the transaction is to be rolled back (`commit_and_name` does). AGAIN wrote nothing, unless a deletion began
    during this very call, which is noticed only once the blob has its row. Raises NotFound where no tree is, and
    Conflict in a registered version, or where a file would be a folder too.
    """
    tree = _checked_tree(segments, store.tree_to_change(tx, _roots(segments)))
    inside = _inside(tree, segments)
    names = inside.split("/")
    other = store.clash(tx, tree.id, inside, ["/".join(names[:depth]) for depth in range(1, len(names))])
    if other is not None:
        raise Conflict(f"'{shown(inside)}' and '{shown(other)}' cannot both be: a file cannot be a folder too.", "path")
    named = _name_blob(tx, content, epoch, healed=healed)
    if named is Naming.DONE:
        store.put_file(tx, tree.id, inside, content.sha256, content.size)
        tx.emit(ArtifactStored(tree.owner, inside, content.sha256, content.size))
    return named


def _name_blob(tx: Tx, content: Content, epoch: int, *, healed: bool) -> Naming:
    """Keep a blob from being deleted, from the moment this is committed."""
    if store.epoch(tx) != epoch:
        return Naming.AGAIN
    row = store.name_blob(tx, content.sha256, content.size)
    # Once more, and in this order: who raises the epoch after this statement waits for the row just written.
    if row is None or store.epoch(tx) != epoch:
        return Naming.AGAIN
    if row.corrupt_at is not None and not healed:
        return Naming.DAMAGED
    if healed:
        note_replaced(tx, content.sha256)
    keep_chunks(tx, content)
    return Naming.DONE


def delete_files(tx: Tx, segments: Sequence[str]) -> int:
    """Remove a file, or all files of a folder or whole tree; how many. What is in no tree is left alone.

    Bytes that a registered version froze stay. Raises Conflict for a path of a registered version.
    """
    _refuse_registered(segments)
    tree = store.tree_to_change(tx, _roots(segments))
    if tree is None or tree.digest is not None:
        return 0
    inside = _inside(tree, segments)
    removed = store.delete_under(tx, tree.id, inside)
    if removed:
        tx.emit(ArtifactsDeleted(tree.owner, inside, removed))
    return removed


def _home(tx: Tx) -> tuple[str, ...]:
    return () if tx.workspace == DEFAULT_WORKSPACE else (_WORKSPACES, tx.workspace)


def _own_segments(uri: str) -> tuple[str, ...]:
    try:
        source = parse_source(uri)
    except InvalidInput:
        return ()
    return source.segments if isinstance(source, Stored) else ()


def _is_registered(segments: Sequence[str]) -> bool:
    """Whether this is in the part of registered versions, of whichever workspace."""
    at = len(_home_in(segments))
    return len(segments) > at and segments[at] == _REGISTERED


def _home_in(segments: Sequence[str]) -> Sequence[str]:
    return segments[:2] if segments and segments[0] == _WORKSPACES else ()


def _refuse_registered(segments: Sequence[str]) -> None:
    if _is_registered(segments):
        raise Conflict("Files of registered versions cannot be changed or removed: versions are immutable.", "path")


def _refuse_released(tree: Any, segments: Sequence[str]) -> None:
    if tree.released_at is not None:
        raise NotFound(
            f"'{shown('/'.join(segments))}' is of a version whose files were reclaimed: its record and the list of its "
            "files are kept, the files are not. Register them again from wherever they still are."
        )


def _roots(segments: Sequence[str]) -> list[str]:
    """The beginnings of a path that could be the root of a tree."""
    if _is_registered(segments):
        return ["/".join(segments[: len(_home_in(segments)) + 3])]
    return ["/".join(segments[: at + 1]) for at, name in enumerate(segments) if name == _ROOT_NAME]


def _inside(tree: Any, segments: Sequence[str]) -> str:
    return "/".join(segments)[len(tree.root) + 1 :]


def _insert_tree(tx: Tx, root: str, owner: str, digest: str | None) -> None:
    if not store.insert_tree(tx, root, owner, digest):
        raise Conflict(f"Artifacts of another owner are kept at '{shown(root)}' already.")


def _checked_tree(segments: Sequence[str], tree: Any | None) -> Any:
    _refuse_registered(segments)
    if tree is None or tree.digest is not None:
        raise NotFound(
            f"'{shown('/'.join(segments))}' is in no folder that can be written to. Those are the artifact roots "
            "(`artifact_uri`) of runs and logged models."
        )
    if not _inside(tree, segments):
        raise Conflict(
            "This is the folder of all artifacts of a run or logged model; a file needs a name in it.", "path"
        )
    return tree


def _known_manifest(tx: Tx, digest: str) -> Manifest:
    row = store.manifest(tx, digest)
    if row is None:
        raise Corrupt(f"The manifest {digest} is missing")
    return Manifest(row.digest, row.files, row.size)


def _files_of(tx: Tx, tree: Any, segments: Sequence[str]) -> FilesAt:
    inside = _inside(tree, segments)
    skipped = len(inside) + 1 if inside else 0
    rows = store.files_under(tx, tree, inside)
    if not rows and inside and (one := store.file_in(tx, tree, inside)):
        return FilesAt("/".join(segments[:-1]), [ManifestFile(segments[-1], one.size, one.sha256)])
    return FilesAt("/".join(segments), [ManifestFile(row.path[skipped:], row.size, row.sha256) for row in rows])
