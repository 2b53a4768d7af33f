"""All tables of all slices, known to the shared metadata by this import."""

from modelkeep.access import tables as access
from modelkeep.artifacts import tables as artifacts
from modelkeep.audit import tables as audit
from modelkeep.db.jobs import jobs
from modelkeep.db.schema import metadata
from modelkeep.inspection import tables as inspection
from modelkeep.models import tables as models
from modelkeep.promotion import tables as promotion
from modelkeep.retention import tables as retention
from modelkeep.runs import tables as runs

__all__ = ["access", "artifacts", "audit", "inspection", "jobs", "metadata", "models", "promotion", "retention", "runs"]
