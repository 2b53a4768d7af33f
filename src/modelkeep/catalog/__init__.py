"""Catalog: registered models and versions as readers see them."""

from modelkeep.catalog import targets
from modelkeep.catalog.resolve import ResolvedFiles, resolve_files
from modelkeep.catalog.service import (
    alias_target,
    download_uri,
    get_any_version,
    get_model,
    get_version,
    get_version_by_alias,
    latest_versions,
    list_models,
    list_retired_models,
    list_retired_versions,
    list_versions,
    models_by_ids,
    versions_by_keys,
)
from modelkeep.catalog.views import ModelView, VersionView

__all__ = [
    "ModelView",
    "ResolvedFiles",
    "VersionView",
    "alias_target",
    "download_uri",
    "get_any_version",
    "get_model",
    "get_version",
    "get_version_by_alias",
    "latest_versions",
    "list_models",
    "list_retired_models",
    "list_retired_versions",
    "list_versions",
    "models_by_ids",
    "resolve_files",
    "targets",
    "versions_by_keys",
]
