"""Tables of access: workspaces; people, services and groups; what they sign in with; roles and who holds them.

Lists (scopes, verbs, claims) are JSON texts. Everything refers to people, groups and roles by their lasting ids.
"""

from sqlalchemy import Index, Table, text

from modelkeep.db.schema import blob_column, int_column, metadata, text_column

workspaces = Table(
    "workspaces",
    metadata,
    text_column("name", primary_key=True),
    text_column("description", nullable=True),
    int_column("created_at"),
    int_column("audit_downloads", server_default="0"),
)

# People and services. `owner_id` is the person that answers for a service. A deleted one stays, so that its id and
# what it did keep their meaning; its name is free again. Sessions made before `sessions_after` are void.
users = Table(
    "users",
    metadata,
    text_column("id", primary_key=True),
    text_column("name"),
    text_column("kind"),
    text_column("display_name", nullable=True),
    text_column("owner_id", nullable=True),
    text_column("password_hash", nullable=True),
    int_column("created_at"),
    int_column("disabled_at", nullable=True),
    int_column("deleted_at", nullable=True),
    int_column("sessions_after"),
    Index(
        "users_name",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
)

# Who a person is at an OpenID Connect provider.
user_logins = Table(
    "user_logins",
    metadata,
    text_column("issuer", primary_key=True),
    text_column("subject", primary_key=True),
    text_column("user_id"),
    sqlite_with_rowid=False,
)

groups = Table(
    "groups",
    metadata,
    text_column("id", primary_key=True),
    text_column("name"),
    text_column("description", nullable=True),
    int_column("created_at"),
    Index("groups_name", "name", unique=True),
)

# `source` is who says so: `local`, or the issuer whose sign-in said it last (and which replaces what it said before).
group_members = Table(
    "group_members",
    metadata,
    text_column("user_id", primary_key=True),
    text_column("group_id", primary_key=True),
    text_column("source", primary_key=True),
    Index("group_members_group", "group_id"),
    sqlite_with_rowid=False,
)

# `workspaces` and `verbs` narrow what the token's owner may do; NULL narrows nothing.
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
    text_column("user_id", server_default=""),
    text_column("kind", server_default="api"),
    text_column("workspaces", nullable=True),
    text_column("verbs", nullable=True),
    text_column("created_by", server_default=""),
    int_column("last_used_at", nullable=True),
    Index("tokens_user", "user_id"),
    sqlite_with_rowid=False,
)

# Browser sessions, by the SHA-256 of the secret in the cookie.
sessions = Table(
    "sessions",
    metadata,
    text_column("id", primary_key=True),
    text_column("user_id"),
    text_column("signed_in_by"),
    int_column("created_at"),
    int_column("last_seen_at"),
    int_column("expires_at"),
    text_column("address"),
    Index("sessions_user", "user_id"),
    sqlite_with_rowid=False,
)

# Failed sign-ins, by `user/NAME` and `address/IP`: nobody is heard under a key before `wait_until`.
sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    text_column("key", primary_key=True),
    int_column("failures"),
    int_column("last_at"),
    int_column("wait_until"),
    sqlite_with_rowid=False,
)

# Sign-ins that went to an OpenID Connect provider and did not come back yet.
sign_in_flows = Table(
    "sign_in_flows",
    metadata,
    text_column("state", primary_key=True),
    text_column("browser_hash"),
    text_column("nonce"),
    text_column("verifier"),
    text_column("next_path"),
    int_column("created_at"),
    sqlite_with_rowid=False,
)

# Whose signed tokens are exchanged for short ones of ours: the claims they must have (JSON), and what they become.
trusted_issuers = Table(
    "trusted_issuers",
    metadata,
    text_column("id", primary_key=True),
    text_column("name"),
    text_column("issuer"),
    text_column("audience"),
    text_column("jwks", nullable=True),
    text_column("claims"),
    text_column("user_id"),
    text_column("workspaces", nullable=True),
    text_column("verbs", nullable=True),
    int_column("created_at"),
    Index("trusted_issuers_name", "name", unique=True),
    Index("trusted_issuers_issuer", "issuer"),
)

# A role of workspace '' is known in all of them. Those that every registry has are described in `access/rules.py`.
roles = Table(
    "roles",
    metadata,
    int_column("id", primary_key=True, autoincrement=False),
    text_column("workspace"),
    text_column("name"),
    text_column("description", nullable=True),
    int_column("built_in"),
    int_column("created_at"),
    Index("roles_name", "workspace", "name", unique=True),
)

# No id of a permission or of an assignment is given twice, since the journal speaks of them by those.
# What a role allows or denies: verbs (JSON list) on things of a kind whose name or id fits the pattern.
role_permissions = Table(
    "role_permissions",
    metadata,
    int_column("id", primary_key=True, autoincrement=True),
    int_column("role_id"),
    text_column("effect"),
    text_column("verbs"),
    text_column("kind"),
    text_column("pattern"),
    text_column("aliases"),
    Index("role_permissions_role", "role_id"),
    sqlite_autoincrement=True,
)

# Who holds a role, where, on what, until when. `principal` is `user/ID`, `group/ID`, or `workspace/NAME` for all who
# may read there. An assignment whose effect is `deny` denies what its role would allow.
assignments = Table(
    "assignments",
    metadata,
    int_column("id", primary_key=True, autoincrement=True),
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
    Index("assignments_principal", "principal"),
    Index("assignments_role", "role_id"),
    Index("assignments_pattern", "workspace", "kind", "pattern"),
    sqlite_autoincrement=True,
)

# One row: what links are signed with, shared by all servers of the registry.
link_keys = Table("link_keys", metadata, int_column("id", primary_key=True, autoincrement=False), blob_column("secret"))
