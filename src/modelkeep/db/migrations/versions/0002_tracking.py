"""Experiments, runs, what is logged to them, and logged models."""

import sqlalchemy as sa
from alembic import op

from modelkeep.db.schema import int_column, real_column, text_column

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _experiments()
    _runs()
    _values()
    _metrics()
    _inputs()
    _logged_models()


def _experiments() -> None:
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


def _runs() -> None:
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


def _values() -> None:
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


def _metrics() -> None:
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
        int_column("series_id", autoincrement=False),
        int_column("timestamp", autoincrement=False),
        int_column("step", autoincrement=False),
        real_column("value"),
        int_column("is_nan", autoincrement=False),
        text_column("logged_model_id", nullable=True),
        text_column("dataset_name", nullable=True),
        text_column("dataset_digest", nullable=True),
        sa.PrimaryKeyConstraint("series_id", "timestamp", "step", "value", "is_nan"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metric_series",
        int_column("id", autoincrement=True),
        text_column("run_id"),
        text_column("key"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("metric_series_key", "metric_series", ["run_id", "key"], unique=True)


def _inputs() -> None:
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
