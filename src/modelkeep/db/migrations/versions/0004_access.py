"""People, services, groups and roles; sessions; the tree over the journal."""

import sqlalchemy as sa
from alembic import op

from modelkeep.db.schema import blob_column, int_column, text_column

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the columns and indexes that older ones have gained."""
    _columns()
    _version_indexes()
    _people()
    _sign_in()
    _roles()
    _audit()


def _columns() -> None:
    op.add_column("workspaces", int_column("audit_downloads", server_default="0"))
    op.add_column("tokens", text_column("user_id", server_default=""))
    op.add_column("tokens", text_column("kind", server_default="api"))
    op.add_column("tokens", text_column("workspaces", nullable=True))
    op.add_column("tokens", text_column("verbs", nullable=True))
    op.add_column("tokens", text_column("created_by", server_default=""))
    op.add_column("tokens", int_column("last_used_at", nullable=True))
    op.create_index("tokens_user", "tokens", ["user_id"])
    op.add_column("pushes", text_column("created_by_id", server_default=""))
    op.add_column("journal", text_column("actor_id", server_default=""))
    op.add_column("journal", text_column("address", server_default=""))
    op.add_column("journal", text_column("outcome", server_default="done"))
    op.add_column("journal", text_column("reason", server_default=""))
    op.add_column("journal", int_column("seq", nullable=True))
    op.create_index("journal_seq", "journal", ["seq"], unique=True)
    op.create_index("journal_resource", "journal", ["workspace", "resource", "id"])
    op.create_index("journal_actor", "journal", ["workspace", "actor", "id"])
    op.create_index("journal_kind", "journal", ["workspace", "kind", "id"])
    op.create_index("journal_at", "journal", ["at"])
    of_roles = sa.text("kind >= 'role.' AND kind < 'role/'")
    op.create_index("journal_roles", "journal", ["id"], sqlite_where=of_roles, postgresql_where=of_roles)


def _version_indexes() -> None:
    """Only of versions that have a run or a digest: those of others cost every new version, and find nothing."""
    for name, column in (("model_versions_run", "run_id"), ("model_versions_digest", "digest")):
        has_one = sa.text(f"{column} IS NOT NULL")
        op.drop_index(name, "model_versions")
        op.create_index(name, "model_versions", ["workspace", column], sqlite_where=has_one, postgresql_where=has_one)


def _people() -> None:
    op.create_table(
        "users",
        text_column("id"),
        text_column("name"),
        text_column("kind"),
        text_column("display_name", nullable=True),
        text_column("owner_id", nullable=True),
        text_column("password_hash", nullable=True),
        int_column("created_at"),
        int_column("disabled_at", nullable=True),
        int_column("deleted_at", nullable=True),
        int_column("sessions_after"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "users_name",
        "users",
        ["name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "user_logins",
        text_column("issuer"),
        text_column("subject"),
        text_column("user_id"),
        sa.PrimaryKeyConstraint("issuer", "subject"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "groups",
        text_column("id"),
        text_column("name"),
        text_column("description", nullable=True),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("groups_name", "groups", ["name"], unique=True)
    op.create_table(
        "group_members",
        text_column("user_id"),
        text_column("group_id"),
        text_column("source"),
        sa.PrimaryKeyConstraint("user_id", "group_id", "source"),
        sqlite_with_rowid=False,
    )
    op.create_index("group_members_group", "group_members", ["group_id"])


def _sign_in() -> None:
    op.create_table(
        "sessions",
        text_column("id"),
        text_column("user_id"),
        text_column("signed_in_by"),
        int_column("created_at"),
        int_column("last_seen_at"),
        int_column("expires_at"),
        text_column("address"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_user", "sessions", ["user_id"])
    op.create_table(
        "sign_in_failures",
        text_column("key"),
        int_column("failures"),
        int_column("last_at"),
        int_column("wait_until"),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sign_in_flows",
        text_column("state"),
        text_column("browser_hash"),
        text_column("nonce"),
        text_column("verifier"),
        text_column("next_path"),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("state"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trusted_issuers",
        text_column("id"),
        text_column("name"),
        text_column("issuer"),
        text_column("audience"),
        text_column("jwks", nullable=True),
        text_column("claims"),
        text_column("user_id"),
        text_column("workspaces", nullable=True),
        text_column("verbs", nullable=True),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("trusted_issuers_name", "trusted_issuers", ["name"], unique=True)
    op.create_index("trusted_issuers_issuer", "trusted_issuers", ["issuer"])


def _roles() -> None:
    op.create_table(
        "roles",
        int_column("id", autoincrement=False),
        text_column("workspace"),
        text_column("name"),
        text_column("description", nullable=True),
        int_column("built_in"),
        int_column("created_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("roles_name", "roles", ["workspace", "name"], unique=True)
    op.create_table(
        "role_permissions",
        int_column("id", autoincrement=True),
        int_column("role_id"),
        text_column("effect"),
        text_column("verbs"),
        text_column("kind"),
        text_column("pattern"),
        text_column("aliases"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("role_permissions_role", "role_permissions", ["role_id"])
    op.create_table(
        "assignments",
        int_column("id", autoincrement=True),
        text_column("principal"),
        int_column("role_id"),
        text_column("effect"),
        text_column("workspace"),
        text_column("kind"),
        text_column("pattern"),
        text_column("created_by"),
        int_column("created_at"),
        int_column("expires_at", nullable=True),
        text_column("reason"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("assignments_principal", "assignments", ["principal"])
    op.create_index("assignments_role", "assignments", ["role_id"])
    op.create_index("assignments_pattern", "assignments", ["workspace", "kind", "pattern"])


def _audit() -> None:
    op.create_table(
        "audit_tiles",
        int_column("level", autoincrement=False),
        int_column("number", autoincrement=False),
        blob_column("hashes"),
        sa.PrimaryKeyConstraint("level", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit_log", int_column("id", autoincrement=False), int_column("size"), sa.PrimaryKeyConstraint("id")
    )
    op.create_table(
        "audit_checkpoints",
        int_column("size", autoincrement=False),
        int_column("at"),
        text_column("note"),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_table("audit_sinks", text_column("name"), int_column("next_seq"), sa.PrimaryKeyConstraint("name"))
