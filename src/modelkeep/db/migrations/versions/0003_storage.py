"""Artifacts that are verified, uploaded in parts, inspected and reclaimed; jobs for the worker."""

import sqlalchemy as sa
from alembic import op

from modelkeep.db.schema import blob_column, int_column, text_column

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the columns that older ones have gained."""
    _columns()
    _artifacts()
    _uploads()
    _inspections()
    _retention()
    _jobs()


def _columns() -> None:
    op.add_column("blobs", int_column("trashed_at", nullable=True))
    op.add_column("blobs", int_column("deleting", server_default="0"))
    op.add_column("blobs", int_column("deleting_at", nullable=True))
    op.add_column("blobs", int_column("corrupt_at", nullable=True))
    op.add_column("blobs", int_column("verified_at", nullable=True))
    op.add_column("blobs", int_column("sound_at", server_default="0"))
    op.create_index(
        "blobs_corrupt",
        "blobs",
        ["sha256"],
        sqlite_where=sa.text("corrupt_at IS NOT NULL"),
        postgresql_where=sa.text("corrupt_at IS NOT NULL"),
    )
    op.create_index(
        "blobs_deleting",
        "blobs",
        ["sha256"],
        sqlite_where=sa.text("deleting = 1"),
        postgresql_where=sa.text("deleting = 1"),
    )
    op.create_index(
        "blobs_trashed",
        "blobs",
        ["trashed_at"],
        sqlite_where=sa.text("trashed_at IS NOT NULL"),
        postgresql_where=sa.text("trashed_at IS NOT NULL"),
    )
    op.add_column("artifact_trees", int_column("released_at", nullable=True))
    op.create_index(
        "artifact_trees_digest",
        "artifact_trees",
        ["digest"],
        sqlite_where=sa.text("digest IS NOT NULL"),
        postgresql_where=sa.text("digest IS NOT NULL"),
    )
    op.add_column("model_versions", int_column("reclaimed_at", nullable=True))
    op.create_index(
        "model_versions_retired",
        "model_versions",
        ["model_id", "version"],
        sqlite_where=sa.text("retired_at IS NOT NULL"),
        postgresql_where=sa.text("retired_at IS NOT NULL"),
    )


def _artifacts() -> None:
    op.create_table(
        "blob_chunks",
        text_column("sha256"),
        int_column("length"),
        blob_column("digests"),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "blob_epochs", int_column("id", autoincrement=False), int_column("epoch"), sa.PrimaryKeyConstraint("id")
    )
    op.create_table(
        "artifact_quotas", text_column("workspace"), int_column("bytes"), sa.PrimaryKeyConstraint("workspace")
    )


def _uploads() -> None:
    op.create_table(
        "uploads",
        text_column("id"),
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
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("uploads_updated", "uploads", ["updated_at"])
    op.create_table(
        "upload_parts",
        text_column("upload_id"),
        int_column("number", autoincrement=False),
        int_column("size"),
        text_column("etag"),
        sa.PrimaryKeyConstraint("upload_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link_keys", int_column("id", autoincrement=False), blob_column("secret"), sa.PrimaryKeyConstraint("id")
    )
    op.create_table(
        "pushes",
        text_column("workspace"),
        text_column("id"),
        text_column("created_by"),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("workspace", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("pushes_created", "pushes", ["created_at"])


def _inspections() -> None:
    op.create_table(
        "inspections",
        text_column("digest"),
        int_column("rule_set", autoincrement=False),
        text_column("verdict"),
        int_column("inspected_at"),
        int_column("milliseconds"),
        text_column("findings"),
        text_column("contents"),
        sa.PrimaryKeyConstraint("digest", "rule_set"),
    )
    op.create_table(
        "download_policies",
        text_column("workspace"),
        int_column("refuse_unsafe"),
        int_column("refuse_unjudged"),
        sa.PrimaryKeyConstraint("workspace"),
    )


def _retention() -> None:
    op.create_table(
        "retention_rules",
        text_column("workspace"),
        text_column("model_id"),
        int_column("keep_last", nullable=True),
        int_column("keep_days", nullable=True),
        int_column("automatic"),
        text_column("set_by"),
        int_column("set_at"),
        sa.PrimaryKeyConstraint("workspace", "model_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "version_holds",
        text_column("model_id"),
        int_column("version", autoincrement=False),
        text_column("workspace"),
        text_column("reason"),
        text_column("held_by"),
        int_column("held_at"),
        sa.PrimaryKeyConstraint("model_id", "version"),
        sqlite_with_rowid=False,
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        text_column("kind"),
        text_column("key"),
        text_column("payload"),
        text_column("workspace"),
        int_column("due_at"),
        int_column("attempts"),
        int_column("claimed_until"),
        text_column("last_error", nullable=True),
        sa.PrimaryKeyConstraint("kind", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("jobs_due", "jobs", ["due_at"])
