"""Tables of inspection: what was found in the files of a manifest, and which workspaces act on it."""

from sqlalchemy import Table

from modelkeep.db.schema import int_column, metadata, text_column

# The verdict on the files of a manifest by a set of rules; verdicts by older rules are kept. `findings` and `contents`
# are JSON.
inspections = Table(
    "inspections",
    metadata,
    text_column("digest", primary_key=True),
    int_column("rule_set", primary_key=True, autoincrement=False),
    text_column("verdict"),
    int_column("inspected_at"),
    int_column("milliseconds"),
    text_column("findings"),
    text_column("contents"),
)

# Workspaces that set a policy for downloads: which versions are not given out, those judged unsafe (1) and those that
# nobody could judge so far (1).
download_policies = Table(
    "download_policies",
    metadata,
    text_column("workspace", primary_key=True),
    int_column("refuse_unsafe"),
    int_column("refuse_unjudged"),
)
