"""Tables of placements: where versions stand. Only promotion writes them."""

from sqlalchemy import ForeignKeyConstraint, Index, Table

from modelkeep.db.schema import int_column, metadata, text_column

# One row for each version that is not retired. Aliases hang on it, so no alias outlives its version.
stages = Table(
    "version_stages",
    metadata,
    text_column("model_id", primary_key=True),
    int_column("version", primary_key=True, autoincrement=False),
    text_column("workspace"),
    text_column("stage"),
    Index("version_stages_stage", "model_id", "stage", "version"),
    Index("version_stages_workspace", "workspace", "stage", "model_id", "version"),
    sqlite_with_rowid=False,
)

aliases = Table(
    "version_aliases",
    metadata,
    text_column("model_id", primary_key=True),
    text_column("alias", primary_key=True),
    int_column("version"),
    text_column("workspace"),
    ForeignKeyConstraint(
        ["model_id", "version"], ["version_stages.model_id", "version_stages.version"], ondelete="CASCADE"
    ),
    Index("version_aliases_version", "model_id", "version"),
    Index("version_aliases_alias", "workspace", "alias"),
    sqlite_with_rowid=False,
)
