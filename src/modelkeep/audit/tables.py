"""The journal: one row for each event, written in the transaction that made it true."""

from sqlalchemy import Table

from modelkeep.db.schema import int_column, metadata, text_column

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
)
