"""Access, artifacts, and the registry of models."""

import sqlalchemy as sa
from alembic import op

from modelkeep.db.schema import blob_column, int_column, text_column

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _access()
    _artifacts()
    _models()
    _versions()
    _placements()


def _access() -> None:
    op.create_table(
        "journal",
        int_column("id", autoincrement=True),
        int_column("at"),
        text_column("workspace"),
        text_column("actor"),
        text_column("actor_method"),
        text_column("token_id"),
        text_column("request_id"),
        text_column("kind"),
        text_column("resource"),
        text_column("data"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tokens",
        text_column("id"),
        text_column("actor"),
        text_column("name"),
        blob_column("secret_hash"),
        int_column("created_at"),
        int_column("expires_at", nullable=True),
        int_column("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "workspaces",
        text_column("name"),
        text_column("description", nullable=True),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("name"),
    )


def _artifacts() -> None:
    op.create_table(
        "artifact_files",
        int_column("tree_id", autoincrement=False),
        text_column("path"),
        text_column("sha256"),
        int_column("size"),
        int_column("updated_at"),
        sa.PrimaryKeyConstraint("tree_id", "path"),
        sqlite_with_rowid=False,
    )
    op.create_index("artifact_files_blob", "artifact_files", ["sha256"])
    op.create_table(
        "artifact_trees",
        int_column("id", autoincrement=True),
        text_column("workspace"),
        text_column("root"),
        text_column("owner"),
        text_column("digest", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("artifact_trees_owner", "artifact_trees", ["workspace", "owner"], unique=True)
    op.create_index("artifact_trees_root", "artifact_trees", ["workspace", "root"], unique=True)
    op.create_table(
        "blobs",
        text_column("sha256"),
        int_column("size"),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("sha256"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manifest_files",
        text_column("digest"),
        text_column("path"),
        text_column("sha256"),
        int_column("size"),
        sa.PrimaryKeyConstraint("digest", "path"),
        sqlite_with_rowid=False,
    )
    op.create_index("manifest_files_blob", "manifest_files", ["sha256"])
    op.create_table(
        "manifests",
        text_column("digest"),
        int_column("files"),
        int_column("size"),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )


def _models() -> None:
    op.create_table(
        "registered_model_names",
        text_column("workspace"),
        text_column("name"),
        text_column("model_id"),
        int_column("last_version"),
        sa.PrimaryKeyConstraint("workspace", "name", "model_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "registered_model_tags",
        text_column("model_id"),
        text_column("key"),
        text_column("value"),
        text_column("workspace"),
        sa.PrimaryKeyConstraint("model_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "registered_model_tags_value",
        "registered_model_tags",
        ["workspace", "key", sa.text("substr(value, 1, 200)"), "model_id"],
    )
    op.create_table(
        "registered_models",
        text_column("id"),
        text_column("workspace"),
        text_column("name"),
        text_column("kind"),
        text_column("description", nullable=True),
        int_column("created_at"),
        int_column("updated_at"),
        text_column("created_by"),
        int_column("last_version"),
        int_column("retired_at", nullable=True),
        text_column("retired_by", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "registered_models_live_name",
        "registered_models",
        ["workspace", "name"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_index("registered_models_updated", "registered_models", ["workspace", "updated_at", "name"])


def _versions() -> None:
    op.create_table(
        "model_version_tags",
        text_column("model_id"),
        int_column("version", autoincrement=False),
        text_column("key"),
        text_column("value"),
        text_column("workspace"),
        sa.PrimaryKeyConstraint("model_id", "version", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "model_version_tags_value",
        "model_version_tags",
        ["workspace", "key", sa.text("substr(value, 1, 200)"), "model_id", "version"],
    )
    op.create_table(
        "model_versions",
        text_column("model_id"),
        int_column("version", autoincrement=False),
        text_column("workspace"),
        text_column("name"),
        text_column("source"),
        text_column("download_uri"),
        text_column("origin"),
        text_column("digest", nullable=True),
        int_column("files", nullable=True),
        int_column("size", nullable=True),
        text_column("run_id", nullable=True),
        text_column("logged_model_id", nullable=True),
        text_column("run_link", nullable=True),
        text_column("description", nullable=True),
        text_column("status"),
        text_column("status_message", nullable=True),
        text_column("created_by"),
        int_column("created_at"),
        int_column("updated_at"),
        int_column("retired_at", nullable=True),
        text_column("retired_by", nullable=True),
        sa.PrimaryKeyConstraint("model_id", "version"),
    )
    op.create_index("model_versions_digest", "model_versions", ["workspace", "digest"])
    op.create_index("model_versions_name", "model_versions", ["workspace", "name", sa.text("version DESC")])
    op.create_index("model_versions_run", "model_versions", ["workspace", "run_id"])
    op.create_index(
        "model_versions_updated",
        "model_versions",
        ["workspace", sa.text("updated_at DESC"), "name", sa.text("version DESC")],
    )


def _placements() -> None:
    op.create_table(
        "version_stages",
        text_column("model_id"),
        int_column("version", autoincrement=False),
        text_column("workspace"),
        text_column("stage"),
        sa.PrimaryKeyConstraint("model_id", "version"),
        sqlite_with_rowid=False,
    )
    op.create_index("version_stages_stage", "version_stages", ["model_id", "stage", "version"])
    op.create_index("version_stages_workspace", "version_stages", ["workspace", "stage", "model_id", "version"])
    op.create_table(
        "version_aliases",
        text_column("model_id"),
        text_column("alias"),
        int_column("version"),
        text_column("workspace"),
        sa.PrimaryKeyConstraint("model_id", "alias"),
        sa.ForeignKeyConstraint(
            ["model_id", "version"], ["version_stages.model_id", "version_stages.version"], ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("version_aliases_alias", "version_aliases", ["workspace", "alias"])
    op.create_index("version_aliases_version", "version_aliases", ["model_id", "version"])
