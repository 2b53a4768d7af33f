"""Alembic's environment: our engine, one chain for both dialects."""

from alembic import context

from modelkeep.db.migrate import sync_engine

with sync_engine(context.config.attributes["url"]).connect() as connection:
    context.configure(
        connection=connection,
        transaction_per_migration=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
