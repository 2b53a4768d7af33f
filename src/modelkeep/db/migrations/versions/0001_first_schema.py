"""The first schema."""

import sqlalchemy as sa
from alembic import op

from modelkeep.db.schema import blob_column, int_column, real_column, text_column

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    _access_and_journal()
    _artifacts()
    _registry()
    _tracking()
    _records()
    _logged_models()


def _access_and_journal() -> None:
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
    op.create_index("journal_resource", "journal", ["workspace", "resource", "id"])
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


def _registry() -> None:
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


def _tracking() -> None:
    op.create_table(
        "experiment_counters", text_column("workspace"), int_column("last_id"), sa.PrimaryKeyConstraint("workspace")
    )
    op.create_table(
        "experiment_tags",
        text_column("workspace"),
        int_column("experiment_id", autoincrement=False),
        text_column("key"),
        text_column("value"),
        sa.PrimaryKeyConstraint("workspace", "experiment_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "experiments",
        text_column("workspace"),
        int_column("id", autoincrement=False),
        text_column("name"),
        text_column("artifact_location"),
        text_column("lifecycle"),
        text_column("created_by"),
        int_column("created_at"),
        int_column("updated_at"),
        sa.PrimaryKeyConstraint("workspace", "id"),
    )
    op.create_index("experiments_name", "experiments", ["workspace", "name"], unique=True)
    op.create_table(
        "runs",
        text_column("id"),
        text_column("workspace"),
        int_column("experiment_id"),
        text_column("name"),
        text_column("user_id"),
        text_column("status"),
        int_column("start_time", nullable=True),
        int_column("end_time", nullable=True),
        text_column("lifecycle"),
        int_column("deleted_at", nullable=True),
        text_column("artifact_uri"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("runs_name", "runs", ["workspace", "experiment_id", "name", "id"])
    op.create_index("runs_start", "runs", ["workspace", "experiment_id", "lifecycle", sa.text("start_time DESC"), "id"])


def _records() -> None:
    op.create_table(
        "datasets",
        int_column("id", autoincrement=True),
        text_column("workspace"),
        int_column("experiment_id"),
        text_column("name"),
        text_column("digest"),
        text_column("source_type"),
        text_column("source"),
        text_column("schema", nullable=True),
        text_column("profile", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("datasets_digest", "datasets", ["workspace", "experiment_id", "name", "digest"], unique=True)
    op.create_table(
        "latest_metrics",
        text_column("run_id"),
        text_column("key"),
        real_column("value"),
        int_column("is_nan"),
        int_column("timestamp"),
        int_column("step"),
        text_column("logged_model_id", nullable=True),
        text_column("dataset_name", nullable=True),
        text_column("dataset_digest", nullable=True),
        text_column("workspace"),
        int_column("experiment_id"),
        sa.PrimaryKeyConstraint("run_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "latest_metrics_value", "latest_metrics", ["workspace", "experiment_id", "key", "is_nan", "value", "run_id"]
    )
    op.create_table(
        "metric_points",
        text_column("run_id"),
        text_column("key"),
        int_column("timestamp", autoincrement=False),
        int_column("step", autoincrement=False),
        real_column("value"),
        int_column("is_nan", autoincrement=False),
        text_column("logged_model_id", nullable=True),
        text_column("dataset_name", nullable=True),
        text_column("dataset_digest", nullable=True),
        sa.PrimaryKeyConstraint("run_id", "key", "timestamp", "step", "value", "is_nan"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_dataset_inputs",
        text_column("run_id"),
        int_column("dataset_id", autoincrement=False),
        text_column("tags"),
        text_column("context", nullable=True),
        sa.PrimaryKeyConstraint("run_id", "dataset_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("run_dataset_inputs_dataset", "run_dataset_inputs", ["dataset_id", "run_id"])
    op.create_table(
        "run_logged_models",
        text_column("run_id"),
        text_column("direction"),
        text_column("logged_model_id"),
        int_column("step"),
        sa.PrimaryKeyConstraint("run_id", "direction", "logged_model_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("run_logged_models_model", "run_logged_models", ["logged_model_id", "run_id"])
    op.create_table(
        "run_params",
        text_column("run_id"),
        text_column("key"),
        text_column("value"),
        text_column("workspace"),
        int_column("experiment_id"),
        sa.PrimaryKeyConstraint("run_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "run_params_value",
        "run_params",
        ["workspace", "experiment_id", "key", sa.text("substr(value, 1, 200)"), "run_id"],
    )
    op.create_table(
        "run_tags",
        text_column("run_id"),
        text_column("key"),
        text_column("value"),
        text_column("workspace"),
        int_column("experiment_id"),
        sa.PrimaryKeyConstraint("run_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "run_tags_value", "run_tags", ["workspace", "experiment_id", "key", sa.text("substr(value, 1, 200)"), "run_id"]
    )


def _logged_models() -> None:
    op.create_table(
        "logged_model_metrics",
        text_column("logged_model_id"),
        text_column("run_id"),
        text_column("key"),
        int_column("timestamp", autoincrement=False),
        int_column("step", autoincrement=False),
        text_column("dataset_name"),
        text_column("dataset_digest"),
        real_column("value"),
        int_column("is_nan"),
        sa.PrimaryKeyConstraint(
            "logged_model_id", "run_id", "key", "timestamp", "step", "dataset_name", "dataset_digest"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "logged_model_metrics_key", "logged_model_metrics", ["logged_model_id", "key", "dataset_name", "dataset_digest"]
    )
    op.create_table(
        "logged_model_params",
        text_column("logged_model_id"),
        text_column("key"),
        text_column("value"),
        sa.PrimaryKeyConstraint("logged_model_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "logged_model_tags",
        text_column("logged_model_id"),
        text_column("key"),
        text_column("value"),
        sa.PrimaryKeyConstraint("logged_model_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "logged_models",
        text_column("id"),
        text_column("workspace"),
        int_column("experiment_id"),
        text_column("name"),
        text_column("status"),
        text_column("status_message", nullable=True),
        text_column("model_type", nullable=True),
        text_column("source_run_id", nullable=True),
        text_column("artifact_uri"),
        text_column("created_by"),
        int_column("created_at"),
        int_column("updated_at"),
        int_column("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "logged_models_created", "logged_models", ["workspace", "experiment_id", sa.text("created_at DESC"), "id"]
    )
    op.create_index("logged_models_run", "logged_models", ["workspace", "source_run_id"])
