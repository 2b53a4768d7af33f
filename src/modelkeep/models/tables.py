"""Tables of registered models and their versions."""

from sqlalchemy import Index, Table, column, func, text

from modelkeep.db.dialect import INDEXED_PREFIX
from modelkeep.db.schema import int_column, metadata, text_column


def _index_of_those_with(name: str, column_name: str) -> Index:
    """An index of a column that many rows have nothing in: those cost nothing."""
    has_one = text(f"{column_name} IS NOT NULL")
    return Index(name, "workspace", column_name, sqlite_where=has_one, postgresql_where=has_one)


# `last_version` is the counter that version numbers come from; `kind` is `model` or `prompt`.
models = Table(
    "registered_models",
    metadata,
    text_column("id", primary_key=True),
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
    Index(
        "registered_models_live_name",
        "workspace",
        "name",
        unique=True,
        sqlite_where=text("retired_at IS NULL"),
        postgresql_where=text("retired_at IS NULL"),
    ),
    Index("registered_models_updated", "workspace", "updated_at", "name"),
)

# Which numbers were ever given under a name, by which model: a number is never given twice under one name.
names = Table(
    "registered_model_names",
    metadata,
    text_column("workspace", primary_key=True),
    text_column("name", primary_key=True),
    text_column("model_id", primary_key=True),
    int_column("last_version"),
    sqlite_with_rowid=False,
)

model_tags = Table(
    "registered_model_tags",
    metadata,
    text_column("model_id", primary_key=True),
    text_column("key", primary_key=True),
    text_column("value"),
    text_column("workspace"),
    Index(
        "registered_model_tags_value", "workspace", "key", func.substr(column("value"), 1, INDEXED_PREFIX), "model_id"
    ),
    sqlite_with_rowid=False,
)

# `name` repeats the model's, so that pages of versions come out of one index. `origin` is `stored` (digest, files and
# size are of the frozen manifest) or `external` (the bytes are elsewhere and unverified). From `reclaimed_at` on
# the bytes of a stored one are no longer kept, only this record of it.
versions = Table(
    "model_versions",
    metadata,
    text_column("model_id", primary_key=True),
    int_column("version", primary_key=True, autoincrement=False),
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
    int_column("reclaimed_at", nullable=True),
    Index("model_versions_updated", "workspace", text("updated_at DESC"), "name", text("version DESC")),
    Index("model_versions_name", "workspace", "name", text("version DESC")),
    _index_of_those_with("model_versions_run", "run_id"),
    _index_of_those_with("model_versions_digest", "digest"),
    Index(
        "model_versions_retired",
        "model_id",
        "version",
        sqlite_where=text("retired_at IS NOT NULL"),
        postgresql_where=text("retired_at IS NOT NULL"),
    ),
)

version_tags = Table(
    "model_version_tags",
    metadata,
    text_column("model_id", primary_key=True),
    int_column("version", primary_key=True, autoincrement=False),
    text_column("key", primary_key=True),
    text_column("value"),
    text_column("workspace"),
    Index(
        "model_version_tags_value",
        "workspace",
        "key",
        func.substr(column("value"), 1, INDEXED_PREFIX),
        "model_id",
        "version",
    ),
    sqlite_with_rowid=False,
)
