"""Tables of access: workspaces, tokens, and the key of links."""

from sqlalchemy import Table

from modelkeep.db.schema import blob_column, int_column, metadata, text_column

workspaces = Table(
    "workspaces",
    metadata,
    text_column("name", primary_key=True),
    text_column("description", nullable=True),
    int_column("created_at"),
)

tokens = Table(
    "tokens",
    metadata,
    text_column("id", primary_key=True),
    text_column("actor"),
    text_column("name"),
    blob_column("secret_hash"),
    int_column("created_at"),
    int_column("expires_at", nullable=True),
    int_column("revoked_at", nullable=True),
    sqlite_with_rowid=False,
)

# One row: what links are signed with, shared by all servers of the registry.
link_keys = Table("link_keys", metadata, int_column("id", primary_key=True, autoincrement=False), blob_column("secret"))
