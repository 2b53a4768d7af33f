"""The journal: one row for each event, written in the transaction that made it true; and the tree that proves it.

A row gets its place in the tree (`seq`, from 0, without gaps) shortly after its transaction, in the background.
"""

from sqlalchemy import Index, Table, text

from modelkeep.db.schema import blob_column, int_column, metadata, text_column

OF_ROLES = "kind >= 'role.' AND kind < 'role/'"

# `outcome` is `done` or `refused`. `data` is a JSON object: what changed, with `before` where something was replaced.
journal = Table(
    "journal",
    metadata,
    int_column("id", primary_key=True, autoincrement=True),
    int_column("at"),
    text_column("workspace"),
    text_column("actor"),
    text_column("actor_method"),
    text_column("token_id"),
    text_column("request_id"),
    text_column("kind"),
    text_column("resource"),
    text_column("data"),
    text_column("actor_id", server_default=""),
    text_column("address", server_default=""),
    text_column("outcome", server_default="done"),
    text_column("reason", server_default=""),
    int_column("seq", nullable=True),
    Index("journal_seq", "seq", unique=True),
    Index("journal_resource", "workspace", "resource", "id"),
    Index("journal_actor", "workspace", "actor", "id"),
    Index("journal_kind", "workspace", "kind", "id"),
    Index("journal_at", "at"),
    # Few of all entries say who got which role: what somebody might do at a moment is read from these.
    Index("journal_roles", "id", sqlite_where=text(OF_ROLES), postgresql_where=text(OF_ROLES)),
)

# Rows of hashes of the tree: 256 of a level to a full tile, as they lie in a tlog-tiles log.
audit_tiles = Table(
    "audit_tiles",
    metadata,
    int_column("level", primary_key=True, autoincrement=False),
    int_column("number", primary_key=True, autoincrement=False),
    blob_column("hashes"),
    sqlite_with_rowid=False,
)

# One row, which whoever gives entries their places locks: how many have one.
audit_log = Table(
    "audit_log",
    metadata,
    int_column("id", primary_key=True, autoincrement=False),
    int_column("size"),
)

# Signed tree heads, as the text of their signed notes.
audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    int_column("size", primary_key=True, autoincrement=False),
    int_column("at"),
    text_column("note"),
)

# How far entries were sent to each place outside: the place of the next one to be sent.
audit_sinks = Table("audit_sinks", metadata, text_column("name", primary_key=True), int_column("next_seq"))
