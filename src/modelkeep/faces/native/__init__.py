"""The native API, `/api/v1`: what MLflow has no word for, and the registry in its own words."""

from modelkeep.faces.native import journal, models, versions, workspaces

OPERATIONS = [*models.OPERATIONS, *versions.OPERATIONS, *journal.OPERATIONS, *workspaces.OPERATIONS]

__all__ = ["OPERATIONS"]
