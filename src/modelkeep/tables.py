"""All tables of all slices, known to the shared metadata by this import."""

from modelkeep.access import tables as access
from modelkeep.artifacts import tables as artifacts
from modelkeep.audit import tables as audit
from modelkeep.db.schema import metadata
from modelkeep.models import tables as models
from modelkeep.promotion import tables as promotion
from modelkeep.runs import tables as runs

__all__ = ["access", "artifacts", "audit", "metadata", "models", "promotion", "runs"]
