"""Tables of artifacts: blobs, the trees clients write to, and the manifests that versions are frozen into."""

from sqlalchemy import Index, Table, text

from modelkeep.db.schema import blob_column, int_column, metadata, text_column

_TRASHED = text("trashed_at IS NOT NULL")
_DELETING = text("deleting = 1")
_CORRUPT = text("corrupt_at IS NOT NULL")
_PUBLISHED = text("digest IS NOT NULL")

# Bytes that the blob store holds, shared by everything that names them. `trashed_at`: nothing named them then, and they
# may be deleted some days later. `deleting` is 1 while they are being removed from the store: nothing may come to name
# them before that is done and the row is gone; `deleting_at`: whoever removes them was about to then. `corrupt_at`: a
# reader found other bytes than were stored. `sound_at` is another one whenever the bytes came new into the store, or
# were found right after all: what a reader saw before is no reason to think ill of them.
blobs = Table(
    "blobs",
    metadata,
    text_column("sha256", primary_key=True),
    int_column("size"),
    int_column("created_at"),
    int_column("trashed_at", nullable=True),
    int_column("deleting", server_default="0"),
    int_column("deleting_at", nullable=True),
    int_column("corrupt_at", nullable=True),
    int_column("verified_at", nullable=True),
    int_column("sound_at", server_default="0"),
    Index("blobs_trashed", "trashed_at", sqlite_where=_TRASHED, postgresql_where=_TRASHED),
    Index("blobs_deleting", "sha256", sqlite_where=_DELETING, postgresql_where=_DELETING),
    Index("blobs_corrupt", "sha256", sqlite_where=_CORRUPT, postgresql_where=_CORRUPT),
    sqlite_with_rowid=False,
)

# The BLAKE3-256 of each `length` bytes of a blob that is not tiny, one behind the other.
blob_chunks = Table(
    "blob_chunks",
    metadata,
    text_column("sha256", primary_key=True),
    int_column("length"),
    blob_column("digests"),
)

# One row. `epoch` rises in every transaction that begins or ends the deletion of blobs: an upload that saw the store
# hold its bytes knows by it whether they may have gone since.
blob_epochs = Table(
    "blob_epochs", metadata, int_column("id", primary_key=True, autoincrement=False), int_column("epoch")
)

# A folder of the mlflow-artifacts:/ namespace; `root` is its path there. The artifact root of a run or of a logged
# model (`owner` is `run/<id>` or `logged-model/<id>`) may be written to; one with a `digest` is a registered version
# (`version/<model id>/<number>`), read-only, and serves exactly the files of that manifest, until it is released: then
# its bytes are no longer kept, and only the list of its files is.
trees = Table(
    "artifact_trees",
    metadata,
    int_column("id", primary_key=True, autoincrement=True),
    text_column("workspace"),
    text_column("root"),
    text_column("owner"),
    text_column("digest", nullable=True),
    int_column("released_at", nullable=True),
    Index("artifact_trees_root", "workspace", "root", unique=True),
    Index("artifact_trees_owner", "workspace", "owner", unique=True),
    Index("artifact_trees_digest", "digest", sqlite_where=_PUBLISHED, postgresql_where=_PUBLISHED),
)

tree_files = Table(
    "artifact_files",
    metadata,
    int_column("tree_id", primary_key=True, autoincrement=False),
    text_column("path", primary_key=True),
    text_column("sha256"),
    int_column("size"),
    int_column("updated_at"),
    Index("artifact_files_blob", "sha256"),
    sqlite_with_rowid=False,
)

manifests = Table(
    "manifests",
    metadata,
    text_column("digest", primary_key=True),
    int_column("files"),
    int_column("size"),
    int_column("created_at"),
    sqlite_with_rowid=False,
)

manifest_files = Table(
    "manifest_files",
    metadata,
    text_column("digest", primary_key=True),
    text_column("path", primary_key=True),
    text_column("sha256"),
    int_column("size"),
    Index("manifest_files_blob", "sha256"),
    sqlite_with_rowid=False,
)

# Uploads in parts: where the file goes, who began it, what the store calls it. `state` is `open`, `completing` while
# the parts are put together (`attempt` tells whose turn it is, `updated_at` that it is alive), then `done`, with the
# `sha256` of the file.
uploads = Table(
    "uploads",
    metadata,
    text_column("id", primary_key=True),
    text_column("workspace"),
    text_column("path"),
    text_column("handle"),
    int_column("parts"),
    int_column("size", nullable=True),
    int_column("part_size", nullable=True),
    text_column("state"),
    int_column("attempt"),
    text_column("sha256", nullable=True),
    text_column("created_by"),
    int_column("created_at"),
    int_column("updated_at"),
    Index("uploads_updated", "updated_at"),
    sqlite_with_rowid=False,
)

upload_parts = Table(
    "upload_parts",
    metadata,
    text_column("upload_id", primary_key=True),
    int_column("number", primary_key=True, autoincrement=False),
    int_column("size"),
    text_column("etag"),
    sqlite_with_rowid=False,
)

# Places that take the files of a folder until they are registered; the tree's owner is `push/<id>`. `created_by_id` is
# the lasting id of whose it is, empty where nobody had to sign in.
pushes = Table(
    "pushes",
    metadata,
    text_column("workspace", primary_key=True),
    text_column("id", primary_key=True),
    text_column("created_by"),
    int_column("created_at"),
    text_column("created_by_id", server_default=""),
    Index("pushes_created", "created_at"),
    sqlite_with_rowid=False,
)

# How many bytes a workspace may keep in the store: each blob that its trees and versions name, counted once.
quotas = Table("artifact_quotas", metadata, text_column("workspace", primary_key=True), int_column("bytes"))
