"""Tables of retention: the rules by which versions' files may go, and the holds that keep them whatever rules say."""

from sqlalchemy import Table

from modelkeep.db.schema import int_column, metadata, text_column

# `model_id` is empty in the rule of a workspace; a model's own rule takes that one's place.
rules = Table(
    "retention_rules",
    metadata,
    text_column("workspace", primary_key=True),
    text_column("model_id", primary_key=True),
    int_column("keep_last", nullable=True),
    int_column("keep_days", nullable=True),
    int_column("automatic"),
    text_column("set_by"),
    int_column("set_at"),
    sqlite_with_rowid=False,
)

holds = Table(
    "version_holds",
    metadata,
    text_column("model_id", primary_key=True),
    int_column("version", primary_key=True, autoincrement=False),
    text_column("workspace"),
    text_column("reason"),
    text_column("held_by"),
    int_column("held_at"),
    sqlite_with_rowid=False,
)
