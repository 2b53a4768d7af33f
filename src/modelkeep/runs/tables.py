"""Tables of experiments, runs, their records, and logged models.

Rows that searches go through repeat their experiment's id, so that one index answers "in this experiment, with that
value".
"""

from typing import Any

from sqlalchemy import Index, Table, column, func, text

from modelkeep.db.dialect import INDEXED_PREFIX
from modelkeep.db.schema import int_column, metadata, real_column, text_column


def _value_prefix() -> Any:
    return func.substr(column("value"), 1, INDEXED_PREFIX)


# `lifecycle` is `active` or `deleted`, here and on runs. Ids are numbers on the wire as text; each workspace has its
# own 0.
experiments = Table(
    "experiments",
    metadata,
    text_column("workspace", primary_key=True),
    int_column("id", primary_key=True, autoincrement=False),
    text_column("name"),
    text_column("artifact_location"),
    text_column("lifecycle"),
    text_column("created_by"),
    int_column("created_at"),
    int_column("updated_at"),
    Index("experiments_name", "workspace", "name", unique=True),
)

# The counter that experiment ids of a workspace come from.
experiment_counters = Table(
    "experiment_counters",
    metadata,
    text_column("workspace", primary_key=True),
    int_column("last_id"),
)

experiment_tags = Table(
    "experiment_tags",
    metadata,
    text_column("workspace", primary_key=True),
    int_column("experiment_id", primary_key=True, autoincrement=False),
    text_column("key", primary_key=True),
    text_column("value"),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    text_column("id", primary_key=True),
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
    Index("runs_start", "workspace", "experiment_id", "lifecycle", text("start_time DESC"), "id"),
    Index("runs_name", "workspace", "experiment_id", "name", "id"),
)

params = Table(
    "run_params",
    metadata,
    text_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    text_column("value"),
    text_column("workspace"),
    int_column("experiment_id"),
    Index("run_params_value", "workspace", "experiment_id", "key", _value_prefix(), "run_id"),
    sqlite_with_rowid=False,
)

tags = Table(
    "run_tags",
    metadata,
    text_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    text_column("value"),
    text_column("workspace"),
    int_column("experiment_id"),
    Index("run_tags_value", "workspace", "experiment_id", "key", _value_prefix(), "run_id"),
    sqlite_with_rowid=False,
)

# A metric of a run. Its points name it by its number: their table has by far the most rows, and a number keeps them
# and their order short.
metric_series = Table(
    "metric_series",
    metadata,
    int_column("id", primary_key=True, autoincrement=True),
    text_column("run_id"),
    text_column("key"),
    Index("metric_series_key", "run_id", "key", unique=True),
)

# Every point; exactly equal points are stored once. A NaN has is_nan 1 and value 0; infinities are the largest doubles.
metric_points = Table(
    "metric_points",
    metadata,
    int_column("series_id", primary_key=True, autoincrement=False),
    int_column("timestamp", primary_key=True, autoincrement=False),
    int_column("step", primary_key=True, autoincrement=False),
    real_column("value", primary_key=True),
    int_column("is_nan", primary_key=True, autoincrement=False),
    text_column("logged_model_id", nullable=True),
    text_column("dataset_name", nullable=True),
    text_column("dataset_digest", nullable=True),
    sqlite_with_rowid=False,
)

# For each run and key the point greatest by (step, timestamp, value).
latest_metrics = Table(
    "latest_metrics",
    metadata,
    text_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    real_column("value"),
    int_column("is_nan"),
    int_column("timestamp"),
    int_column("step"),
    text_column("logged_model_id", nullable=True),
    text_column("dataset_name", nullable=True),
    text_column("dataset_digest", nullable=True),
    text_column("workspace"),
    int_column("experiment_id"),
    Index("latest_metrics_value", "workspace", "experiment_id", "key", "is_nan", "value", "run_id"),
    sqlite_with_rowid=False,
)

datasets = Table(
    "datasets",
    metadata,
    int_column("id", primary_key=True, autoincrement=True),
    text_column("workspace"),
    int_column("experiment_id"),
    text_column("name"),
    text_column("digest"),
    text_column("source_type"),
    text_column("source"),
    text_column("schema", nullable=True),
    text_column("profile", nullable=True),
    Index("datasets_digest", "workspace", "experiment_id", "name", "digest", unique=True),
)

# `tags` is a JSON object of texts; `context` repeats its mlflow.data.context for searching.
dataset_inputs = Table(
    "run_dataset_inputs",
    metadata,
    text_column("run_id", primary_key=True),
    int_column("dataset_id", primary_key=True, autoincrement=False),
    text_column("tags"),
    text_column("context", nullable=True),
    Index("run_dataset_inputs_dataset", "dataset_id", "run_id"),
    sqlite_with_rowid=False,
)

# `direction` is `input` or `output`.
run_models = Table(
    "run_logged_models",
    metadata,
    text_column("run_id", primary_key=True),
    text_column("direction", primary_key=True),
    text_column("logged_model_id", primary_key=True),
    int_column("step"),
    Index("run_logged_models_model", "logged_model_id", "run_id"),
    sqlite_with_rowid=False,
)

logged_models = Table(
    "logged_models",
    metadata,
    text_column("id", primary_key=True),
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
    Index("logged_models_created", "workspace", "experiment_id", text("created_at DESC"), "id"),
    Index("logged_models_run", "workspace", "source_run_id"),
)

logged_model_tags = Table(
    "logged_model_tags",
    metadata,
    text_column("logged_model_id", primary_key=True),
    text_column("key", primary_key=True),
    text_column("value"),
    sqlite_with_rowid=False,
)

logged_model_params = Table(
    "logged_model_params",
    metadata,
    text_column("logged_model_id", primary_key=True),
    text_column("key", primary_key=True),
    text_column("value"),
    sqlite_with_rowid=False,
)

logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    text_column("logged_model_id", primary_key=True),
    text_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    int_column("timestamp", primary_key=True, autoincrement=False),
    int_column("step", primary_key=True, autoincrement=False),
    text_column("dataset_name", primary_key=True),
    text_column("dataset_digest", primary_key=True),
    real_column("value"),
    int_column("is_nan"),
    Index("logged_model_metrics_key", "logged_model_id", "key", "dataset_name", "dataset_digest"),
    sqlite_with_rowid=False,
)
