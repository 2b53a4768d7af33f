"""What the native API says of models and versions."""

from typing import Annotated, Any

from msgspec import Meta

from modelkeep.artifacts import ManifestFile
from modelkeep.catalog import ModelView, VersionView
from modelkeep.faces.native.wire import Answer
from modelkeep.models import RESTORE_WITHIN_MS

VersionNumber = Annotated[int, Meta(ge=1, le=2**63 - 1)]
PageSize = Annotated[int, Meta(ge=1, le=1000)]
Cursor = Annotated[str, Meta(max_length=4096)]


class ModelAnswer(Answer):
    """A registered model. Times are milliseconds since the epoch; `aliases` maps an alias to a version number."""

    id: str
    name: str
    kind: str
    created_by: str
    created_at: int
    updated_at: int
    last_version: int
    tags: dict[str, str]
    aliases: dict[str, int]
    description: str | None = None


class RetiredModelAnswer(Answer):
    """A retired model, and until when it can be restored."""

    id: str
    name: str
    kind: str
    retired_at: int
    retired_by: str
    restorable_until: int
    last_version: int


class VersionAnswer(Answer):
    """A model version.

    `origin` is `stored` where the registry holds the files: then `digest` names exactly those, and `verified` is true.
    Once they are `reclaimed` the record is all that is kept: the version cannot be downloaded, moved or aliased.
    """

    name: str
    version: int
    origin: str
    verified: bool
    source: str
    download_uri: str
    created_by: str
    created_at: int
    updated_at: int
    retired: bool
    tags: dict[str, str]
    aliases: list[str]
    digest: str | None = None
    files: int | None = None
    size: int | None = None
    run_id: str | None = None
    logged_model_id: str | None = None
    stage: str | None = None
    description: str | None = None
    retired_at: int | None = None
    retired_by: str | None = None
    reclaimed: bool = False
    reclaimed_at: int | None = None


class FileAnswer(Answer):
    """A file of a version."""

    path: str
    size: int
    sha256: str


class ManifestAnswer(Answer):
    """Every file of a version, by path."""

    digest: str
    files: list[FileAnswer]


class AliasAnswer(Answer):
    """An alias and the version that it points at."""

    alias: str
    version: int


class WorkspaceInfo(Answer):
    """A workspace."""

    name: str
    created_at: int
    description: str | None = None


class ModelPage(Answer):
    """Models by name, and where to go on."""

    items: list[ModelAnswer]
    next_cursor: str | None = None


class RetiredModelPage(Answer):
    """Retired models, the last first, and where to go on."""

    items: list[RetiredModelAnswer]
    next_cursor: str | None = None


class VersionPage(Answer):
    """Versions, the newest first, and where to go on."""

    items: list[VersionAnswer]
    next_cursor: str | None = None


class WorkspaceList(Answer):
    """All workspaces."""

    items: list[WorkspaceInfo]


def model_answer(view: ModelView) -> ModelAnswer:
    """A model in use."""
    return ModelAnswer(
        id=view.id,
        name=view.name,
        kind=view.kind,
        created_by=view.created_by,
        created_at=view.created_at,
        updated_at=view.updated_at,
        last_version=view.last_version,
        tags=_mapping(view.tags),
        aliases=_mapping(view.aliases),
        description=view.description,
    )


def retired_answer(view: ModelView) -> RetiredModelAnswer:
    """A retired model."""
    retired_at = view.retired_at or 0
    return RetiredModelAnswer(
        id=view.id,
        name=view.name,
        kind=view.kind,
        retired_at=retired_at,
        retired_by=view.retired_by or "",
        restorable_until=retired_at + RESTORE_WITHIN_MS,
        last_version=view.last_version,
    )


def version_answer(view: VersionView) -> VersionAnswer:
    """A version, in use or retired."""
    return VersionAnswer(
        name=view.name,
        version=view.version,
        origin=view.origin,
        verified=view.verified,
        source=view.source,
        download_uri=view.download_uri,
        created_by=view.created_by,
        created_at=view.created_at,
        updated_at=view.updated_at,
        retired=view.retired_at is not None,
        tags=_mapping(view.tags),
        aliases=view.aliases,
        digest=view.digest,
        files=view.files,
        size=view.size,
        run_id=view.run_id,
        logged_model_id=view.logged_model_id,
        stage=view.stage,
        description=view.description,
        retired_at=view.retired_at,
        retired_by=view.retired_by,
        reclaimed=view.reclaimed_at is not None,
        reclaimed_at=view.reclaimed_at,
    )


def manifest_answer(digest: str, files: list[ManifestFile]) -> ManifestAnswer:
    """A version's files."""
    return ManifestAnswer(digest=digest, files=file_answers(files))


def file_answers(files: list[ManifestFile]) -> list[FileAnswer]:
    """Files with their sizes and hashes."""
    return [FileAnswer(path=one.path, size=one.size, sha256=one.sha256) for one in files]


def workspace_info(row: Any) -> WorkspaceInfo:
    """A workspace."""
    return WorkspaceInfo(name=row.name, created_at=row.created_at, description=row.description)


def _mapping(pairs: list[list[Any]]) -> dict[str, Any]:
    return dict(pairs)
