"""The schema's life on both databases."""

import re
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from modelkeep import bootstrap
from modelkeep.db import migrate
from modelkeep.db.migrate import SchemaState


def shape(url: str) -> dict[str, object]:
    """Tables with their columns, keys and indexes, comparable between databases of one kind."""
    engine = migrate.sync_engine(url)
    with engine.connect() as connection:
        found = inspect(connection)
        return {
            table: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)],
                found.get_pk_constraint(table)["constrained_columns"],
                sorted(
                    (key["referred_table"], tuple(key["constrained_columns"])) for key in found.get_foreign_keys(table)
                ),
            )
            for table in sorted(found.get_table_names())
        } | {"indexes": index_texts(connection.dialect.name, connection)}


def index_texts(kind: str, connection: object) -> list[str]:
    """Every index's definition, white space folded."""
    sqlite, postgresql = (
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        ("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"),
    )
    rows = connection.execute(text(sqlite if kind == "sqlite" else postgresql))  # type: ignore[attr-defined]
    return sorted(re.sub(r"\s+", " ", row[0]) for row in rows)


def test_migrations_lead_to_the_declared_schema(database_url: str, tmp_path: Path) -> None:
    """The chain of migrations and the declared tables make the same schema."""
    command = __import__("alembic.command").command
    command.upgrade(migrate.alembic_config(database_url), "head")
    migrated = shape(database_url)
    engine = migrate.sync_engine(database_url)
    with engine.begin() as connection:
        for table in reversed(bootstrap.tables.metadata.sorted_tables):
            connection.execute(text(f"DROP TABLE {table.name}"))
        connection.execute(text("DROP TABLE alembic_version"))
    migrate.create_schema(database_url)

    assert migrated == shape(database_url)


def test_an_empty_database_becomes_current(database_url: str) -> None:
    """check tells empty from current; creating twice changes nothing."""
    states = [migrate.check(database_url).state]
    for _ in range(2):
        migrate.create_schema(database_url)
        states.append(migrate.check(database_url).state)

    assert states == [SchemaState.EMPTY, SchemaState.CURRENT, SchemaState.CURRENT]


def test_a_newer_schema_refuses_to_start(database_url: str) -> None:
    """A database stamped by a newer program is left alone, and the refusal names both schemas."""
    migrate.create_schema(database_url)
    with migrate.sync_engine(database_url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(bootstrap.WrongSchema, match=rf"9999, newer than {migrate.HEAD}"):
        bootstrap.require_schema(database_url)


def test_the_newest_migration_is_the_head(tmp_path: Path) -> None:
    """HEAD names the last file of the chain."""
    chain = sorted(
        path.stem.partition("_")[0] for path in (Path(migrate.__file__).parent / "migrations/versions").glob("0*.py")
    )

    assert chain[-1] == migrate.HEAD
    assert tuple(chain) == migrate._HISTORY


def test_a_backup_is_a_whole_database(tmp_path: Path) -> None:
    """upgrade with a backup leaves a copy that opens with the same schema, readable by its owner only."""
    url, copy = f"sqlite:///{tmp_path / 'm.db'}", tmp_path / "copy.db"
    migrate.create_schema(url)

    migrate.upgrade(url, copy)

    assert migrate.check(f"sqlite:///{copy}").state is SchemaState.CURRENT
    assert oct(copy.stat().st_mode)[-3:] == "600"


def test_an_older_schema_is_refused_until_it_is_upgraded(database_url: str) -> None:
    """A database at an earlier revision is told apart, refuses to serve, and is brought up by the chain."""
    command = __import__("alembic.command").command
    command.upgrade(migrate.alembic_config(database_url), migrate._HISTORY[0])

    with pytest.raises(bootstrap.WrongSchema, match="modelkeep db upgrade"):
        bootstrap.require_schema(database_url)
    upgraded = migrate.upgrade(database_url)

    assert upgraded.state is SchemaState.CURRENT
    bootstrap.require_schema(database_url)
