"""The native API, `/api/v1`: what MLflow has no word for, and the registry in its own words."""

from modelkeep.faces.native import (
    archive,
    artifacts,
    doctor,
    gc,
    inspections,
    journal,
    models,
    preview,
    pushes,
    resolve,
    retention,
    uploads,
    usage,
    verification,
    versions,
    workspaces,
)

_MODULES = (
    models,
    versions,
    inspections,
    archive,
    pushes,
    resolve,
    artifacts,
    uploads,
    journal,
    workspaces,
    retention,
    usage,
    gc,
    verification,
    preview,
    doctor,
)

OPERATIONS = [operation for module in _MODULES for operation in module.OPERATIONS]

__all__ = ["OPERATIONS"]
