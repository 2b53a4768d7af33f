"""Tables of artifacts: blobs, the trees clients write to, and the manifests that versions are frozen into."""

from sqlalchemy import Index, Table

from modelkeep.db.schema import int_column, metadata, text_column

# Bytes that the blob store holds, shared by everything that names them.
blobs = Table(
    "blobs",
    metadata,
    text_column("sha256", primary_key=True),
    int_column("size"),
    int_column("created_at"),
    sqlite_with_rowid=False,
)

# A folder of the mlflow-artifacts:/ namespace; `root` is its path there. The artifact root of a run or of a logged
# model (`owner` is `run/<id>` or `logged-model/<id>`) may be written to; one with a `digest` is a registered version
# (`version/<model id>/<number>`), read-only, and serves exactly the files of that manifest.
trees = Table(
    "artifact_trees",
    metadata,
    int_column("id", primary_key=True, autoincrement=True),
    text_column("workspace"),
    text_column("root"),
    text_column("owner"),
    text_column("digest", nullable=True),
    Index("artifact_trees_root", "workspace", "root", unique=True),
    Index("artifact_trees_owner", "workspace", "owner", unique=True),
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
