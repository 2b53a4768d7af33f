"""What the catalog answers: models and versions with everything that belongs to them."""

from typing import Any, NamedTuple

import msgspec

_decode = msgspec.json.Decoder(list[list[Any]]).decode


class VersionView(NamedTuple):
    """A model version. `stage` is None for a retired one."""

    model_id: str
    version: int
    name: str
    source: str
    download_uri: str
    origin: str
    digest: str | None
    files: int | None
    size: int | None
    run_id: str | None
    logged_model_id: str | None
    run_link: str | None
    description: str | None
    status: str
    created_by: str
    created_at: int
    updated_at: int
    retired_at: int | None
    retired_by: str | None
    reclaimed_at: int | None
    stage: str | None
    tags: list[list[str]]
    aliases: list[str]

    @property
    def verified(self) -> bool:
        """Whether the registry holds the very bytes and vouches for their digest."""
        return self.digest is not None and self.reclaimed_at is None


class ModelView(NamedTuple):
    """A registered model. `latest` has the newest version of each stage; `aliases` are (alias, version)."""

    id: str
    name: str
    kind: str
    description: str | None
    created_at: int
    updated_at: int
    created_by: str
    last_version: int
    retired_at: int | None
    retired_by: str | None
    tags: list[list[str]]
    aliases: list[list[Any]]
    latest: list[VersionView]


def version_view(row: Any) -> VersionView:
    """The view of a row of the catalog's version statements."""
    *own, tags, aliases = row
    return VersionView._make((*own, _rows(tags), [alias for (alias,) in _rows(aliases)]))


def model_view(row: Any, latest: list[VersionView]) -> ModelView:
    """The view of a row of the catalog's model statements."""
    *own, tags, aliases = row
    return ModelView._make((*own, _rows(tags), _rows(aliases), latest))


def _rows(text: str) -> list[list[Any]]:
    """Rows of a JSON aggregate, in the order of their first members."""
    return sorted(_decode(text)) if text != "[]" else []
